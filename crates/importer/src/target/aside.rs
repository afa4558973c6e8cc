//! Room for the rehearsal of a run with `--clean`: the schemas of what it drops are put aside while a transaction lasts.
//!
//! What is dropped first is in the way of what takes its place, and to drop it for a trial would lock what others use.
//! So its schemas are renamed, which locks no relation, empty ones take their names, and extensions move over; the
//! rollback puts all back. What would fail once everything is dropped, fails so in the trial too: a check, an index,
//! a foreign key. A schema that the role may not rename, or with an extension that cannot move, stays, and what is in
//! it is told as not tried.

use std::collections::BTreeSet;

use dbhaul_catalog::{EntryKind, quote_identifier, quote_literal};
use dbhaul_postgres::{Error, Session};
use serde::Deserialize;

use crate::ImportPlan;

/// Schemas that are put aside.
#[derive(Debug, Default)]
pub(super) struct Aside {
    schemas: Vec<Room>,
    /// Whether some of those that hold what is dropped stay.
    pub(super) is_partial: bool,
}

/// A schema, and what makes room under its name.
#[derive(Debug)]
struct Room {
    /// Its name meanwhile.
    name: String,
    statements: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Row {
    schema: String,
    owner: String,
    /// Extensions whose schema it is.
    extensions: Vec<String>,
    /// Statements that give the privileges on it to others than its owner.
    grants: Vec<String>,
}

impl Aside {
    /// Finds out in the open transaction what can be put aside, and leaves it so.
    ///
    /// # Errors
    /// If the session is lost or cancelled.
    pub(super) async fn try_out(plan: &ImportPlan, session: &Session) -> Result<Self, Error> {
        let mut aside = Aside::default();
        let wanted = schemas(plan);
        if wanted.is_empty() {
            return Ok(aside);
        }
        let rows: Vec<Row> = session.query_json(&query(&wanted)).await?;
        let schemas = plan.toc.entries.iter().filter(|entry| entry.kind == EntryKind::Schema);
        // `public` is there in every database, and its entry creates nothing
        let creates = |sql: &String| sql.starts_with("CREATE SCHEMA ") && !sql.contains("IF NOT EXISTS");
        let made: BTreeSet<&str> = schemas
            .filter(|entry| entry.create.first().is_some_and(creates))
            .map(|entry| entry.name.as_str())
            .collect();
        for (number, row) in rows.into_iter().enumerate() {
            // by the run's identifier nobody could know the name before
            let name = format!("dbhaul_aside_{}_{number}", plan.options.run.to_ascii_lowercase());
            let statements = row.statements(&name, made.contains(row.schema.as_str()));
            session.batch("SAVEPOINT aside").await?;
            match session.run_each(&statements).await {
                Ok(()) => aside.schemas.push(Room { name, statements }),
                Err(failed) if failed.error.is_cancelled() || failed.error.is_connection_lost() => {
                    return Err(failed.error);
                }
                Err(failed) => {
                    tracing::debug!(error = %failed.error, "a schema is not put aside");
                    session.batch("ROLLBACK TO SAVEPOINT aside").await?;
                }
            }
        }
        aside.is_partial = aside.schemas.len() < wanted.len();
        Ok(aside)
    }

    /// What puts them aside in another transaction.
    pub(super) fn statements(&self) -> impl Iterator<Item = &str> {
        self.schemas.iter().flat_map(|room| &room.statements).map(String::as_str)
    }

    /// Whether there is any.
    pub(super) fn is_any(&self) -> bool {
        !self.schemas.is_empty()
    }

    /// What they are called meanwhile.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.schemas.iter().map(|room| room.name.as_str())
    }
}

impl Row {
    /// One that the plan makes is left to the plan, unless an extension must have it before.
    fn statements(&self, aside: &str, is_made: bool) -> Vec<String> {
        let schema = quote_identifier(&self.schema);
        let mut statements = vec![format!("ALTER SCHEMA {schema} RENAME TO {aside}")];
        if !is_made || !self.extensions.is_empty() {
            statements.push(format!("CREATE SCHEMA {schema}"));
        }
        if !is_made {
            statements.extend(self.grants.iter().cloned());
            statements.push(format!("ALTER SCHEMA {schema} OWNER TO {}", quote_identifier(&self.owner)));
        }
        let moves = self
            .extensions
            .iter()
            .map(|extension| format!("ALTER EXTENSION {} SET SCHEMA {schema}", quote_identifier(extension)));
        statements.extend(moves);
        statements
    }
}

/// The schemas of what the plan drops.
fn schemas(plan: &ImportPlan) -> BTreeSet<&str> {
    let dropped = plan.drops.iter().filter_map(|id| plan.entry(*id).ok());
    let schemas = dropped.filter_map(|entry| match entry.kind {
        EntryKind::Schema => Some(entry.name.as_str()),
        EntryKind::Extension => None,
        _ => entry.schema.as_deref(),
    });
    schemas.filter(|schema| !schema.is_empty()).collect()
}

/// What an extension has made in a schema that is not its own cannot be moved out of it, nor can a schema that is its.
fn query(schemas: &BTreeSet<&str>) -> String {
    let names: Vec<String> = schemas.iter().map(|schema| quote_literal(schema)).collect();
    format!(
        "SELECT n.nspname AS schema, pg_catalog.pg_get_userbyid(n.nspowner) AS owner, \
           ARRAY(SELECT e.extname::pg_catalog.text FROM pg_catalog.pg_extension e WHERE e.extnamespace = n.oid ORDER BY 1) \
             AS extensions, \
           ARRAY(SELECT pg_catalog.format('GRANT %s ON SCHEMA %I TO %s%s', a.privilege_type, n.nspname, \
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END, \
               CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
             FROM pg_catalog.aclexplode(coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a \
             WHERE a.grantee <> n.nspowner ORDER BY 1) AS grants \
         FROM pg_catalog.pg_namespace n \
         WHERE n.nspname IN ({}) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' \
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid \
             WHERE d.deptype = 'e' AND (d.classid = 2615 AND d.objid = n.oid OR e.extnamespace <> n.oid \
               AND (d.classid = 1259 AND d.objid IN (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid) \
                 OR d.classid = 1247 AND d.objid IN (SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid) \
                 OR d.classid = 1255 AND d.objid IN (SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid)))) \
         ORDER BY 1",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[test]
    fn a_schema_makes_room() {
        let row = |extensions: &[&str]| Row {
            schema: "My app".to_owned(),
            owner: "Owner".to_owned(),
            extensions: extensions.iter().map(|name| (*name).to_owned()).collect(),
            grants: vec!["GRANT USAGE ON SCHEMA \"My app\" TO PUBLIC".to_owned()],
        };
        let rename = "ALTER SCHEMA \"My app\" RENAME TO aside";
        assert_eq!(row(&[]).statements("aside", true), [rename]);
        let create = "CREATE SCHEMA \"My app\"";
        let grant = "GRANT USAGE ON SCHEMA \"My app\" TO PUBLIC";
        let owner = "ALTER SCHEMA \"My app\" OWNER TO \"Owner\"";
        assert_eq!(row(&[]).statements("aside", false), [rename, create, grant, owner]);
        let moves = "ALTER EXTENSION citext SET SCHEMA \"My app\"";
        assert_eq!(row(&["citext"]).statements("aside", true), [rename, create, moves]);
    }
}
