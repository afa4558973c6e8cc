//! Reads text search templates.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, TextSearchTemplate};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    #[serde(flatten)]
    template: TextSearchTemplate,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.tmplname AS name,
                CASE WHEN t.tmplinit <> 0 THEN t.tmplinit::pg_catalog.regproc::text END AS init,
                t.tmpllexize::text AS lexize
         FROM pg_catalog.pg_ts_template t
         JOIN pg_catalog.pg_namespace n ON n.oid = t.tmplnamespace
         WHERE {USER_SCHEMA}"
    );
    for row in reader.query::<Row>("text search templates", &sql).await? {
        let body = Body::from(row.template);
        reader.push(row.header.object("text search templates", Class::PG_TS_TEMPLATE, body)?);
    }
    Ok(())
}
