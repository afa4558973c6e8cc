//! What TimescaleDB keeps in a database: hypertables, their chunks, and what of it nobody has tried to copy.
//!
//! Its catalog is its configuration tables, whose columns differ from version to version; so columns are looked up by
//! name in the rows themselves.

use std::collections::BTreeSet;

use dbhaul_catalog::kinds::{Body, ConfigurationTable, Extension};
use dbhaul_catalog::{
    HypertableFeature, Hypertables, Object, QualifiedName, TIMESCALEDB, UntestedFeature, quote_literal,
};
use futures::try_join;
use serde::Deserialize;

use crate::Error;
use crate::reader::Reader;

const SCHEMA: &str = "_timescaledb_catalog";

/// Tables of its catalog that hold what plain hypertables are made of.
const PLAIN: [&str; 6] = ["hypertable", "tablespace", "dimension", "chunk", "dimension_slice", "metadata"];

/// Without these it is no version that this reader knows.
const NEEDED: [&str; 5] = ["hypertable", "tablespace", "dimension", "chunk", "dimension_slice"];

/// How many objects of a feature are named.
const SHOWN: usize = 3;

#[derive(Deserialize)]
struct Row {
    kind: String,
    schema: String,
    name: String,
}

/// Chunks are known by their OID, in older versions by their names.
const TABLES: &str = "
    SELECT 'table' AS kind, schema_name::text AS schema, table_name::text AS name
    FROM ONLY _timescaledb_catalog.hypertable
    UNION ALL
    SELECT 'table', COALESCE(n.nspname::text, c.j ->> 'schema_name'), COALESCE(k.relname::text, c.j ->> 'table_name')
    FROM (SELECT pg_catalog.to_jsonb(t) AS j FROM ONLY _timescaledb_catalog.chunk t) c
      LEFT JOIN pg_catalog.pg_class k ON k.oid = pg_catalog.to_regclass(c.j ->> 'relid')
      LEFT JOIN pg_catalog.pg_namespace n ON n.oid = k.relnamespace
    WHERE COALESCE(k.relname::text, c.j ->> 'table_name') IS NOT NULL
    UNION
    SELECT 'function', f.schema, f.name
    FROM (SELECT pg_catalog.to_jsonb(t) AS j FROM ONLY _timescaledb_catalog.dimension t) d,
      LATERAL (VALUES (d.j ->> 'partitioning_func_schema', d.j ->> 'partitioning_func'),
                      (d.j ->> 'integer_now_func_schema', d.j ->> 'integer_now_func')) f(schema, name)
    WHERE f.name IS NOT NULL AND f.schema !~ '^(_timescaledb_|pg_catalog$)'";

/// Properties of plain hypertables that others than plain ones have.
const PROPERTIES: &str = "
    SELECT 'compression' AS feature,
           pg_catalog.format('%I.%I', h.j ->> 'schema_name', h.j ->> 'table_name') AS detail
    FROM (SELECT pg_catalog.to_jsonb(t) AS j FROM ONLY _timescaledb_catalog.hypertable t) h
    WHERE COALESCE(h.j ->> 'status', '0') <> '0' OR COALESCE(h.j ->> 'compression_state', '0') <> '0'
      OR h.j ->> 'compressed_hypertable_id' IS NOT NULL
    UNION ALL
    SELECT CASE WHEN c.j ->> 'osm_chunk' = 'true' THEN 'tiered_storage' ELSE 'compression' END,
           COALESCE(c.j ->> 'relid', pg_catalog.format('%I.%I', c.j ->> 'schema_name', c.j ->> 'table_name'))
    FROM (SELECT pg_catalog.to_jsonb(t) AS j FROM ONLY _timescaledb_catalog.chunk t) c
    WHERE c.j ->> 'osm_chunk' = 'true' OR COALESCE(c.j ->> 'status', '0') <> '0'
      OR c.j ->> 'compressed_chunk_id' IS NOT NULL
    UNION ALL
    SELECT 'tablespaces', tablespace_name::text FROM ONLY _timescaledb_catalog.tablespace
    WHERE tablespace_name <> 'pg_default'
    UNION ALL
    SELECT 'foreign_keys',
           pg_catalog.format('%I on %s', k.conname, k.conrelid::pg_catalog.regclass)
    FROM pg_catalog.pg_constraint k
      JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
      JOIN ONLY _timescaledb_catalog.hypertable h ON h.schema_name = n.nspname AND h.table_name = r.relname
    WHERE k.contype = 'f'
    UNION ALL
    SELECT 'unended_restore', setting
    FROM pg_catalog.pg_db_role_setting s
      JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase AND d.datname = pg_catalog.current_database()
      CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
    WHERE setting ~ '^timescaledb[.]restoring='";

/// What it keeps; `None` where it is not installed.
pub(crate) async fn read(reader: &Reader<'_>, objects: &[Object]) -> Result<Option<Hypertables>, Error> {
    let Some(extension) = installed(objects) else { return Ok(None) };
    let tables = catalog_tables(objects, extension);
    let missing: Vec<&str> =
        NEEDED.into_iter().filter(|name| !tables.iter().any(|t| t.name == *name)).collect();
    if !missing.is_empty() {
        let detail = format!("version {} without {SCHEMA}.{}", extension.version, missing.join(", "));
        let feature = HypertableFeature::Unknown;
        let untested = vec![UntestedFeature { feature, details: vec![detail] }];
        return Ok(Some(Hypertables { untested, ..Hypertables::default() }));
    }
    let (rows, untested) = try_join!(reader.query::<Row>("hypertables", TABLES), untested(reader, &tables))?;
    let mut found = Hypertables { untested, ..Hypertables::default() };
    for Row { kind, schema, name } in rows {
        let name = QualifiedName::new(schema, &name);
        if kind == "table" { found.tables.push(name) } else { found.functions.push(name) }
    }
    Ok(Some(found))
}

fn installed(objects: &[Object]) -> Option<&Extension> {
    objects.iter().find_map(|object| match &object.body {
        Body::Extension(extension) if object.name == TIMESCALEDB => Some(&**extension),
        _ => None,
    })
}

/// Its configuration tables, without the sequences among them.
fn catalog_tables<'a>(objects: &[Object], extension: &'a Extension) -> Vec<&'a ConfigurationTable> {
    let is_table = |object: &&Object| matches!(&object.body, Body::Table(table) if table.foreign.is_none());
    let tables: BTreeSet<(&str, &str)> = objects
        .iter()
        .filter(is_table)
        .map(|object| (object.schema.as_deref().unwrap_or_default(), object.name.as_str()))
        .collect();
    let configuration = extension.configuration.iter();
    configuration.filter(|table| tables.contains(&(table.schema.as_str(), table.name.as_str()))).collect()
}

#[derive(Deserialize)]
struct Used {
    feature: HypertableFeature,
    detail: String,
}

/// What is in use that nobody has tried to copy: rows in any table of its catalog that plain hypertables do without.
async fn untested(
    reader: &Reader<'_>,
    tables: &[&ConfigurationTable],
) -> Result<Vec<UntestedFeature>, Error> {
    let is_plain =
        |table: &ConfigurationTable| table.schema == SCHEMA && PLAIN.contains(&table.name.as_str());
    let others = tables.iter().filter(|table| !is_plain(table));
    let sql = others.fold(PROPERTIES.to_owned(), |sql, table| format!("{sql} UNION ALL {}", rows_of(table)));
    let mut found: Vec<UntestedFeature> = Vec::new();
    for Used { feature, detail } in reader.query::<Used>("features of TimescaleDB", &sql).await? {
        match found.iter_mut().find(|known| known.feature == feature) {
            Some(known) if known.details.contains(&detail) || known.details.len() == SHOWN => {}
            Some(known) => known.details.push(detail),
            None => found.push(UntestedFeature { feature, details: vec![detail] }),
        }
    }
    Ok(found)
}

/// A query for the first rows of a table, by what people know them.
fn rows_of(table: &ConfigurationTable) -> String {
    let name = QualifiedName::new(&table.schema, &table.name).sql();
    let feature = match table.name.as_str() {
        "bgw_job" => "jobs",
        "chunk_column_stats" => "chunk_skipping",
        name if name.starts_with("compression_") => "compression",
        name if name.starts_with("continuous_agg") || name == "hypertable_cagg_settings" => {
            "continuous_aggregates"
        }
        _ => "unknown",
    };
    format!(
        "SELECT {}, COALESCE(r.j ->> 'application_name', NULLIF(pg_catalog.concat_ws('.', \
           r.j ->> 'user_view_schema', r.j ->> 'user_view_name'), ''), r.j ->> 'relid', {}) \
         FROM (SELECT pg_catalog.to_jsonb(t) AS j FROM (SELECT * FROM ONLY {name} {} LIMIT {SHOWN}) t) r",
        quote_literal(feature),
        quote_literal(&format!("rows in {name}")),
        table.condition.as_deref().unwrap_or_default(),
    )
}
