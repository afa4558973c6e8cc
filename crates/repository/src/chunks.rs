//! Rows of a backup, read back in order.

use std::collections::VecDeque;

use bytes::Bytes;
use dbhaul_archive::{ChunkOpener, RowChunk, TableEntry};
use dbhaul_rows::{Chunk, DigestSpec, RowsDigester};
use tokio::task::JoinSet;

use crate::rows_check::{LongChunk, check_rows, is_long};
use crate::{PartReader, Repository, RepositoryError};

/// Neighbouring chunks are read together up to this many stored bytes.
const READ_BYTES: u64 = 4 << 20;

/// Neighbouring chunks with their stored bytes.
type Run = VecDeque<(RowChunk, Bytes)>;

/// The rows of one segment, out of packs or out of a file of Parquet.
#[derive(Debug)]
pub enum RowReader {
    /// Out of packs.
    Chunks(Box<ChunkReader>),
    /// Out of a part.
    Part(Box<PartReader>),
}

impl RowReader {
    /// The next rows, which were compared with their count and digest; of a part, at the end.
    pub async fn next(&mut self) -> Result<Option<Chunk>, RepositoryError> {
        match self {
            RowReader::Chunks(reader) => reader.next().await,
            RowReader::Part(reader) => reader.next().await,
        }
    }
}

/// Reads the chunks of one segment in order, neighbours in one request. While one run of
/// neighbours is used the next is read, so that a store far away keeps nobody waiting; no more
/// than these two are in memory. Dropping it aborts the reading.
#[derive(Debug)]
pub struct ChunkReader {
    repository: Repository,
    opener: ChunkOpener,
    rest: VecDeque<RowChunk>,
    /// Read, and still compressed: opened all at once, a run of rows that compress
    /// well would be gigabytes.
    read: Run,
    /// The table, and what counts and hashes its rows.
    table: String,
    spec: DigestSpec,
    digester: RowsDigester,
    /// Whether long chunks are handed out in pieces.
    in_pieces: bool,
    /// What is left of a long chunk.
    open: Option<LongChunk>,
    /// The read of the run after it, at most one.
    ahead: JoinSet<Result<Run, RepositoryError>>,
}

impl ChunkReader {
    /// A reader of these chunks of a table. Those of long rows come in pieces that end anywhere if `in_pieces`:
    /// then their rows count in the last piece.
    pub fn new(
        repository: Repository,
        table: &TableEntry,
        chunks: Vec<RowChunk>,
        in_pieces: bool,
    ) -> Result<Self, RepositoryError> {
        let opener = repository.codec().opener().map_err(|source| repository.error(source))?;
        Ok(ChunkReader {
            repository,
            opener,
            rest: chunks.into(),
            read: Run::new(),
            table: table.qualified_name(),
            spec: table.digest_spec.clone(),
            digester: RowsDigester::new(&table.digest_spec),
            in_pieces,
            open: None,
            ahead: JoinSet::new(),
        })
    }

    /// The next chunk, or the next piece of a long one; the bytes of all of it were compared with its
    /// identity, and its rows with their count and digest.
    pub async fn next(&mut self) -> Result<Option<Chunk>, RepositoryError> {
        if let Some(piece) = self.next_piece()? {
            return Ok(Some(piece));
        }
        if self.read.is_empty() {
            self.read_run().await?;
        }
        let Some((chunk, stored)) = self.read.pop_front() else { return Ok(None) };
        if self.in_pieces && is_long(&chunk.place, chunk.digest) {
            let opened =
                LongChunk::open(self.repository.codec(), &self.spec, &chunk.place, stored, chunk.digest);
            self.open = Some(opened.map_err(|source| self.repository.error(source))?);
            return self.next_piece();
        }
        let data = self.opener.open(&chunk.place, &stored).map_err(|source| self.repository.error(source))?;
        check_rows(&mut self.digester, &self.table, &chunk.place, &data, chunk.digest)?;
        Ok(Some(Chunk { data, row_count: chunk.digest.row_count, digest: chunk.digest }))
    }

    /// The next piece of a long chunk. The last one stands for its rows.
    fn next_piece(&mut self) -> Result<Option<Chunk>, RepositoryError> {
        let Some(long) = &mut self.open else { return Ok(None) };
        let piece = long.next_piece(&self.table);
        let piece = piece.map_err(|fault| fault.into_error(|source| self.repository.error(source)))?;
        if piece.as_ref().is_none_or(|(_, digest)| digest.row_count > 0) {
            self.open = None;
        }
        Ok(piece.map(|(data, digest)| Chunk { data, row_count: digest.row_count, digest }))
    }

    /// Waits for the run that is being read, and starts to read the one after it.
    async fn read_run(&mut self) -> Result<(), RepositoryError> {
        if self.ahead.is_empty() {
            self.start_run();
        }
        if let Some(run) = self.ahead.join_next().await {
            self.read = run.map_err(|error| RepositoryError::Worker {
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
        let (pack, repository) = (run[0].place.pack, self.repository.clone());
        self.ahead.spawn(async move {
            let bytes = repository.pack_range(pack, range_start..range_end).await?;
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
