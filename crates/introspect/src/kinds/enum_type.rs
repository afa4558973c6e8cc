//! Reads enum types.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Body, EnumType};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    labels: Vec<String>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name,
                pg_catalog.pg_get_userbyid(t.typowner) AS owner, t.typacl::text[] AS acl,
                ARRAY(SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid
                      ORDER BY e.enumsortorder) AS labels
         FROM pg_catalog.pg_type t
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype = 'e' AND {USER_SCHEMA}"
    );
    for row in reader.query::<Row>("enum types", &sql).await? {
        let body = Body::from(EnumType { labels: row.labels });
        reader.push(row.header.object("enum types", Class::PG_TYPE, body)?);
    }
    Ok(())
}
