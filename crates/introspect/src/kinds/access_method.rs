//! Reads access methods.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{AccessMethod, AccessMethodType, Body};
use serde::Deserialize;

use crate::Error;
use crate::header::{FIRST_USER_OID, Header};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    type_of: String,
    handler: String,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT a.oid::int8 AS oid, a.amname AS name, a.amtype::text AS type_of, a.amhandler::text AS handler
         FROM pg_catalog.pg_am a
         WHERE a.oid >= {FIRST_USER_OID}"
    );
    for row in reader.query::<Row>("access methods", &sql).await? {
        let type_of = match row.type_of.as_str() {
            "i" => AccessMethodType::Index,
            "t" => AccessMethodType::Table,
            other => return Err(row.header.unexpected("the type", other)),
        };
        let body = Body::from(AccessMethod { type_of, handler: row.handler });
        reader.push(row.header.object("access methods", Class::PG_AM, body)?);
    }
    Ok(())
}
