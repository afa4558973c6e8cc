//! A table: ordinary, partitioned or foreign.

mod annotations;
mod column;
pub(crate) mod options;
pub(crate) mod statement;
mod stored;

use serde::{Deserialize, Serialize};

pub use annotations::{ColumnAnnotations, UndeclaredColumn};
pub use column::{
    Column, ColumnExpression, ColumnExtras, ExpressionPlace, ExpressionRole, IdentityKind, NotNull, ViewColumn,
};
pub(crate) use options::storage_parameters;
pub use options::column_options;

use crate::render::{Draft, Part, Render, Target};
use crate::toc::{DataColumn, Section};
use crate::{EntryKind, Object, QualifiedName};

/// A table: ordinary, partitioned or foreign.
///
/// It is written as `pg_dump` writes it (`dumpTableSchema`): a partition is
/// created by itself and attached by a draft that follows, so that it keeps a
/// column order of its own; identity is added by the column's sequence; keys,
/// indexes and triggers follow as objects of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Ordinary, partitioned or foreign.
    pub table_kind: TableKind,
    /// `UNLOGGED`.
    pub unlogged: bool,
    /// Columns in the order of their numbers.
    pub columns: Vec<Column>,
    /// Check constraints that stand in `CREATE TABLE`, by name.
    pub checks: Vec<InlineCheck>,
    /// The type of a typed table (`OF type`), as `format_type` prints it.
    pub of_type: Option<String>,
    /// Parents in the order of `INHERITS`; empty for partitions.
    pub inherits: Vec<QualifiedName>,
    /// What it is a partition of.
    pub partition_of: Option<PartitionOf>,
    /// `pg_get_partkeydef`, for a partitioned table: `RANGE (logdate)`.
    pub partition_key: Option<String>,
    /// `name=value` of `reloptions`.
    pub options: Vec<String>,
    /// `name=value` of the TOAST table's `reloptions`.
    pub toast_options: Vec<String>,
    /// The table access method, unless it is `heap`.
    pub access_method: Option<String>,
    /// The tablespace, unless it is the database's.
    pub tablespace: Option<String>,
    /// Row security: `ENABLE`.
    pub row_security: bool,
    /// Row security: `FORCE`.
    pub force_row_security: bool,
    /// What identifies an old row to logical replication.
    pub replica_identity: ReplicaIdentity,
    /// Where a foreign table's rows are.
    pub foreign: Option<ForeignSource>,
    /// The names of the columns in their order, in parentheses, where something uses the row type: values of
    /// it have their fields in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_order: Option<String>,
    /// Whether the columns keep that order only if the table is made with all of them and then inherits:
    /// `CREATE TABLE ... INHERITS` would put the parents' first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherits_later: bool,
    /// Privileges on columns that no statement declares, such as `ctid`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undeclared_columns: Vec<UndeclaredColumn>,
}

/// What sort of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// `relkind` `r`.
    Ordinary,
    /// `relkind` `p`.
    Partitioned,
    /// `relkind` `f`.
    Foreign,
}

/// A check constraint that `CREATE TABLE` defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineCheck {
    /// The name.
    pub name: String,
    /// `pg_get_constraintdef`: `CHECK ((a > 0))`.
    pub definition: String,
}

/// The place of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionOf {
    /// The partitioned table.
    pub parent: QualifiedName,
    /// `pg_get_expr(relpartbound)`: `FOR VALUES FROM (1) TO (9)` or `DEFAULT`.
    pub bound: String,
}

/// The server and options of a foreign table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignSource {
    /// The foreign server.
    pub server: String,
    /// Options by name.
    pub options: Vec<(String, String)>,
}

/// `relreplident`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplicaIdentity {
    /// The primary key.
    Default,
    /// Nothing.
    Nothing,
    /// The whole row.
    Full,
    /// An index; written with that index.
    Index,
}

impl Table {
    /// The columns whose values travel: all but generated ones, in column order.
    pub fn data_columns(&self) -> Vec<DataColumn> {
        self.columns.iter().filter(|column| !column.is_generated()).map(Column::data_column).collect()
    }

    /// Whether the table itself holds rows: it is neither partitioned nor foreign.
    pub fn holds_rows(&self) -> bool {
        self.table_kind == TableKind::Ordinary
    }

    /// Whether its rows have TIDs that a scan can be cut by: a heap.
    pub fn has_tids(&self) -> bool {
        self.holds_rows() && self.access_method.is_none()
    }

    /// Whether `CREATE TABLE` names the column. Columns that only come from a
    /// parent are left to `INHERITS`; a partition names all of its own.
    pub(super) fn prints(&self, column: &Column) -> bool {
        column.is_local || self.is_made_alone()
    }

    /// Whether the table is made with all that it has, before anything is above it.
    pub(super) fn is_made_alone(&self) -> bool {
        self.partition_of.is_some() || self.inherits_later
    }

    fn entry_kind(&self) -> EntryKind {
        if self.table_kind == TableKind::Foreign { EntryKind::ForeignTable } else { EntryKind::Table }
    }
}

impl Render for Table {
    fn render(&self, object: &Object, target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let mut create = vec![self.create_statement(&name, target)];
        let kind = self.entry_kind();
        if self.inherits_later {
            let inherit = |parent| format!("ALTER {kind} ONLY {name} INHERIT {parent}");
            create.extend(self.inherits.iter().map(inherit));
        }
        create.extend(self.alter_statements(&name, target));
        let mut drafts =
            vec![Draft { create, ..Draft::owned(Section::PreData, kind, &name, String::new()) }];
        if let Some(PartitionOf { parent, bound }) = &self.partition_of {
            let attach = format!("ALTER TABLE ONLY {parent} ATTACH PARTITION {name} {bound}");
            drafts.push(Draft { part: Part::After, ..Draft::new(Section::PreData, EntryKind::TableAttach, attach) });
        }
        if self.row_security {
            let enable = format!("ALTER TABLE {name} ENABLE ROW LEVEL SECURITY");
            drafts.push(Draft { part: Part::After, ..Draft::new(Section::PostData, EntryKind::RowSecurity, enable) });
        }
        drafts
    }

    fn kind(&self) -> Option<EntryKind> {
        Some(self.entry_kind())
    }
}
