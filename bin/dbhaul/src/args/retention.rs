//! Which backups stay: `backup forget`, `prune`, `pin` and `unpin`.

use clap::{Args, ValueEnum};
use dbhaul_pipeline::KeepCount;

use super::groups::{self, BackupArgs};
use super::{OutputArgs, ReaderKeyArgs, ReportArgs, StoreArgs, WriterKeyArgs};

/// `backup forget`.
#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// Forget these backups, given by the beginnings of their IDs, instead of applying a policy
    #[arg(value_name = "BACKUP", conflicts_with = "policy")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: WriterKeyArgs,
    /// Only backups of this database
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    /// Forget even though the newest backup holds less than half the rows of older ones
    #[arg(long, help_heading = "How")]
    pub(crate) allow_shrunk: bool,
    /// Show what would be forgotten and change nothing
    #[arg(long, help_heading = "How")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A policy, with the names of restic's.
#[derive(Debug, Args)]
#[group(id = "policy", multiple = true)]
pub(crate) struct PolicyArgs {
    /// Keep the last N backups; N can be "unlimited" in all these options
    #[arg(short = 'l', long, value_name = "N", value_parser = count, help_heading = "Policy")]
    pub(crate) keep_last: Option<KeepCount>,
    /// Keep the newest backup of each of the last N hours that have one
    #[arg(short = 'H', long, value_name = "N", value_parser = count, help_heading = "Policy")]
    pub(crate) keep_hourly: Option<KeepCount>,
    /// Keep the newest backup of each of the last N days that have one
    #[arg(short = 'd', long, value_name = "N", value_parser = count, help_heading = "Policy")]
    pub(crate) keep_daily: Option<KeepCount>,
    /// Keep the newest backup of each of the last N weeks that have one
    #[arg(short = 'w', long, value_name = "N", value_parser = count, help_heading = "Policy")]
    pub(crate) keep_weekly: Option<KeepCount>,
    /// Keep the newest backup of each of the last N months that have one
    #[arg(short = 'm', long, value_name = "N", value_parser = count, help_heading = "Policy")]
    pub(crate) keep_monthly: Option<KeepCount>,
    /// Keep the newest backup of each of the last N years that have one
    #[arg(short = 'y', long, value_name = "N", value_parser = count, help_heading = "Policy")]
    pub(crate) keep_yearly: Option<KeepCount>,
    /// Keep all backups made within SPAN before the newest one, for example 12h, 7d, 3mo or 1y2mo
    #[arg(long, value_name = "SPAN", help_heading = "Policy")]
    pub(crate) keep_within: Option<String>,
    /// Keep all backups with this tag; may be given several times
    #[arg(long, value_name = "TAG", help_heading = "Policy")]
    pub(crate) keep_tag: Vec<String>,
    /// Keep at least N backups of each database, whatever the policy says [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Policy")]
    pub(crate) keep_at_least: Option<u32>,
    /// Count only backups that `backup check` has found good; the others are kept
    #[arg(long, help_heading = "Policy")]
    pub(crate) keep_checked: bool,
    /// The time zone in which hours, days, weeks, months and years begin, for example Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", help_heading = "Policy")]
    pub(crate) time_zone: Option<String>,
}

/// `backup prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    /// Remove packs that were marked at least HOURS ago
    #[arg(long, value_name = "HOURS", default_value_t = 23, help_heading = "How")]
    pub(crate) grace_hours: u64,
    /// Copy what backups need of sparse packs into new packs first, so that their space is freed
    ///
    /// A pack is sparse if all backups together need a third of it or less. Needs a private key or passphrase if the
    /// store is encrypted: a writer key does not open the rows that are copied.
    #[arg(long, help_heading = "How")]
    pub(crate) repack: bool,
    /// Remove packs even if the store holds no backup
    #[arg(long, help_heading = "How")]
    pub(crate) allow_no_backup: bool,
    /// Show what would be removed and change nothing
    #[arg(long, help_heading = "How")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `backup convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertBackupArgs {
    /// The backup, by the beginning of its ID [default: the newest]
    #[arg(value_name = "BACKUP", conflicts_with = "backup")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    /// How the new backup stores its rows
    #[arg(short = 'F', long, value_name = "FORMAT", value_enum, help_heading = "How")]
    pub(crate) format: RowStoreName,
    /// Segments that are converted at the same time [default: one for each processor, 4 at most]
    #[arg(short, long, value_name = "N", value_parser = groups::jobs(), help_heading = "How")]
    pub(crate) jobs: Option<usize>,
    /// zstd level of the rows, 1 (fast) to 19 (small) [default: 1]
    #[arg(short = 'Z', long = "compress", value_name = "LEVEL", value_parser = groups::zstd_level,
          help_heading = "How")]
    pub(crate) compression_level: Option<i32>,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// A form of the rows of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowStoreName {
    /// COPY text in packs, deduplicated
    Store,
    /// Files of Parquet that other programs read
    Parquet,
}

/// `backup pin` and `backup unpin`.
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// The backups, each given by `latest` or the beginning of its ID
    #[arg(value_name = "BACKUP", required = true)]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: WriterKeyArgs,
    /// The database whose backups are meant; needed for `latest` in a store of several databases
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    pub(crate) database: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

fn count(text: &str) -> Result<KeepCount, String> {
    text.parse().map_err(|error: dbhaul_pipeline::PolicyError| error.to_string())
}
