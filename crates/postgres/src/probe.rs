//! What a role may do and what a server can hold, found out on that server.
//!
//! Nothing here changes anything: what has to be tried is tried in a transaction
//! that is rolled back.

use std::collections::BTreeSet;

use futures::try_join;
use serde::Deserialize;

use crate::error::{Error, ErrorClass, Result, class_of_sqlstate};
use crate::flight::Flight;
use crate::session::Session;

/// What the current role is and may do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Capabilities {
    /// `rolsuper`.
    pub is_superuser: bool,
    /// `rolcreatedb`.
    pub can_create_database: bool,
    /// `rolcreaterole`.
    pub can_create_role: bool,
    /// `rolbypassrls`, or superuser: row security hides nothing.
    pub bypasses_row_security: bool,
    /// `rolreplication`.
    pub can_replicate: bool,
    /// CREATE on the current database.
    pub can_create_in_database: bool,
    /// Whether the role is a member of the provider's administrators
    /// (`rds_superuser`, `cloudsqlsuperuser`, `azure_pg_admin`, `neon_superuser`).
    pub is_provider_admin: bool,
}

/// An extension that could be installed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AvailableExtension {
    /// Its name.
    pub name: String,
    /// What `CREATE EXTENSION` installs.
    pub default_version: Option<String>,
    /// Every version that could be installed.
    pub versions: Vec<String>,
    /// The version that is installed in this database.
    pub installed_version: Option<String>,
}

/// How many objects and sessions a server can hold at once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LockCapacity {
    /// Size of the shared lock table: `max_locks_per_transaction * (max_connections + max_prepared_transactions)`.
    pub lock_slots: i64,
    /// `max_connections` less the reserved ones.
    pub connection_slots: i64,
    /// Client sessions that exist now, as far as this role sees them.
    pub used_connections: i64,
    /// `maintenance_work_mem` in bytes.
    pub maintenance_work_mem_bytes: i64,
}

/// A relation that the current role may not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UnreadableTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// Whether that is the current role, whose own privilege was revoked.
    pub is_own: bool,
    /// Whether what is missing is USAGE on the schema.
    pub lacks_schema_usage: bool,
    /// Whether it may be read, but row security hides rows from the current role.
    pub is_filtered: bool,
}

/// What a server has that statements may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Names of settings, in lower case.
    pub settings: Vec<String>,
    /// Whether values can be compressed with lz4 (14 and later, if built with it).
    pub has_lz4: bool,
    /// Whether the current role may create leakproof functions, found out by trying.
    pub may_be_leakproof: bool,
}

/// Finds things out on one session. The session must not be in a transaction.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    session: &'a Session,
}

impl<'a> Probe<'a> {
    /// A probe on this session.
    pub fn new(session: &'a Session) -> Self {
        Probe { session }
    }

    pub(crate) fn session(&self) -> &'a Session {
        self.session
    }

    /// What the current role is and may do.
    pub async fn capabilities(&self) -> Result<Capabilities> {
        let sql = "SELECT r.rolsuper AS is_superuser, \
             r.rolcreatedb OR r.rolsuper AS can_create_database, \
             r.rolcreaterole OR r.rolsuper AS can_create_role, \
             r.rolbypassrls OR r.rolsuper AS bypasses_row_security, \
             r.rolreplication OR r.rolsuper AS can_replicate, \
             pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS can_create_in_database, \
             EXISTS (SELECT 1 FROM pg_catalog.pg_roles AS a WHERE a.rolname IN \
               ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin', 'neon_superuser') \
               AND pg_catalog.pg_has_role(a.oid, 'MEMBER')) AS is_provider_admin \
             FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user";
        self.one(sql).await
    }

    /// Tries `CREATE SCHEMA` and rolls it back. `None` if it worked, else the server's reason.
    pub async fn refusal_to_create_schema(&self) -> Result<Option<crate::ServerError>> {
        self.refusal("CREATE SCHEMA dbhaul_probe_schema").await
    }

    /// Tries statements and rolls them back. `None` if they worked, else the
    /// server's reason. Failures that are not about these statements are errors.
    pub async fn refusal(&self, sql: &str) -> Result<Option<crate::ServerError>> {
        match self.session.try_and_roll_back(sql).await {
            Ok(()) => Ok(None),
            Err(Error::Server(refusal)) if !Error::Server(refusal.clone()).is_transient() => {
                Ok(Some(*refusal))
            }
            Err(other) => Err(other),
        }
    }

    /// Whether `SET ROLE` to this role works, as `ALTER ... OWNER TO` needs. `None` if so.
    pub async fn refusal_to_set_role(&self, role: &str) -> Result<Option<crate::ServerError>> {
        self.refusal(&format!("SET LOCAL ROLE {}", dbhaul_catalog::quote_identifier(role))).await
    }

    /// What statements may name on this server; `settings` are those that they do name, in lower case.
    pub async fn offer(&self, settings: &BTreeSet<String>) -> Result<Offer> {
        let named = settings;
        let settings = "SELECT pg_catalog.lower(name) FROM pg_catalog.pg_settings";
        let lz4 = "SELECT 'lz4' FROM pg_catalog.pg_settings \
             WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)";
        let leakproof =
            "CREATE FUNCTION pg_temp.dbhaul_probe() RETURNS int LANGUAGE sql LEAKPROOF AS 'SELECT 1'";
        let mut settings = self.session.query_strings(settings).await?;
        for name in named {
            if !settings.contains(name) && self.has_hidden_setting(name).await? {
                settings.push(name.clone());
            }
        }
        Ok(Offer {
            settings,
            has_lz4: !self.session.query_strings(lz4).await?.is_empty(),
            may_be_leakproof: self.refusal(leakproof).await?.is_none(),
        })
    }

    /// Whether the server knows a setting that `pg_settings` does not list, such as `role`
    /// (`GUC_NO_SHOW_ALL` in src/backend/utils/misc/guc_tables.c). One that the role may not see it knows.
    async fn has_hidden_setting(&self, name: &str) -> Result<bool> {
        match self.setting(name).await {
            Ok(value) => Ok(value.is_some()),
            Err(Error::Server(refusal)) if class_of_sqlstate(&refusal.sqlstate) == ErrorClass::Privilege => {
                Ok(true)
            }
            Err(other) => Err(other),
        }
    }

    /// Every extension that could be installed here, by name.
    pub async fn available_extensions(&self) -> Result<Vec<AvailableExtension>> {
        let sql = "SELECT e.name, e.default_version, e.installed_version, \
             COALESCE((SELECT pg_catalog.array_agg(v.version ORDER BY v.version) \
               FROM pg_catalog.pg_available_extension_versions AS v WHERE v.name = e.name), '{}') AS versions \
             FROM pg_catalog.pg_available_extensions AS e ORDER BY e.name";
        self.session.query_json(sql).await
    }

    /// How many objects and sessions the server can hold at once.
    pub async fn lock_capacity(&self) -> Result<LockCapacity> {
        let sql = "SELECT pg_catalog.current_setting('max_locks_per_transaction')::pg_catalog.int8 \
               * (pg_catalog.current_setting('max_connections')::pg_catalog.int8 \
                  + pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int8) AS lock_slots, \
             pg_catalog.current_setting('max_connections')::pg_catalog.int8 \
               - pg_catalog.current_setting('superuser_reserved_connections')::pg_catalog.int8 \
               - COALESCE(pg_catalog.current_setting('reserved_connections', true), '0')::pg_catalog.int8 \
               AS connection_slots, \
             (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
               WHERE backend_type IS NULL OR backend_type = 'client backend') AS used_connections, \
             pg_catalog.pg_size_bytes(pg_catalog.current_setting('maintenance_work_mem')) \
               AS maintenance_work_mem_bytes";
        self.one(sql).await
    }

    /// Tables, partitioned tables, materialized views and sequences of users that
    /// this role may not read, or not whole because of row security, by name, and the OIDs of large objects that it
    /// may not read. Members of extensions count: their configuration may be dumped.
    pub async fn unreadable(&self) -> Result<(Vec<UnreadableTable>, Vec<u32>)> {
        #[derive(Deserialize)]
        struct LargeObject {
            oid: u32,
        }
        let objects = "SELECT m.oid::int8 AS oid FROM pg_catalog.pg_largeobject_metadata AS m \
             WHERE NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE') AND NOT EXISTS ( \
               SELECT 1 FROM pg_catalog.aclexplode(m.lomacl) AS a WHERE a.privilege_type = 'SELECT' \
                 AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))) ORDER BY m.oid";
        let tables = "SELECT n.nspname AS schema, c.relname AS name, \
             pg_catalog.pg_get_userbyid(c.relowner) AS owner, \
             pg_catalog.pg_get_userbyid(c.relowner) = current_user AS is_own, \
             NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS lacks_schema_usage, \
             pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND c.relkind IN ('r', 'p') \
               AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AS is_filtered \
             FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
             WHERE c.relkind IN ('r', 'p', 'm', 'S') AND n.nspname !~ '^pg_' \
               AND n.nspname <> 'information_schema' \
               AND (NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE') \
                 OR NOT CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT') \
                   ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END \
                 OR c.relkind IN ('r', 'p') AND pg_catalog.row_security_active(c.oid)) \
             ORDER BY n.nspname, c.relname";
        let flight = Flight::new(self.session);
        let asked = async { try_join!(flight.query_json(tables), flight.query_json::<LargeObject>(objects)) };
        let (tables, objects) = Box::pin(flight.run(asked)).await?;
        Ok((tables, objects.into_iter().map(|object| object.oid).collect()))
    }

    /// Size of the current database in bytes.
    pub async fn database_size_bytes(&self) -> Result<u64> {
        let sql = "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())";
        let text = self.session.query_one_text(sql).await?.unwrap_or_default();
        text.parse().map_err(|_| self.unexpected(sql, "a size that is no number"))
    }

    /// The value of a setting, `None` if the server does not know it.
    pub async fn setting(&self, name: &str) -> Result<Option<String>> {
        let name = dbhaul_catalog::quote_literal(name);
        self.session.query_one_text(&format!("SELECT pg_catalog.current_setting({name}, true)")).await
    }

    async fn one<T: serde::de::DeserializeOwned>(&self, sql: &str) -> Result<T> {
        let mut rows = self.session.query_json(sql).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            _ => Err(self.unexpected(sql, "not exactly one row")),
        }
    }

    fn unexpected(&self, sql: &str, problem: &str) -> Error {
        Error::Answer {
            server: self.session.server().to_owned(),
            problem: problem.to_owned(),
            query: crate::error::excerpt(sql),
        }
    }
}
