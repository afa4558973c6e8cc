//! Columns of tables, views and materialized views.

use serde::{Deserialize, Serialize};

use super::options::stored_column_options;
use super::stored::StoredColumn;
use crate::toc::DataColumn;
use crate::{Acl, QualifiedName, SharedText, quote_identifier};

/// A column of a table.
///
/// Columns stand in the order of their numbers; dropped columns are left out and
/// are not made again. There may be a million, so what few of them have is apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredColumn", into = "StoredColumn")]
pub struct Column {
    /// The name.
    pub name: SharedText,
    /// The type, as `format_type(atttypid, atttypmod)` prints it.
    pub type_name: SharedText,
    /// The type below domains, as `format_type(oid, NULL)` prints it.
    pub base_type_name: SharedText,
    /// `typtype` of the type below domains.
    pub base_type_kind: char,
    /// The `NOT NULL` constraint, if any.
    pub not_null: Option<Box<NotNull>>,
    /// The default or generation expression, if any.
    pub default: Option<Box<ColumnExpression>>,
    /// Whether the column is an identity column. Its sequence is a
    /// [`Sequence`](crate::kinds::Sequence) of its own that adds the property.
    pub identity: Option<IdentityKind>,
    /// Whether the table itself defines the column, besides any parents.
    pub is_local: bool,
    /// How many parents it is inherited from.
    pub inherit_count: i32,
    /// What few columns have, where this one has any of it.
    pub extras: Option<Box<ColumnExtras>>,
}

/// What few columns have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnExtras {
    /// The collation, where it differs from the type's own.
    pub collation: Option<QualifiedName>,
    /// `PLAIN`, `EXTERNAL`, `EXTENDED` or `MAIN`, where it differs from the type's own.
    pub storage: Option<String>,
    /// `pglz` or `lz4`, where set.
    pub compression: Option<String>,
    /// `attstattarget`, where set.
    pub statistics_target: Option<i32>,
    /// `name=value` of `attoptions`, those that a user has set.
    pub options: Vec<String>,
    /// Options for the foreign-data wrapper, by name.
    pub fdw_options: Vec<(String, String)>,
    /// Privileges on the column.
    pub acl: Option<Acl>,
    /// `COMMENT ON COLUMN`.
    pub comment: Option<String>,
    /// Security labels: provider, label.
    pub security_labels: Vec<(String, String)>,
    /// Whether a parent's column is `NOT NULL` and this one is not: `DROP NOT NULL`, before 18.
    pub drops_not_null: bool,
}

/// A `NOT NULL` constraint of a column.
///
/// Before 18 these have no names and cannot be `NO INHERIT` or `NOT VALID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotNull {
    /// The name, where the server would choose another: where it differs from
    /// `{table}_{column}_not_null`, or that name is taken by another constraint
    /// of the schema, such as a copy made by `CREATE TABLE ... (LIKE ...)`.
    pub name: Option<String>,
    /// `NO INHERIT`.
    pub no_inherit: bool,
    /// Whether the table itself defines it, besides any parents.
    pub is_local: bool,
    /// `NOT VALID`: a [`Constraint`](crate::kinds::Constraint) of its own adds it after the rows.
    pub not_valid: bool,
    /// Valid although it comes with a parent's that is not: a [`Constraint`](crate::kinds::Constraint) of its
    /// own validates it after that one was added.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub validated_later: bool,
}

/// The expression of a default or of a generated column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnExpression {
    /// As `pg_get_expr` prints it.
    pub expression: SharedText,
    /// What it is for.
    pub role: ExpressionRole,
    /// Where it is written.
    pub place: ExpressionPlace,
}

/// What a column's expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpressionRole {
    /// `DEFAULT`.
    Default,
    /// `GENERATED ALWAYS AS (...) STORED`.
    Stored,
    /// `GENERATED ALWAYS AS (...)`, computed when read; since 18.
    Virtual,
}

/// Where a column's expression is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExpressionPlace {
    /// In `CREATE TABLE`.
    Inline,
    /// In an `ALTER TABLE` right behind `CREATE TABLE`: the `NULL` that hides a
    /// parent's default in a column that is only inherited.
    Behind,
    /// By a [`ColumnDefault`](crate::kinds::ColumnDefault) of its own.
    Separate,
    /// Nowhere: the same expression comes from the parent.
    Inherited,
}

/// How an identity column treats values given by an `INSERT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityKind {
    /// `GENERATED ALWAYS`.
    Always,
    /// `GENERATED BY DEFAULT`.
    ByDefault,
}

impl IdentityKind {
    /// `ALWAYS` or `BY DEFAULT`.
    pub fn sql(self) -> &'static str {
        match self {
            IdentityKind::Always => "ALWAYS",
            IdentityKind::ByDefault => "BY DEFAULT",
        }
    }
}

impl ColumnExtras {
    const NONE: &'static ColumnExtras = &ColumnExtras {
        collation: None,
        storage: None,
        compression: None,
        statistics_target: None,
        options: Vec::new(),
        fdw_options: Vec::new(),
        acl: None,
        comment: None,
        security_labels: Vec::new(),
        drops_not_null: false,
    };

    /// Itself in a box, unless there is nothing in it.
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != *Self::NONE).then(|| Box::new(self))
    }
}

impl Column {
    /// What few columns have, all empty where this one has nothing of it.
    pub fn extras(&self) -> &ColumnExtras {
        self.extras.as_deref().unwrap_or(ColumnExtras::NONE)
    }

    /// The same, to be filled.
    pub fn extras_mut(&mut self) -> &mut ColumnExtras {
        self.extras.get_or_insert_default()
    }

    /// Whether the column's values are computed, so that they do not travel.
    pub fn is_generated(&self) -> bool {
        self.default.as_ref().is_some_and(|default| default.role != ExpressionRole::Default)
    }

    /// The column as `COPY` carries it.
    pub fn data_column(&self) -> DataColumn {
        DataColumn {
            name: self.name.clone(),
            type_name: self.type_name.clone(),
            base_type_name: self.base_type_name.clone(),
            base_type_kind: self.base_type_kind,
        }
    }

    /// ` DEFAULT ...` or ` GENERATED ALWAYS AS (...) ...`, where it stands inline.
    pub(super) fn inline_expression(&self) -> Option<String> {
        let default = self.default.as_ref().filter(|default| default.place == ExpressionPlace::Inline)?;
        Some(match default.role {
            ExpressionRole::Default => format!(" DEFAULT {}", default.expression),
            ExpressionRole::Stored => format!(" GENERATED ALWAYS AS ({}) STORED", default.expression),
            ExpressionRole::Virtual => format!(" GENERATED ALWAYS AS ({})", default.expression),
        })
    }
}

impl NotNull {
    /// Whether it is there before the rows.
    pub(super) fn is_early(&self) -> bool {
        !self.not_valid && !self.validated_later
    }

    /// `CONSTRAINT name NOT NULL NO INHERIT` with what applies, behind a column.
    pub(super) fn column_clause(&self) -> String {
        format!("{}NOT NULL{}", self.name_clause(), self.inherit_clause())
    }

    /// The same as an element of the table, for a column that only a parent defines.
    pub(super) fn table_element(&self, column: &str) -> String {
        format!("{}NOT NULL {}{}", self.name_clause(), quote_identifier(column), self.inherit_clause())
    }

    fn name_clause(&self) -> String {
        self.name.as_ref().map(|name| format!("CONSTRAINT {} ", quote_identifier(name))).unwrap_or_default()
    }

    fn inherit_clause(&self) -> &'static str {
        if self.no_inherit { " NO INHERIT" } else { "" }
    }
}

/// A column of a view or a materialized view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewColumn {
    /// The name.
    pub name: String,
    /// The type, as `format_type(atttypid, atttypmod)` prints it.
    pub type_name: String,
    /// The collation, where it differs from the type's own.
    pub collation: Option<QualifiedName>,
    /// `PLAIN`, `EXTERNAL`, `EXTENDED` or `MAIN`, where it differs from the
    /// type's own. Only a materialized view's columns can have it.
    pub storage: Option<String>,
    /// `pglz` or `lz4`, where set. Only a materialized view's columns can have it.
    pub compression: Option<String>,
    /// `attstattarget`, where set. Only a materialized view's columns can have it.
    pub statistics_target: Option<i32>,
    /// `name=value` of `attoptions`. Only a materialized view's columns can have them.
    #[serde(deserialize_with = "stored_column_options")]
    pub options: Vec<String>,
    /// Privileges on the column.
    pub acl: Option<Acl>,
    /// `COMMENT ON COLUMN`.
    pub comment: Option<String>,
    /// Security labels: provider, label.
    pub security_labels: Vec<(String, String)>,
}

impl From<Column> for ViewColumn {
    fn from(column: Column) -> Self {
        let extras = column.extras.map(|extras| *extras).unwrap_or_default();
        ViewColumn {
            name: column.name.into(),
            type_name: column.type_name.into(),
            collation: extras.collation,
            storage: extras.storage,
            compression: extras.compression,
            statistics_target: extras.statistics_target,
            options: extras.options,
            acl: extras.acl,
            comment: extras.comment,
            security_labels: extras.security_labels,
        }
    }
}
