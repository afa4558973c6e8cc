//! Rows of a backup, read back in order.

use std::collections::VecDeque;

use bytes::Bytes;
use dbhaul_archive::{ChunkOpener, RowChunk, keys};
use dbhaul_rows::Chunk;

use super::Repository;
use crate::PipelineError;

/// Neighbouring chunks are read together up to this many stored bytes.
const READ_BYTES: u64 = 4 << 20;

/// Reads the chunks of one segment in order, neighbours in one request.
pub(crate) struct ChunkReader {
    repository: Repository,
    opener: ChunkOpener,
    rest: VecDeque<RowChunk>,
    /// Read, and still compressed: opened all at once, a run of rows that compress
    /// well would be gigabytes.
    read: VecDeque<(RowChunk, Bytes)>,
}

impl ChunkReader {
    pub(crate) fn new(repository: Repository, chunks: Vec<RowChunk>) -> Result<Self, PipelineError> {
        let opener = ChunkOpener::new().map_err(|source| repository.error(source))?;
        Ok(ChunkReader { repository, opener, rest: chunks.into(), read: VecDeque::new() })
    }

    /// The next chunk; its bytes were compared with its identity.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>, PipelineError> {
        if self.read.is_empty() {
            self.read_run().await?;
        }
        let Some((chunk, stored)) = self.read.pop_front() else { return Ok(None) };
        let data = self.opener.open(&chunk.place, &stored).map_err(|source| self.repository.error(source))?;
        Ok(Some(Chunk { data, row_count: chunk.digest.row_count, digest: chunk.digest }))
    }

    /// Reads the run of neighbours at the front in one request.
    async fn read_run(&mut self) -> Result<(), PipelineError> {
        let Some(first) = self.rest.pop_front() else { return Ok(()) };
        let range_start = first.place.offset;
        let mut range_end = first.place.range().end;
        let mut run = vec![first];
        while let Some(next) = self.rest.front() {
            let place = &next.place;
            let is_neighbour = place.pack == first.place.pack && place.offset == range_end;
            if !is_neighbour || place.range().end - range_start > READ_BYTES {
                break;
            }
            range_end = place.range().end;
            run.extend(self.rest.pop_front());
        }
        let key = keys::pack(first.place.pack);
        let bytes = self.repository.store().get_range(&key, range_start..range_end).await?;
        for chunk in run {
            let start = (chunk.place.offset - range_start) as usize;
            let stored = bytes.slice(start..start + chunk.place.stored_bytes as usize);
            self.read.push_back((chunk, stored));
        }
        Ok(())
    }
}
