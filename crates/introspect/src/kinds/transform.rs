//! Reads transforms.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, Transform};
use serde::Deserialize;

use super::cast::signature;
use crate::Error;
use crate::header::{FIRST_USER_OID, Header};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    transform: Transform,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT q.oid, 'TRANSFORM FOR ' || q.type_name || ' LANGUAGE ' || pg_catalog.quote_ident(q.language)
                    AS name, q.type_name, q.language, q.from_sql, q.to_sql
         FROM (SELECT t.oid::int8 AS oid, pg_catalog.format_type(t.trftype, NULL) AS type_name,
                      l.lanname AS language, {from_sql} AS from_sql, {to_sql} AS to_sql
               FROM pg_catalog.pg_transform t
               JOIN pg_catalog.pg_language l ON l.oid = t.trflang
               WHERE t.oid >= {FIRST_USER_OID}) q",
        from_sql = signature("t.trffromsql"),
        to_sql = signature("t.trftosql"),
    );
    for row in reader.query::<Row>("transforms", &sql).await? {
        reader.push(row.header.object("transforms", Class::PG_TRANSFORM, Body::from(row.transform))?);
    }
    Ok(())
}
