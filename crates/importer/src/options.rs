//! What the caller chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dbhaul_catalog::{Class, ObjectId, Section, Unselected};
use dbhaul_retry::RetryPolicy;

/// How an import is to be done. Start from [`ImportOptions::new`].
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Identifier of this run, a ULID; a resumed run keeps the one it finds in the ledger.
    pub run: String,
    /// What is imported: a backup's or a snapshot's identifier. A run resumes only what has the same.
    pub source_fingerprint: String,
    /// What the source must still be for the run to be resumed, in words of the caller's; kept in the
    /// ledger and handed back by [`unfinished_runs`](crate::unfinished_runs).
    pub source_state: Option<String>,
    /// Sessions that load and build at the same time, at least 1.
    pub jobs: usize,
    /// Whether objects are given their owners (not with `--no-owner`).
    pub set_owners: bool,
    /// Whether privileges are granted (not with `--no-privileges`).
    pub privileges: bool,
    /// Whether the TOC's objects are dropped from the target first.
    pub clean: bool,
    /// Whether drops of `clean` say `IF EXISTS`.
    pub if_exists: bool,
    /// Whether to go on with an unfinished run found on the target.
    pub resume: bool,
    /// Whether the target may hold objects already.
    pub allow_non_empty: bool,
    /// Which sections are imported.
    pub sections: Sections,
    /// Where planner statistics come from.
    pub statistics: StatisticsMode,
    /// `maintenance_work_mem` of each session; chosen from the target's settings when `None`.
    pub maintenance_work_mem_bytes: Option<u64>,
    /// Workers that help one index build (`max_parallel_maintenance_workers`); chosen as well when `None`.
    pub index_workers: Option<u32>,
    /// The search path of the source database. A statement that fails because a function in it names
    /// objects without a schema is tried once more with this path, and a warning says so.
    pub source_search_path: Option<String>,
    /// Roles that are not there yet and will be when the import starts: for a check made before.
    pub coming_roles: BTreeSet<String>,
    /// Tablespaces that statements name: a target that lacks one cannot take the import.
    pub tablespaces: Vec<String>,
    /// Whether the target is of an older major than the source, so that what it cannot make is left out.
    pub is_downgrade: bool,
    /// What objects need that a selection left out, by the object that needs it.
    pub unselected: BTreeMap<ObjectId, Unselected>,
    /// Members of the source's extensions: what the extension does not make again is told.
    pub extension_members: Vec<ExtensionMembers>,
    /// Foreign keys whose rows may refer to rows that the caller leaves out, with what a person is to know of it:
    /// one that then cannot be validated is left out.
    pub keys_without_rows: BTreeMap<ObjectId, String>,
    /// Whether triggers and foreign keys of tables that are there already take no part in loading.
    pub disable_triggers: bool,
    /// Whether a target whose transactions are read-only by default is written to.
    pub allow_read_only: bool,
    /// How long a drop waits for a lock on what the target holds; none: until it is granted.
    pub lock_wait: Option<Duration>,
    /// How transient errors (lost connections, restarts, deadlocks) are tried again.
    pub retry: RetryPolicy,
    /// What the caller knows already and a person should know before the import runs.
    pub notes: Vec<String>,
}

impl ImportOptions {
    /// What limits the waits for locks of a transaction that drops, if they are limited.
    pub(crate) fn lock_limit_sql(&self) -> Option<String> {
        let limit = self.lock_wait?;
        Some(format!("SET LOCAL lock_timeout = {}", limit.as_millis().max(1)))
    }

    /// Everything, owners and privileges included, into an empty database with four sessions.
    pub fn new(run: impl Into<String>, source_fingerprint: impl Into<String>) -> Self {
        ImportOptions {
            run: run.into(),
            source_fingerprint: source_fingerprint.into(),
            source_state: None,
            jobs: 4,
            set_owners: true,
            privileges: true,
            clean: false,
            if_exists: false,
            resume: false,
            allow_non_empty: false,
            sections: Sections::default(),
            statistics: StatisticsMode::default(),
            maintenance_work_mem_bytes: None,
            index_workers: None,
            source_search_path: None,
            coming_roles: BTreeSet::new(),
            tablespaces: Vec::new(),
            is_downgrade: false,
            unselected: BTreeMap::new(),
            extension_members: Vec::new(),
            keys_without_rows: BTreeMap::new(),
            disable_triggers: false,
            allow_read_only: false,
            lock_wait: None,
            retry: RetryPolicy::default(),
            notes: Vec::new(),
        }
    }
}

/// Where the target's planner statistics come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatisticsMode {
    /// Tables are analyzed after their rows and indexes, parents of partitions included.
    #[default]
    Analyze,
    /// Those of the source are set, once everything is in place. The target must be able to take them
    /// ([`RelationStatistics::can_be_set_on`](dbhaul_catalog::RelationStatistics::can_be_set_on)).
    Copy,
    /// Nowhere: autovacuum will gather some in its time.
    None,
}

/// Which sections of a TOC are imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sections {
    /// Schemas, types, tables.
    pub pre_data: bool,
    /// Rows and sequence values.
    pub data: bool,
    /// Indexes, constraints, triggers.
    pub post_data: bool,
}

impl Default for Sections {
    fn default() -> Self {
        Sections { pre_data: true, data: true, post_data: true }
    }
}

impl Sections {
    /// Whether a section is imported.
    pub fn contains(&self, section: Section) -> bool {
        match section {
            Section::PreData => self.pre_data,
            Section::Data => self.data,
            Section::PostData => self.post_data,
        }
    }
}

/// The members of an extension on the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMembers {
    /// The extension.
    pub extension: String,
    /// Its version; none of the one that every server has, of whose members a user has added all that are listed.
    pub version: Option<String>,
    /// The major of the server.
    pub major: u32,
    /// Those that are relations, functions or types.
    pub members: Vec<ExtensionMember>,
}

/// A member of an extension on the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionMember {
    /// The catalog that it is in.
    pub class: Class,
    /// Its schema.
    pub schema: String,
    /// Its name, without argument types.
    pub name: String,
    /// Whether it holds rows or a position.
    pub holds_state: bool,
    /// As a person knows it.
    pub described: String,
}
