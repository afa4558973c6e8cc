//! What a target is asked; one query each.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::quote_literal;
use dbhaul_postgres::{Error, Flight, Session};
use serde::Deserialize;

use crate::ledger::is_ledger_sql;

/// The server and the importing role.
#[derive(Debug, Deserialize)]
pub(super) struct Facts {
    pub(super) role: String,
    pub(super) database: String,
    pub(super) version: u32,
    pub(super) is_superuser: bool,
    /// Whether it sees all rows, whatever policies say.
    pub(super) bypasses_security: bool,
    /// Whether its transactions are read-only unless they say otherwise.
    pub(super) is_read_only: bool,
    pub(super) may_disable_triggers: bool,
    pub(super) in_recovery: bool,
    pub(super) may_create: bool,
    /// True too where there is no schema `public`.
    pub(super) may_create_in_public: bool,
    /// Whether TimescaleDB is among the libraries that the server preloads, without which it ends every session that
    /// creates the extension.
    pub(super) has_timescaledb: bool,
    pub(super) lock_slots: u64,
    pub(super) maintenance_work_mem_bytes: u64,
    pub(super) shared_buffers_bytes: u64,
    pub(super) max_parallel_workers: u32,
    pub(super) index_workers: u32,
}

/// What the database holds already.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) count: u64,
    pub(super) examples: Vec<String>,
}

/// A role that the import needs and that exists.
#[derive(Debug, Deserialize)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) may_become: bool,
    /// Whether its rights are the importing role's too, without `SET ROLE`.
    pub(super) inherits: bool,
}

/// An extension that can be created, or is there.
#[derive(Debug, Deserialize)]
pub(super) struct OfferedExtension {
    pub(super) name: String,
    /// Where it is, if it is there.
    pub(super) installed_schema: Option<String>,
    /// Its version there, if it is there.
    pub(super) installed_version: Option<String>,
}

impl OfferedExtension {
    /// As it is for a database that is still to be created.
    pub(super) fn anew(self) -> Self {
        OfferedExtension { installed_schema: None, installed_version: None, ..self }
    }
}

pub(super) async fn facts(session: &Session) -> Result<Facts, Error> {
    let may_disable_triggers = match session.version().major() >= 15 {
        true => "pg_catalog.has_parameter_privilege('session_replication_role', 'SET')",
        false => "(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)",
    };
    let sql = &format!(
        "SELECT current_user::text AS role, pg_catalog.current_database() AS database, \
         pg_catalog.current_setting('server_version_num')::int AS version, \
         (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) AS is_superuser, \
         (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user) AS bypasses_security, \
         coalesce((SELECT reset_val = 'on' FROM pg_catalog.pg_settings \
           WHERE name = 'default_transaction_read_only'), false) AS is_read_only, \
         {may_disable_triggers} AS may_disable_triggers, \
         pg_catalog.pg_is_in_recovery() AS in_recovery, \
         pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_create, \
         (SELECT pg_catalog.count(*) FROM pg_catalog.pg_namespace WHERE nspname = 'public' \
           AND NOT pg_catalog.has_schema_privilege(oid, 'CREATE')) = 0 AS may_create_in_public, \
         EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'timescaledb.disable_load') AS has_timescaledb, \
         pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 \
           * (pg_catalog.current_setting('max_connections')::pg_catalog.int8 \
              + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8) AS lock_slots, \
         pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) AS maintenance_work_mem_bytes, \
         pg_catalog.pg_size_bytes(pg_catalog.current_setting('shared_buffers')) AS shared_buffers_bytes, \
         pg_catalog.current_setting('max_parallel_workers')::int AS max_parallel_workers, \
         pg_catalog.current_setting('max_parallel_maintenance_workers')::int AS index_workers"
    );
    let mut rows: Vec<Facts> = session.query_json(sql).await?;
    rows.pop().ok_or_else(|| no_row(session, sql))
}

fn no_row(session: &Session, sql: &str) -> Error {
    Error::Answer { server: session.server().to_owned(), problem: "no row".to_owned(), query: sql.to_owned() }
}

/// Every tablespace by name, and whether the role may create in it.
///
/// # Errors
/// Whatever the server says.
pub async fn tablespaces(session: &Session) -> Result<BTreeMap<String, bool>, Error> {
    let flight = Flight::new(session);
    Box::pin(flight.run(usable_tablespaces(&flight))).await
}

/// As [`tablespaces`], together with what else is asked.
pub(super) async fn usable_tablespaces(flight: &Flight<'_>) -> Result<BTreeMap<String, bool>, Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        usable: bool,
    }
    let sql = "SELECT t.spcname::text AS name, \
         pg_catalog.has_tablespace_privilege(t.oid, 'CREATE') AS usable FROM pg_catalog.pg_tablespace t";
    let rows: Vec<Row> = flight.query_json(sql).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.usable)).collect())
}

/// Objects of the user's: everything with a schema besides the system's and the ledger's, schemas other
/// than `public`, large objects, publications and event triggers. Members of extensions do not count.
pub(super) async fn contents(flight: &Flight<'_>) -> Result<Contents, Error> {
    #[derive(Deserialize)]
    struct Row {
        count: u64,
        description: String,
    }
    let sql = format!(
        "WITH spaces AS (SELECT n.oid, n.nspname FROM pg_catalog.pg_namespace n \
           WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND nspname !~ '^pg_(toast|temp_)' \
           AND NOT {is_ledger}), \
         found AS ( \
           SELECT 'pg_catalog.pg_namespace'::regclass AS classid, oid FROM spaces WHERE nspname <> 'public' \
           UNION ALL SELECT 'pg_catalog.pg_class'::regclass, c.oid FROM pg_catalog.pg_class c \
             JOIN spaces ON spaces.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') \
           UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, p.oid FROM pg_catalog.pg_proc p \
             JOIN spaces ON spaces.oid = p.pronamespace \
           UNION ALL SELECT 'pg_catalog.pg_type'::regclass, t.oid FROM pg_catalog.pg_type t \
             JOIN spaces ON spaces.oid = t.typnamespace WHERE t.typtype IN ('b', 'd', 'e', 'r') \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) \
           UNION ALL SELECT 'pg_catalog.pg_publication'::regclass, oid FROM pg_catalog.pg_publication \
           UNION ALL SELECT 'pg_catalog.pg_event_trigger'::regclass, oid FROM pg_catalog.pg_event_trigger \
           UNION ALL SELECT 'pg_catalog.pg_largeobject'::regclass, oid FROM pg_catalog.pg_largeobject_metadata) \
         SELECT pg_catalog.count(*) OVER () AS count, \
           coalesce(pg_catalog.pg_describe_object(found.classid, found.oid, 0), found.oid::text) AS description \
         FROM found WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = found.classid \
           AND d.objid = found.oid AND d.deptype = 'e') \
         ORDER BY found.oid LIMIT 8",
        is_ledger = is_ledger_sql("n"),
    );
    let rows: Vec<Row> = flight.query_json(&sql).await?;
    let count = rows.first().map_or(0, |row| row.count);
    Ok(Contents { count, examples: rows.into_iter().map(|row| row.description).collect() })
}

/// Extensions that can be created, or are there.
pub(super) async fn available_extensions(flight: &Flight<'_>) -> Result<Vec<OfferedExtension>, Error> {
    let sql = "SELECT coalesce(e.extname, a.name)::text AS name, n.nspname::text AS installed_schema, \
                 e.extversion AS installed_version \
               FROM pg_catalog.pg_available_extensions a \
               FULL JOIN pg_catalog.pg_extension e ON e.extname = a.name \
               LEFT JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace";
    flight.query_json(sql).await
}

/// Names of all schemas.
pub(super) async fn schemas(flight: &Flight<'_>) -> Result<BTreeSet<String>, Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let rows: Vec<Row> =
        flight.query_json("SELECT nspname::text AS name FROM pg_catalog.pg_namespace").await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Those of the given roles that exist. Before 16 every member may `SET ROLE`.
pub(super) async fn roles(
    flight: &Flight<'_>,
    needed: &BTreeSet<String>,
    version: u32,
) -> Result<Vec<Role>, Error> {
    if needed.is_empty() {
        return Ok(Vec::new());
    }
    let privilege = if version >= 160_000 { "SET" } else { "MEMBER" };
    let names: Vec<String> = needed.iter().map(|role| quote_literal(role)).collect();
    let sql = format!(
        "SELECT rolname::text AS name, pg_catalog.pg_has_role(oid, '{privilege}') AS may_become, \
           pg_catalog.pg_has_role(oid, 'USAGE') AS inherits \
         FROM pg_catalog.pg_roles WHERE rolname IN ({})",
        names.join(", ")
    );
    flight.query_json(&sql).await
}
