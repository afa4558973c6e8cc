//! Reads row-security policies.

use dbhaul_catalog::kinds::{Body, Policy, PolicyCommand};
use dbhaul_catalog::{Class, QualifiedName, SharedText};
use serde::Deserialize;

use super::table::part;
use super::table::sql::USER_NAMESPACE;
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    schema: SharedText,
    name: String,
    table_name: SharedText,
    permissive: bool,
    command: char,
    roles: Vec<String>,
    using: Option<String>,
    with_check: Option<String>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT p.oid::int8 AS oid, n.nspname AS schema, p.polname AS name, c.relname AS table_name,
           p.polpermissive AS permissive, p.polcmd::text AS command,
           CASE WHEN 0 = ANY(p.polroles) THEN '{{}}' ELSE ARRAY(
             SELECT pg_catalog.pg_get_userbyid(r.oid) FROM pg_catalog.unnest(p.polroles) AS r (oid) ORDER BY 1)
             END AS roles,
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS using,
           pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS with_check
         FROM pg_catalog.pg_policy p
           JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE {USER_NAMESPACE}
         ORDER BY p.polrelid, p.polname"
    );
    let rows: Vec<Row> = reader.query("policies", &sql).await?;
    for row in rows {
        let command = command(&row)?;
        let body = Policy {
            table: QualifiedName::new(&row.schema, row.table_name),
            permissive: row.permissive,
            command,
            roles: row.roles,
            using: row.using,
            with_check: row.with_check,
        };
        reader.push(part(Class::PG_POLICY, row.oid, row.schema, row.name, Body::from(body)));
    }
    Ok(())
}

fn command(row: &Row) -> Result<PolicyCommand, Error> {
    Ok(match row.command {
        '*' => PolicyCommand::All,
        'r' => PolicyCommand::Select,
        'a' => PolicyCommand::Insert,
        'w' => PolicyCommand::Update,
        'd' => PolicyCommand::Delete,
        other => {
            let object = format!("policy {} of {}.{}", row.name, row.schema, row.table_name);
            return Err(Error::Unexpected { what: "the command", object, value: other.to_string() });
        }
    })
}
