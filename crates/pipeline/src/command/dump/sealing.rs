//! Compression on threads of its own, where the machine has more cores than sessions read.
//!
//! A worker that reads rows seals the chunks itself while all helpers are busy, and hands them over while one
//! is free: so compression takes the cores that are there, and where there are none it costs nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dbhaul_archive::{ArchiveError, ChunkCodec, ChunkSealer, SealedChunk};
use dbhaul_rows::{Chunk, RowDigest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::PipelineError;
use dbhaul_repository::RepositoryError;

/// Chunks of one reader that helpers seal, or that wait for one before them, at most.
const MAX_WAITING_CHUNKS: usize = 8;

/// With so many plain bytes waiting a reader hands no more over.
const MAX_WAITING_BYTES: usize = 2 << 20;

/// Sealers that all readers of a run share.
pub(crate) struct Helpers {
    /// The store, for errors.
    store: String,
    level: i32,
    codec: ChunkCodec,
    free: Arc<Semaphore>,
    /// Those of the free helpers, once they were used.
    sealers: Arc<Mutex<Vec<ChunkSealer>>>,
}

impl Helpers {
    /// So many threads that seal as a codec does, at a zstd level.
    pub(crate) fn new(store: String, codec: &ChunkCodec, level: i32, count: usize) -> Self {
        Helpers {
            store,
            level,
            codec: codec.clone(),
            free: Arc::new(Semaphore::new(count)),
            sealers: Arc::default(),
        }
    }

    fn error(&self, source: ArchiveError) -> PipelineError {
        RepositoryError::Archive { store: self.store.clone(), source }.into()
    }

    /// The sealing of one reader.
    pub(crate) fn reader(self: &Arc<Self>) -> Result<Sealing, PipelineError> {
        let own = self.codec.sealer(self.level).map_err(|source| self.error(source))?;
        Ok(Sealing {
            helpers: Arc::clone(self),
            own,
            handed: JoinSet::new(),
            waiting: VecDeque::new(),
            first: 0,
            waiting_bytes: 0,
        })
    }
}

/// Seals the chunks of one reader, in order. Dropping it forgets what is not sealed yet.
pub(crate) struct Sealing {
    helpers: Arc<Helpers>,
    own: ChunkSealer,
    /// What helpers do for this reader, with the number of the chunk.
    handed: JoinSet<(u64, Result<SealedChunk, ArchiveError>)>,
    /// Chunks from number `first` on; those without a result are being sealed.
    waiting: VecDeque<Waiting>,
    first: u64,
    waiting_bytes: usize,
}

/// A chunk whose rows need not be there any more once it is sealed.
struct Waiting {
    digest: RowDigest,
    plain_bytes: usize,
    sealed: Option<SealedChunk>,
}

impl Sealing {
    /// Seals a chunk, or has a helper do it. After it take what is ready: that is what bounds memory.
    pub(crate) fn push(&mut self, chunk: Chunk) -> Result<(), PipelineError> {
        let (digest, plain_bytes) = (chunk.digest, chunk.data.len());
        let sealed = match Arc::clone(&self.helpers.free).try_acquire_owned() {
            Ok(permit) if plain_bytes <= MAX_WAITING_BYTES => {
                self.hand_over(chunk, permit);
                None
            }
            _ => Some(self.own.seal(&chunk.data).map_err(|source| self.helpers.error(source))?),
        };
        self.waiting_bytes += plain_bytes;
        self.waiting.push_back(Waiting { digest, plain_bytes, sealed });
        Ok(())
    }

    /// The next chunk in order with the digest of its rows, if it is ready. Waits for it if too many wait, or if
    /// it is asked for the last chunks of a segment.
    pub(crate) async fn next_sealed(
        &mut self,
        is_last: bool,
    ) -> Result<Option<(SealedChunk, RowDigest)>, PipelineError> {
        while let Some(result) = self.handed.try_join_next() {
            self.take(result)?;
        }
        while self.waiting.front().is_some_and(|front| front.sealed.is_none()) {
            if !is_last && self.waiting.len() < MAX_WAITING_CHUNKS && self.waiting_bytes < MAX_WAITING_BYTES {
                return Ok(None);
            }
            let result = self.handed.join_next().await.ok_or_else(|| lost("its result is missing"))?;
            self.take(result)?;
        }
        let Some(Waiting { digest, plain_bytes, sealed: Some(sealed) }) = self.waiting.pop_front() else {
            return Ok(None);
        };
        self.first += 1;
        self.waiting_bytes -= plain_bytes;
        Ok(Some((sealed, digest)))
    }

    /// Forgets the chunks of an attempt that failed.
    pub(crate) async fn clear(&mut self) {
        self.handed.shutdown().await;
        self.first += self.waiting.len() as u64;
        self.waiting.clear();
        self.waiting_bytes = 0;
    }

    fn hand_over(&mut self, chunk: Chunk, permit: OwnedSemaphorePermit) {
        let number = self.first + self.waiting.len() as u64;
        let (sealers, level) = (Arc::clone(&self.helpers.sealers), self.helpers.level);
        let codec = self.helpers.codec.clone();
        let pop =
            |sealers: &Mutex<Vec<ChunkSealer>>| sealers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        self.handed.spawn_blocking(move || {
            let _permit = permit;
            let sealer = pop(&sealers).map_or_else(|| codec.sealer(level), Ok);
            let result = sealer.and_then(|mut sealer| {
                let sealed = sealer.seal(&chunk.data);
                sealers.lock().unwrap_or_else(PoisonError::into_inner).push(sealer);
                sealed
            });
            (number, result)
        });
    }

    fn take(
        &mut self,
        result: Result<(u64, Result<SealedChunk, ArchiveError>), tokio::task::JoinError>,
    ) -> Result<(), PipelineError> {
        let (number, sealed) = result.map_err(|error| lost(&error.to_string()))?;
        let sealed = sealed.map_err(|source| self.helpers.error(source))?;
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        let waiting =
            index.and_then(|index| self.waiting.get_mut(index)).ok_or_else(|| lost("nobody waits for it"))?;
        waiting.sealed = Some(sealed);
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
        // the first ones take longest, so that helpers finish out of order
        let data = format!("{number}\n").repeat(20_000 / (number + 1) + 1);
        let digest = RowDigest { row_count: number as u64, sum: 7 };
        Chunk { data: Bytes::from(data), row_count: number as u64, digest }
    }

    /// Seals so many chunks with so many helpers; returns how many waited at most.
    async fn check(helpers: usize, chunks: usize) -> usize {
        let mut sealing =
            Arc::new(Helpers::new("store".to_owned(), &ChunkCodec::plain(), 1, helpers)).reader().unwrap();
        let mut own = ChunkSealer::new(1).unwrap();
        let (mut found, mut most) = (Vec::new(), 0);
        for number in 0..chunks {
            sealing.push(chunk(number)).unwrap();
            most = most.max(sealing.waiting.len());
            while let Some(sealed) = sealing.next_sealed(false).await.unwrap() {
                found.push(sealed);
            }
        }
        while let Some(sealed) = sealing.next_sealed(true).await.unwrap() {
            found.push(sealed);
        }
        assert_eq!(found.len(), chunks);
        for (number, (sealed, digest)) in found.into_iter().enumerate() {
            let Chunk { data, digest: expected, .. } = chunk(number);
            assert_eq!((sealed, digest), (own.seal(&data).unwrap(), expected));
        }
        assert_eq!(sealing.waiting_bytes, 0);
        most
    }

    #[tokio::test]
    async fn chunks_come_in_order_whoever_seals_them() {
        assert_eq!(check(0, 50).await, 1, "without helpers nothing waits");
        for helpers in [1, 3, 20] {
            let most = check(helpers, 200).await;
            assert!(most <= MAX_WAITING_CHUNKS, "{most} waited");
        }
    }

    #[tokio::test]
    async fn what_was_cleared_does_not_come() {
        let mut sealing =
            Arc::new(Helpers::new("store".to_owned(), &ChunkCodec::plain(), 1, 2)).reader().unwrap();
        sealing.push(chunk(0)).unwrap();
        sealing.push(chunk(1)).unwrap();
        sealing.clear().await;
        sealing.push(chunk(2)).unwrap();
        let (_, digest) = sealing.next_sealed(true).await.unwrap().unwrap();
        assert_eq!(digest, chunk(2).digest);
        assert!(sealing.next_sealed(true).await.unwrap().is_none());
    }
}
