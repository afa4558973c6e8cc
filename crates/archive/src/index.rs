//! The index of a pack, read without the pack.

use crate::pack_index::{HEADER_BYTES, trailer_bytes};
use crate::{ArchiveError, ChunkPlace, IndexTail, MAX_INDEX_BYTES, PackEntry, PackId, parse_index_tail};

/// Last bytes of a pack that are read first: they hold the index of most packs.
pub const FIRST_TAIL_BYTES: u64 = 64 << 10;

/// The chunks of one pack, one behind the other from its header to its trailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackIndex {
    pack: PackId,
    entries: Vec<PackEntry>,
}

impl PackIndex {
    /// The index over these entries of a pack of `pack_bytes`, which they must fill.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedPack`].
    pub fn new(pack: PackId, pack_bytes: u64, entries: Vec<PackEntry>) -> Result<Self, ArchiveError> {
        let damaged = |reason: String| ArchiveError::DamagedPack { pack, reason };
        let mut end = HEADER_BYTES as u64;
        for entry in &entries {
            if entry.offset != end {
                return Err(damaged(format!("chunk {} does not start at offset {end}", entry.chunk)));
            }
            if entry.stored_bytes == 0 {
                return Err(damaged(format!("chunk {} is to have no bytes", entry.chunk)));
            }
            end = end.saturating_add(entry.stored_bytes);
        }
        match end.checked_add(trailer_bytes(entries.len()) as u64) == Some(pack_bytes) {
            true => Ok(Self { pack, entries }),
            false => Err(damaged("its chunks do not fill it".to_owned())),
        }
    }

    /// Reads the index out of the last bytes of a pack of this size before encryption. `Err` with a number of bytes asks for so many.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedPack`].
    pub fn parse(pack: PackId, pack_bytes: u64, tail: &[u8]) -> Result<Result<Self, u64>, ArchiveError> {
        match parse_index_tail(pack, pack_bytes, tail)? {
            IndexTail::Entries(entries) => Self::new(pack, pack_bytes, entries).map(Ok),
            IndexTail::Longer { tail_bytes } if tail_bytes <= MAX_INDEX_BYTES => Ok(Err(tail_bytes)),
            IndexTail::Longer { tail_bytes } => Err(ArchiveError::DamagedPack {
                pack,
                reason: format!(
                    "its index is to have {tail_bytes} bytes, where {MAX_INDEX_BYTES} is the most"
                ),
            }),
        }
    }

    /// Its chunks, in order.
    #[must_use]
    pub fn entries(&self) -> &[PackEntry] {
        &self.entries
    }

    /// The number of the chunk that lies at this place.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedChunk`] if the pack has another chunk there, or none.
    pub fn number_of(&self, place: &ChunkPlace) -> Result<usize, ArchiveError> {
        let damaged = |reason: String| ArchiveError::DamagedChunk {
            pack: place.pack,
            chunk: place.id,
            offset: place.offset,
            reason,
        };
        let found = self.entries.binary_search_by_key(&place.offset, |entry| entry.offset);
        let Ok(number) = found else {
            return Err(damaged("the index of the pack has no chunk there".to_owned()));
        };
        let entry = &self.entries[number];
        match entry.place(self.pack) == *place {
            true => Ok(number),
            false => Err(damaged(format!(
                "the index of the pack has chunk {} there, of {} bytes and {} before compression",
                entry.chunk, entry.stored_bytes, entry.plain_bytes
            ))),
        }
    }
}
