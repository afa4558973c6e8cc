//! Reads foreign-data wrappers.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, ForeignDataWrapper};
use serde::Deserialize;

use crate::Error;
use crate::header::{FIRST_USER_OID, Header, split_option};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    handler: Option<String>,
    validator: Option<String>,
    connection: Option<String>,
    options: Option<Vec<String>>,
}

/// Options in order of name, as names and values.
pub(super) fn sorted_options(options: Option<Vec<String>>) -> Vec<(String, String)> {
    let mut options: Vec<_> = options.unwrap_or_default().iter().map(|option| split_option(option)).collect();
    options.sort();
    options
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    // the function that makes a connection string came with 19
    let connection = match reader.version().major() {
        ..19 => "NULL",
        _ => "CASE WHEN w.fdwconnection <> 0 THEN w.fdwconnection::pg_catalog.regproc::text END",
    };
    let sql = format!(
        "SELECT w.oid::int8 AS oid, w.fdwname AS name, pg_catalog.pg_get_userbyid(w.fdwowner) AS owner,
                w.fdwacl::text[] AS acl, w.fdwoptions AS options,
                CASE WHEN w.fdwhandler <> 0 THEN w.fdwhandler::pg_catalog.regproc::text END AS handler,
                CASE WHEN w.fdwvalidator <> 0 THEN w.fdwvalidator::pg_catalog.regproc::text END AS validator,
                {connection} AS connection
         FROM pg_catalog.pg_foreign_data_wrapper w
         WHERE w.oid >= {FIRST_USER_OID}"
    );
    for row in reader.query::<Row>("foreign-data wrappers", &sql).await? {
        let body = Body::from(ForeignDataWrapper {
            handler: row.handler,
            validator: row.validator,
            connection: row.connection,
            options: sorted_options(row.options),
        });
        reader.push(row.header.object("foreign-data wrappers", Class::PG_FOREIGN_DATA_WRAPPER, body)?);
    }
    Ok(())
}
