//! Packs: many chunks in one immutable object.

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::check_name;
use crate::pack_index::{
    HEADER_BYTES, HEADER_CONTENT_BYTES, HEADER_FRAME, encode_trailer, read_u32, trailer_bytes,
};
use crate::{
    ArchiveError, ChunkId, ChunkPlace, IndexTail, PackEntry, PackId, PackIndex, PackSummary, SealedChunk,
    keys, parse_index_tail,
};

/// Size at which a pack counts as full.
pub const PACK_TARGET_BYTES: u64 = 32 << 20;

/// First bytes of the header frame's content.
const HEADER_MAGIC: &[u8; 8] = b"DBHAULPK";
/// Version of the pack format.
const PACK_VERSION: u16 = 1;
/// Cipher of chunks that are not encrypted; the only one yet.
const CIPHER_NONE: u8 = 0;

/// What a pack holds. Data and metadata never share one, so that lists can be read without rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackKind {
    /// Chunks of rows.
    Data,
    /// Pieces of segment lists and documents.
    Meta,
}

impl PackKind {
    /// What it holds, in words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Data => "rows",
            Self::Meta => "metadata",
        }
    }
}

/// A pack under construction, in memory.
#[derive(Debug)]
pub struct PackBuilder {
    kind: PackKind,
    buffer: BytesMut,
    hasher: blake3::Hasher,
    entries: Vec<PackEntry>,
    by_chunk: HashMap<ChunkId, usize>,
    plain_bytes: u64,
}

impl PackBuilder {
    /// An empty pack.
    #[must_use]
    pub fn new(kind: PackKind) -> Self {
        let mut buffer = BytesMut::new();
        buffer.put_u32_le(HEADER_FRAME);
        buffer.put_u32_le(HEADER_CONTENT_BYTES as u32);
        buffer.put_slice(HEADER_MAGIC);
        buffer.put_u16_le(PACK_VERSION);
        buffer.put_u8(CIPHER_NONE);
        buffer.put_u8(match kind {
            PackKind::Data => 0,
            PackKind::Meta => 1,
        });
        buffer.put_u32_le(0);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&buffer);
        Self { kind, buffer, hasher, entries: Vec::new(), by_chunk: HashMap::new(), plain_bytes: 0 }
    }

    /// Adds a chunk, unless it is there already. The place's pack is [`SealedPack::id`], known at the
    /// end: what is returned is the entry, see [`PackEntry::place`].
    pub fn add(&mut self, chunk: &SealedChunk) -> PackEntry {
        if let Some(index) = self.by_chunk.get(&chunk.id) {
            return self.entries[*index];
        }
        let entry = PackEntry {
            chunk: chunk.id,
            offset: self.buffer.len() as u64,
            stored_bytes: chunk.stored.len() as u64,
            plain_bytes: chunk.plain_bytes,
        };
        self.buffer.extend_from_slice(&chunk.stored);
        self.hasher.update(&chunk.stored);
        self.plain_bytes += chunk.plain_bytes;
        self.by_chunk.insert(chunk.id, self.entries.len());
        self.entries.push(entry);
        entry
    }

    /// Whether it holds no chunk.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it has reached [`PACK_TARGET_BYTES`].
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.stored_bytes() >= PACK_TARGET_BYTES
    }

    /// The size it would have if finished now.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        (self.buffer.len() + trailer_bytes(self.entries.len())) as u64
    }

    /// Ends the pack.
    #[must_use]
    pub fn finish(mut self) -> SealedPack {
        let trailer = encode_trailer(&self.entries);
        self.hasher.update(&trailer);
        self.buffer.extend_from_slice(&trailer);
        SealedPack {
            id: PackId(*self.hasher.finalize().as_bytes()),
            kind: self.kind,
            bytes: self.buffer.freeze(),
            entries: self.entries,
            plain_bytes: self.plain_bytes,
        }
    }
}

/// A finished pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPack {
    /// Its name: the hash of `bytes`.
    pub id: PackId,
    /// What it holds.
    pub kind: PackKind,
    /// What is stored.
    pub bytes: Bytes,
    /// Its chunks, in order.
    pub entries: Vec<PackEntry>,
    /// Bytes of its chunks before compression.
    pub plain_bytes: u64,
}

impl SealedPack {
    /// The key it is stored under.
    #[must_use]
    pub fn key(&self) -> String {
        keys::pack(self.id)
    }

    /// The places of its chunks, in order.
    pub fn places(&self) -> impl Iterator<Item = ChunkPlace> + '_ {
        self.entries.iter().map(|entry| entry.place(self.id))
    }
}

/// A whole pack, read back and verified.
#[derive(Debug, Clone)]
pub struct PackReader {
    kind: PackKind,
    bytes: Bytes,
    index: PackIndex,
}

impl PackReader {
    /// Verifies the bytes of a whole pack: its hash, header and index. Opens no chunk.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedPack`].
    pub fn open(id: PackId, bytes: Bytes) -> Result<Self, ArchiveError> {
        check_name(id, &bytes)?;
        Self::of_plain(id, bytes)
    }

    /// The pack with these bytes, which were decrypted or compared with its name.
    pub(crate) fn of_plain(id: PackId, bytes: Bytes) -> Result<Self, ArchiveError> {
        let damaged = |reason: String| ArchiveError::DamagedPack { pack: id, reason };
        let kind = parse_header(id, &bytes)?;
        let entries = match parse_index_tail(id, bytes.len() as u64, &bytes)? {
            IndexTail::Entries(entries) => entries,
            IndexTail::Longer { .. } => return Err(damaged("its index is longer than itself".to_owned())),
        };
        let index = PackIndex::new(id, bytes.len() as u64, entries)?;
        Ok(Self { kind, bytes, index })
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> PackKind {
        self.kind
    }

    /// Its chunks, in order.
    #[must_use]
    pub fn entries(&self) -> &[PackEntry] {
        self.index.entries()
    }

    /// Its index.
    #[must_use]
    pub fn index(&self) -> &PackIndex {
        &self.index
    }

    /// The stored bytes of a chunk.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedChunk`] if the pack's index has no such chunk there.
    pub fn stored(&self, place: &ChunkPlace) -> Result<Bytes, ArchiveError> {
        self.index.number_of(place)?;
        let range = place.range();
        // The chunks of the index fill the bytes.
        Ok(self.bytes.slice(range.start as usize..range.end as usize))
    }
}

/// Compares the first [`PACK_HEADER_BYTES`] of a pack with what the manifest says of it.
///
/// # Errors
/// [`ArchiveError::DamagedPack`] if it is none, or holds what is said to lie elsewhere.
pub fn check_pack_header(pack: &PackSummary, header: &[u8]) -> Result<(), ArchiveError> {
    let kind = parse_header(pack.id, header)?;
    if kind == pack.kind {
        return Ok(());
    }
    let reason =
        format!("it is a pack of {}, where the manifest says one of {}", kind.words(), pack.kind.words());
    Err(ArchiveError::DamagedPack { pack: pack.id, reason })
}

fn parse_header(id: PackId, bytes: &[u8]) -> Result<PackKind, ArchiveError> {
    let damaged = |reason: &str| ArchiveError::DamagedPack { pack: id, reason: reason.to_owned() };
    let header = bytes.get(..HEADER_BYTES).ok_or_else(|| damaged("it is too short"))?;
    let frame = read_u32(header, 0).map_err(|reason| damaged(&reason))?;
    if frame != HEADER_FRAME || header[8..16] != HEADER_MAGIC[..] {
        return Err(damaged("it does not start as a pack starts"));
    }
    let version = u16::from_le_bytes([header[16], header[17]]);
    // a store of a newer dbhaul says so in its repo.json, which was read before
    if version != PACK_VERSION {
        return Err(damaged(&format!("its header has version {version}, and not {PACK_VERSION}")));
    }
    if header[18] != CIPHER_NONE {
        return Err(damaged(&format!("its header has cipher {}, and not {CIPHER_NONE}", header[18])));
    }
    match header[19] {
        0 => Ok(PackKind::Data),
        1 => Ok(PackKind::Meta),
        other => Err(damaged(&format!("its header has kind {other}, which there is not"))),
    }
}
