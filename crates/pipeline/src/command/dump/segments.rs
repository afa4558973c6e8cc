//! Where the rows come from that are stored: a live source, or another backup.

use std::collections::VecDeque;
use std::sync::Arc;

use dbhaul_exporter::{ExportError, ExportPlan, Exporter, TablePlan};
use dbhaul_repository::{BackupRows, RowReader};
use dbhaul_rows::{Chunk, CutParameters, Cutter, RowsError};
use futures::stream::{BoxStream, StreamExt, TryStreamExt, try_unfold};

use crate::PipelineError;

/// The rows of one segment, cut as those of a backup are.
pub(crate) type Chunks = BoxStream<'static, Result<Chunk, PipelineError>>;

/// The segments of a plan.
pub(crate) enum Segments {
    /// Of a live source.
    Live(Arc<Exporter>),
    /// Of a backup.
    Stored(Box<StoredSegments>),
}

/// The segments of a backup, which may have been cut otherwise.
pub(crate) struct StoredSegments {
    pub(crate) plan: ExportPlan,
    pub(crate) rows: BackupRows,
    pub(crate) cut: CutParameters,
}

impl Segments {
    pub(crate) fn plan(&self) -> &ExportPlan {
        match self {
            Segments::Live(exporter) => exporter.plan(),
            Segments::Stored(stored) => &stored.plan,
        }
    }

    /// The table that an entry is filled with.
    pub(crate) fn table(&self, entry: u32, segment: u32) -> Result<&TablePlan, PipelineError> {
        let table = match self {
            Segments::Live(exporter) => exporter.table(entry),
            Segments::Stored(stored) => stored.plan.tables.iter().find(|table| table.entry == entry),
        };
        table.ok_or_else(|| ExportError::UnknownSegment { entry, segment }.into())
    }

    /// Whether the same rows can be read again.
    pub(crate) fn has_snapshot(&self) -> bool {
        match self {
            Segments::Live(exporter) => exporter.has_snapshot(),
            Segments::Stored(_) => true,
        }
    }

    pub(crate) async fn open(&self, entry: u32, segment: u32) -> Result<Chunks, PipelineError> {
        match self {
            Segments::Live(exporter) => {
                let rows = exporter.open_segment(entry, segment).await?;
                Ok(rows.chunks.map_err(PipelineError::from).boxed())
            }
            Segments::Stored(stored) => {
                let table = self.table(entry, segment)?;
                stored.open(table, segment).await
            }
        }
    }
}

/// A segment that is being cut.
struct Cutting {
    table: String,
    reader: RowReader,
    /// None at the end.
    cutter: Option<Cutter>,
    ready: VecDeque<Chunk>,
}

impl StoredSegments {
    async fn open(&self, table: &TablePlan, segment: u32) -> Result<Chunks, PipelineError> {
        let count = self.rows.tables().get(&table.entry).map_or(0, |stored| stored.segments);
        if u64::from(segment) >= count {
            // a table without segments has no rows
            return Ok(futures::stream::empty().boxed());
        }
        let name = table.name();
        let cutter =
            Cutter::new(self.cut.clone(), &table.digest_spec).map_err(|error| unfit(&name, &error))?;
        let reader = self.rows.segment(table.entry, segment).await?;
        let cutting = Cutting { table: name, reader, cutter: Some(cutter), ready: VecDeque::new() };
        Ok(try_unfold(cutting, |mut cutting| async move {
            Ok(cutting.next().await?.map(|chunk| (chunk, cutting)))
        })
        .boxed())
    }
}

impl Cutting {
    async fn next(&mut self) -> Result<Option<Chunk>, PipelineError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            let Some(cutter) = &mut self.cutter else { return Ok(None) };
            let mut cut = Vec::new();
            match self.reader.next().await? {
                Some(rows) => {
                    cutter.push(&rows.data, &mut cut).map_err(|error| unfit(&self.table, &error))?;
                }
                None => {
                    let ended = self.cutter.take().map(Cutter::finish).transpose();
                    cut.extend(ended.map_err(|error| unfit(&self.table, &error))?.flatten());
                }
            }
            self.ready.extend(cut);
        }
    }
}

fn unfit(table: &str, error: &RowsError) -> PipelineError {
    PipelineError::damaged(format!("table {table}"), error.to_string())
}
