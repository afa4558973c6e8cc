//! Reads schemas.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, Schema};

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT n.oid::int8 AS oid, n.nspname AS name, pg_catalog.pg_get_userbyid(n.nspowner) AS owner,
                n.nspacl::text[] AS acl
         FROM pg_catalog.pg_namespace n
         WHERE {USER_SCHEMA}"
    );
    for header in reader.query::<Header>("schemas", &sql).await? {
        reader.push(header.object("schemas", Class::PG_NAMESPACE, Body::from(Schema {}))?);
    }
    Ok(())
}
