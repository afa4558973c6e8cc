//! Reads extended statistics.

use dbhaul_catalog::{Class, SharedText};
use dbhaul_catalog::kinds::{Body, Statistics};
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
    owner: SharedText,
    definition: String,
    statistics_target: Option<i32>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT s.oid::int8 AS oid, n.nspname AS schema, s.stxname AS name,
           pg_catalog.pg_get_userbyid(s.stxowner) AS owner,
           pg_catalog.pg_get_statisticsobjdef(s.oid) AS definition,
           CASE WHEN s.stxstattarget >= 0 THEN s.stxstattarget END AS statistics_target
         FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
         WHERE {USER_NAMESPACE}
         ORDER BY s.oid"
    );
    let rows: Vec<Row> = reader.query("extended statistics", &sql).await?;
    for row in rows {
        let body = Statistics { definition: row.definition, statistics_target: row.statistics_target };
        let mut object = part(Class::PG_STATISTIC_EXT, row.oid, row.schema, row.name, Body::from(body));
        object.owner = Some(row.owner);
        reader.push(object);
    }
    Ok(())
}
