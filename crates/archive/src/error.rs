//! What can be wrong with a backup.

use ulid::Ulid;

use crate::{ChunkId, PackId};

/// An error in an object of a store; each names the object and, inside it, the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// `repo.json` is not what was written.
    #[error("repo.json is damaged: {reason}")]
    DamagedRepoConfig {
        /// What is wrong.
        reason: String,
    },
    /// An object was written by a newer dbhaul in a format this one does not read.
    #[error("{object} has format version {found}; this dbhaul reads up to {supported}: use a newer one")]
    UnsupportedVersion {
        /// The object's key or kind.
        object: String,
        /// Its version.
        found: u32,
        /// The newest version that is supported.
        supported: u32,
    },
    /// An object needs a feature that this dbhaul does not have.
    #[error("{object} requires the feature {feature:?}, which this dbhaul does not know: use a newer one")]
    UnknownFeature {
        /// The object's key or kind.
        object: String,
        /// The feature.
        feature: String,
    },
    /// A key of the store is not of the layout.
    #[error("{key:?} is not a key of this layout: {reason}")]
    InvalidKey {
        /// The key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A pack's bytes are not those it is named by, or do not parse.
    #[error("pack {pack} is damaged: {reason}")]
    DamagedPack {
        /// The pack.
        pack: PackId,
        /// What is wrong.
        reason: String,
    },
    /// A pack that a backup refers to is not in the store.
    #[error("pack {pack} is missing from the store")]
    MissingPack {
        /// The pack.
        pack: PackId,
    },
    /// A pack in the store has another size than the backup says.
    #[error("pack {pack} has {found_bytes} bytes in the store where {expected_bytes} were written")]
    PackSize {
        /// The pack.
        pack: PackId,
        /// The size in the manifest.
        expected_bytes: u64,
        /// The size in the store.
        found_bytes: u64,
    },
    /// A part that a backup refers to is not in the store.
    #[error("{key}, which holds rows of {table}, is missing from the store")]
    MissingPart {
        /// The part's key.
        key: String,
        /// The table.
        table: String,
    },
    /// A part in the store has another size than the backup says.
    #[error(
        "{key}, which holds rows of {table}, has {found_bytes} bytes in the store where {expected_bytes} were written"
    )]
    PartSize {
        /// The part's key.
        key: String,
        /// The table.
        table: String,
        /// The size in the manifest.
        expected_bytes: u64,
        /// The size in the store.
        found_bytes: u64,
    },
    /// A file lies among the parts of a backup that is none of them, and that who reads all files there would read.
    #[error("{key} lies among the files of the backup and is none of them")]
    StrayPart {
        /// Its key.
        key: String,
    },
    /// A part is not the file that was written, or does not hold the rows that it should.
    #[error("{key}, which holds rows of {table}, is not as it was written: {reason}")]
    DamagedPart {
        /// The part's key.
        key: String,
        /// The table.
        table: String,
        /// What is wrong.
        reason: String,
    },
    /// A chunk's bytes are not those it is named by.
    #[error("chunk {chunk} at offset {offset} of pack {pack} is damaged: {reason}")]
    DamagedChunk {
        /// The pack.
        pack: PackId,
        /// The chunk.
        chunk: ChunkId,
        /// Where it starts in the pack, in bytes.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// A chunk that must be written cannot be.
    #[error("a chunk of {plain_bytes} bytes cannot be sealed: {reason}")]
    Seal {
        /// Its size.
        plain_bytes: u64,
        /// What is wrong.
        reason: String,
    },
    /// A table's segment list is incomplete or contradicts itself.
    #[error("the segment list of {table} is damaged at line {line}: {reason}")]
    DamagedSegmentList {
        /// The table.
        table: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A document (catalog, table of contents) is incomplete or does not parse.
    #[error("the {document} of the backup is damaged: {reason}")]
    DamagedDocument {
        /// Which document.
        document: String,
        /// What is wrong.
        reason: String,
    },
    /// Parts of a backup that are each as they were written do not fit together.
    #[error("{object} of the backup does not fit the rest: {reason}")]
    Inconsistent {
        /// The part.
        object: String,
        /// What is wrong.
        reason: String,
    },
    /// A manifest is not what was written.
    #[error("the manifest {key} is damaged: {reason}")]
    DamagedManifest {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A manifest of an encrypted store was not sealed with the store's keys, or not under this name.
    #[error("the manifest {key} is not one that a writer of this store has put there: {reason}")]
    ForgedManifest {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// An object is encrypted to a key that is not at hand.
    #[error("the {key} key of generation {generation} is needed for {object} and is not at hand")]
    NoKey {
        /// The object.
        object: String,
        /// Which key of the generation.
        key: &'static str,
        /// The generation.
        generation: Ulid,
    },
    /// The report of a check is not what was written, or not of this store.
    #[error("the report {key} is damaged: {reason}")]
    DamagedReport {
        /// Its key.
        key: String,
        /// What is wrong.
        reason: String,
    },
    /// A value cannot be written as JSON, or contradicts itself.
    #[error("{object} cannot be written: {reason}")]
    Encode {
        /// What was to be written.
        object: String,
        /// What is wrong.
        reason: String,
    },
}

impl ArchiveError {
    /// An error of writing `object`.
    pub(crate) fn encode(object: &str, reason: impl std::fmt::Display) -> Self {
        Self::Encode { object: object.to_owned(), reason: reason.to_string() }
    }
}
