//! Reads range types.

use dbhaul_catalog::kinds::{Body, RangeType};
use dbhaul_catalog::{Class, quote_identifier};
use serde::Deserialize;

use crate::Error;
use crate::header::{Header, USER_SCHEMA};
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    #[serde(flatten)]
    header: Header,
    subtype: String,
    multirange: Option<String>,
    operator_class: Option<String>,
    collation: Option<String>,
    canonical: Option<String>,
    subtype_difference: Option<String>,
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let sql = query(reader.version().major());
    for row in reader.query::<Row>("range types", &sql).await? {
        let schema = row.header.schema.as_deref().unwrap_or_default();
        let multirange = row.multirange.unwrap_or_else(|| {
            let name = default_multirange_name(&row.header.name);
            format!("{}.{}", quote_identifier(schema), quote_identifier(&name))
        });
        let range = RangeType {
            subtype: row.subtype,
            multirange,
            operator_class: row.operator_class,
            collation: row.collation,
            canonical: row.canonical,
            subtype_difference: row.subtype_difference,
        };
        reader.push(row.header.object("range types", Class::PG_TYPE, Body::from(range))?);
    }
    Ok(())
}

fn query(major: u32) -> String {
    let multirange = if major >= 14 { "pg_catalog.format_type(r.rngmultitypid, NULL)" } else { "NULL" };
    format!(
        "SELECT t.oid::int8 AS oid, n.nspname AS schema, t.typname AS name,
                pg_catalog.pg_get_userbyid(t.typowner) AS owner, t.typacl::text[] AS acl,
                pg_catalog.format_type(r.rngsubtype, NULL) AS subtype, {multirange} AS multirange,
                CASE WHEN NOT o.opcdefault THEN pg_catalog.quote_ident(opn.nspname) || '.'
                    || pg_catalog.quote_ident(o.opcname) END AS operator_class,
                (SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(c.collname)
                 FROM pg_catalog.pg_collation c
                 JOIN pg_catalog.pg_namespace cn ON cn.oid = c.collnamespace
                 WHERE c.oid = r.rngcollation AND r.rngcollation <> st.typcollation) AS collation,
                CASE WHEN r.rngcanonical <> 0 THEN r.rngcanonical::text END AS canonical,
                CASE WHEN r.rngsubdiff <> 0 THEN r.rngsubdiff::text END AS subtype_difference
         FROM pg_catalog.pg_type t
         JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         JOIN pg_catalog.pg_range r ON r.rngtypid = t.oid
         JOIN pg_catalog.pg_type st ON st.oid = r.rngsubtype
         JOIN pg_catalog.pg_opclass o ON o.oid = r.rngsubopc
         JOIN pg_catalog.pg_namespace opn ON opn.oid = o.opcnamespace
         WHERE t.typtype = 'r' AND {USER_SCHEMA}"
    )
}

/// The name that version 14 gives the multirange type of a range type by itself
/// (PostgreSQL src/backend/catalog/pg_type.c, makeMultirangeTypeName).
fn default_multirange_name(range: &str) -> String {
    const LIMIT_BYTES: usize = 63;
    match range.split_once("range") {
        Some((before, after)) => clip(&format!("{before}multirange{after}"), LIMIT_BYTES),
        None => format!("{}_multirange", clip(range, LIMIT_BYTES - "_multirange".len())),
    }
}

/// The longest start of whole characters that fits.
fn clip(name: &str, limit_bytes: usize) -> String {
    let mut end = name.len().min(limit_bytes);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::default_multirange_name;

    #[test]
    fn multirange_names() {
        let long = "x".repeat(63);
        let clipped = format!("{}_multirange", "x".repeat(52));
        for (range, expected) in [
            ("textrange", "textmultirange"),
            ("range_of_ranges", "multirange_of_ranges"),
            ("span", "span_multirange"),
            (&long, &clipped),
        ] {
            assert_eq!(default_multirange_name(range), expected);
        }
    }
}
