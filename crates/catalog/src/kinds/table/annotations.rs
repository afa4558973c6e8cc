//! What hangs on columns of any relation: comments, security labels, privileges.

use serde::{Deserialize, Serialize};

use crate::Acl;
use crate::kinds::{Body, Column, ViewColumn};

/// A column that no statement declares: one of the system's, such as `ctid`, or one of a sequence. All that users
/// can do to it is to grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndeclaredColumn {
    /// The name.
    pub name: String,
    /// Privileges on it.
    pub acl: Option<Acl>,
}

/// What hangs on one column of a relation.
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

fn of_undeclared(column: &UndeclaredColumn) -> ColumnAnnotations<'_> {
    let UndeclaredColumn { name, acl } = column;
    ColumnAnnotations { column: name, acl: acl.as_ref(), comment: None, security_labels: &[] }
}

fn acl_of_undeclared(column: &mut UndeclaredColumn) -> (&str, &mut Option<Acl>) {
    (&column.name, &mut column.acl)
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
    /// What hangs on each column of a relation, in the order of columns and then
    /// of those that are not declared, those left out that have nothing; empty
    /// for other kinds.
    pub fn column_annotations(&self) -> Vec<ColumnAnnotations<'_>> {
        let undeclared = self.undeclared_columns().iter().map(of_undeclared);
        match self {
            Body::Table(table) => table.columns.iter().filter_map(of_table).chain(undeclared).collect(),
            Body::View(view) => view.columns.iter().map(of_view).collect(),
            Body::MaterializedView(view) => view.columns.iter().map(of_view).chain(undeclared).collect(),
            _ => undeclared.collect(),
        }
    }

    /// Columns with privileges that no statement declares.
    pub fn undeclared_columns(&self) -> &[UndeclaredColumn] {
        match self {
            Body::Table(table) => &table.undeclared_columns,
            Body::MaterializedView(view) => &view.undeclared_columns,
            Body::Sequence(sequence) => &sequence.undeclared_columns,
            _ => &[],
        }
    }

    /// Sets privileges on a column that no statement declares. False where a kind has no such columns.
    pub fn add_undeclared_column(&mut self, column: UndeclaredColumn) -> bool {
        let columns = match self {
            Body::Table(table) => &mut table.undeclared_columns,
            Body::MaterializedView(view) => &mut view.undeclared_columns,
            Body::Sequence(sequence) => &mut sequence.undeclared_columns,
            _ => return false,
        };
        columns.push(column);
        true
    }

    /// Names of columns that may have privileges of their own, with these, to be changed.
    pub(crate) fn column_acls_mut(&mut self) -> Vec<(&str, &mut Option<Acl>)> {
        match self {
            Body::Table(table) => {
                let undeclared = table.undeclared_columns.iter_mut().map(acl_of_undeclared);
                table.columns.iter_mut().filter_map(acl_of_table).chain(undeclared).collect()
            }
            Body::View(view) => view.columns.iter_mut().map(acl_of_view).collect(),
            Body::MaterializedView(view) => {
                let undeclared = view.undeclared_columns.iter_mut().map(acl_of_undeclared);
                view.columns.iter_mut().map(acl_of_view).chain(undeclared).collect()
            }
            Body::Sequence(sequence) => {
                sequence.undeclared_columns.iter_mut().map(acl_of_undeclared).collect()
            }
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
