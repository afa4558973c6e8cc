//! The manifest: what one backup is made of.

use std::collections::BTreeMap;

use dbhaul_catalog::ServerVersion;
use dbhaul_rows::{DigestSpec, RowDigest};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::part::PARQUET_FEATURE;
use crate::repo::AGE_FEATURE;
use crate::{ArchiveError, BackupKey, Document, PackId, PackKind, Part, RepoConfig};

/// Newest version of manifests that is read and written.
pub const MANIFEST_VERSION: u32 = 2;

/// One committed backup of one database. Fields that this version does not know are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format: that of its store, at most [`MANIFEST_VERSION`].
    pub format_version: u32,
    /// Features without which this backup must not be read.
    #[serde(default)]
    pub required_features: Vec<String>,
    /// Identity of the backup.
    pub id: Ulid,
    /// Identity of the store it was written to.
    pub repo: Ulid,
    /// The generation of keys that it and its packs are encrypted to; `None` where nothing is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Ulid>,
    /// When the snapshot was taken.
    pub snapshot_time: Timestamp,
    /// When the manifest was made, before it was committed.
    pub finished_time: Timestamp,
    /// Version of the dbhaul that wrote it.
    pub dbhaul_version: String,
    /// The backup against which this one was deduplicated.
    #[serde(default)]
    pub parent: Option<Ulid>,
    /// Where it came from.
    pub source: SourceInfo,
    /// What was selected, in words or options; empty for the whole database.
    #[serde(default)]
    pub selection: Vec<String>,
    /// Words of the person who made it, by which a policy may keep it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Objects that were meant to be in it and are not. Not empty means that the dump ended with exit code 3.
    #[serde(default)]
    pub excluded: Vec<ExcludedObject>,
    /// The catalog, as JSON.
    pub catalog: Document,
    /// The table of contents, as JSON.
    pub toc: Document,
    /// Roles of the server, as JSON; may hold hashes of passwords. `None` where they were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Document>,
    /// Planner statistics: one relation's, as JSON, on each line. `None` where they were not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Document>,
    /// Whatever has rows.
    pub tables: Vec<TableEntry>,
    /// Values of the sequences.
    #[serde(default)]
    pub sequences: Vec<SequenceValue>,
    /// Every pack that a chunk of this backup is in.
    pub packs: Vec<PackSummary>,
    /// What it adds up to.
    pub totals: Totals,
    /// What writing it took. `None` from a dbhaul that did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transfer: Option<Transfer>,
}

/// The server and database that were dumped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// The database's name.
    pub database: String,
    /// `server_version_num`.
    pub server_version_num: ServerVersion,
    /// `version()`.
    pub server_version: String,
    /// `system_identifier` of the cluster, in decimal; empty where the role may not read it.
    pub system_identifier: String,
    /// The database's encoding.
    pub encoding: String,
    /// WAL position at the snapshot; `None` where it cannot be read.
    #[serde(default)]
    pub lsn: Option<String>,
    /// Name of the exported snapshot.
    pub snapshot: String,
    /// Whether the server was a standby.
    #[serde(default)]
    pub in_recovery: bool,
    /// Settings that shape the text of values, as pinned.
    pub settings: BTreeMap<String, String>,
}

/// An object that is not in the backup, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExcludedObject {
    /// The object, e.g. `TABLE public.t`.
    pub object: String,
    /// Why.
    pub reason: String,
}

/// What the rows of a table entry are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// Rows of a table.
    Table,
    /// Pieces of large objects: columns `loid`, `page` (of 2048 bytes, where the piece starts), `data`.
    LargeObjects,
}

/// The rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// What it is.
    pub kind: TableKind,
    /// Schema, not quoted.
    pub schema: String,
    /// Name, not quoted.
    pub name: String,
    /// The entry of the table of contents whose rows these are.
    #[serde(default)]
    pub toc_id: Option<u32>,
    /// The columns of the rows, in order, and how they are hashed.
    pub digest_spec: DigestSpec,
    /// Count and digest of the rows.
    pub digest: RowDigest,
    /// Number of segments, or of parts.
    pub segments: u64,
    /// Number of chunks.
    pub chunks: u64,
    /// Bytes of the rows.
    pub plain_bytes: u64,
    /// Bytes of their chunks in packs, or of the parts.
    pub stored_bytes: u64,
    /// Its segment list; empty where the rows are in parts.
    pub list: Document,
    /// The files of its rows, in order; empty where these lie in packs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

impl TableEntry {
    /// `schema.name`, not quoted: how the segment list and errors call the table.
    #[must_use]
    pub fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// Where a sequence stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceValue {
    /// Schema, not quoted.
    pub schema: String,
    /// Name, not quoted.
    pub name: String,
    /// `last_value`.
    pub last_value: i64,
    /// `is_called`.
    pub is_called: bool,
}

/// One pack of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackSummary {
    /// The pack.
    pub id: PackId,
    /// Its size in the store.
    pub bytes: u64,
    /// What it holds.
    pub kind: PackKind,
}

/// What a backup adds up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Number of table entries.
    pub tables: u64,
    /// Count and digest of all rows.
    pub digest: RowDigest,
    /// Bytes of all rows.
    pub plain_bytes: u64,
    /// Bytes of the chunks of all rows, in packs, and of parts.
    pub stored_bytes: u64,
    /// Bytes of all packs and parts that it refers to.
    pub pack_bytes: u64,
    /// Bytes of the packs and parts that were uploaded for it; the rest is its parent's.
    pub uploaded_bytes: u64,
}

/// What writing a backup took, for people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Packs that were uploaded; their bytes are [`Totals::uploaded_bytes`].
    pub uploaded_packs: u64,
    /// Stored bytes of the chunks of rows that lie in packs of the parent.
    pub reused_bytes: u64,
    /// Requests to the store until the manifest was made; retries are not counted.
    pub requests: u64,
}

impl Manifest {
    /// The key of its commit.
    #[must_use]
    pub fn key(&self) -> BackupKey {
        BackupKey::new(&self.source.database, self.snapshot_time, self.id)
    }

    /// How old its data are. Negative if the clocks disagree.
    #[must_use]
    pub fn age(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.snapshot_time)
    }

    /// The totals of the tables and packs as they are listed; `uploaded_bytes` is taken as it is. All 0 if they
    /// are larger than can be counted.
    #[must_use]
    pub fn computed_totals(&self) -> Totals {
        self.checked_totals().unwrap_or_default()
    }

    /// Compares the packs it refers to with those found in a store by listing, by size.
    ///
    /// Returns one [`ArchiveError::MissingPack`] or [`ArchiveError::PackSize`] for each that is not as it must be.
    #[must_use]
    pub fn compare_packs(&self, found: &BTreeMap<PackId, u64>) -> Vec<ArchiveError> {
        let errors = self.packs.iter().filter_map(|pack| match found.get(&pack.id) {
            None => Some(ArchiveError::MissingPack { pack: pack.id }),
            Some(bytes) if *bytes != pack.bytes => Some(ArchiveError::PackSize {
                pack: pack.id,
                expected_bytes: pack.bytes,
                found_bytes: *bytes,
            }),
            Some(_) => None,
        });
        errors.collect()
    }

    /// Whether it belongs to the store of this configuration.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedManifest`] if it was written to another store.
    pub fn check_repo(&self, repo: &RepoConfig) -> Result<(), ArchiveError> {
        if self.repo == repo.id {
            return Ok(());
        }
        let reason = format!("it belongs to the store {}, not to {}", self.repo, repo.id);
        Err(ArchiveError::DamagedManifest { key: self.key().to_string(), reason })
    }

    /// The features that a backup of these keys needs.
    #[must_use]
    pub fn features(generation: Option<Ulid>) -> Vec<String> {
        generation.map(|_| AGE_FEATURE.to_owned()).into_iter().collect()
    }

    /// Demands of readers that they know what its tables need.
    #[must_use]
    pub fn with_features_of_tables(mut self) -> Self {
        if self.parts().next().is_some() {
            self.required_features.push(PARQUET_FEATURE.to_owned());
        }
        self
    }
}
