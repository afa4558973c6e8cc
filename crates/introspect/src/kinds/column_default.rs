//! Reads column defaults and generation expressions.

use dbhaul_catalog::kinds::{Body, ColumnDefault};
use dbhaul_catalog::{Class, QualifiedName, SharedText};
use serde::Deserialize;

use super::table::part;
use super::table::sql::{DEFAULT_IS_SEPARATE, USER_NAMESPACE};
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    schema: SharedText,
    table_name: SharedText,
    foreign: bool,
    column: SharedText,
    expression: SharedText,
    separate: bool,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT ad.oid::int8 AS oid, n.nspname AS schema, c.relname AS table_name, c.relkind = 'f' AS \"foreign\",
           a.attname AS \"column\", pg_catalog.pg_get_expr(ad.adbin, ad.adrelid) AS expression,
           {DEFAULT_IS_SEPARATE} AS separate
         FROM pg_catalog.pg_attrdef ad
           JOIN pg_catalog.pg_attribute a ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
           JOIN pg_catalog.pg_class c ON c.oid = ad.adrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT a.attisdropped AND {USER_NAMESPACE}
         ORDER BY ad.adrelid, ad.adnum"
    );
    let mut objects = Vec::new();
    let take = |row: Row| {
        let body = ColumnDefault {
            table: QualifiedName::new(&row.schema, row.table_name),
            foreign: row.foreign,
            column: row.column.clone(),
            expression: row.expression,
            separate: row.separate,
        };
        objects.push(part(Class::PG_ATTRDEF, row.oid, row.schema, row.column.into(), Body::from(body)));
    };
    reader.query_each("column defaults", &sql, take).await?;
    reader.extend(objects);
    Ok(())
}
