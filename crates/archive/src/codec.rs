//! How chunks are named and packs are stored: the one place where encryption enters.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use age::x25519;
use bytes::Bytes;
use ulid::Ulid;

use crate::encryption::{
    Generation, MAX_HEADER_BYTES, Parts, decrypt, derive, encrypt, stored_range, stored_tail,
};
use crate::pack_index::HEADER_BYTES;
use crate::{
    ArchiveError, ChunkId, ChunkOpener, ChunkSealer, MAX_INDEX_BYTES, MAX_PACK_BYTES, PackBuilder, PackId,
    PackIndex, PackKind, PackReader, PackSummary, SealedPack, check_pack_header,
};

const CHUNK_CONTEXT: &str = "dbhaul 2026-11-30 identities of chunks, version 1";
const MANIFEST_CONTEXT: &str = "dbhaul 2026-11-30 seals of manifests, version 1";

/// Bytes of a plain pack's first block that are read with its header.
const FIRST_BLOCK_BYTES: u64 = 64 << 10;

/// How the chunks of a backup are named, and how its packs and its manifest are stored: as they are, or encrypted to
/// the keys of a generation. Cheap to clone.
#[derive(Clone, Default)]
pub struct ChunkCodec(Option<Arc<Keys>>);

struct Keys {
    generation: Ulid,
    chunk_key: [u8; 32],
    manifest_key: [u8; 32],
    data: x25519::Recipient,
    data_secret: Option<x25519::Identity>,
    metadata: x25519::Identity,
}

impl ChunkCodec {
    /// Nothing is encrypted.
    #[must_use]
    pub fn plain() -> Self {
        Self(None)
    }

    /// Everything is encrypted to the keys of a generation.
    #[must_use]
    pub fn of(generation: &Generation) -> Self {
        let metadata = generation.metadata_key();
        Self(Some(Arc::new(Keys {
            generation: generation.id(),
            chunk_key: derive(CHUNK_CONTEXT, metadata),
            manifest_key: derive(MANIFEST_CONTEXT, metadata),
            data: generation.data_recipient().clone(),
            data_secret: generation.data_key().cloned(),
            metadata: metadata.clone(),
        })))
    }

    /// The generation of keys; `None` where nothing is encrypted.
    #[must_use]
    pub fn generation(&self) -> Option<Ulid> {
        self.0.as_ref().map(|keys| keys.generation)
    }

    /// Whether packs of this kind can be opened with the keys at hand.
    #[must_use]
    pub fn opens(&self, kind: PackKind) -> bool {
        self.0.as_ref().is_none_or(|keys| kind == PackKind::Meta || keys.data_secret.is_some())
    }

    /// The kind of packs that planner statistics lie in: they hold values of columns.
    #[must_use]
    pub fn statistics_kind(&self) -> PackKind {
        if self.0.is_some() { PackKind::Data } else { PackKind::Meta }
    }

    /// The identity of a chunk with these plain bytes.
    #[must_use]
    pub fn id(&self, plain: &[u8]) -> ChunkId {
        match &self.0 {
            None => ChunkId::of(plain),
            Some(keys) => ChunkId(*blake3::keyed_hash(&keys.chunk_key, plain).as_bytes()),
        }
    }

    /// What computes the identity of a chunk that comes in pieces.
    pub(crate) fn hasher(&self) -> blake3::Hasher {
        match &self.0 {
            None => blake3::Hasher::new(),
            Some(keys) => blake3::Hasher::new_keyed(&keys.chunk_key),
        }
    }

    /// What seals chunks at a level of zstd (1 to 22, negative ones are faster).
    ///
    /// # Errors
    /// [`ArchiveError::Seal`] if zstd refuses.
    pub fn sealer(&self, level: i32) -> Result<ChunkSealer, ArchiveError> {
        ChunkSealer::with_codec(level, self)
    }

    /// What opens chunks.
    ///
    /// # Errors
    /// [`ArchiveError::Seal`] if zstd has no memory.
    pub fn opener(&self) -> Result<ChunkOpener, ArchiveError> {
        ChunkOpener::with_codec(self)
    }

    /// Ends a pack, encrypts it and names it. CPU-bound: call it on a worker thread.
    ///
    /// # Errors
    /// [`ArchiveError::Encode`] if it cannot be encrypted.
    pub fn seal_pack(&self, builder: PackBuilder) -> Result<SealedPack, ArchiveError> {
        let plain = builder.finish();
        let Some(keys) = &self.0 else { return Ok(plain) };
        let stored = match plain.kind {
            PackKind::Data => encrypt(&keys.data, &plain.bytes),
            PackKind::Meta => encrypt(&keys.metadata.to_public(), &plain.bytes),
        };
        let stored = stored.map_err(|reason| ArchiveError::encode("a pack", reason))?;
        Ok(SealedPack { id: PackId::of(&stored), bytes: Bytes::from(stored), ..plain })
    }

    /// Verifies the stored bytes of a whole pack: its name, kind and index. Opens no chunk. CPU-bound.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedPack`], [`ArchiveError::NoKey`].
    pub fn open_pack(&self, pack: &PackSummary, stored: Bytes) -> Result<PackReader, ArchiveError> {
        let Some(keys) = &self.0 else {
            check_name(pack.id, &stored)?;
            check_pack_header(pack, &stored[..stored.len().min(HEADER_BYTES)])?;
            return PackReader::of_plain(pack.id, stored);
        };
        check_name(pack.id, &stored)?;
        let plain = decrypt(keys.identity(pack)?, &stored, MAX_PACK_BYTES);
        let plain = plain.map_err(|reason| keys.damaged(pack, &reason))?;
        check_pack_header(pack, &plain)?;
        PackReader::of_plain(pack.id, Bytes::from(plain))
    }

    /// Which stored bytes of a pack to read for a range of its plain bytes, beside the
    /// [first ones](Self::head) where it is encrypted.
    #[must_use]
    pub fn stored_range(&self, pack: &PackSummary, plain: &Range<u64>) -> Range<u64> {
        if self.0.is_some() { stored_range(pack.bytes, plain) } else { plain.clone() }
    }

    /// The first stored bytes of a pack, which are needed to decrypt any part of it; `None` where it is not encrypted.
    #[must_use]
    pub fn head(&self, pack: &PackSummary) -> Option<Range<u64>> {
        self.0.as_ref().map(|_| 0..pack.bytes.min(MAX_HEADER_BYTES))
    }

    /// A range of the plain bytes of a pack out of its [head](Self::head) and the
    /// [stored bytes](Self::stored_range) of the range. CPU-bound where it is encrypted.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedPack`], [`ArchiveError::NoKey`].
    pub fn open_range(
        &self,
        pack: &PackSummary,
        head: Bytes,
        stored: Bytes,
        plain: Range<u64>,
    ) -> Result<Bytes, ArchiveError> {
        let Some(keys) = &self.0 else { return Ok(stored) };
        let start = stored_range(pack.bytes, &plain).start;
        let parts = Parts::new(pack.bytes, vec![(0, head), (start, stored)]);
        let opened = parts.decrypt(keys.identity(pack)?, plain);
        opened.map(Bytes::from).map_err(|reason| keys.damaged(pack, &reason))
    }

    /// Which stored bytes to read for the header of a pack and for so many bytes at its plain end.
    #[must_use]
    pub fn ends(&self, pack: &PackSummary, tail_bytes: u64) -> [Range<u64>; 2] {
        match &self.0 {
            None => {
                let start = pack.bytes.saturating_sub(tail_bytes);
                [0..pack.bytes.min(HEADER_BYTES as u64), start..pack.bytes]
            }
            Some(_) => {
                [stored_range(pack.bytes, &(0..FIRST_BLOCK_BYTES)), stored_tail(pack.bytes, tail_bytes)]
            }
        }
    }

    /// The index of a pack, out of the stored bytes of its [ends](Self::ends); its header is compared with what the
    /// manifest says. `Err` with a number of bytes asks for a tail of so many. CPU-bound where it is encrypted.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedPack`], [`ArchiveError::NoKey`].
    pub fn open_index(
        &self,
        pack: &PackSummary,
        [head, tail]: [Bytes; 2],
        tail_bytes: u64,
    ) -> Result<Result<PackIndex, u64>, ArchiveError> {
        let Some(keys) = &self.0 else {
            check_pack_header(pack, &head)?;
            return PackIndex::parse(pack.id, pack.bytes, &tail);
        };
        let start = stored_tail(pack.bytes, tail_bytes).start;
        let parts = Parts::new(pack.bytes, vec![(0, head), (start, tail)]);
        let identity = keys.identity(pack)?;
        let open = |range| parts.decrypt(identity, range).map_err(|reason| keys.damaged(pack, &reason));
        let plain_bytes = parts.plain_bytes().map_err(|reason| keys.damaged(pack, &reason))?;
        check_pack_header(pack, &open(0..plain_bytes.min(HEADER_BYTES as u64))?)?;
        let tail_bytes = tail_bytes.min(MAX_INDEX_BYTES).min(plain_bytes);
        PackIndex::parse(pack.id, plain_bytes, &open(plain_bytes - tail_bytes..plain_bytes)?)
    }

    /// Encrypts the body of a manifest or a report; plain ones stay as they are.
    pub(crate) fn encrypt_body(&self, body: Vec<u8>) -> Result<Vec<u8>, ArchiveError> {
        let Some(keys) = &self.0 else { return Ok(body) };
        let encrypted = encrypt(&keys.metadata.to_public(), &body);
        encrypted.map_err(|reason| ArchiveError::encode("the manifest", reason))
    }

    /// The body of a manifest or a report whose seal was compared.
    pub(crate) fn decrypt_body(&self, body: &[u8], max_bytes: u64) -> Result<Vec<u8>, String> {
        match &self.0 {
            None => Ok(body.to_vec()),
            Some(keys) => decrypt(&keys.metadata, body, max_bytes),
        }
    }

    /// The seal of a manifest or a report under this key with this stored body. `None` where nothing is encrypted.
    pub(crate) fn manifest_seal(&self, key: &str, body: &[u8]) -> Option<(Ulid, blake3::Hash)> {
        let keys = self.0.as_ref()?;
        let mut hasher = blake3::Hasher::new_keyed(&keys.manifest_key);
        hasher.update(&(key.len() as u64).to_le_bytes()).update(key.as_bytes()).update(body);
        Some((keys.generation, hasher.finalize()))
    }
}

impl Keys {
    fn identity(&self, pack: &PackSummary) -> Result<&x25519::Identity, ArchiveError> {
        match (pack.kind, &self.data_secret) {
            (PackKind::Meta, _) => Ok(&self.metadata),
            (PackKind::Data, Some(secret)) => Ok(secret),
            (PackKind::Data, None) => Err(ArchiveError::NoKey {
                object: format!("pack {}", pack.id),
                key: "data",
                generation: self.generation,
            }),
        }
    }

    fn damaged(&self, pack: &PackSummary, reason: &str) -> ArchiveError {
        let key = if pack.kind == PackKind::Data { "data" } else { "metadata" };
        let generation = self.generation;
        let reason = format!("with the {key} key of generation {generation}: {reason}");
        ArchiveError::DamagedPack { pack: pack.id, reason }
    }
}

/// Compares a pack's stored bytes with its name, which takes no key. CPU-bound.
///
/// # Errors
/// [`ArchiveError::DamagedPack`].
pub fn check_name(pack: PackId, stored: &[u8]) -> Result<(), ArchiveError> {
    let found = PackId::of(stored);
    if found == pack {
        return Ok(());
    }
    let reason = format!("its {} bytes have the hash {found}", stored.len());
    Err(ArchiveError::DamagedPack { pack, reason })
}

impl fmt::Debug for ChunkCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ChunkCodec").field(&self.generation().map(|id| id.to_string())).finish()
    }
}
