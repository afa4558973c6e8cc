//! Reads text search configurations with their mappings.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, TextSearchConfiguration, TokenMapping};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    parser: String,
    mappings: Option<Vec<TokenMapping>>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.cfgname AS name,
                pg_catalog.pg_get_userbyid(c.cfgowner) AS owner,
                pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.prsname) AS parser,
                (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('token', t.alias,
                            'dictionaries', m.dictionaries) ORDER BY m.maptokentype)
                 FROM (SELECT g.maptokentype, pg_catalog.array_agg(g.mapdict::pg_catalog.regdictionary::text
                                  ORDER BY g.mapseqno) AS dictionaries
                       FROM pg_catalog.pg_ts_config_map g
                       WHERE g.mapcfg = c.oid
                       GROUP BY g.maptokentype) m
                 JOIN pg_catalog.ts_token_type(c.cfgparser) t ON t.tokid = m.maptokentype) AS mappings
         FROM pg_catalog.pg_ts_config c
         JOIN pg_catalog.pg_namespace n ON n.oid = c.cfgnamespace
         JOIN pg_catalog.pg_ts_parser p ON p.oid = c.cfgparser
         JOIN pg_catalog.pg_namespace pn ON pn.oid = p.prsnamespace
         WHERE {USER_SCHEMA}"
    );
    for row in reader.query::<Row>("text search configurations", &sql).await? {
        let configuration =
            TextSearchConfiguration { parser: row.parser, mappings: row.mappings.unwrap_or_default() };
        let body = Body::from(configuration);
        reader.push(row.header.object("text search configurations", Class::PG_TS_CONFIG, body)?);
    }
    Ok(())
}
