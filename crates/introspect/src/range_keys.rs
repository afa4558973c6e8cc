//! Columns by whose ranges tables can be read in parts.

use std::collections::{BTreeMap, HashMap};

use dbhaul_catalog::kinds::{Body, Column};
use dbhaul_catalog::{Catalog, Object, RangeKey};
use dbhaul_postgres::Flight;
use serde::Deserialize;

use crate::Error;

/// Rows lie in the order of the column at least so much, or its ranges would each touch pages
/// all over the table: `pg_stats.correlation`, either way round.
const LEAST_CORRELATION: f64 = 0.9;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    #[serde(flatten)]
    key: RangeKey,
}

/// The best column of each of these tables (`pg_class` OIDs): a smallint, integer or bigint that leads a
/// valid B-tree index of all rows, in whose order the rows lie. A primary key goes before any other. Tables
/// without such a column, and those that were never analyzed, are not in the answer.
///
/// What is asked is how things are now: it decides where to cut. Whether the column may be NULL decides which
/// rows are read, so that is taken from `catalog`, which says how it was under the snapshot that they are read
/// under.
///
/// # Errors
/// [`Error::Query`].
pub async fn range_keys(
    flight: &Flight<'_>,
    catalog: &Catalog,
    tables: &[u32],
) -> Result<BTreeMap<u32, RangeKey>, Error> {
    if tables.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows: Vec<Row> = flight
        .query_json(&sql(tables))
        .await
        .map_err(|source| Error::Query { what: "keys to read tables by", source })?;
    let columns: HashMap<u32, &[Column]> = catalog.objects.iter().filter_map(columns_of).collect();
    let mut keys = BTreeMap::new();
    for Row { oid, key } in rows {
        let is_nullable = is_nullable(columns.get(&oid).copied().unwrap_or_default(), &key.column);
        keys.entry(oid).or_insert(RangeKey { is_nullable, ..key });
    }
    Ok(keys)
}

/// A table's OID and columns, if the object is one.
fn columns_of(object: &Object) -> Option<(u32, &[Column])> {
    match &object.body {
        Body::Table(body) => Some((object.id.oid, body.columns.as_slice())),
        _ => None,
    }
}

/// Whether a column of a table may be NULL; where the catalog does not say that it may not, it may.
fn is_nullable(columns: &[Column], column: &str) -> bool {
    let found = columns.iter().find(|other| other.name == *column);
    found.and_then(|column| column.not_null.as_ref()).is_none_or(|not_null| not_null.not_valid)
}

/// 1976 is the operator family `integer_ops` of B-trees (PostgreSQL src/include/catalog/pg_opfamily.dat),
/// 20, 21 and 23 are bigint, smallint and integer (pg_type.dat).
fn sql(tables: &[u32]) -> String {
    let oids = tables.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    format!(
        "SELECT c.oid::int8 AS oid, a.attname AS \"column\",
           COALESCE(s.null_frac, 0)::float8 AS null_fraction,
           COALESCE(s.histogram_bounds::text::int8[], '{{}}') AS histogram,
           COALESCE(s.most_common_vals::text::int8[], '{{}}') AS common_values,
           COALESCE(s.most_common_freqs::float8[], '{{}}') AS common_fractions
         FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_catalog.pg_index i ON i.indrelid = c.oid
           JOIN pg_catalog.pg_opclass oc ON oc.oid = i.indclass[0] AND oc.opcfamily = 1976
           JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
           JOIN pg_catalog.pg_stats s
             ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
         WHERE c.oid IN ({oids}) AND c.relkind = 'r' AND a.atttypid IN (20, 21, 23)
           AND i.indisvalid AND i.indisready AND i.indislive AND i.indpred IS NULL
           AND pg_catalog.abs(s.correlation) >= {LEAST_CORRELATION}
         ORDER BY c.oid, i.indisprimary DESC, i.indnkeyatts, i.indexrelid"
    )
}
