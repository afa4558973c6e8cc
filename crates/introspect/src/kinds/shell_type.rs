//! Reads types that were declared and never defined.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, ShellType};

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name,
                pg_catalog.pg_get_userbyid(t.typowner) AS owner, t.typacl::text[] AS acl
         FROM pg_catalog.pg_type t
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype = 'p' AND NOT t.typisdefined AND {USER_SCHEMA}"
    );
    for header in reader.query::<Header>("shell types", &sql).await? {
        reader.push(header.object("shell types", Class::PG_TYPE, Body::from(ShellType {}))?);
    }
    Ok(())
}
