//! Reads foreign servers.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, ForeignServer};
use serde::Deserialize;

use super::foreign_data_wrapper::sorted_options;
use crate::Error;
use crate::header::{FIRST_USER_OID, Header};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    type_of: Option<String>,
    version: Option<String>,
    wrapper: String,
    options: Option<Vec<String>>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT s.oid::int8 AS oid, s.srvname AS name, pg_catalog.pg_get_userbyid(s.srvowner) AS owner,
                s.srvacl::text[] AS acl, NULLIF(s.srvtype, '') AS type_of,
                NULLIF(s.srvversion, '') AS version, w.fdwname AS wrapper, s.srvoptions AS options
         FROM pg_catalog.pg_foreign_server s
         JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
         WHERE s.oid >= {FIRST_USER_OID}"
    );
    for row in reader.query::<Row>("foreign servers", &sql).await? {
        let body = Body::from(ForeignServer {
            type_of: row.type_of,
            version: row.version,
            wrapper: row.wrapper,
            options: sorted_options(row.options),
        });
        reader.push(row.header.object("foreign servers", Class::PG_FOREIGN_SERVER, body)?);
    }
    Ok(())
}
