//! Segments of a table and the places of their chunks.

use dbhaul_rows::RowDigest;
use serde::{Deserialize, Serialize};

use crate::{ChunkId, PackId};

/// Where a chunk is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ChunkPlace {
    /// The chunk.
    pub id: ChunkId,
    /// The pack that holds it.
    pub pack: PackId,
    /// Where it starts in the pack.
    pub offset: u64,
    /// Its bytes in the pack.
    pub stored_bytes: u64,
    /// Its bytes before compression.
    pub plain_bytes: u64,
}

impl ChunkPlace {
    /// The range of the pack's bytes to read.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset.saturating_add(self.stored_bytes)
    }
}

/// A chunk of rows: its place, and the count and digest of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowChunk {
    /// Where it is.
    pub place: ChunkPlace,
    /// Count and digest of its rows.
    pub digest: RowDigest,
}

/// Which part of its table a segment holds. For people and tools; nothing in a restore depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentRange {
    /// The whole table, or all of it from one stream.
    Whole,
    /// Heap pages from the first to before the second; the last segment ends at `u32::MAX`, which stands for the end.
    Pages(u32, u32),
    /// The n-th part, from 0, of what is not cut by pages: of a long stream, of a table cut by ranges of a key,
    /// of all large objects.
    Part(u32),
}

/// A segment of a table: the unit of parallel COPY, retry and restore commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its number in the list, from 0.
    pub index: u32,
    /// The part of the table.
    pub range: SegmentRange,
    /// Its chunks, in the order of the rows.
    pub chunks: Vec<RowChunk>,
}

impl Segment {
    /// Count and digest of the segment's rows.
    #[must_use]
    pub fn digest(&self) -> RowDigest {
        self.chunks.iter().map(|chunk| chunk.digest).collect()
    }

    /// Count and digest of the segment's rows; `None` if they are more than can be counted.
    #[must_use]
    pub fn checked_digest(&self) -> Option<RowDigest> {
        self.chunks.iter().try_fold(RowDigest::default(), |sum, chunk| sum.checked_merged(chunk.digest))
    }

    /// Bytes of the rows.
    #[must_use]
    pub fn plain_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.place.plain_bytes).sum()
    }

    /// Bytes in packs.
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.place.stored_bytes).sum()
    }
}
