//! Sealed chunks into packs, packs into a store.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use dbhaul_archive::{
    ChunkCodec, ChunkPlace, ChunkSealer, Document, PackBuilder, PackEntry, PackId, PackKind, PackSummary,
    SealedChunk, SealedPack,
};
use dbhaul_store::{ErrorKind, Store, StoreError, StoreExt};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::blocking;
use crate::{MetadataSealer, RepositoryError};

/// Packs that are uploaded while the next one fills.
const UPLOADS: usize = 2;

/// As much is copied and hashed where it comes: to hand it to another thread would take as long.
const INLINE_BYTES: usize = 64 << 10;

/// Where a chunk went, until its pack is finished and has a name.
#[derive(Debug, Clone)]
pub struct PlacedChunk(Placed);

#[derive(Debug, Clone)]
enum Placed {
    New {
        pack: PackName,
        entry: PackEntry,
    },
    /// In a pack of another backup.
    Known(ChunkPlace),
}

/// The name of a pack, known when it is full: it is the hash of all its bytes.
type PackName = Arc<OnceLock<PackId>>;

impl PlacedChunk {
    /// Its place, once its pack has a name.
    pub fn place(&self) -> Option<ChunkPlace> {
        match &self.0 {
            Placed::New { pack, entry } => pack.get().map(|pack| entry.place(*pack)),
            Placed::Known(place) => Some(*place),
        }
    }

    /// A chunk that lies in a pack of another backup.
    pub fn known(place: ChunkPlace) -> Self {
        PlacedChunk(Placed::Known(place))
    }
}

/// What a [`PackWriter`] has written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WrittenPacks {
    /// All packs.
    pub packs: Vec<PackSummary>,
    /// How many of them were not in the store before.
    pub new_packs: u64,
    /// Bytes of these.
    pub new_bytes: u64,
}

impl WrittenPacks {
    /// These and those of another writer.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.packs.extend(other.packs);
        self.new_packs += other.new_packs;
        self.new_bytes += other.new_bytes;
        self
    }

    fn add(&mut self, (pack, is_new): (PackSummary, bool)) {
        self.packs.push(pack);
        if is_new {
            self.new_packs += 1;
            self.new_bytes += pack.bytes;
        }
    }
}

/// Builds packs out of runs of chunks that many tasks bring, and uploads them.
/// Dropping it aborts the uploads; what was uploaded stays unreferenced.
#[derive(Debug)]
pub struct PackWriter {
    store: Arc<dyn Store>,
    codec: ChunkCodec,
    kind: PackKind,
    state: Mutex<State>,
    upload_permits: Arc<Semaphore>,
    cancel: CancellationToken,
}

#[derive(Debug)]
struct State {
    builder: PackBuilder,
    /// The name that the pack in `builder` will have.
    name: PackName,
    uploads: JoinSet<Result<(PackSummary, bool), RepositoryError>>,
    written: WrittenPacks,
}

impl PackWriter {
    /// A writer of packs of a kind into a store, as this codec makes them. Uploads end at once when `cancel` is
    /// cancelled, however long the store would take: what becomes of them is nobody's concern then.
    pub fn new(
        store: Arc<dyn Store>,
        codec: &ChunkCodec,
        kind: PackKind,
        cancel: &CancellationToken,
    ) -> Self {
        let state = State {
            builder: PackBuilder::new(kind),
            name: PackName::default(),
            uploads: JoinSet::new(),
            written: WrittenPacks::default(),
        };
        PackWriter {
            store,
            codec: codec.clone(),
            kind,
            state: Mutex::new(state),
            upload_permits: Arc::new(Semaphore::new(UPLOADS)),
            cancel: cancel.clone(),
        }
    }

    /// Adds chunks, which stay neighbours as far as packs allow. Waits while too
    /// many packs are being uploaded, which holds up all that bring chunks.
    pub async fn add(&self, chunks: &[SealedChunk]) -> Result<Vec<PlacedChunk>, RepositoryError> {
        // a chunk that is named by other keys could be stored, and never be opened
        if chunks.iter().any(|chunk| chunk.generation != self.codec.generation()) {
            let reason = "a chunk was sealed for another key generation".to_owned();
            return Err(RepositoryError::Worker { what: "pack writer".into(), reason });
        }
        let mut state = self.state.lock().await;
        let mut placed = Vec::with_capacity(chunks.len());
        let mut rest = chunks;
        while !rest.is_empty() {
            let entries = self.fill(&mut state, rest).await?;
            rest = &rest[entries.len()..];
            let in_pack = |entry| PlacedChunk(Placed::New { pack: Arc::clone(&state.name), entry });
            placed.extend(entries.into_iter().map(in_pack));
            if state.builder.is_full() {
                self.upload(&mut state).await?;
            }
        }
        Ok(placed)
    }

    /// Puts chunks into the pack at hand until it is full; returns the entries of those that it took, one at least.
    async fn fill(
        &self,
        state: &mut State,
        chunks: &[SealedChunk],
    ) -> Result<Vec<PackEntry>, RepositoryError> {
        if chunks.iter().map(|chunk| chunk.stored.len()).sum::<usize>() <= INLINE_BYTES {
            return Ok(fill(&mut state.builder, chunks));
        }
        let mut builder = std::mem::replace(&mut state.builder, PackBuilder::new(self.kind));
        let chunks = chunks.to_vec();
        let work = move || {
            let entries = fill(&mut builder, &chunks);
            Ok((builder, entries))
        };
        let (builder, entries) = blocking("writer of a pack", work).await?;
        state.builder = builder;
        Ok(entries)
    }

    /// Seals plain pieces and adds them; for metadata, which is small.
    pub async fn add_plain(
        &self,
        sealer: &MetadataSealer,
        pieces: Vec<Bytes>,
    ) -> Result<Vec<PlacedChunk>, RepositoryError> {
        let work = move |sealer: &mut ChunkSealer| pieces.iter().map(|piece| sealer.seal(piece)).collect();
        let sealed: Vec<SealedChunk> = sealer.seal(work).await?;
        self.add(&sealed).await
    }

    /// Uploads the last pack, waits for all, and returns the packs.
    pub async fn finish(self) -> Result<WrittenPacks, RepositoryError> {
        self.flush().await?;
        let mut state = self.state.lock().await;
        while let Some(result) = state.uploads.join_next().await {
            let uploaded = joined(result)?;
            state.written.add(uploaded);
        }
        Ok(std::mem::take(&mut state.written))
    }

    /// Ends the pack that is filling, so that all chunks that were added have a place. Waits while too many packs are
    /// being uploaded.
    pub async fn flush(&self) -> Result<(), RepositoryError> {
        let mut state = self.state.lock().await;
        if state.builder.is_empty() { Ok(()) } else { self.upload(&mut state).await }
    }

    /// Stops the uploads and waits for their ends. What was uploaded stays unreferenced.
    pub async fn abort(&self) {
        self.state.lock().await.uploads.shutdown().await;
    }

    async fn upload(&self, state: &mut State) -> Result<(), RepositoryError> {
        while let Some(result) = state.uploads.try_join_next() {
            let uploaded = joined(result)?;
            state.written.add(uploaded);
        }
        let permit = Arc::clone(&self.upload_permits).acquire_owned().await;
        let builder = std::mem::replace(&mut state.builder, PackBuilder::new(self.kind));
        let name = std::mem::take(&mut state.name);
        let (describe, codec) = (self.store.describe(), self.codec.clone());
        let seal = move || {
            let sealed = codec.seal_pack(builder);
            sealed.map_err(|source| RepositoryError::Archive { store: describe, source })
        };
        let pack = blocking("writer of a pack", seal).await?;
        // each pack is finished once, so the name is not taken
        let _ = name.set(pack.id);
        let (store, cancel) = (Arc::clone(&self.store), self.cancel.clone());
        state.uploads.spawn(async move {
            let _permit = permit;
            let put = cancel.run_until_cancelled(put_pack(store.as_ref(), pack)).await;
            Ok(put.ok_or(RepositoryError::Cancelled)??)
        });
        Ok(())
    }
}

/// Puts chunks into a pack until it is full.
fn fill(builder: &mut PackBuilder, chunks: &[SealedChunk]) -> Vec<PackEntry> {
    let mut entries = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        entries.push(builder.add(chunk));
        if builder.is_full() {
            break;
        }
    }
    entries
}

/// Uploads a pack. One that is there already has the same name, which is the hash
/// of its bytes, but whether it still has those bytes is only known by looking: if
/// it was damaged since, it is written again. Returns whether it was written.
async fn put_pack(store: &dyn Store, pack: SealedPack) -> Result<(PackSummary, bool), StoreError> {
    let summary = PackSummary { id: pack.id, bytes: pack.bytes.len() as u64, kind: pack.kind };
    let key = pack.key();
    match store.create(&key, pack.bytes.clone()).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let is_damaged = store.get(&key).await? != pack.bytes;
            if is_damaged {
                store.overwrite(&key, pack.bytes).await?;
            }
            Ok((summary, is_damaged))
        }
        result => result.map(|()| (summary, true)),
    }
}

fn joined<T>(
    result: Result<Result<T, RepositoryError>, tokio::task::JoinError>,
) -> Result<T, RepositoryError> {
    match result {
        Ok(result) => result,
        Err(error) => {
            Err(RepositoryError::Worker { what: "upload of a pack".into(), reason: error.to_string() })
        }
    }
}

/// The document made of placed pieces, once the packs have names.
pub fn document(pieces: &[PlacedChunk]) -> Option<Document> {
    pieces.iter().map(PlacedChunk::place).collect::<Option<Vec<_>>>().map(Document::new)
}

/// All packs have names at the end; one that has none then is a bug of ours.
pub fn unnamed_pack() -> RepositoryError {
    RepositoryError::Worker { what: "pack writer".into(), reason: "a chunk lies in no finished pack".into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use dbhaul_archive::{ChunkCodec, PackKind, keys};
    use dbhaul_store::{CancelStore, Fault, FaultRule, FaultStore, MemoryStore, Operation, Store, StoreExt};
    use tokio_util::sync::CancellationToken;

    use super::PackWriter;
    use crate::MetadataSealer;

    async fn write(store: &Arc<dyn Store>) -> String {
        let writer = PackWriter::new(
            Arc::clone(store),
            &ChunkCodec::plain(),
            PackKind::Data,
            &CancellationToken::new(),
        );
        let sealer = MetadataSealer::new("memory", &ChunkCodec::plain(), 3).unwrap();
        writer.add_plain(&sealer, vec![Bytes::from_static(b"1\tone\n")]).await.unwrap();
        let written = writer.finish().await.unwrap();
        keys::pack(written.packs[0].id)
    }

    #[tokio::test]
    async fn a_pack_that_was_damaged_since_is_written_again() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let key = write(&store).await;
        let whole = store.get(&key).await.unwrap();
        let mut flipped = whole.to_vec();
        flipped[30] ^= 1;
        for damaged in [flipped, whole[..20].to_vec()] {
            store.overwrite(&key, damaged.into()).await.unwrap();
            assert_eq!(write(&store).await, key);
            assert_eq!(store.get(&key).await.unwrap(), whole);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_ends_at_once_when_the_user_stops_the_command() {
        let store = FaultStore::new(Arc::new(MemoryStore::default()));
        store.add(FaultRule::new(Fault::Hang).on(Operation::Put).times(u64::MAX));
        let cancel = CancellationToken::new();
        let store = CancelStore::new(Arc::new(store), cancel.clone());
        let writer = PackWriter::new(Arc::new(store), &ChunkCodec::plain(), PackKind::Data, &cancel);
        let sealer = MetadataSealer::new("memory", &ChunkCodec::plain(), 3).unwrap();
        writer.add_plain(&sealer, vec![Bytes::from_static(b"1\tone\n")]).await.unwrap();
        writer.flush().await.unwrap();
        cancel.cancel();
        let begun = tokio::time::Instant::now();
        assert!(writer.finish().await.unwrap_err().is_cancelled());
        assert!(begun.elapsed().is_zero());
    }
}
