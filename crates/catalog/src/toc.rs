//! The table of contents: the catalog in restorable order.

mod annotate;
mod build;
mod data;
mod kind;
#[cfg(test)]
mod loop_tests;
mod naming;
mod options;
mod plan;
mod positions;
mod repair;
mod script_order;

pub use kind::{EntryKind, UnknownKind};
pub use options::{TocError, TocOptions};

use serde::{Deserialize, Serialize};

use crate::{ObjectId, QualifiedName, SharedText};

/// When an entry is restored, as in `pg_dump`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Before any row.
    PreData,
    /// Rows and sequence values.
    Data,
    /// After the rows they need.
    PostData,
}

/// The catalog as entries in restorable order; an entry's dependencies stand before it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Toc {
    /// All entries; the entry with `id` n stands at index n - 1.
    pub entries: Vec<TocEntry>,
}

/// One step of a restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TocEntry {
    /// Position in the TOC, from 1.
    pub id: u32,
    /// When.
    pub section: Section,
    /// What, in the words of `pg_restore -l`: `TABLE`, `INDEX`, `COMMENT`,
    /// `ACL`, `TABLE DATA`, `SEQUENCE SET`, `BLOBS`.
    pub kind: EntryKind,
    /// The schema, if any, unquoted.
    pub schema: Option<SharedText>,
    /// The object, as `pg_restore -l` names it: `film`, `film film_pkey`, `f(integer)`.
    pub name: String,
    /// The role that shall own it.
    pub owner: Option<SharedText>,
    /// Statements that create it, each a single one without final semicolon.
    /// Empty for entries that hold rows.
    pub create: Vec<String>,
    /// `ALTER ... OWNER TO`, left out with `--no-owner`.
    pub set_owner: Option<String>,
    /// What `--clean` runs first, in reverse order of the TOC.
    pub drop: Option<Box<DropStatement>>,
    /// Entries that must be done before this one.
    pub depends_on: Vec<u32>,
    /// The object this entry creates, comments, grants or fills.
    pub object: Option<ObjectId>,
    /// What to copy, for entries that hold rows.
    pub data: Option<DataEntry>,
    /// A rough size of the work in bytes, for ordering; 0 where it is small.
    pub weight_bytes: u64,
    /// Another way to do the first statement of `create`, for a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Box<Adoption>>,
}

/// A key made in two steps with the same result: its index, under a lock that lets other indexes of the
/// table be built at the same time, and then, in no time, the constraint that adopts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// `CREATE UNIQUE INDEX`.
    pub build: String,
    /// `ALTER TABLE ... ADD CONSTRAINT ... USING INDEX`.
    pub adopt: String,
}

/// A `DROP` in two parts, so that `IF EXISTS` can stand between.
///
/// A command that drops nothing by itself never takes `IF EXISTS`: a view's
/// `CREATE OR REPLACE VIEW`, a large object's `SELECT`, or default privileges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropStatement {
    /// `DROP TABLE` or `ALTER TABLE x DROP CONSTRAINT`.
    pub command: String,
    /// The object, quoted.
    pub object: String,
}

/// Commands that have no `IF EXISTS`.
const WITHOUT_IF_EXISTS: [&str; 2] = ["ALTER DEFAULT PRIVILEGES ", "ALTER OPERATOR FAMILY "];

impl DropStatement {
    /// Whether the statement fails, even with `IF EXISTS`, where what it names is not there: a schema, a type,
    /// a domain, an access method.
    pub(crate) fn may_miss_something(&self) -> bool {
        let beginnings = [
            "CREATE OR REPLACE",
            "ALTER DOMAIN",
            "ALTER DEFAULT PRIVILEGES",
            "DROP OPERATOR ",
            "ALTER OPERATOR ",
        ];
        beginnings.iter().any(|beginning| self.command.starts_with(beginning))
    }

    /// The statement, with `IF EXISTS` on request: for the object and, where a
    /// part of a table is dropped, for the table.
    pub fn sql(&self, if_exists: bool) -> String {
        let DropStatement { command, object } = self;
        let is_drop = command.starts_with("DROP ") || command.starts_with("ALTER ");
        let is_drop = is_drop
            && !WITHOUT_IF_EXISTS.iter().any(|beginning| command.starts_with(beginning))
            && command != "ALTER DOMAIN";
        if !if_exists || !is_drop {
            return format!("{command} {object}");
        }
        match command.strip_prefix("ALTER TABLE ") {
            Some(rest) => format!("ALTER TABLE IF EXISTS {rest} IF EXISTS {object}"),
            None => format!("{command} IF EXISTS {object}"),
        }
    }
}

/// Rows that an entry carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum DataEntry {
    /// The rows of one table, in `COPY` text with this column list.
    Table(Box<TableData>),
    /// All large objects' contents.
    LargeObjects,
}

/// How one table's rows travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableData {
    /// The table rows are read from.
    pub table: QualifiedName,
    /// The topmost partitioned table above it, where rows have to be loaded through that because another
    /// database would put them into other partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<QualifiedName>,
    /// Columns in the list of the `COPY`: every column but generated ones.
    pub columns: Vec<DataColumn>,
    /// Which rows, for extension configuration tables: ` WHERE ...` as in `extcondition`.
    pub condition: Option<String>,
    /// Whether the relation has TIDs that segments can be cut by: a heap table.
    pub has_tids: bool,
    /// Whether the table is empty on the target when rows are loaded, by the
    /// TOC's own doing, so that `TRUNCATE` loses nothing.
    pub created_by_toc: bool,
    /// Whether a type of a column, such as a composite type or a domain over an array, holds a `regclass` deep in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nests_regclass: bool,
}

impl TableData {
    /// The table that rows are loaded into.
    pub fn destination(&self) -> &QualifiedName {
        self.root.as_ref().unwrap_or(&self.table)
    }

    /// Whether rows may name relations, indexes among them: a `regclass` is read as the name of what is there.
    pub fn names_relations(&self) -> bool {
        let is_regclass = |type_name: &str| {
            matches!(type_name.trim_start_matches("pg_catalog."), "regclass" | "regclass[]")
        };
        self.nests_regclass || self.columns.iter().any(|column| is_regclass(&column.base_type_name))
    }
}

/// A column that travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataColumn {
    /// The name, unquoted.
    pub name: SharedText,
    /// The type as `format_type` prints it.
    pub type_name: SharedText,
    /// The type below domains as `format_type(typbasetype, -1)` prints it:
    /// `integer`, `character`, `timestamp with time zone`, `public.mood`, `integer[]`.
    pub base_type_name: SharedText,
    /// `typtype` of the base type: `b`, `c`, `e`, `r`, `m`, `p`.
    pub base_type_kind: char,
}

#[cfg(test)]
mod tests {
    use super::DropStatement;

    #[track_caller]
    fn check(command: &str, expected: &str) {
        let drop = DropStatement { command: command.to_owned(), object: "x".to_owned() };
        assert_eq!(drop.sql(true), expected);
        assert_eq!(drop.sql(false), format!("{command} x"));
    }

    #[test]
    fn if_exists() {
        check("DROP TABLE", "DROP TABLE IF EXISTS x");
        check("ALTER DOMAIN d DROP CONSTRAINT", "ALTER DOMAIN d DROP CONSTRAINT IF EXISTS x");
        check(
            "ALTER TABLE ONLY t DROP CONSTRAINT",
            "ALTER TABLE IF EXISTS ONLY t DROP CONSTRAINT IF EXISTS x",
        );
        check("ALTER TABLE", "ALTER TABLE IF EXISTS x");
        check("ALTER DOMAIN", "ALTER DOMAIN x");
        check("CREATE OR REPLACE VIEW", "CREATE OR REPLACE VIEW x");
        check("SELECT pg_catalog.lo_unlink", "SELECT pg_catalog.lo_unlink x");
    }
}
