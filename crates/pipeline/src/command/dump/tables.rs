//! What lists and manifest say of the tables that a dump stores.

use std::collections::HashMap;

use dbhaul_archive::{Document, ListTotals, Part, SegmentRange, TableEntry, TableKind};
use dbhaul_exporter::{self as exporter, ExportPlan, RowSource, TablePlan};
use dbhaul_repository::{document, unnamed_pack};

use crate::PipelineError;
use crate::command::dump::lists::StoredList;
use crate::command::dump::parts::PartStore;

/// What the manifest says of the tables of a plan, once all of their rows are stored.
pub(crate) fn table_entries(
    plan: &ExportPlan,
    stored: &mut HashMap<u32, StoredList>,
    parts: Option<&PartStore>,
) -> Result<Vec<TableEntry>, PipelineError> {
    let entry = |table: &TablePlan| {
        if let Some(parts) = parts.filter(|parts| parts.has(table.entry)) {
            let parts = parts.take(table.entry).ok_or_else(|| missing_list(table))?;
            return Ok(part_entry(table, parts));
        }
        let list = stored.remove(&table.entry).ok_or_else(|| missing_list(table))?;
        Ok(table_entry(table, &list, document(&list.pieces).ok_or_else(unnamed_pack)?))
    };
    plan.tables.iter().map(entry).collect()
}

/// A table whose rows are in parts.
fn part_entry(table: &TablePlan, parts: Vec<Part>) -> TableEntry {
    let (totals, pieces) = (ListTotals::default(), Vec::new());
    table_entry(table, &StoredList { totals, pieces }, Document::default()).with_parts(parts)
}

fn table_entry(table: &TablePlan, stored: &StoredList, list: Document) -> TableEntry {
    let (kind, schema, name) = identity(table);
    let totals = stored.totals;
    TableEntry {
        kind,
        schema,
        name,
        toc_id: Some(table.entry),
        digest_spec: table.digest_spec.clone(),
        digest: totals.digest,
        segments: totals.segments,
        chunks: totals.chunks,
        plain_bytes: totals.plain_bytes,
        stored_bytes: totals.stored_bytes,
        list,
        parts: Vec::new(),
    }
}

/// What the list says of a planned segment that it holds whole.
pub(crate) fn range(planned: &exporter::SegmentRange, (index, count): (u32, usize)) -> SegmentRange {
    match planned {
        exporter::SegmentRange::Whole if count > 1 => SegmentRange::Part(index),
        exporter::SegmentRange::Whole => SegmentRange::Whole,
        exporter::SegmentRange::Pages { start_page, end_page } => {
            // Block numbers are 32 bits wide (PostgreSQL, src/include/storage/block.h).
            let page = |page: u64| u32::try_from(page).unwrap_or(u32::MAX);
            SegmentRange::Pages(page(*start_page), end_page.map_or(u32::MAX, page))
        }
        exporter::SegmentRange::Keys { .. }
        | exporter::SegmentRange::NullKeys { .. }
        | exporter::SegmentRange::LargeObjects { .. } => SegmentRange::Part(index),
    }
}

fn missing_list(table: &TablePlan) -> PipelineError {
    PipelineError::Worker {
        what: "dump".to_owned(),
        reason: format!("the segments of {} were not stored", table.name()),
    }
}

/// `schema.name`, not quoted: what the segment list of a table calls it.
pub(crate) fn list_name(table: &TablePlan) -> String {
    let (_, schema, name) = identity(table);
    format!("{schema}.{name}")
}

/// Kind, schema and name of what has rows.
pub(crate) fn identity(table: &TablePlan) -> (TableKind, String, String) {
    match &table.source {
        RowSource::Table(data) => {
            (TableKind::Table, data.table.schema.to_string(), data.table.name.to_string())
        }
        RowSource::LargeObjects => {
            (TableKind::LargeObjects, "pg_catalog".to_owned(), "pg_largeobject".to_owned())
        }
    }
}
