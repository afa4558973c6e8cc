//! What hangs on columns of any relation: comments, security labels, privileges.

use crate::Acl;
use crate::kinds::{Body, Column, ViewColumn};

/// What hangs on one column of a table, view or materialized view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnAnnotations<'a> {
    /// The column's name.
    pub column: &'a str,
    /// Privileges on the column.
    pub acl: Option<&'a Acl>,
    /// `COMMENT ON COLUMN`.
    pub comment: Option<&'a str>,
    /// Security labels: provider, label.
    pub security_labels: &'a [(String, String)],
}

fn of_table(column: &Column) -> Option<ColumnAnnotations<'_>> {
    column.extras.as_ref().map(|extras| ColumnAnnotations {
        column: &column.name,
        acl: extras.acl.as_ref(),
        comment: extras.comment.as_deref(),
        security_labels: &extras.security_labels,
    })
}

fn of_view(column: &ViewColumn) -> ColumnAnnotations<'_> {
    ColumnAnnotations {
        column: &column.name,
        acl: column.acl.as_ref(),
        comment: column.comment.as_deref(),
        security_labels: &column.security_labels,
    }
}

fn acl_of_table(column: &mut Column) -> Option<(&str, &mut Option<Acl>)> {
    let Column { name, extras, .. } = column;
    Some((name, &mut extras.as_mut()?.acl))
}

fn acl_of_view(column: &mut ViewColumn) -> (&str, &mut Option<Acl>) {
    (&column.name, &mut column.acl)
}

/// The parts of a column that are set after it was read.
struct Slots<'a> {
    comment: &'a mut Option<String>,
    security_labels: &'a mut Vec<(String, String)>,
}

impl Body {
    /// What hangs on each column of a table, view or materialized view, in
    /// column order, those left out that have nothing; empty for other kinds.
    pub fn column_annotations(&self) -> Vec<ColumnAnnotations<'_>> {
        match self {
            Body::Table(table) => table.columns.iter().filter_map(of_table).collect(),
            Body::View(view) => view.columns.iter().map(of_view).collect(),
            Body::MaterializedView(view) => view.columns.iter().map(of_view).collect(),
            _ => Vec::new(),
        }
    }

    /// Names of columns that may have privileges of their own, with these, to be changed.
    pub(crate) fn column_acls_mut(&mut self) -> Vec<(&str, &mut Option<Acl>)> {
        match self {
            Body::Table(table) => table.columns.iter_mut().filter_map(acl_of_table).collect(),
            Body::View(view) => view.columns.iter_mut().map(acl_of_view).collect(),
            Body::MaterializedView(view) => view.columns.iter_mut().map(acl_of_view).collect(),
            _ => Vec::new(),
        }
    }

    /// Sets the comment of a column, by name, of a table, view or materialized
    /// view. False where there is no such column.
    pub fn set_column_comment(&mut self, column: &str, comment: String) -> bool {
        self.column_slots(column).map(|slots| *slots.comment = Some(comment)).is_some()
    }

    /// Adds a security label to a column, by name, of a table, view or
    /// materialized view. False where there is no such column.
    pub fn add_column_security_label(&mut self, column: &str, provider: String, label: String) -> bool {
        self.column_slots(column).map(|slots| slots.security_labels.push((provider, label))).is_some()
    }

    fn column_slots(&mut self, name: &str) -> Option<Slots<'_>> {
        match self {
            Body::Table(table) => table_slots(&mut table.columns, name),
            Body::View(view) => view_slots(&mut view.columns, name),
            Body::MaterializedView(view) => view_slots(&mut view.columns, name),
            _ => None,
        }
    }
}

fn table_slots<'a>(columns: &'a mut [Column], name: &str) -> Option<Slots<'a>> {
    let extras = columns.iter_mut().find(|column| column.name == name)?.extras_mut();
    Some(Slots { comment: &mut extras.comment, security_labels: &mut extras.security_labels })
}

fn view_slots<'a>(columns: &'a mut [ViewColumn], name: &str) -> Option<Slots<'a>> {
    let column = columns.iter_mut().find(|column| column.name == name)?;
    Some(Slots { comment: &mut column.comment, security_labels: &mut column.security_labels })
}
