//! Sealed chunks into packs, packs into a store.

use std::sync::Arc;

use dbhaul_archive::{
    ChunkPlace, ChunkSealer, Document, PackBuilder, PackEntry, PackKind, PackSummary, SealedChunk, SealedPack,
};
use dbhaul_store::{ErrorKind, Store, StoreError, StoreExt};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

use crate::PipelineError;

/// Packs that are uploaded while the next one fills.
const UPLOADS: usize = 2;

/// Where a chunk went, until its pack is finished and has a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlacedChunk {
    pack_ordinal: usize,
    entry: PackEntry,
}

impl PlacedChunk {
    /// Its place, once the packs have names.
    pub(crate) fn place(&self, packs: &[PackSummary]) -> Option<ChunkPlace> {
        packs.get(self.pack_ordinal).map(|pack| self.entry.place(pack.id))
    }
}

/// Builds packs out of runs of chunks that many tasks bring, and uploads them.
/// Dropping it aborts the uploads; what was uploaded stays unreferenced.
#[derive(Debug)]
pub(crate) struct PackWriter {
    store: Arc<dyn Store>,
    kind: PackKind,
    state: Mutex<State>,
    upload_permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    builder: PackBuilder,
    /// How many packs were finished before the one in `builder`.
    finished_count: usize,
    uploads: JoinSet<Result<(usize, PackSummary), StoreError>>,
    uploaded: Vec<(usize, PackSummary)>,
}

impl PackWriter {
    pub(crate) fn new(store: Arc<dyn Store>, kind: PackKind) -> Self {
        let state = State {
            builder: PackBuilder::new(kind),
            finished_count: 0,
            uploads: JoinSet::new(),
            uploaded: Vec::new(),
        };
        PackWriter {
            store,
            kind,
            state: Mutex::new(state),
            upload_permits: Arc::new(Semaphore::new(UPLOADS)),
        }
    }

    /// Adds chunks, which stay neighbours as far as packs allow. Waits while too
    /// many packs are being uploaded, which holds up all that bring chunks.
    pub(crate) async fn add(&self, chunks: &[SealedChunk]) -> Result<Vec<PlacedChunk>, PipelineError> {
        let mut state = self.state.lock().await;
        let mut placed = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let entry = state.builder.add(chunk);
            placed.push(PlacedChunk { pack_ordinal: state.finished_count, entry });
            if state.builder.is_full() {
                self.upload(&mut state).await?;
            }
        }
        Ok(placed)
    }

    /// Seals plain pieces and adds them; for metadata, which is small.
    pub(crate) async fn add_plain(
        &self,
        sealer: &mut ChunkSealer,
        pieces: &[bytes::Bytes],
    ) -> Result<Vec<PlacedChunk>, PipelineError> {
        let mut placed = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let sealed = sealer.seal(piece).map_err(|source| self.archive_error(source))?;
            placed.extend(self.add(&[sealed]).await?);
        }
        Ok(placed)
    }

    /// Uploads the last pack, waits for all, and returns the packs by their ordinals.
    pub(crate) async fn finish(self) -> Result<Vec<PackSummary>, PipelineError> {
        let mut state = self.state.lock().await;
        if !state.builder.is_empty() {
            self.upload(&mut state).await?;
        }
        while let Some(result) = state.uploads.join_next().await {
            let uploaded = joined(result)?;
            state.uploaded.push(uploaded);
        }
        let mut packs = std::mem::take(&mut state.uploaded);
        packs.sort_by_key(|(ordinal, _)| *ordinal);
        Ok(packs.into_iter().map(|(_, pack)| pack).collect())
    }

    /// Stops the uploads and waits for their ends. What was uploaded stays unreferenced.
    pub(crate) async fn abort(&self) {
        self.state.lock().await.uploads.shutdown().await;
    }

    async fn upload(&self, state: &mut State) -> Result<(), PipelineError> {
        while let Some(result) = state.uploads.try_join_next() {
            state.uploaded.push(joined(result)?);
        }
        let permit = Arc::clone(&self.upload_permits).acquire_owned().await;
        let builder = std::mem::replace(&mut state.builder, PackBuilder::new(self.kind));
        let ordinal = state.finished_count;
        state.finished_count += 1;
        let store = Arc::clone(&self.store);
        state.uploads.spawn(async move {
            let _permit = permit;
            put_pack(store.as_ref(), builder.finish()).await.map(|pack| (ordinal, pack))
        });
        Ok(())
    }

    fn archive_error(&self, source: dbhaul_archive::ArchiveError) -> PipelineError {
        PipelineError::Archive { store: self.store.describe(), source }
    }
}

/// Uploads a pack. One that is there already has the same name, which is the hash
/// of its bytes, but whether it still has those bytes is only known by looking: if
/// it was damaged since, it is written again.
async fn put_pack(store: &dyn Store, pack: SealedPack) -> Result<PackSummary, StoreError> {
    let summary = PackSummary { id: pack.id, bytes: pack.bytes.len() as u64, kind: pack.kind };
    let key = pack.key();
    match store.create(&key, pack.bytes.clone()).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if store.get(&key).await? != pack.bytes {
                store.overwrite(&key, pack.bytes).await?;
            }
        }
        result => result?,
    }
    Ok(summary)
}

fn joined<T>(result: Result<Result<T, StoreError>, tokio::task::JoinError>) -> Result<T, PipelineError> {
    match result {
        Ok(result) => Ok(result?),
        Err(error) => {
            Err(PipelineError::Worker { what: "upload of a pack".into(), reason: error.to_string() })
        }
    }
}

/// The document made of placed pieces, once the packs have names.
pub(crate) fn document(pieces: &[PlacedChunk], packs: &[PackSummary]) -> Option<Document> {
    pieces.iter().map(|piece| piece.place(packs)).collect::<Option<Vec<_>>>().map(Document::new)
}

/// Pack ids by ordinal are only known at the end; a pack that is missing there is a bug of ours.
pub(crate) fn unnamed_pack() -> PipelineError {
    PipelineError::Worker { what: "pack writer".into(), reason: "a chunk lies in no finished pack".into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use dbhaul_archive::{ChunkSealer, PackKind, keys};
    use dbhaul_store::{MemoryStore, Store, StoreExt};

    use super::PackWriter;

    async fn write(store: &Arc<dyn Store>) -> String {
        let writer = PackWriter::new(Arc::clone(store), PackKind::Data);
        let mut sealer = ChunkSealer::new(3).unwrap();
        writer.add_plain(&mut sealer, &[Bytes::from_static(b"1\tone\n")]).await.unwrap();
        let packs = writer.finish().await.unwrap();
        keys::pack(packs[0].id)
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
}
