//! Reads indexes.

use dbhaul_catalog::kinds::{Body, Index, IndexProperties};
use dbhaul_catalog::{Class, QualifiedName, SharedText};
use serde::Deserialize;

use super::table::part;
use super::table::sql::{USER_NAMESPACE, depends_on_extensions};
use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    schema: SharedText,
    name: String,
    table_name: SharedText,
    definition: String,
    predicate: Option<String>,
    constraint: Option<String>,
    #[serde(flatten)]
    properties: IndexProperties,
    column_statistics: Vec<(i16, i32)>,
    valid: bool,
}

/// The columns that [`IndexProperties`] is read from, for index relation `ic` and `pg_index` row `i`.
pub(super) fn property_columns() -> String {
    format!(
        "CASE WHEN ic.reltablespace <> 0 THEN
           (SELECT ts.spcname FROM pg_catalog.pg_tablespace ts WHERE ts.oid = ic.reltablespace) END AS tablespace,
         i.indisclustered AS clustered, i.indisreplident AS replica_identity,
         CASE WHEN ic.relispartition THEN
           (SELECT pg_catalog.json_build_object('schema', pn.nspname, 'name', p.relname)
            FROM pg_catalog.pg_inherits inh JOIN pg_catalog.pg_class p ON p.oid = inh.inhparent
              JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace WHERE inh.inhrelid = ic.oid) END AS parent,
         {} AS depends_on_extensions",
        depends_on_extensions("pg_class", "ic.oid")
    )
}

/// Statistics targets of columns of the index relation `ic`.
pub(super) fn column_statistics() -> &'static str {
    "ARRAY(SELECT pg_catalog.json_build_array(a.attnum, a.attstattarget) FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = ic.oid AND a.attstattarget >= 0 ORDER BY a.attnum)"
}

pub(crate) async fn read(reader: &mut Reader<'_>) -> Result<(), Error> {
    let mut objects = Vec::new();
    let take = |row: Row| {
        let body = Index {
            table: QualifiedName::new(&row.schema, row.table_name),
            definition: row.definition,
            predicate: row.predicate,
            constraint: row.constraint,
            properties: row.properties,
            column_statistics: row.column_statistics,
            valid: row.valid,
        };
        objects.push(part(Class::PG_CLASS, row.oid, row.schema, row.name, Body::from(body)));
    };
    reader.query_each("indexes", &sql(), take).await?;
    reader.extend(objects);
    Ok(())
}

fn sql() -> String {
    format!(
        "SELECT ic.oid::int8 AS oid, n.nspname AS schema, ic.relname AS name, c.relname AS table_name,
           pg_catalog.pg_get_indexdef(ic.oid) AS definition,
           pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS predicate, con.conname AS \"constraint\",
           {properties},
           {statistics} AS column_statistics,
           (i.indisvalid OR c.relkind = 'p') AND i.indisready AS valid
         FROM pg_catalog.pg_index i
           JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
           JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           LEFT JOIN pg_catalog.pg_constraint con
             ON con.conrelid = i.indrelid AND con.conindid = i.indexrelid AND con.contype IN ('p', 'u', 'x')
         WHERE c.relkind IN ('r', 'p', 'm') AND {USER_NAMESPACE}
         ORDER BY ic.oid",
        properties = property_columns(),
        statistics = column_statistics(),
    )
}
