//! Reads planner statistics: what `pg_class` and `pg_stats` say of relations and columns.

use std::collections::{BTreeSet, HashMap, HashSet};

use dbhaul_catalog::kinds::{Body, TableKind};
use dbhaul_catalog::{
    Catalog, ColumnStatistics, Object, ObjectId, QualifiedName, RelationStatistics, ServerVersion,
    quote_literal,
};
use dbhaul_postgres::Session;
use serde::Deserialize;

use crate::Error;

/// Columns whose statistics are read at once: a column's are some kilobytes at the default target.
const BATCH_COLUMNS: usize = 500;

/// Relations that are read at once; on the target, each costs a transaction a few locks.
const BATCH_RELATIONS: usize = 128;

/// What to read, in batches: each a few tables with their indexes behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatisticsPlan {
    /// Batches of tables, foreign tables and their indexes.
    pub tables: Vec<Vec<u32>>,
    /// Batches of materialized views and their indexes.
    pub refreshed: Vec<Vec<u32>>,
}

impl StatisticsPlan {
    /// All relations of a catalog that have statistics, but for tables in `without_data`, whose rows
    /// stay behind. Members of extensions count as far as their rows are the user's.
    pub fn new(catalog: &Catalog, without_data: &BTreeSet<ObjectId>) -> Self {
        let configuration = configuration_tables(catalog);
        let mut indexes: HashMap<(&str, &str), Vec<u32>> = HashMap::new();
        for object in &catalog.objects {
            if let Body::Index(index) = &object.body
                && index.valid
            {
                indexes.entry((&index.table.schema, &index.table.name)).or_default().push(object.id.oid);
            }
        }
        let (mut tables, mut refreshed) = (Batches::default(), Batches::default());
        for object in &catalog.objects {
            let name = (object.schema.as_deref().unwrap_or_default(), object.name.as_str());
            let is_wanted = object.extension.is_none() || configuration.contains(&name);
            if !is_wanted || without_data.contains(&object.id) {
                continue;
            }
            let (batches, columns) = match &object.body {
                Body::Table(table) => (&mut tables, table.columns.len()),
                Body::MaterializedView(view) => (&mut refreshed, view.columns.len()),
                _ => continue,
            };
            batches.add(family(object, indexes.remove(&name)), columns);
        }
        StatisticsPlan { tables: tables.finish(), refreshed: refreshed.finish() }
    }
}

/// A table, then its indexes. One whose rows are elsewhere has none.
fn family(object: &Object, indexes: Option<Vec<u32>>) -> Vec<u32> {
    let is_foreign = matches!(&object.body, Body::Table(table) if table.table_kind == TableKind::Foreign);
    let indexes = indexes.filter(|_| !is_foreign).unwrap_or_default();
    std::iter::once(object.id.oid).chain(indexes).collect()
}

fn configuration_tables(catalog: &Catalog) -> HashSet<(&str, &str)> {
    let extensions = catalog.objects.iter().filter_map(|object| match &object.body {
        Body::Extension(extension) => Some(&extension.configuration),
        _ => None,
    });
    extensions.flatten().map(|table| (table.schema.as_str(), table.name.as_str())).collect()
}

#[derive(Default)]
struct Batches {
    full: Vec<Vec<u32>>,
    open: Vec<u32>,
    open_columns: usize,
}

impl Batches {
    fn add(&mut self, family: Vec<u32>, columns: usize) {
        let is_full =
            self.open_columns + columns > BATCH_COLUMNS || self.open.len() + family.len() > BATCH_RELATIONS;
        if is_full && !self.open.is_empty() {
            self.full.push(std::mem::take(&mut self.open));
            self.open_columns = 0;
        }
        self.open.extend(family);
        self.open_columns += columns;
    }

    fn finish(mut self) -> Vec<Vec<u32>> {
        if !self.open.is_empty() {
            self.full.push(self.open);
        }
        self.full
    }
}

#[derive(Deserialize)]
struct RelationRow {
    oid: u32,
    schema: String,
    name: String,
    table_name: Option<String>,
    is_refreshed: bool,
    has_extended: bool,
    pages: i32,
    tuples: String,
    all_visible_pages: i32,
    all_frozen_pages: Option<i32>,
}

#[derive(Deserialize)]
struct ColumnRow {
    oid: u32,
    #[serde(flatten)]
    column: ColumnStatistics,
}

/// Reads one batch of a [`StatisticsPlan`], in its order, under the snapshot that the session's
/// transaction holds. A relation that is gone is left out.
///
/// # Errors
/// If a query fails.
pub async fn read_statistics(session: &Session, batch: &[u32]) -> Result<Vec<RelationStatistics>, Error> {
    let reading = |source| Error::Query { what: "planner statistics", source };
    let rows: Vec<RelationRow> =
        session.query_json(&relations_sql(batch, session.version())).await.map_err(reading)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let columns: Vec<ColumnRow> =
        session.query_json(&columns_sql(&rows, session.version())).await.map_err(reading)?;
    let places: HashMap<u32, usize> = rows.iter().enumerate().map(|(place, row)| (row.oid, place)).collect();
    let mut relations: Vec<RelationStatistics> = rows.into_iter().map(relation).collect();
    for row in columns {
        if let Some(relation) = places.get(&row.oid).and_then(|&place| relations.get_mut(place)) {
            relation.columns.push(row.column);
        }
    }
    Ok(relations)
}

fn relation(row: RelationRow) -> RelationStatistics {
    RelationStatistics {
        table: row.table_name.map(|table| QualifiedName::new(&row.schema, table)),
        relation: QualifiedName::new(row.schema, row.name),
        is_refreshed: row.is_refreshed,
        has_extended: row.has_extended,
        pages: row.pages,
        tuples: row.tuples,
        all_visible_pages: row.all_visible_pages,
        all_frozen_pages: row.all_frozen_pages,
        columns: Vec::new(),
    }
}

fn oid_array(oids: impl Iterator<Item = u32>) -> String {
    let oids: Vec<String> = oids.map(|oid| oid.to_string()).collect();
    format!("'{{{}}}'::pg_catalog.oid[]", oids.join(","))
}

fn relations_sql(batch: &[u32], version: ServerVersion) -> String {
    let all_frozen = if version.major() >= 18 { "c.relallfrozen" } else { "NULL::integer" };
    format!(
        "SELECT c.oid::int8 AS oid, n.nspname AS schema, c.relname AS name, t.relname AS table_name,
                'm' IN (c.relkind, COALESCE(t.relkind, c.relkind)) AS is_refreshed,
                EXISTS (SELECT FROM pg_catalog.pg_statistic_ext x WHERE x.stxrelid = c.oid) AS has_extended,
                c.relpages AS pages, c.reltuples::text AS tuples, c.relallvisible AS all_visible_pages,
                {all_frozen} AS all_frozen_pages
         FROM pg_catalog.unnest({oids}) WITH ORDINALITY AS wanted(oid, place)
         JOIN pg_catalog.pg_class c ON c.oid = wanted.oid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
         LEFT JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
         ORDER BY wanted.place",
        oids = oid_array(batch.iter().copied()),
    )
}

/// The view hides its join behind a security barrier that only plain conditions on names pass;
/// without them it is read whole for each batch (PostgreSQL src/bin/pg_dump/pg_dump.c,
/// fetchAttributeStats).
fn columns_sql(rows: &[RelationRow], version: ServerVersion) -> String {
    let ranges = if version.major() >= 17 {
        "s.range_length_histogram::text, s.range_empty_frac::text, s.range_bounds_histogram::text"
    } else {
        "NULL AS range_length_histogram, NULL AS range_empty_frac, NULL AS range_bounds_histogram"
    };
    let names = |name: fn(&RelationRow) -> &str| {
        let distinct: BTreeSet<&str> = rows.iter().map(name).collect();
        let quoted: Vec<String> = distinct.into_iter().map(quote_literal).collect();
        format!("ARRAY[{}]::pg_catalog.name[]", quoted.join(","))
    };
    format!(
        "SELECT c.oid::int8 AS oid, s.attname AS column,
                CASE WHEN c.relkind IN ('i', 'I') THEN a.attnum END AS number, s.inherited,
                s.null_frac::text, s.avg_width::text, s.n_distinct::text, s.most_common_vals::text,
                s.most_common_freqs::text, s.histogram_bounds::text, s.correlation::text,
                s.most_common_elems::text, s.most_common_elem_freqs::text, s.elem_count_histogram::text,
                {ranges}
         FROM pg_catalog.pg_stats s
         JOIN pg_catalog.pg_namespace n ON n.nspname = s.schemaname
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = s.attname AND NOT a.attisdropped
         WHERE c.oid = ANY ({oids}) AND s.schemaname = ANY ({schemas}) AND s.tablename = ANY ({tables})
         ORDER BY c.oid, a.attnum, s.inherited",
        oids = oid_array(rows.iter().map(|row| row.oid)),
        schemas = names(|row| &row.schema),
        tables = names(|row| &row.name),
    )
}

#[cfg(test)]
mod tests {
    use super::{BATCH_COLUMNS, BATCH_RELATIONS, Batches};

    #[test]
    fn batches_are_bounded_and_families_whole() {
        let mut batches = Batches::default();
        batches.add(vec![1, 2], BATCH_COLUMNS);
        batches.add(vec![3], 1);
        batches.add((10..10 + BATCH_RELATIONS as u32).collect(), 1);
        batches.add(vec![4], 2 * BATCH_COLUMNS);
        let sizes: Vec<usize> = batches.finish().iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, BATCH_RELATIONS, 1]);
        assert!(Batches::default().finish().is_empty());
    }
}
