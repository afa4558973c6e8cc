//! Keeping tables as a snapshot saw them, and finding out whether they are.
//!
//! A snapshot alone does not keep rows: to one that is older, a table that `TRUNCATE` or a
//! rewriting `ALTER TABLE` went over is empty (PostgreSQL's documentation, "Caveats" of MVCC),
//! and nothing says so. A lock does, but the server's lock table is small: 64 locks for each of
//! 100 connections by default, and a database may hold 100,000 tables. So a holder locks as many
//! as half of the lock table takes, which makes changes wait. But its session may be lost, with all
//! locks and without a word to those that read. So whoever reads a table asks afterwards, with the
//! lock of the reading still held, whether it is what the snapshot saw.
//!
//! Readers ask under a search path of the source's where they could not read without it, so that all
//! queries here name everything with its schema, operators too.

use std::sync::atomic::{AtomicUsize, Ordering};

use dbhaul_catalog::{QualifiedName, quote_literal};

use crate::error::{Error, Result};
use crate::probe::Probe;
use crate::session::Session;

/// Tables locked with one statement.
const TABLES_PER_LOCK: usize = 500;

/// Tables looked at with one query.
const TABLES_PER_LOOK: usize = 2000;

/// The share of the server's lock table that a holder takes: one in so many.
const HOLDER_SHARE: usize = 2;

/// The share of the server's lock table that all readers together take.
const READERS_SHARE: usize = 4;

/// A query locks its table and every index of it until the transaction ends.
const LOCKS_PER_TABLE: usize = 8;

/// What a server with default settings has: 64 locks for each of 100 connections.
const DEFAULT_LOCK_SLOTS: usize = 6400;

/// Locks tables, and knows how much there is to lock with.
#[derive(Debug)]
pub(crate) struct HeldTables {
    lock_slots: AtomicUsize,
}

impl Default for HeldTables {
    fn default() -> Self {
        HeldTables { lock_slots: AtomicUsize::new(DEFAULT_LOCK_SLOTS) }
    }
}

impl HeldTables {
    /// Locks as many of the tables as may be, from the front; returns those of all tables that
    /// are not what the snapshot saw.
    pub(crate) async fn hold(&self, session: &Session, tables: &[QualifiedName]) -> Result<Vec<String>> {
        let slots = Probe::new(session).lock_capacity().await?.lock_slots;
        let slots = usize::try_from(slots).unwrap_or(DEFAULT_LOCK_SLOTS);
        let (wanted, _) = tables.split_at(tables.len().min(slots / HOLDER_SHARE));
        let locked_count = lock(session, wanted).await?;
        let (locked, loose) = tables.split_at(locked_count);
        self.lock_slots.store(slots, Ordering::Relaxed);
        let mut changed = Vec::new();
        for (tables, with_columns) in [(locked, true), (loose, false)] {
            for batch in tables.chunks(TABLES_PER_LOOK) {
                changed.extend(session.query_strings(&changed_sql(batch, with_columns)).await?);
            }
        }
        Ok(changed)
    }

    /// How many tables each of `sessions` readers may read in one transaction.
    pub(crate) fn tables_per_transaction(&self, sessions: usize) -> usize {
        let slots = self.lock_slots.load(Ordering::Relaxed);
        (slots / READERS_SHARE / LOCKS_PER_TABLE / sessions.max(1)).max(1)
    }
}

/// Fails if a table is not what the snapshot of the session's transaction saw. To be asked when
/// the tables have been read in the same transaction, whose locks on them then last.
pub(crate) async fn check(session: &Session, tables: &[QualifiedName]) -> Result<()> {
    let changed = if let [table] = tables {
        session.prepare_check().await?;
        session.query_strings(&check_sql(table)).await?
    } else {
        session.query_strings(&changed_sql(tables, true)).await?
    };
    let Some(first) = changed.into_iter().next() else { return Ok(()) };
    let table = if let [table] = tables { table.sql() } else { first };
    Err(Error::TableChanged { server: session.server().to_owned(), table })
}

/// Prepares what [`check_sql`] executes: planned for every table anew, it would cost the server more
/// than a small table's rows.
pub(crate) fn prepare_sql() -> String {
    let from = "FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c \
         ON c.relnamespace OPERATOR(pg_catalog.=) n.oid \
         AND c.relname OPERATOR(pg_catalog.=) $2 AND n.nspname OPERATOR(pg_catalog.=) $1";
    format!(
        "PREPARE dbhaul_check(pg_catalog.name, pg_catalog.name) AS \
         SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) {from} WHERE {}",
        changed_condition(true)
    )
}

/// Gives a row if a table is not what the snapshot saw, and has the columns that it saw.
pub(crate) fn check_sql(table: &QualifiedName) -> String {
    format!("EXECUTE dbhaul_check({}, {})", quote_literal(&table.schema), quote_literal(&table.name))
}

/// Locks tables until the lock table is full, and gives half of them back then, since others
/// need locks too; returns how many are locked. Those that the role may not read are passed
/// over: reading them will say so.
async fn lock(session: &Session, tables: &[QualifiedName]) -> Result<usize> {
    for (number, batch) in tables.chunks(TABLES_PER_LOCK).enumerate() {
        session.batch(&format!("SAVEPOINT dbhaul_hold_{number}")).await?;
        let readable = session.query_strings(&readable_sql(batch)).await?;
        if readable.is_empty() {
            continue;
        }
        let locked = readable.join(", ONLY ");
        match session.batch(&format!("LOCK TABLE ONLY {locked} IN ACCESS SHARE MODE")).await {
            // out of shared memory
            Err(error) if error.sqlstate() == Some("53200") => {
                let kept = number / 2;
                session.batch(&format!("ROLLBACK TO SAVEPOINT dbhaul_hold_{kept}")).await?;
                return Ok(kept * TABLES_PER_LOCK);
            }
            result => result?,
        }
    }
    Ok(tables.len())
}

/// `FROM` the tables as the snapshot sees them: `c` is their row in `pg_class`, `n` in `pg_namespace`.
fn from_tables(tables: &[QualifiedName]) -> String {
    let list = |part: fn(&QualifiedName) -> &str| {
        tables.iter().map(|table| quote_literal(part(table))).collect::<Vec<_>>().join(", ")
    };
    let (schemas, names) = (list(|table| &table.schema), list(|table| &table.name));
    format!(
        "FROM ROWS FROM (pg_catalog.unnest(ARRAY[{schemas}]::pg_catalog.name[]), \
         pg_catalog.unnest(ARRAY[{names}]::pg_catalog.name[])) AS t(schema, name) \
         JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) t.schema \
         JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid \
         AND c.relname OPERATOR(pg_catalog.=) t.name"
    )
}

/// Quoted names of those tables that the role may read.
fn readable_sql(tables: &[QualifiedName]) -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) {} \
         WHERE pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
         AND pg_catalog.has_table_privilege(c.oid, 'SELECT') ORDER BY c.oid",
        from_tables(tables)
    )
}

/// Those that are not what the snapshot saw.
fn changed_sql(tables: &[QualifiedName], with_columns: bool) -> String {
    format!(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) {} WHERE {} ORDER BY c.oid",
        from_tables(tables),
        changed_condition(with_columns)
    )
}

/// Whether `c`, in the schema `n`, is not what the snapshot saw. `pg_class` and `pg_attribute` are read as
/// of the snapshot; `pg_relation_filenode`, `to_regclass` and `pg_identify_object` look at what is there
/// now, and give NULL for what is gone. Another file has other rows, another relation of the name
/// too, and columns that swapped their names other values. `IS DISTINCT FROM` would find `=` by the path.
fn changed_condition(with_columns: bool) -> String {
    let columns = match with_columns {
        true => {
            "OR EXISTS (SELECT FROM pg_catalog.pg_attribute a \
             WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0 \
             AND NOT a.attisdropped AND NOT COALESCE(\
             pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname) OPERATOR(pg_catalog.=) \
             (pg_catalog.pg_identify_object('pg_catalog.pg_class'::pg_catalog.regclass, c.oid, a.attnum)).identity, \
             false))"
        }
        false => "",
    };
    format!(
        "c.relfilenode OPERATOR(pg_catalog.<>) 0 AND (\
         NOT COALESCE(c.relfilenode OPERATOR(pg_catalog.=) pg_catalog.pg_relation_filenode(c.oid), false) \
         OR CASE WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') THEN \
         NOT COALESCE(c.oid OPERATOR(pg_catalog.=) \
         pg_catalog.to_regclass(pg_catalog.format('%I.%I', n.nspname, c.relname)), false) \
         ELSE false END {columns})"
    )
}

#[cfg(test)]
mod tests {
    use super::HeldTables;

    #[test]
    fn readers_share_what_the_holder_leaves() {
        let held = HeldTables::default();
        assert_eq!(held.tables_per_transaction(1), 200);
        assert_eq!(held.tables_per_transaction(4), 50);
        assert_eq!(held.tables_per_transaction(1000), 1);
    }
}
