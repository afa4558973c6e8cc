//! How large relations are.

use std::collections::BTreeMap;

use dbhaul_catalog::RelationSize;
use serde::Deserialize;

use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
    heap_pages: u64,
    toast_bytes: u64,
    rows: f64,
}

/// Real sizes, from the file system; a relation dropped meanwhile counts as empty.
const QUERY: &str = "
    SELECT c.oid::int8 AS oid, c.reltuples::float8 AS rows,
           COALESCE(pg_catalog.pg_relation_size(c.oid), 0)
               / pg_catalog.current_setting('block_size')::int8 AS heap_pages,
           CASE WHEN c.reltoastrelid = 0 THEN 0
                ELSE COALESCE(pg_catalog.pg_relation_size(c.reltoastrelid), 0) END AS toast_bytes
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
          AND n.nspname !~ '^pg_(toast|temp)'";

pub(crate) async fn read(reader: &Reader<'_>) -> Result<BTreeMap<u32, RelationSize>, Error> {
    let rows: Vec<Row> = reader.query("sizes", QUERY).await?;
    let size = |row: &Row| RelationSize {
        heap_pages: row.heap_pages,
        toast_bytes: row.toast_bytes,
        estimated_row_count: row.rows,
    };
    Ok(rows.iter().map(|row| (row.oid, size(row))).collect())
}
