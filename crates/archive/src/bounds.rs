//! How large the parts of a backup may be. What is larger is damage, and no memory is taken for it.

/// `repo.json` is no longer.
pub const MAX_CONFIG_BYTES: u64 = 64 << 20;

/// A manifest is no longer. It has up to a thousand bytes for each table, and databases of 100,000 tables exist.
pub const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// A piece of a document or of a segment list is no longer before compression.
pub const MAX_PIECE_BYTES: u64 = 16 << 20;

/// A piece of planner statistics is no longer before compression: one relation's are never cut.
pub const MAX_STATISTICS_PIECE_BYTES: u64 = 64 << 20;

/// The index of a pack is no longer: a pack is full when index and chunks together have 32 MiB.
pub const MAX_INDEX_BYTES: u64 = 33 << 20;

/// The tables of a backup have no more segments together: 1 PiB in segments of 64 MiB.
pub const MAX_SEGMENTS: u64 = 1 << 24;
