//! Reads rewrite rules other than views' own.

use dbhaul_catalog::kinds::{Body, Rule};
use dbhaul_catalog::{Class, QualifiedName, SharedText};
use serde::Deserialize;

use super::table::part;
use super::table::sql::USER_NAMESPACE;
use super::trigger::firing;
use super::view::query_text;
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    schema: SharedText,
    name: String,
    table_name: SharedText,
    definition: String,
    firing: char,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT r.oid::int8 AS oid, n.nspname AS schema, r.rulename AS name, c.relname AS table_name,
           pg_catalog.pg_get_ruledef(r.oid) AS definition, r.ev_enabled::text AS firing
         FROM pg_catalog.pg_rewrite r
           JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE r.rulename <> '_RETURN' AND {USER_NAMESPACE}
         ORDER BY r.ev_class, r.rulename"
    );
    let rows: Vec<Row> = reader.query("rules", &sql).await?;
    for row in rows {
        let body = Rule {
            table: QualifiedName::new(&row.schema, row.table_name),
            definition: query_text(&row.definition),
            firing: firing("rule", &row.name, row.firing)?,
        };
        reader.push(part(Class::PG_REWRITE, row.oid, row.schema, row.name, Body::from(body)));
    }
    Ok(())
}
