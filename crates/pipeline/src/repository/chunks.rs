//! Rows of a backup, read back in order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{ChunkOpener, ChunkPieces, RowChunk, keys};
use dbhaul_rows::{Chunk, RowDigest};
use tokio::task::JoinSet;

use super::Repository;
use crate::PipelineError;

/// Neighbouring chunks are read together up to this many stored bytes.
const READ_BYTES: u64 = 4 << 20;

/// A chunk that is longer before compression holds a long row, and may be handed on in pieces.
const LONG_CHUNK_BYTES: u64 = 8 << 20;

/// Neighbouring chunks with their stored bytes.
type Run = VecDeque<(RowChunk, Bytes)>;

/// Reads the chunks of one segment in order, neighbours in one request. While one run of
/// neighbours is used the next is read, so that a store far away keeps nobody waiting; no more
/// than these two are in memory. Dropping it aborts the reading.
pub(crate) struct ChunkReader {
    repository: Repository,
    opener: ChunkOpener,
    rest: VecDeque<RowChunk>,
    /// Read, and still compressed: opened all at once, a run of rows that compress
    /// well would be gigabytes.
    read: Run,
    /// Whether long chunks are handed out in pieces.
    in_pieces: bool,
    /// What is left of a long chunk, and the digest of its rows.
    open: Option<(ChunkPieces, RowDigest)>,
    /// The read of the run after it, at most one.
    ahead: JoinSet<Result<Run, PipelineError>>,
}

impl ChunkReader {
    /// A reader of these chunks. Those of long rows come in pieces that end anywhere if `in_pieces`:
    /// then their rows count in the last piece.
    pub(crate) fn new(
        repository: Repository,
        chunks: Vec<RowChunk>,
        in_pieces: bool,
    ) -> Result<Self, PipelineError> {
        let opener = ChunkOpener::new().map_err(|source| repository.error(source))?;
        let (read, ahead) = (Run::new(), JoinSet::new());
        Ok(ChunkReader { repository, opener, rest: chunks.into(), read, in_pieces, open: None, ahead })
    }

    /// The next chunk, or the next piece of a long one; the bytes of all of it were compared with its
    /// identity.
    pub(crate) async fn next(&mut self) -> Result<Option<Chunk>, PipelineError> {
        if let Some(piece) = self.next_piece()? {
            return Ok(Some(piece));
        }
        if self.read.is_empty() {
            self.read_run().await?;
        }
        let Some((chunk, stored)) = self.read.pop_front() else { return Ok(None) };
        if self.in_pieces && chunk.place.plain_bytes > LONG_CHUNK_BYTES {
            let opened = ChunkOpener::open_in_pieces(&chunk.place, stored);
            self.open = Some((opened.map_err(|source| self.repository.error(source))?, chunk.digest));
            return self.next_piece();
        }
        let data = self.opener.open(&chunk.place, &stored).map_err(|source| self.repository.error(source))?;
        Ok(Some(Chunk { data, row_count: chunk.digest.row_count, digest: chunk.digest }))
    }

    /// The next piece of a long chunk. The last one stands for its rows.
    fn next_piece(&mut self) -> Result<Option<Chunk>, PipelineError> {
        let Some((pieces, rows)) = &mut self.open else { return Ok(None) };
        let piece = pieces.next_piece().map_err(|source| self.repository.error(source))?;
        let digest = if pieces.is_over() { *rows } else { RowDigest::default() };
        if pieces.is_over() {
            self.open = None;
        }
        Ok(piece.map(|data| Chunk { data, row_count: digest.row_count, digest }))
    }

    /// Waits for the run that is being read, and starts to read the one after it.
    async fn read_run(&mut self) -> Result<(), PipelineError> {
        if self.ahead.is_empty() {
            self.start_run();
        }
        if let Some(run) = self.ahead.join_next().await {
            self.read = run.map_err(|error| PipelineError::Worker {
                what: "reader of a pack".into(),
                reason: error.to_string(),
            })??;
            // beside a chunk that is longer than a whole run there is no room for another
            let stored_bytes: usize = self.read.iter().map(|(_, stored)| stored.len()).sum();
            if stored_bytes as u64 <= READ_BYTES {
                self.start_run();
            }
        }
        Ok(())
    }

    /// Starts to read the run of neighbours at the front in one request.
    fn start_run(&mut self) {
        let Some(first) = self.rest.pop_front() else { return };
        let range_start = first.place.offset;
        let mut range_end = first.place.range().end;
        let mut run = vec![first];
        while let Some(next) = self.rest.front() {
            let place = &next.place;
            let is_neighbour = place.pack == run[0].place.pack && place.offset == range_end;
            if !is_neighbour || place.range().end - range_start > READ_BYTES {
                break;
            }
            range_end = place.range().end;
            run.extend(self.rest.pop_front());
        }
        let key = keys::pack(run[0].place.pack);
        let store = Arc::clone(self.repository.store());
        self.ahead.spawn(async move {
            let bytes = store.get_range(&key, range_start..range_end).await?;
            Ok(run.into_iter().map(|chunk| stored(chunk, range_start, &bytes)).collect())
        });
    }
}

/// A chunk with its part of the bytes that were read from `range_start` on.
fn stored(chunk: RowChunk, range_start: u64, bytes: &Bytes) -> (RowChunk, Bytes) {
    let start = (chunk.place.offset - range_start) as usize;
    let stored = bytes.slice(start..start + chunk.place.stored_bytes as usize);
    (chunk, stored)
}
