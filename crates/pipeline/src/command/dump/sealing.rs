//! Naming and compression on threads of their own, so that whatever else goes on, heartbeats, keepalives and Ctrl-C,
//! does not wait for them.
//!
//! A worker that reads rows hands its chunks over, and goes on reading while they are sealed. All readers share as many
//! threads as there are readers, and more where the machine has more cores.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dbhaul_archive::{ArchiveError, ChunkCodec, ChunkSealer};
use dbhaul_rows::{Chunk, RowDigest};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::PipelineError;
use dbhaul_repository::{KnownChunks, ReadyChunk, RepositoryError};

/// Plain bytes that are handed over together: a change between threads takes as long as it takes to hash a chunk.
const BATCH_BYTES: usize = 256 << 10;

/// With so many plain bytes waiting, until they or those before them are sealed, a reader reads no more.
const MAX_WAITING_BYTES: usize = 2 << 20;

/// Sealers that all readers of a run share.
pub(crate) struct Sealers {
    /// The store, for errors.
    store: String,
    level: i32,
    codec: ChunkCodec,
    free: Arc<Semaphore>,
    /// Those that are free, once they were used.
    used: Arc<Mutex<Vec<ChunkSealer>>>,
}

impl Sealers {
    /// So many threads that seal as a codec does, at least one, at a zstd level.
    pub(crate) fn new(store: String, codec: &ChunkCodec, level: i32, count: usize) -> Self {
        Sealers {
            store,
            level,
            codec: codec.clone(),
            free: Arc::new(Semaphore::new(count.max(1))),
            used: Arc::default(),
        }
    }

    fn error(&self, source: ArchiveError) -> PipelineError {
        RepositoryError::Archive { store: self.store.clone(), source }.into()
    }

    /// The sealing of one reader.
    pub(crate) fn reader(self: &Arc<Self>) -> Sealing {
        Sealing {
            sealers: Arc::clone(self),
            batch: Vec::new(),
            batch_bytes: 0,
            known: None,
            handed: JoinSet::new(),
            waiting: VecDeque::new(),
            first: 0,
            waiting_bytes: 0,
        }
    }
}

/// Seals the chunks of one reader, in order. Dropping it forgets what is not sealed yet.
pub(crate) struct Sealing {
    sealers: Arc<Sealers>,
    /// The last of those that wait, not handed over yet.
    batch: Vec<Chunk>,
    batch_bytes: usize,
    /// The chunks that need not be sealed.
    known: Option<Arc<KnownChunks>>,
    /// What is being done for this reader.
    handed: JoinSet<Sealed>,
    /// Chunks from number `first` on; those without a result are being sealed.
    waiting: VecDeque<Waiting>,
    first: u64,
    waiting_bytes: usize,
}

/// The number of the first chunk of a batch, and its chunks.
type Sealed = Result<(u64, Vec<ReadyChunk>), ArchiveError>;

/// A chunk whose rows need not be there any more once it is sealed.
struct Waiting {
    digest: RowDigest,
    plain_bytes: usize,
    ready: Option<ReadyChunk>,
}

impl Sealing {
    /// Begins a segment of a table that has these chunks elsewhere.
    pub(crate) fn begin(&mut self, known: Option<Arc<KnownChunks>>) {
        self.known = known;
    }

    /// Has a chunk sealed, unless it is known, together with its neighbours. After it take what is ready: that is what
    /// bounds memory.
    pub(crate) async fn push(&mut self, chunk: Chunk) -> Result<(), PipelineError> {
        let plain_bytes = chunk.data.len();
        self.waiting.push_back(Waiting { digest: chunk.digest, plain_bytes, ready: None });
        self.waiting_bytes += plain_bytes;
        self.batch.push(chunk);
        self.batch_bytes += plain_bytes;
        if self.batch_bytes >= BATCH_BYTES { self.hand_over().await } else { Ok(()) }
    }

    /// Hands the open batch over, as soon as a thread is free.
    async fn hand_over(&mut self) -> Result<(), PipelineError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let permit = Arc::clone(&self.sealers.free).acquire_owned().await;
        let permit = permit.map_err(|error| lost(&error.to_string()))?;
        let first = self.first + (self.waiting.len() - self.batch.len()) as u64;
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let (used, level) = (Arc::clone(&self.sealers.used), self.sealers.level);
        let (codec, known) = (self.sealers.codec.clone(), self.known.clone());
        self.handed.spawn_blocking(move || {
            let _permit = permit;
            let sealer = used.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut sealer = sealer.map_or_else(|| codec.sealer(level), Ok)?;
            let ready =
                batch.into_iter().map(|chunk| ReadyChunk::new(&mut sealer, &chunk.data, known.as_deref()));
            let ready: Result<_, _> = ready.collect();
            used.lock().unwrap_or_else(PoisonError::into_inner).push(sealer);
            Ok((first, ready?))
        });
        Ok(())
    }

    /// The next chunk in order with the digest of its rows, if it is ready. Waits for it if too many wait, or if
    /// it is asked for the last chunks of a segment.
    pub(crate) async fn next_ready(
        &mut self,
        is_last: bool,
    ) -> Result<Option<(ReadyChunk, RowDigest)>, PipelineError> {
        while let Some(result) = self.handed.try_join_next() {
            self.take(result)?;
        }
        while self.waiting.front().is_some_and(|front| front.ready.is_none()) {
            if !is_last && self.waiting_bytes < MAX_WAITING_BYTES {
                return Ok(None);
            }
            if is_last || self.handed.is_empty() {
                self.hand_over().await?;
            }
            let result = self.handed.join_next().await.ok_or_else(|| lost("its result is missing"))?;
            self.take(result)?;
        }
        let Some(Waiting { digest, plain_bytes, ready: Some(ready) }) = self.waiting.pop_front() else {
            return Ok(None);
        };
        self.first += 1;
        self.waiting_bytes -= plain_bytes;
        Ok(Some((ready, digest)))
    }

    /// Forgets the chunks of an attempt that failed.
    pub(crate) async fn clear(&mut self) {
        self.handed.shutdown().await;
        self.batch.clear();
        self.batch_bytes = 0;
        self.first += self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    fn take(&mut self, sealed: Result<Sealed, tokio::task::JoinError>) -> Result<(), PipelineError> {
        let sealed = sealed.map_err(|error| lost(&error.to_string()))?;
        let (first, ready) = sealed.map_err(|source| self.sealers.error(source))?;
        let index = first.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let index = index.filter(|index| index + ready.len() <= self.waiting.len());
        let index = index.ok_or_else(|| lost("nobody waits for it"))?;
        for (waiting, ready) in self.waiting.range_mut(index..).zip(ready) {
            waiting.ready = Some(ready);
        }
        Ok(())
    }
}

fn lost(reason: &str) -> PipelineError {
    PipelineError::Worker { what: "compression of a chunk".to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use dbhaul_archive::ChunkSealer;

    fn chunk(number: usize) -> Chunk {
        // the first ones take longest, so that threads finish out of order
        let data = format!("{number}\n").repeat(60_000 / (number % 50 + 1) + 1);
        let digest = RowDigest { row_count: number as u64, sum: 7 };
        Chunk { data: Bytes::from(data), row_count: number as u64, digest }
    }

    /// Seals so many chunks on so many threads; no more bytes may wait than the bound and one chunk.
    async fn check(threads: usize, chunks: usize) {
        let mut sealing =
            Arc::new(Sealers::new("store".to_owned(), &ChunkCodec::plain(), 1, threads)).reader();
        let mut own = ChunkSealer::new(1).unwrap();
        let mut found = Vec::new();
        for number in 0..chunks {
            let chunk = chunk(number);
            let bound = MAX_WAITING_BYTES + chunk.data.len();
            sealing.push(chunk).await.unwrap();
            assert!(sealing.waiting_bytes < bound, "{} bytes waited", sealing.waiting_bytes);
            while let Some(sealed) = sealing.next_ready(false).await.unwrap() {
                found.push(sealed);
            }
        }
        while let Some(sealed) = sealing.next_ready(true).await.unwrap() {
            found.push(sealed);
        }
        assert_eq!(found.len(), chunks);
        for (number, (sealed, digest)) in found.into_iter().enumerate() {
            let Chunk { data, digest: expected, .. } = chunk(number);
            assert_eq!((sealed, digest), (ReadyChunk::Sealed(own.seal(&data).unwrap()), expected));
        }
        assert_eq!(sealing.waiting_bytes, 0);
    }

    #[tokio::test]
    async fn chunks_come_in_order_whoever_seals_them() {
        for threads in [1, 3, 20] {
            check(threads, 500).await;
        }
    }

    #[tokio::test]
    async fn what_was_cleared_does_not_come() {
        let mut sealing = Arc::new(Sealers::new("store".to_owned(), &ChunkCodec::plain(), 1, 2)).reader();
        sealing.push(chunk(0)).await.unwrap();
        sealing.push(chunk(1)).await.unwrap();
        sealing.clear().await;
        sealing.push(chunk(2)).await.unwrap();
        let (_, digest) = sealing.next_ready(true).await.unwrap().unwrap();
        assert_eq!(digest, chunk(2).digest);
        assert!(sealing.next_ready(true).await.unwrap().is_none());
    }
}
