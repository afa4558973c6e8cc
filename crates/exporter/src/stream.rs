//! One segment as a stream of chunks.

use std::collections::VecDeque;

use dbhaul_catalog::QualifiedName;
use dbhaul_postgres::{self as postgres, CopyOut};
use dbhaul_rows::{Chunk, Cutter, RowsError};
use futures::stream::{BoxStream, StreamExt, try_unfold};

use crate::ExportError;
use crate::pool::Lease;

/// The chunks of one segment. It ends with `None` only after the server said
/// that the COPY is complete; dropping it earlier closes the session.
pub type SegmentStream = BoxStream<'static, Result<Chunk, ExportError>>;

/// What a segment's stream is made of.
pub(crate) struct SegmentReader {
    /// The table that is read; `None` for large objects.
    pub(crate) relation: Option<QualifiedName>,
    pub(crate) table: String,
    pub(crate) segment: u32,
    pub(crate) lease: Lease,
    pub(crate) copy: CopyOut,
    pub(crate) cutter: Cutter,
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

    fn copy_error(&self, source: postgres::Error) -> ExportError {
        match source {
            postgres::Error::Cancelled => ExportError::Cancelled,
            source => ExportError::Copy { table: self.table.clone(), segment: self.segment, source },
        }
    }

    fn rows_error(&self, source: RowsError) -> ExportError {
        ExportError::Rows { table: self.table.clone(), segment: self.segment, source }
    }

    /// Reads blocks until they complete a chunk or the COPY ends; whether it goes on.
    async fn fill(&mut self, ready: &mut VecDeque<Chunk>) -> Result<bool, ExportError> {
        let mut chunks = Vec::new();
        while chunks.is_empty() {
            let block = self.copy.next_block().await.map_err(|error| self.copy_error(error))?;
            let Some(block) = block else { return Ok(false) };
            self.cutter.push(&block, &mut chunks).map_err(|error| self.rows_error(error))?;
        }
        ready.extend(chunks);
        Ok(true)
    }

    async fn end(self, ready: &mut VecDeque<Chunk>) -> Result<(), ExportError> {
        if let Some(relation) = &self.relation {
            self.lease.check_table(relation).await.map_err(|error| self.copy_error(error))?;
        }
        let SegmentReader { table, segment, lease, copy, cutter, .. } = self;
        drop(copy);
        ready.extend(cutter.finish().map_err(|source| ExportError::Rows { table, segment, source })?);
        lease.give_back();
        Ok(())
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
