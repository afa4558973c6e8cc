//! Reads text search dictionaries.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, TextSearchDictionary};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    dictionary: TextSearchDictionary,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT d.oid::int8 AS oid, n.nspname AS schema, d.dictname AS name,
                pg_catalog.pg_get_userbyid(d.dictowner) AS owner,
                pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.tmplname) AS template,
                d.dictinitoption AS options
         FROM pg_catalog.pg_ts_dict d
         JOIN pg_catalog.pg_namespace n ON n.oid = d.dictnamespace
         JOIN pg_catalog.pg_ts_template t ON t.oid = d.dicttemplate
         JOIN pg_catalog.pg_namespace tn ON tn.oid = t.tmplnamespace
         WHERE {USER_SCHEMA}"
    );
    for row in reader.query::<Row>("text search dictionaries", &sql).await? {
        let body = Body::from(row.dictionary);
        reader.push(row.header.object("text search dictionaries", Class::PG_TS_DICT, body)?);
    }
    Ok(())
}
