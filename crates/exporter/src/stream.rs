//! One segment as a stream of chunks.

use std::collections::VecDeque;

use std::sync::Arc;

use dbhaul_postgres::{self as postgres, CopyOut};
use dbhaul_rows::{Chunk, CopyFormat, RowsError};
use futures::stream::{BoxStream, StreamExt, try_unfold};

use crate::form::{RowCutter, TurnedTables, is_too_long, longest_row_sql};
use crate::plan::segment_condition;
use crate::pool::Lease;
use crate::{ExportError, ExportPlan, RowForm, RowSource, TablePlan};

/// The chunks of one segment. It ends with `None` only after the server said
/// that the COPY is complete; dropping it earlier closes the session.
pub type SegmentStream = BoxStream<'static, Result<Chunk, ExportError>>;

/// One segment that is being read.
pub struct SegmentRows {
    /// What the chunks are: whole rows of COPY text, or the pieces of one binary COPY, which end anywhere.
    pub format: CopyFormat,
    /// The chunks.
    pub chunks: SegmentStream,
}

/// What a segment's stream is made of.
pub(crate) struct SegmentReader {
    pub(crate) plan: Arc<ExportPlan>,
    /// Which table of the plan.
    pub(crate) index: usize,
    pub(crate) segment: u32,
    pub(crate) format: CopyFormat,
    pub(crate) lease: Lease,
    pub(crate) copy: CopyOut,
    pub(crate) cutter: RowCutter,
    pub(crate) turned: Arc<TurnedTables>,
}

enum State {
    Reading { reader: Box<SegmentReader>, ready: VecDeque<Chunk> },
    Ended { ready: VecDeque<Chunk> },
}

impl SegmentReader {
    pub(crate) fn into_stream(self) -> SegmentStream {
        let state = State::Reading { reader: Box::new(self), ready: VecDeque::new() };
        try_unfold(state, next_chunk).boxed()
    }

    fn table(&self) -> &TablePlan {
        &self.plan.tables[self.index]
    }

    fn rows_error(&self, source: RowsError) -> ExportError {
        ExportError::Rows { table: self.table().name(), segment: self.segment, source }
    }

    async fn copy_error(&mut self, source: postgres::Error) -> ExportError {
        let (plan, segment, format) = (Arc::clone(&self.plan), self.segment, self.format);
        let table = &plan.tables[self.index];
        match source {
            postgres::Error::Cancelled => ExportError::Cancelled,
            source if is_too_long(&source) => {
                let is_turned =
                    format == CopyFormat::Text && matches!(table.form, RowForm::TextWhileItFits(_));
                if is_turned {
                    self.turned.turn(table.entry);
                }
                let found = if is_turned { None } else { self.longest_row().await };
                let row = found.unwrap_or_else(|| format!("row {}", self.cutter.row_count() + 1));
                ExportError::RowTooLong { table: table.name(), segment, row, format, is_turned, source }
            }
            source => ExportError::Copy { table: table.name(), segment, source },
        }
    }

    /// The row that the server could not send, if it can be told.
    async fn longest_row(&mut self) -> Option<String> {
        let plan = Arc::clone(&self.plan);
        let table = &plan.tables[self.index];
        let RowSource::Table(data) = &table.source else { return None };
        if table.is_unplanned {
            return None;
        }
        let range = &table.segments.get(self.segment as usize)?.range;
        let sql = longest_row_sql(data, &segment_condition(data, range).unwrap_or_default())?;
        // whatever goes wrong here, the error that is being explained is the one to tell
        self.lease.restart().await.ok()?;
        self.lease.session().query_one_text(&sql).await.ok()?
    }

    /// Reads blocks until they complete a chunk or the COPY ends; whether it goes on.
    async fn fill(&mut self, ready: &mut VecDeque<Chunk>) -> Result<bool, ExportError> {
        let mut chunks = Vec::new();
        while chunks.is_empty() {
            let block = match self.copy.next_block().await {
                Ok(Some(block)) => block,
                Ok(None) => return Ok(false),
                Err(error) => return Err(self.copy_error(error).await),
            };
            self.cutter.push(&block, &mut chunks).map_err(|error| self.rows_error(error))?;
        }
        ready.extend(chunks);
        Ok(true)
    }

    async fn end(self, ready: &mut VecDeque<Chunk>) -> Result<(), ExportError> {
        let table = self.table().name();
        let SegmentReader { segment, lease, copy, cutter, .. } = self;
        drop(copy);
        let rows_error = |source| ExportError::Rows { table: table.clone(), segment, source };
        ready.extend(cutter.finish().map_err(rows_error)?);
        let given_back = lease.give_back().await;
        given_back.map_err(|source| match source {
            postgres::Error::Cancelled => ExportError::Cancelled,
            source => ExportError::Session { table, source },
        })
    }
}

async fn next_chunk(state: State) -> Result<Option<(Chunk, State)>, ExportError> {
    let mut ready = match state {
        State::Ended { ready } => ready,
        State::Reading { mut reader, mut ready } => {
            if ready.is_empty() && !reader.fill(&mut ready).await? {
                reader.end(&mut ready).await?;
                ready
            } else {
                return Ok(ready.pop_front().map(|chunk| (chunk, State::Reading { reader, ready })));
            }
        }
    };
    Ok(ready.pop_front().map(|chunk| (chunk, State::Ended { ready })))
}
