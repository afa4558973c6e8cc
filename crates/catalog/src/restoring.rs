//! TimescaleDB, the extension that must be told of a restore, so that it keeps its hands from what is loaded.
//!
//! Its tables, called hypertables, keep their rows in children, called chunks, which its configuration tables know.
//! In a restore all of these come as plain tables with their rows, as its manual says: between its functions
//! `timescaledb_pre_restore` and `timescaledb_post_restore`, and into the same version of it.

use serde::{Deserialize, Serialize};

use crate::statement::{TokenKind, tokens};
use crate::{EntryKind, QualifiedName, TableData, Toc, TocEntry, quote_identifier};

/// The extension's name.
pub const TIMESCALEDB: &str = "timescaledb";

const BEGIN: &str = ".timescaledb_pre_restore()";
const END: &str = ".timescaledb_post_restore()";

/// The tables that TimescaleDB keeps in a database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hypertables {
    /// Hypertables and their chunks.
    pub tables: Vec<QualifiedName>,
    /// Functions of the user's that say how a hypertable is cut.
    pub functions: Vec<QualifiedName>,
    /// What is in use that nobody has tried to copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<UntestedFeature>,
}

/// Something of TimescaleDB's that is not copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntestedFeature {
    /// Which.
    pub feature: HypertableFeature,
    /// Some of the objects that make use of it.
    pub details: Vec<String>,
}

/// What hypertables can have that is not copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HypertableFeature {
    /// Compressed chunks, also called the columnstore, and frozen ones.
    Compression,
    /// Chunks in another storage.
    TieredStorage,
    /// Continuous aggregates.
    ContinuousAggregates,
    /// Jobs of the user's, policies among them.
    Jobs,
    /// Ranges of columns by which chunks are skipped.
    ChunkSkipping,
    /// Rows in a table of its catalog, or a catalog, that is not known.
    Unknown,
    /// Tablespaces for chunks to come, which its catalog names.
    Tablespaces,
    /// Foreign keys that refer to hypertables: in a restore these are empty tables with children.
    ForeignKeys,
    /// A restore that was begun and not ended.
    UnendedRestore,
}

/// The statement that begins a restore, of a database whose extension is in a schema.
pub(crate) fn begin_sql(schema: &str) -> String {
    format!("SELECT {}{BEGIN}", quote_identifier(schema))
}

/// Whether a statement of an entry is the one that begins a restore.
pub(crate) fn begins(entry: &TocEntry, sql: &str) -> bool {
    let is_schema = |kind| matches!(kind, TokenKind::Word | TokenKind::QuotedName);
    let is_ours = entry.kind == EntryKind::Extension && entry.name == TIMESCALEDB && sql.ends_with(BEGIN);
    // `SELECT`, the schema, a dot, the function, two parentheses
    is_ours
        && tokens(sql).is_ok_and(|tokens| {
            tokens.len() == 6
                && tokens[0].is("SELECT")
                && tokens.get(1).is_some_and(|name| is_schema(name.kind))
        })
}

/// The statement with which a rehearsal has its session restore, instead of the one that tells the whole database so
/// and stops the extension's workers, which no rollback starts again.
pub fn rehearsed(entry: &TocEntry, sql: &str) -> Option<String> {
    begins(entry, sql).then(|| format!("SET LOCAL {TIMESCALEDB}.restoring TO 'on'"))
}

/// What goes before the rows of a table of its catalog that its script fills too: these take the place of the script's.
/// Its trigger would have an `INSERT` of the same key change the row that is there, and count none.
pub fn replaced_rows(table: &TableData) -> Option<String> {
    let is_metadata = table.table == QualifiedName::new("_timescaledb_catalog", "metadata");
    let sql = "DELETE FROM ONLY _timescaledb_catalog.metadata WHERE key OPERATOR(pg_catalog.<>) 'uuid'";
    (is_metadata && !table.created_by_toc).then(|| sql.to_owned())
}

/// The entry that begins a restore, and the statement that ends it, to be run when all else is there.
pub fn end_of_restore(toc: &Toc) -> Option<(&TocEntry, String)> {
    let entry = toc.entries.iter().find(|entry| entry.create.iter().any(|sql| begins(entry, sql)))?;
    let begin = entry.create.iter().find(|sql| begins(entry, sql))?;
    Some((entry, format!("{}{END}", begin.strip_suffix(BEGIN)?)))
}

#[cfg(test)]
mod tests {
    use super::{end_of_restore, rehearsed};
    use crate::kinds::{Body, Extension};
    use crate::{
        Catalog, Class, Object, ObjectId, ServerVersion, StatementProblem, Target, Toc, TocEntry, TocOptions,
        check_entry,
    };

    fn toc(name: &str) -> Toc {
        let extension = Extension {
            schema: "Time".to_owned(),
            version: "2.31.0".to_owned(),
            relocatable: false,
            configuration: Vec::new(),
        };
        let version = ServerVersion::of_major(18);
        let mut catalog = Catalog::empty(version);
        catalog.objects.push(Object {
            id: ObjectId::new(Class::PG_EXTENSION, 16_400),
            schema: None,
            name: name.to_owned(),
            owner: None,
            acl: None,
            comment: None,
            security_labels: Vec::new(),
            extension: None,
            body: Body::from(extension),
        });
        Toc::build(&catalog, &Target { version }, &TocOptions::default()).unwrap()
    }

    #[test]
    fn a_restore_of_timescaledb_begins_and_ends() {
        let toc = toc("timescaledb");
        let (entry, end) = end_of_restore(&toc).unwrap();
        let create = "CREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA \"Time\" VERSION '2.31.0'";
        assert_eq!(entry.create, [create, "SELECT \"Time\".timescaledb_pre_restore()"]);
        assert_eq!(end, "SELECT \"Time\".timescaledb_post_restore()");
        assert_eq!(rehearsed(entry, create), None);
        let rehearsed = rehearsed(entry, &entry.create[1]);
        assert_eq!(rehearsed.as_deref(), Some("SET LOCAL timescaledb.restoring TO 'on'"));
        assert_eq!(check_entry(entry), Ok(()));
    }

    #[test]
    fn other_extensions_run_no_function() {
        assert!(end_of_restore(&toc("hypopg")).is_none());
        for (name, sql) in [
            ("hypopg", "SELECT public.timescaledb_pre_restore()"),
            ("timescaledb", "SELECT public.other()"),
            ("timescaledb", "SELECT public.other(), public.timescaledb_pre_restore()"),
            ("timescaledb", "SELECT public.timescaledb_pre_restore() FROM public.t"),
            ("timescaledb", "SELECT a.public.timescaledb_pre_restore()"),
            ("timescaledb", "SELECT 1 FROM public.timescaledb_pre_restore()"),
        ] {
            let mut entry: TocEntry = toc(name).entries.remove(0);
            entry.create = vec![sql.to_owned()];
            assert!(matches!(check_entry(&entry), Err(StatementProblem::Command { .. })), "{name}: {sql}");
        }
    }
}
