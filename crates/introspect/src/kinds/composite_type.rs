//! Reads stand-alone composite types; the row types of tables belong to their tables.

use dbhaul_catalog::Class;
use dbhaul_catalog::kinds::{Attribute, Body, CompositeType};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    attributes: Option<Vec<Attribute>>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name,
                pg_catalog.pg_get_userbyid(t.typowner) AS owner, t.typacl::text[] AS acl,
                (SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname,
                            'type_name', pg_catalog.format_type(a.atttypid, a.atttypmod),
                            'collation', CASE WHEN a.attcollation <> at.typcollation THEN
                                pg_catalog.quote_ident(cn.nspname) || '.'
                                || pg_catalog.quote_ident(co.collname) END,
                            'comment', NULL) ORDER BY a.attnum)
                 FROM pg_catalog.pg_attribute a
                 JOIN pg_catalog.pg_type at ON at.oid = a.atttypid
                 LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
                 LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
                 WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes
         FROM pg_catalog.pg_type t
         JOIN pg_catalog.pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         WHERE t.typtype = 'c' AND {USER_SCHEMA}"
    );
    for row in reader.query::<Row>("composite types", &sql).await? {
        let body = Body::from(CompositeType { attributes: row.attributes.unwrap_or_default() });
        reader.push(row.header.object("composite types", Class::PG_TYPE, body)?);
    }
    Ok(())
}
