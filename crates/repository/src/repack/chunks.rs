//! Copying chunks out of sparse packs, as they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbhaul_archive::{
    ArchiveError, ChunkCodec, ChunkOpener, ChunkPlace, PackId, PackKind, PackReader, PackSummary, SealedChunk,
};
use dbhaul_progress::one_line;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::ByPlace;
use super::survey::SparsePack;
use crate::access::blocking;
use crate::check::stop_if_cancelled;
use crate::{PackWriter, PlacedChunk, Repository, RepositoryError, unnamed_pack};

/// Chunks that are longer before compression are compared in pieces.
const LONG_CHUNK_BYTES: u64 = 8 << 20;

/// Where the chunks of sparse packs lie now.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) places: ByPlace<ChunkPlace>,
    /// The new packs.
    pub(super) packs: BTreeMap<PackId, PackSummary>,
}

impl Moved {
    /// The new place of a chunk; nothing for one that stays.
    pub(super) fn place(&self, old: &ChunkPlace) -> Option<ChunkPlace> {
        self.places.get(&(old.pack, old.offset)).copied().filter(|new| new.id == old.id)
    }
}

impl Repository {
    /// Copies what is needed of these packs into new ones, those of a key generation together.
    pub(super) async fn copy_chunks(
        &self,
        sparse: &BTreeMap<PackId, SparsePack>,
        cancel: &CancellationToken,
    ) -> Result<Moved, RepositoryError> {
        let mut moved = Moved::default();
        let mut by_generation: BTreeMap<Option<Ulid>, Vec<&SparsePack>> = BTreeMap::new();
        for pack in sparse.values() {
            by_generation.entry(pack.generation).or_default().push(pack);
        }
        for (generation, packs) in by_generation {
            let codec = self.keyring.codec(generation);
            let codec = codec.ok_or_else(|| RepositoryError::NoDataKey { store: self.describe() })?;
            self.copy_generation(codec, &packs, &mut moved, cancel).await?;
        }
        Ok(moved)
    }

    async fn copy_generation(
        &self,
        codec: ChunkCodec,
        packs: &[&SparsePack],
        moved: &mut Moved,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let mut reading = self.clone();
        reading.codec = codec;
        let writer = PackWriter::new(Arc::clone(self.store()), reading.codec(), PackKind::Data, cancel);
        let mut placed: ByPlace<PlacedChunk> = ByPlace::new();
        for pack in packs {
            stop_if_cancelled(cancel)?;
            let chunks = reading.live_chunks(pack).await?;
            let copies = writer.add(&chunks).await?;
            placed.extend(pack.live.keys().map(|offset| (pack.summary.id, *offset)).zip(copies));
        }
        let written = writer.finish().await?;
        moved.packs.extend(written.packs.into_iter().map(|pack| (pack.id, pack)));
        for (old, copy) in placed {
            moved.places.insert(old, copy.place().ok_or_else(unnamed_pack)?);
        }
        Ok(())
    }

    /// The chunks of a pack that backups need, by their offsets, as they are stored. All of the pack is compared with its
    /// name, and each chunk with its identity.
    pub(super) async fn live_chunks(&self, pack: &SparsePack) -> Result<Vec<SealedChunk>, RepositoryError> {
        let summary = pack.summary;
        let task = self.progress.task("PACK", &summary.id.to_string(), Some(summary.bytes));
        let read = async {
            let reader = self.read_pack(&summary).await?;
            let (codec, store) = (self.codec.clone(), self.describe());
            let places: Vec<ChunkPlace> = pack.live.values().copied().collect();
            let open = move || {
                let chunks = verified(&codec, &reader, &places);
                chunks.map_err(|source| RepositoryError::Archive { store, source })
            };
            blocking("reader of a pack", open).await
        };
        let chunks = read.await;
        match &chunks {
            Ok(_) => {
                task.advance(0, summary.bytes);
                task.finish();
            }
            Err(error) => task.fail(one_line(error)),
        }
        chunks
    }
}

fn verified(
    codec: &ChunkCodec,
    pack: &PackReader,
    places: &[ChunkPlace],
) -> Result<Vec<SealedChunk>, ArchiveError> {
    let mut opener = codec.opener()?;
    let mut chunks = Vec::with_capacity(places.len());
    for place in places {
        let stored = pack.stored(place)?;
        if place.plain_bytes > LONG_CHUNK_BYTES {
            drop(ChunkOpener::open_in_pieces(codec, place, stored.clone(), |_| ())?);
        } else {
            opener.open(place, &stored)?;
        }
        let (id, plain_bytes, generation) = (place.id, place.plain_bytes, codec.generation());
        chunks.push(SealedChunk { id, plain_bytes, stored, generation });
    }
    Ok(chunks)
}
