//! How large the parts of a backup may be. What is larger is damage, and no memory is taken for it.

use crate::MAX_CHUNK_BYTES;

/// `repo.json` is no longer.
pub const MAX_CONFIG_BYTES: u64 = 64 << 20;

/// A manifest is no longer. It has 864 bytes for a table of twelve columns, and databases of 100,000 tables exist
/// (docs/decisions/0010-manifests-up-to-256-mib.md).
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// A piece of a document or of a segment list is no longer before compression.
pub const MAX_PIECE_BYTES: u64 = 16 << 20;

/// A piece of planner statistics is no longer before compression: one relation's are never cut.
pub const MAX_STATISTICS_PIECE_BYTES: u64 = 64 << 20;

/// The index of a pack is no longer: a pack is full when index and chunks together have 32 MiB.
pub const MAX_INDEX_BYTES: u64 = 33 << 20;

/// The tables of a backup have no more segments together: 1 PiB in segments of 64 MiB.
pub const MAX_SEGMENTS: u64 = 1 << 24;

/// A catalog, a table of contents and roles have no more bytes before compression: to read those of 100,000 tables with
/// a million columns takes a GiB of memory.
pub const MAX_DOCUMENT_BYTES: u64 = 1 << 30;

/// Planner statistics have no more bytes before compression.
pub const MAX_STATISTICS_BYTES: u64 = 4 << 30;

/// A pack has no more bytes: one is closed once it has 32 MiB, so that it may hold one chunk of the longest.
pub const MAX_PACK_BYTES: u64 = MAX_CHUNK_BYTES + MAX_CHUNK_BYTES / 128 + (66 << 20);

/// The most that so many bytes take once they are compressed: a little more than zstd's own bound
/// (`ZSTD_COMPRESSBOUND` in zstd.h).
pub(crate) fn max_stored_bytes(plain_bytes: u64) -> u64 {
    plain_bytes.saturating_add(plain_bytes / 128).saturating_add(1024)
}
