//! One chunk: identity and compression.

use bytes::Bytes;
use zstd::zstd_safe::CParameter;

use ulid::Ulid;

use crate::{ArchiveError, ChunkCodec, ChunkId, ChunkPlace};

/// No chunk is larger, before compression. PostgreSQL's COPY messages stay below 1 GiB.
pub const MAX_CHUNK_BYTES: u64 = 2 << 30;

/// A chunk ready for a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedChunk {
    /// Its identity.
    pub id: ChunkId,
    /// Its bytes before compression.
    pub plain_bytes: u64,
    /// Its bytes as stored: one zstd frame with content size and checksum.
    pub stored: Bytes,
    /// The generation of keys that its identity is keyed by; `None` where nothing is encrypted.
    pub generation: Option<Ulid>,
}

/// Entries of the table of positions, as a power of 2, at [`FAST_LEVEL`]. zstd takes half of it for content
/// as short as most chunks; with this they come out 1% smaller in the same time.
const FAST_HASH_LOG: u32 = 14;
/// The level that is tuned for chunks.
const FAST_LEVEL: i32 = 1;

/// The room for compressed bytes that is kept from one chunk to the next.
const KEPT_SCRATCH_BYTES: usize = 4 << 20;

/// Compresses chunks, one per thread; keeps its working memory between them.
pub struct ChunkSealer {
    compressor: zstd::bulk::Compressor<'static>,
    /// A chunk is compressed into this and copied out of it at its length, because the room it may need
    /// is larger than itself.
    scratch: Vec<u8>,
    codec: ChunkCodec,
}

impl ChunkSealer {
    /// A sealer for what is not encrypted, as [`ChunkCodec::sealer`] makes it.
    ///
    /// # Errors
    /// [`ArchiveError::Seal`] if zstd refuses.
    pub fn new(level: i32) -> Result<Self, ArchiveError> {
        Self::with_codec(level, &ChunkCodec::plain())
    }

    pub(crate) fn with_codec(level: i32, codec: &ChunkCodec) -> Result<Self, ArchiveError> {
        let fail = |error: std::io::Error| ArchiveError::Seal { plain_bytes: 0, reason: error.to_string() };
        let mut compressor = zstd::bulk::Compressor::new(level).map_err(fail)?;
        // So that `zstd -d` of a pack by hand finds damage, too.
        compressor.include_checksum(true).map_err(fail)?;
        if level == FAST_LEVEL {
            compressor.set_parameter(CParameter::HashLog(FAST_HASH_LOG)).map_err(fail)?;
        }
        Ok(Self { compressor, scratch: Vec::new(), codec: codec.clone() })
    }

    /// The identity of a chunk with these bytes. CPU-bound: call it on a worker thread.
    #[must_use]
    pub fn id(&self, plain: &[u8]) -> ChunkId {
        self.codec.id(plain)
    }

    /// Names and compresses a chunk. CPU-bound: call it on a worker thread.
    ///
    /// # Errors
    /// [`ArchiveError::Seal`] if it is larger than [`MAX_CHUNK_BYTES`] or zstd fails.
    pub fn seal(&mut self, plain: &[u8]) -> Result<SealedChunk, ArchiveError> {
        let id = self.id(plain);
        self.seal_as(id, plain)
    }

    /// As [`seal`](Self::seal), for a chunk whose [`id`](Self::id) is known already.
    ///
    /// # Errors
    /// As those of [`seal`](Self::seal).
    pub fn seal_as(&mut self, id: ChunkId, plain: &[u8]) -> Result<SealedChunk, ArchiveError> {
        let plain_bytes = plain.len() as u64;
        let fail = |reason: String| ArchiveError::Seal { plain_bytes, reason };
        if plain_bytes > MAX_CHUNK_BYTES {
            return Err(fail(format!("the limit is {MAX_CHUNK_BYTES} bytes")));
        }
        self.scratch.clear();
        self.scratch.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let sealing = self.compressor.compress_to_buffer(plain, &mut self.scratch);
        sealing.map_err(|error| fail(error.to_string()))?;
        // of a long row that stays long there is no room for a copy
        let stored = match self.scratch.len() > KEPT_SCRATCH_BYTES {
            true => Bytes::from(std::mem::take(&mut self.scratch)),
            false => Bytes::copy_from_slice(&self.scratch),
        };
        if self.scratch.capacity() > KEPT_SCRATCH_BYTES {
            self.scratch = Vec::new();
        }
        let generation = self.codec.generation();
        Ok(SealedChunk { id, plain_bytes, stored, generation })
    }
}

impl std::fmt::Debug for ChunkSealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkSealer").finish_non_exhaustive()
    }
}

/// Decompresses and verifies chunks, one per thread.
pub struct ChunkOpener {
    decompressor: zstd::bulk::Decompressor<'static>,
    codec: ChunkCodec,
}

impl ChunkOpener {
    /// An opener for what is not encrypted, as [`ChunkCodec::opener`] makes it.
    ///
    /// # Errors
    /// [`ArchiveError::Seal`] if zstd has no memory.
    pub fn new() -> Result<Self, ArchiveError> {
        Self::with_codec(&ChunkCodec::plain())
    }

    pub(crate) fn with_codec(codec: &ChunkCodec) -> Result<Self, ArchiveError> {
        let fail = |error: std::io::Error| ArchiveError::Seal { plain_bytes: 0, reason: error.to_string() };
        let decompressor = zstd::bulk::Decompressor::new().map_err(fail)?;
        Ok(Self { decompressor, codec: codec.clone() })
    }

    /// The plain bytes of the chunk at `place`, given its stored bytes. Allocates no more than the place says.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedChunk`] unless lengths and hash are those of the place.
    pub fn open(&mut self, place: &ChunkPlace, stored: &[u8]) -> Result<Bytes, ArchiveError> {
        self.open_verified(place, stored).map_err(|reason| ArchiveError::DamagedChunk {
            pack: place.pack,
            chunk: place.id,
            offset: place.offset,
            reason,
        })
    }

    /// Bytes of the frame's content, if that and its own length are those of the place.
    pub(crate) fn check_frame(place: &ChunkPlace, stored: &[u8]) -> Result<u64, String> {
        if stored.len() as u64 != place.stored_bytes {
            return Err(format!("its stored size is {}, not {}", stored.len(), place.stored_bytes));
        }
        let content_bytes = zstd::zstd_safe::get_frame_content_size(stored)
            .map_err(|_| "not a zstd frame".to_owned())?
            .ok_or("the zstd frame does not say its size")?;
        if content_bytes != place.plain_bytes || content_bytes > MAX_CHUNK_BYTES {
            return Err(format!("its content has the size {content_bytes}, not {}", place.plain_bytes));
        }
        Ok(content_bytes)
    }

    fn open_verified(&mut self, place: &ChunkPlace, stored: &[u8]) -> Result<Bytes, String> {
        let content_bytes = Self::check_frame(place, stored)?;
        let capacity = usize::try_from(content_bytes).map_err(|error| error.to_string())?;
        let plain = self.decompressor.decompress(stored, capacity).map_err(|error| error.to_string())?;
        if plain.len() != capacity {
            return Err(format!(
                "its content has the size {} when decompressed, not {capacity}",
                plain.len()
            ));
        }
        let found: ChunkId = self.codec.id(&plain);
        if found != place.id {
            return Err(format!("its bytes have the hash {found}"));
        }
        Ok(Bytes::from(plain))
    }
}

impl std::fmt::Debug for ChunkOpener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkOpener").finish_non_exhaustive()
    }
}
