//! Which partitioned tables would assign their rows to other partitions in another database.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::Error;
use crate::reader::Reader;

#[derive(Deserialize)]
struct Row {
    oid: u32,
}

/// Tables partitioned by hash whose key holds an enum, itself or inside of an array, a range or a record, or
/// is compared by a collation that takes different strings for equal: the hash is of the enum's OID there,
/// and of the collation library's sort key here. After PostgreSQL src/bin/pg_dump/pg_dump.c,
/// `getPartitioningInfo`, which knows of plain enums only.
const QUERY: &str = "
    SELECT p.partrelid::int8 AS oid FROM pg_catalog.pg_partitioned_table p
    WHERE p.partstrat = 'h' AND (
      EXISTS (SELECT FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_type t ON t.oid = o.opcintype
              WHERE o.oid = ANY (p.partclass) AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
                AND t.typname IN ('anyenum', 'anyarray', 'anyrange', 'anymultirange', 'record'))
      OR EXISTS (SELECT FROM pg_catalog.pg_collation l
                 WHERE l.oid = ANY (p.partcollation) AND NOT l.collisdeterministic))";

pub(crate) async fn read(reader: &Reader<'_>) -> Result<BTreeSet<u32>, Error> {
    let rows: Vec<Row> = reader.query("partitioning", QUERY).await?;
    Ok(rows.into_iter().map(|row| row.oid).collect())
}
