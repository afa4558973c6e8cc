//! Reads text search parsers.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, TextSearchParser};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    parser: TextSearchParser,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT p.oid::int8 AS oid, n.nspname AS schema, p.prsname AS name,
                p.prsstart::text AS start, p.prstoken::text AS get_token, p.prsend::text AS end,
                CASE WHEN p.prsheadline <> 0 THEN p.prsheadline::pg_catalog.regproc::text END AS headline,
                p.prslextype::text AS lexeme_types
         FROM pg_catalog.pg_ts_parser p
         JOIN pg_catalog.pg_namespace n ON n.oid = p.prsnamespace
         WHERE {USER_SCHEMA}"
    );
    for row in reader.query::<Row>("text search parsers", &sql).await? {
        let body = Body::from(row.parser);
        reader.push(row.header.object("text search parsers", Class::PG_TS_PARSER, body)?);
    }
    Ok(())
}
