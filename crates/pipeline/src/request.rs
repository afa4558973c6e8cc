//! What a user asks for. Plain data: no command-line types here.

use std::path::PathBuf;

use dbhaul_catalog::{RoleMap, RoleScope, Selection};
use dbhaul_importer::StatisticsMode;
use dbhaul_postgres::ConnectSettings;
use dbhaul_repository::{BackupRef, ParentRef};
use dbhaul_store::StoreUrl;
use dbhaul_verifier::{AcceptList, Checks, Mode};

use crate::{Computed, HoldProgram, ShownRows, ThrottleOptions};

/// What is done about roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleOptions {
    /// Which are recorded or created.
    pub scope: RoleScope,
    /// Whether hashes of passwords are carried.
    pub passwords: bool,
}

impl RoleOptions {
    /// What a backup records where nothing is said: who is used, and no secrets.
    pub const RECORDED: RoleOptions = RoleOptions { scope: RoleScope::Used, passwords: false };
    /// What is created where nothing is said.
    pub const CREATED: RoleOptions = RoleOptions { scope: RoleScope::None, passwords: true };
}

/// Options of every command that writes a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteOptions {
    /// Sessions that load, index and validate at the same time; at least 1.
    pub jobs: usize,
    /// Set owners as on the source.
    pub set_owners: bool,
    /// Grant and revoke as on the source.
    pub privileges: bool,
    /// Drop what will be created first.
    pub clean: bool,
    /// Use `IF EXISTS` with `clean`.
    pub if_exists: bool,
    /// Create the database (named as the source's) first, connected to the one given.
    pub create: bool,
    /// Go on with an unfinished run of the same source.
    pub resume: bool,
    /// Load into a database that is not empty.
    pub allow_non_empty: bool,
    /// Write although transactions are read-only there by default.
    pub allow_read_only: bool,
    /// Keep triggers and foreign keys of tables that are there already out of loading.
    pub disable_triggers: bool,
    /// Where the target's planner statistics come from.
    pub statistics: StatisticsMode,
    /// Write to a server of an older major, without what it does not know.
    pub allow_downgrade: bool,
    /// Create roles first.
    pub roles: RoleOptions,
    /// Other names for roles.
    pub role_map: RoleMap,
    /// `maintenance_work_mem` of each session; chosen from the target's settings when `None`.
    pub maintenance_work_mem_bytes: Option<u64>,
    /// `max_parallel_maintenance_workers` of each session; chosen from the target's settings when `None`.
    pub index_workers: Option<u32>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            jobs: default_jobs(),
            set_owners: true,
            privileges: true,
            clean: false,
            if_exists: false,
            create: false,
            resume: false,
            allow_non_empty: false,
            allow_read_only: false,
            disable_triggers: false,
            statistics: StatisticsMode::default(),
            allow_downgrade: false,
            roles: RoleOptions::CREATED,
            role_map: RoleMap::default(),
            maintenance_work_mem_bytes: None,
            index_workers: None,
        }
    }
}

/// Sessions to use when none are asked for: one for each processor, 4 at most,
/// because both servers do most of the work.
pub fn default_jobs() -> usize {
    std::thread::available_parallelism().map_or(2, |count| count.get().clamp(1, 4))
}

/// How many threads compress beside `jobs` readers: one for each processor that these leave, and as many
/// as readers at most.
pub fn default_compression_helpers(jobs: usize) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    processors.saturating_sub(jobs).min(jobs)
}

/// Asks for a backup.
#[derive(Debug, Clone)]
pub struct DumpRequest {
    /// The database to read.
    pub source: ConnectSettings,
    /// Where the backup goes.
    pub store: StoreUrl,
    /// Which objects.
    pub selection: Selection,
    /// Reading sessions; at least 1.
    pub jobs: usize,
    /// The backup whose chunks are not stored again.
    pub parent: ParentRef,
    /// zstd level of chunks, 1 to 19.
    pub compression_level: i32,
    /// Threads that compress beyond one for each reader.
    pub compression_helpers: usize,
    /// Roles to record.
    pub roles: RoleOptions,
    /// Record planner statistics, so that a restore can copy them.
    pub statistics: bool,
    /// Tags of the backup, by which it can be kept.
    pub tags: Vec<String>,
    /// How much of the source it may take.
    pub throttle: ThrottleOptions,
    /// In which form rows are stored.
    pub row_store: RowStore,
}

/// In which form the rows of a backup are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowStore {
    /// As COPY text in packs, deduplicated.
    #[default]
    Packs,
    /// As files of Parquet, which other programs read.
    Parquet,
}

/// Asks for a backup to be written into a database.
#[derive(Debug, Clone)]
pub struct RestoreRequest {
    /// The store.
    pub store: StoreUrl,
    /// Which backup.
    pub backup: BackupRef,
    /// Only backups of this database count for [`BackupRef::Latest`].
    pub database: Option<String>,
    /// The database to write.
    pub target: ConnectSettings,
    /// Which objects.
    pub selection: Selection,
    /// How.
    pub options: WriteOptions,
    /// Compare definitions, digests of every table and sequences afterwards, as they are on the target.
    pub verify: bool,
}

/// In which format a migration copies rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CopyChoice {
    /// As COPY text; in binary what is too long for that, and tables with a bytea whose types allow it.
    Auto,
    /// As COPY text only.
    Text,
    /// In binary wherever the types of a table allow it and its columns are not more than 100; others as with
    /// [`Self::Auto`].
    #[default]
    Binary,
}

/// Asks for a database to be copied into another.
#[derive(Debug, Clone)]
pub struct MigrateRequest {
    /// The database to read.
    pub source: ConnectSettings,
    /// The database to write.
    pub target: ConnectSettings,
    /// Which objects.
    pub selection: Selection,
    /// How.
    pub options: WriteOptions,
    /// Compare digests of every table afterwards.
    pub verify: bool,
    /// Queries that both sides have to answer alike afterwards.
    pub checks: Checks,
    /// In which format rows travel.
    pub copy_format: CopyChoice,
    /// Hold the snapshot in a process of its own, so that the run can be resumed.
    pub hold: Option<HoldProgram>,
    /// How much of the source it may take.
    pub throttle: ThrottleOptions,
}

impl MigrateRequest {
    /// The database that is written: the one given, or with `--create` one beside it, named as the source's.
    pub fn written(&self) -> ConnectSettings {
        match self.options.create {
            true => self.target.with_database(self.source.database()),
            false => self.target.clone(),
        }
    }
}

/// One side of a verification.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a command has one or two of them")]
pub enum VerifySide {
    /// A live database.
    Live(ConnectSettings),
    /// A backup.
    Backup {
        /// The store.
        store: StoreUrl,
        /// Which backup.
        backup: BackupRef,
        /// Only backups of this database count for [`BackupRef::Latest`].
        database: Option<String>,
        /// Whether this run has read its rows before and found them as they were written: then they are not read again.
        rows_were_read: bool,
    },
}

/// Asks whether two databases are equal.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// What is believed.
    pub left: VerifySide,
    /// What is checked.
    pub right: VerifySide,
    /// Which objects.
    pub selection: Selection,
    /// Scanning sessions on each live side; at least 1.
    pub jobs: usize,
    /// Compare owners.
    pub owners: bool,
    /// Compare privileges.
    pub privileges: bool,
    /// Compare the database's own properties: owner, privileges, settings, comment, encoding, locale.
    pub database: bool,
    /// The names that roles of the left side have on the right.
    pub role_map: RoleMap,
    /// Whether the right side may be asked what definitions mean.
    pub scratch: Scratch,
    /// What is compared.
    pub mode: Vec<Mode>,
    /// What is shown of rows that differ, with [`Mode::Deep`], and of answers to checks.
    pub shown: ShownRows,
    /// Queries that both sides have to answer alike.
    pub checks: Checks,
    /// Differences that do not count.
    pub accept: AcceptList,
    /// A file for statements that would make the right equal, with [`Mode::Deep`] and a live right side.
    pub repair_sql: Option<PathBuf>,
    /// For how many seconds rows are read at most; what is not compared by then is not verified.
    pub max_seconds: Option<u64>,
    /// Computed values that are compared too, of two live sides.
    pub computed: Computed,
}

/// Whether the right side of a comparison may be asked what definitions mean whose texts differ: they are
/// created there in a transaction that is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scratch {
    /// Where transactions are not read-only by default.
    #[default]
    WhereWritable,
    /// Wherever the server can.
    Always,
    /// Nowhere.
    Never,
}

/// Asks what would stand in the way.
#[derive(Debug, Clone)]
pub struct PreflightRequest {
    /// The database to read.
    pub source: ConnectSettings,
    /// The database to write, if there is one.
    pub target: Option<ConnectSettings>,
    /// The store to write, if there is one.
    pub store: Option<StoreUrl>,
    /// Which objects.
    pub selection: Selection,
    /// How it would be written.
    pub options: WriteOptions,
}
