//! Rows on their way into a script, in the order of the TOC, a few chunks at a time.

use std::collections::HashMap;
use std::sync::Arc;

use dbhaul_catalog::{Toc, TocEntry};
use dbhaul_exporter::{Exporter, RowSource, Segment, SegmentRange};
use dbhaul_importer::{SegmentRef, SegmentSource};
use dbhaul_postgres::ConnectSettings;
use dbhaul_rows::{
    Chunk, CutParameters, FieldIter, RowsError, check_copy_text, check_returns, split_rows, unescape_field,
};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::output::Sink;
use crate::command::backups::StoredBackup;
use crate::command::restore::backup_segments::BackupSegments;
use crate::report::progress_tables::TableTasks;
use crate::source::LiveDatabase;
use crate::source::throttle::Throttle;
use crate::{Context, PipelineError};

/// Rows travel in pieces of about this size.
const CHUNK_BYTES: u64 = 256 << 10;

/// Bytes of large objects in one statement, about.
const STATEMENT_BYTES: usize = 512 << 10;

/// Bytes of a page of `pg_largeobject` (`LOBLKSIZE` with 8 KiB blocks).
const LARGE_OBJECT_PAGE_BYTES: u64 = 2048;

/// Where the rows come from.
#[expect(clippy::large_enum_variant, reason = "a script has one")]
pub(super) enum Rows {
    Live { exporter: Exporter, tasks: TableTasks, throttle: Throttle },
    Backup { segments: BackupSegments, counts: HashMap<u32, u32> },
}

impl Rows {
    /// One session, one `COPY` for each table: the script takes rows in one order only.
    pub(super) fn of_live(
        live: &LiveDatabase,
        settings: ConnectSettings,
        toc: &Toc,
        throttle: Throttle,
        context: &Context,
    ) -> Self {
        let mut plan = live.export_plan(toc);
        for table in &mut plan.tables {
            if let RowSource::Table(_) = table.source {
                let estimated_bytes = table.estimated_bytes();
                table.segments = vec![Segment { range: SegmentRange::Whole, estimated_bytes }];
            }
        }
        let tasks = TableTasks::new(&plan, &context.progress);
        let (holder, cut) = (Arc::clone(&live.holder), CutParameters::fixed(CHUNK_BYTES));
        let exporter = Exporter::new(Arc::new(plan), settings, holder, 1, cut, context.cancel.clone());
        Rows::Live { exporter, tasks, throttle }
    }

    pub(super) fn of_backup(stored: &StoredBackup, toc: &Toc) -> Result<Self, PipelineError> {
        let segments = BackupSegments::new(stored.repository.clone(), stored.tables(toc)?, None);
        let counts = segments.entry_segments().into_iter();
        let counts = counts.map(|entry| (entry.entry, entry.segment_bytes.len() as u32)).collect();
        Ok(Rows::Backup { segments, counts })
    }

    /// Writes the rows of a table's `COPY`; returns how many.
    pub(super) async fn write_table(&self, entry: &TocEntry, sink: &mut Sink) -> Result<u64, PipelineError> {
        let mut row_count = 0;
        // a piece of a long row may begin anywhere, even between the halves of an escaped backslash
        let mut is_within_row = false;
        for segment in 0..self.segment_count(entry.id) {
            let mut chunks = self.open(entry.id, segment).await?;
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk?;
                self.pass(&chunk).await;
                let check = if is_within_row { check_returns } else { check_copy_text };
                check(&chunk.data).map_err(|problem| damaged_rows(entry, &problem))?;
                is_within_row = chunk.row_count == 0;
                sink.bytes(&chunk.data).await?;
                self.advance(entry.id, &chunk);
                row_count += chunk.row_count;
            }
            self.segment_finished(entry.id);
        }
        Ok(row_count)
    }

    /// Writes the contents of all large objects, many pieces to a statement.
    pub(super) async fn write_large_objects(
        &self,
        entry: &TocEntry,
        sink: &mut Sink,
    ) -> Result<(), PipelineError> {
        let mut statement = Pieces::default();
        for segment in 0..self.segment_count(entry.id) {
            let mut chunks = self.open(entry.id, segment).await?;
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk?;
                self.pass(&chunk).await;
                for row in split_rows(&chunk.data) {
                    statement.push(row)?;
                    if statement.values.len() >= STATEMENT_BYTES {
                        sink.text(&statement.take()).await?;
                    }
                }
                self.advance(entry.id, &chunk);
            }
            self.segment_finished(entry.id);
        }
        sink.text(&statement.take()).await
    }

    pub(super) async fn close(&self) {
        if let Rows::Live { exporter, .. } = self {
            exporter.close().await;
        }
    }

    fn segment_count(&self, entry: u32) -> u32 {
        match self {
            Rows::Live { exporter, .. } => {
                exporter.table(entry).map_or(0, |table| table.segments.len() as u32)
            }
            Rows::Backup { counts, .. } => counts.get(&entry).copied().unwrap_or(0),
        }
    }

    async fn open(
        &self,
        entry: u32,
        segment: u32,
    ) -> Result<BoxStream<'static, Result<Chunk, PipelineError>>, PipelineError> {
        match self {
            Rows::Live { exporter, .. } => {
                let chunks = exporter.open_segment(entry, segment).await?.chunks;
                Ok(chunks.map(|chunk| chunk.map_err(PipelineError::from)).boxed())
            }
            Rows::Backup { segments, .. } => {
                let chunks = segments.open(SegmentRef { entry, segment }).await?.chunks;
                Ok(chunks.map(|chunk| chunk.map_err(PipelineError::from)).boxed())
            }
        }
    }

    /// Waits as long as a live source is to be spared.
    async fn pass(&self, chunk: &Chunk) {
        if let Rows::Live { throttle, .. } = self {
            throttle.pass(chunk.data.len() as u64).await;
        }
    }

    fn advance(&self, entry: u32, chunk: &Chunk) {
        if let Rows::Live { tasks, .. } = self {
            tasks.advance(entry, chunk.row_count, chunk.data.len() as u64);
        }
    }

    fn segment_finished(&self, entry: u32) {
        if let Rows::Live { tasks, .. } = self {
            tasks.segment_finished(entry);
        }
    }
}

/// Rows that psql would take for others, or for the end of the rows: it would run what follows as commands.
fn damaged_rows(entry: &TocEntry, problem: &RowsError) -> PipelineError {
    PipelineError::damaged(format!("{} {}", entry.kind, entry.name), problem.to_string())
}

/// Pieces of large objects as one statement.
#[derive(Default)]
struct Pieces {
    values: String,
}

impl Pieces {
    /// Adds a row of three fields: OID, page, data.
    fn push(&mut self, row: &[u8]) -> Result<(), PipelineError> {
        let damaged = || PipelineError::damaged("large objects", "a row is not an OID, a page and data");
        let mut fields = FieldIter::new(row).map(|field| unescape_field(field).ok().flatten());
        let mut next = || {
            let field = fields.next().flatten().ok_or_else(damaged)?;
            String::from_utf8(field.into_owned()).map_err(|_| damaged())
        };
        let (oid, page, data) = (next()?, next()?, next()?);
        let oid: u32 = oid.parse().map_err(|_| damaged())?;
        let page: u64 = page.parse().map_err(|_| damaged())?;
        let digits = data.strip_prefix("\\x").ok_or_else(damaged)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(damaged());
        }
        let start = page * LARGE_OBJECT_PAGE_BYTES;
        let comma = if self.values.is_empty() { "" } else { ",\n" };
        self.values.push_str(&format!(
            "{comma}({oid}::pg_catalog.oid, {start}::pg_catalog.int8, '{data}'::pg_catalog.bytea)"
        ));
        Ok(())
    }

    /// The statement, which is empty where nothing was added.
    fn take(&mut self) -> String {
        if self.values.is_empty() {
            return String::new();
        }
        let values = std::mem::take(&mut self.values);
        format!(
            "SELECT pg_catalog.count(pg_catalog.lo_put(p.loid, p.start, p.data)) FROM (VALUES\n{values}\n) \
             AS p(loid, start, data);\n\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Pieces;

    #[test]
    fn pieces_are_put_where_they_belong() {
        let mut pieces = Pieces::default();
        pieces.push(b"16385\t0\t\\\\x6162").unwrap();
        pieces.push(b"16385\t32\t\\\\x").unwrap();
        assert_eq!(
            pieces.take(),
            "SELECT pg_catalog.count(pg_catalog.lo_put(p.loid, p.start, p.data)) FROM (VALUES\n\
             (16385::pg_catalog.oid, 0::pg_catalog.int8, '\\x6162'::pg_catalog.bytea),\n\
             (16385::pg_catalog.oid, 65536::pg_catalog.int8, '\\x'::pg_catalog.bytea)\n\
             ) AS p(loid, start, data);\n\n"
        );
        assert_eq!(pieces.take(), "");
        for row in ["16385\t0", "x\t0\t\\\\x61", "1\t0\t\\\\x61'", "1\t0\t\\N"] {
            assert!(pieces.push(row.as_bytes()).is_err(), "{row}");
        }
    }
}
