//! Reads encoding conversions.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, Conversion};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    conversion: Conversion,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.conname AS name,
                pg_catalog.pg_get_userbyid(c.conowner) AS owner, c.condefault AS default,
                pg_catalog.pg_encoding_to_char(c.conforencoding) AS source,
                pg_catalog.pg_encoding_to_char(c.contoencoding) AS target, c.conproc::text AS function
         FROM pg_catalog.pg_conversion c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
         WHERE {USER_SCHEMA}"
    );
    for row in reader.query::<Row>("conversions", &sql).await? {
        reader.push(row.header.object("conversions", Class::PG_CONVERSION, Body::from(row.conversion))?);
    }
    Ok(())
}
