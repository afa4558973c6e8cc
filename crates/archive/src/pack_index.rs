//! The index at the end of a pack.

use bytes::{BufMut, BytesMut};

use crate::{ArchiveError, ChunkId, ChunkPlace, PackId};

/// Magic number, little-endian, of the skippable zstd frame that is a pack's header.
pub(crate) const HEADER_FRAME: u32 = 0x184D_2A5D;
/// Magic number of the skippable zstd frame that is a pack's trailer.
pub(crate) const TRAILER_FRAME: u32 = 0x184D_2A5E;
/// The last bytes of every pack.
const TRAILER_MAGIC: &[u8; 8] = b"DBHAULPT";
/// Content of the header frame: magic, version, cipher, kind, four zero bytes.
pub(crate) const HEADER_CONTENT_BYTES: usize = 16;
/// The whole header: a skippable zstd frame.
pub const HEADER_BYTES: usize = 8 + HEADER_CONTENT_BYTES;
/// One entry: id, offset, stored and plain bytes.
const ENTRY_BYTES: usize = 32 + 8 + 8 + 8;
/// Frame magic and length, before the entries.
const FRAME_HEAD_BYTES: usize = 8;
/// What follows the entries: their BLAKE3 hash, their count, four zero bytes, the magic.
const TAIL_BYTES: usize = 32 + 4 + 4 + 8;

/// One chunk of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackEntry {
    /// The chunk.
    pub chunk: ChunkId,
    /// Where it starts in the pack.
    pub offset: u64,
    /// Its bytes in the pack.
    pub stored_bytes: u64,
    /// Its bytes before compression.
    pub plain_bytes: u64,
}

impl PackEntry {
    /// The place of the chunk, in a pack of this name.
    #[must_use]
    pub fn place(&self, pack: PackId) -> ChunkPlace {
        let Self { chunk: id, offset, stored_bytes, plain_bytes } = *self;
        ChunkPlace { id, pack, offset, stored_bytes, plain_bytes }
    }
}

/// The trailer over these entries.
pub(crate) fn encode_trailer(entries: &[PackEntry]) -> BytesMut {
    let mut body = BytesMut::with_capacity(trailer_bytes(entries.len()));
    body.put_u32_le(TRAILER_FRAME);
    body.put_u32_le((entries.len() * ENTRY_BYTES + TAIL_BYTES) as u32);
    for entry in entries {
        body.put_slice(&entry.chunk.0);
        body.put_u64_le(entry.offset);
        body.put_u64_le(entry.stored_bytes);
        body.put_u64_le(entry.plain_bytes);
    }
    let hash = blake3::hash(&body[FRAME_HEAD_BYTES..]);
    body.put_slice(hash.as_bytes());
    body.put_u32_le(entries.len() as u32);
    body.put_u32_le(0);
    body.put_slice(TRAILER_MAGIC);
    body
}

/// Size of the trailer of a pack with this many chunks.
pub(crate) fn trailer_bytes(entries: usize) -> usize {
    FRAME_HEAD_BYTES + entries * ENTRY_BYTES + TAIL_BYTES
}

/// What the end of a pack says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexTail {
    /// The pack's chunks, in order.
    Entries(Vec<PackEntry>),
    /// The index is longer: read at least this many bytes from the end of the pack.
    Longer {
        /// Length of the tail to read.
        tail_bytes: u64,
    },
}

/// Reads the index from the last bytes of a pack; 64 KiB of them hold the index of most packs.
///
/// `pack_bytes` is the pack's whole size; `tail` is its end.
///
/// # Errors
/// [`ArchiveError::DamagedPack`].
pub fn parse_index_tail(pack: PackId, pack_bytes: u64, tail: &[u8]) -> Result<IndexTail, ArchiveError> {
    parse_tail(pack_bytes, tail).map_err(|reason| ArchiveError::DamagedPack { pack, reason })
}

fn parse_tail(pack_bytes: u64, tail: &[u8]) -> Result<IndexTail, String> {
    let magic_at = tail.len().checked_sub(TRAILER_MAGIC.len()).ok_or("it is too short")?;
    if tail[magic_at..] != TRAILER_MAGIC[..] {
        return Err("it does not end as a pack ends; it may be cut off".to_owned());
    }
    let count_at = magic_at.checked_sub(8).ok_or("it is too short")?;
    let count = read_u32(tail, count_at)? as usize;
    let wanted_bytes = trailer_bytes(count);
    if wanted_bytes as u64 > pack_bytes {
        return Err(format!("its index claims {count} chunks, more than fit"));
    }
    let Some(start) = tail.len().checked_sub(wanted_bytes) else {
        return Ok(IndexTail::Longer { tail_bytes: wanted_bytes as u64 });
    };
    let trailer = &tail[start..];
    let entries_end = FRAME_HEAD_BYTES + count * ENTRY_BYTES;
    let entries = &trailer[FRAME_HEAD_BYTES..entries_end];
    let frame_ok = read_u32(trailer, 0)? == TRAILER_FRAME
        && read_u32(trailer, 4)? as usize == wanted_bytes - FRAME_HEAD_BYTES
        && read_u32(trailer, entries_end + 36)? == 0;
    if !frame_ok || blake3::hash(entries).as_bytes()[..] != trailer[entries_end..entries_end + 32] {
        return Err("its index is not what was written".to_owned());
    }
    entries.chunks_exact(ENTRY_BYTES).map(parse_entry).collect::<Result<_, _>>().map(IndexTail::Entries)
}

fn parse_entry(bytes: &[u8]) -> Result<PackEntry, String> {
    let (id, _) = bytes.split_first_chunk::<32>().ok_or("its index is cut off")?;
    Ok(PackEntry {
        chunk: ChunkId(*id),
        offset: read_u64(bytes, 32)?,
        stored_bytes: read_u64(bytes, 40)?,
        plain_bytes: read_u64(bytes, 48)?,
    })
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Result<u32, String> {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    word.map(|word| u32::from_le_bytes(*word)).ok_or_else(|| "it is too short".to_owned())
}

fn read_u64(bytes: &[u8], at: usize) -> Result<u64, String> {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
    word.map(|word| u64::from_le_bytes(*word)).ok_or_else(|| "it is too short".to_owned())
}
