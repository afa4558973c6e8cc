//! The first stage of arguments: what was typed, and nothing of what it means.
//!
//! Flags that depend on each other only by their presence are tied together
//! here; what depends on the environment or on their values is decided in
//! [`intent`](crate::intent).

mod check;
mod compare;
mod groups;
mod habits;
mod help;
mod job;
mod letters;
#[cfg(test)]
mod reference;
mod report;
mod retention;
mod rows;
mod store;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use check::{CheckArgs, ListArgs};
pub(crate) use compare::{CompareArgs, ModeName, OtherBackupArgs, ValuesName};
pub(crate) use groups::{
    BackupArgs, Compress, DEFAULT_COMPRESSION_LEVEL, DumpFormat, OutputArgs, RecordArgs, ReportArgs,
    RoleArgs, RoleMapArgs, RolesArg, ScriptArgs, SectionName, SelectionArgs, SideRoleArgs, SourceArgs,
    StatisticsName, StoreArgs, TargetArgs, ThrottleArgs, WriteArgs, level_of_rows,
};
pub(crate) use habits::Refused;
pub(crate) use job::{ConfigCommand, RunArgs};
pub(crate) use letters::LetterArgs;
pub(crate) use report::{ConvertArgs, ReportAction};
pub(crate) use retention::{ConvertBackupArgs, ForgetArgs, PinArgs, PolicyArgs, PruneArgs, RowStoreName};
pub(crate) use rows::{CompressionName, ExportRowsArgs, ImportRowsArgs, RowFormatName};
pub(crate) use store::{
    InitArgs, KeyAddArgs, KeyCommand, KeyListArgs, KeyRemoveArgs, KeyRemoveGenerationArgs, KeyRotateArgs,
    KeyWriterArgs, ReaderKeyArgs, RecipientArgs, StoreCommand, WriterKeyArgs,
};

/// Move whole PostgreSQL databases, back them up to a directory or S3, and verify the copies.
#[derive(Debug, Parser)]
#[command(
    name = "dbhaul",
    version = VERSION,
    arg_required_else_help = true,
    disable_help_flag = true,
    propagate_version = true,
    after_help = help::SHORT,
    after_long_help = help::LONG,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print help (-? for a summary, --help for details)
    // -h is the host, as with pg_dump and psql.
    #[arg(short = '?', long, global = true, action = ArgAction::Help, help_heading = "Output")]
    help: Option<bool>,
}

/// The version, with the commit that it was built from and its date where they are known.
const VERSION: &str = env!("DBHAUL_VERSION");

impl Cli {
    /// The arguments as they were typed; or what was typed from habit, and what to do instead.
    ///
    /// # Errors
    /// What is no command line, and asked-for help.
    pub(crate) fn read<A: Into<OsString> + Clone>(
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Result<Self, Refused>, clap::Error> {
        let mut command = habits::add(Cli::command());
        let matches = command.try_get_matches_from_mut(arguments)?;
        match habits::refused(&matches) {
            Some(refused) => Ok(Err(refused)),
            None => Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command)).map(Ok),
        }
    }
}

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check whether a migration or dump can run, without changing anything
    ///
    /// The definitions are created on the target in transactions that are rolled back. Functions that checks and
    /// indexes call with constants run there meanwhile, with the rights of the connecting role.
    #[command(after_long_help = help::PREFLIGHT)]
    Preflight(Box<PreflightArgs>),
    /// Back up a database into a store
    #[command(after_long_help = help::DUMP)]
    Dump(Box<DumpArgs>),
    /// Restore a backup into a database
    // -e is pg_restore's --exit-on-error here, which `habits` answers.
    #[command(after_long_help = help::RESTORE, mut_arg("extensions", |arg| arg.short(None)))]
    Restore(Box<RestoreArgs>),
    /// Copy a database directly into another one
    #[command(after_long_help = help::MIGRATE)]
    Migrate(Box<MigrateArgs>),
    /// Compare two databases, or a database with a backup: definitions, rows, sequences
    #[command(after_long_help = help::VERIFY)]
    Verify(Box<VerifyArgs>),
    /// Write the rows of one table or query as Parquet, Arrow, CSV or JSON lines
    #[command(after_long_help = help::EXPORT_ROWS)]
    Export(Box<ExportRowsArgs>),
    /// Load the rows of a Parquet, Arrow, CSV or JSON lines file into a table, all of them or none
    #[command(after_long_help = help::IMPORT_ROWS)]
    Import(Box<ImportRowsArgs>),
    /// List what unfinished runs left behind; remove it with --yes
    #[command(after_long_help = help::CLEANUP)]
    Cleanup(Box<CleanupArgs>),
    /// Hold a snapshot for a run of `migrate`; not meant to be called by people
    #[command(hide = true)]
    HoldSnapshot {
        /// The run's identifier
        run: String,
    },
    /// List, check, show, export, forget and prune backups, and run backup jobs
    Backup {
        /// What to do with them.
        #[command(subcommand)]
        command: BackupCommand,
    },
    /// Create a store, and manage the keys of an encrypted one
    Store {
        /// What to do.
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Convert reports
    Report {
        /// What to do with one.
        #[command(subcommand)]
        action: ReportAction,
    },
    /// Check the configuration of backup jobs
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print the completion script of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual pages, or write them into a directory
    Man {
        /// Print only the page of this command, for example `dbhaul man backup show`
        #[arg(value_name = "COMMAND", conflicts_with = "dir")]
        command: Vec<String>,
        /// Write one page for each command into this directory instead
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

impl Command {
    /// How it is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Command::Preflight(_) => "preflight",
            Command::Dump(_) => "dump",
            Command::Restore(_) => "restore",
            Command::Migrate(_) => "migrate",
            Command::Verify(_) => "verify",
            Command::Export(_) => "export",
            Command::Import(_) => "import",
            Command::Cleanup(_) => "cleanup",
            Command::HoldSnapshot { .. } => "hold-snapshot",
            Command::Backup { .. } => "backup",
            Command::Store { .. } => "store",
            Command::Report { .. } => "report",
            Command::Config { .. } => "config",
            Command::Completions { .. } => "completions",
            Command::Man { .. } => "man",
        }
    }
}

/// What to do with the backups of a store.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// List all backups of a store, oldest first, with what checks have found
    #[command(after_long_help = help::LIST)]
    List(Box<ListArgs>),
    /// Check that backups are what was written: what is there, hashes, rows, or a restore
    #[command(after_long_help = help::CHECK)]
    Check(Box<CheckArgs>),
    /// Show one backup with its tables, and check that all its packs are there
    Show(Box<ShowArgs>),
    /// Write a backup as one SQL script, which psql restores without dbhaul
    #[command(after_long_help = help::EXPORT)]
    Export(Box<ExportArgs>),
    /// Run backup jobs of the configuration file, and send notifications
    #[command(after_long_help = help::RUN)]
    Run(Box<RunArgs>),
    /// Store the state of a backup once more, with its rows as Parquet or in packs
    #[command(after_long_help = help::CONVERT_BACKUP)]
    Convert(Box<ConvertBackupArgs>),
    /// Delete backups that a policy does not keep, or the given ones
    #[command(after_long_help = help::FORGET)]
    Forget(Box<ForgetArgs>),
    /// Free the space that no backup needs
    #[command(after_long_help = help::PRUNE)]
    Prune(Box<PruneArgs>),
    /// Keep backups whatever the policy of `backup forget` says
    Pin(Box<PinArgs>),
    /// Apply the policy of `backup forget` to pinned backups again
    Unpin(Box<PinArgs>),
}

/// `backup show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The same as --backup
    #[arg(value_name = "BACKUP", conflicts_with = "backup")]
    pub(crate) id: Option<String>,
    /// List the entries instead, as pg_restore -l does
    #[arg(long, conflicts_with = "ddl")]
    pub(crate) toc: bool,
    /// Print the definitions as SQL instead, including passwords of user mappings and subscriptions
    #[arg(long)]
    pub(crate) ddl: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `backup export`.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// The same as --backup
    #[arg(value_name = "BACKUP", conflicts_with = "backup")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    #[command(flatten)]
    pub(crate) script: ScriptArgs,
    /// Compress the script: gzip, zstd, xz, bzip2 or lz4, with a level as in gzip:9
    ///
    /// Without it, the name of the file says how it is compressed: shop.sql.gz, .zst, .xz, .bz2, .lz4.
    #[arg(short = 'Z', long, value_name = "METHOD", value_parser = groups::compress, help_heading = "How")]
    pub(crate) compress: Option<Compress>,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `preflight`.
#[derive(Debug, clap::Args)]
pub(crate) struct PreflightArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) acting: SideRoleArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: WriterKeyArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) roles: RoleArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `dump`.
#[derive(Debug, clap::Args)]
pub(crate) struct DumpArgs {
    /// The same as --dbname
    #[arg(value_name = "DBNAME", conflicts_with = "dbname")]
    pub(crate) named_database: Option<String>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The role to read as: SET ROLE after connecting [env: DBHAUL_SOURCE_ROLE]
    #[arg(long, value_name = "ROLE", help_heading = "Where")]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) letters: LetterArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: WriterKeyArgs,
    /// Write a backup into a store, or one SQL script for psql
    #[arg(short = 'F', long, value_name = "FORMAT", value_parser = groups::FormatParser, default_value = "store",
          help_heading = "Where")]
    pub(crate) format: DumpFormat,
    #[command(flatten)]
    pub(crate) script: ScriptArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) roles: RecordArgs,
    /// Sessions that read at the same time [default: one for each processor, 4 at most]
    #[arg(short, long, value_name = "N", value_parser = groups::jobs(), help_heading = "How")]
    pub(crate) jobs: Option<usize>,
    /// zstd level of the rows, 1 (fast) to 19 (small) [default: 1]; or how a script is compressed
    ///
    /// A script is compressed with gzip, zstd, xz, bzip2 or lz4, with a level as in gzip:9; a level alone is of gzip, as for
    /// pg_dump. Without the option, the name of a script's file says how it is compressed: shop.sql.gz, .zst, .xz, .bz2, .lz4.
    #[arg(short = 'Z', long, value_name = "LEVEL|METHOD", value_parser = groups::compress, help_heading = "How")]
    pub(crate) compress: Option<Compress>,
    /// Deduplicate against this backup of the store [default: the newest of the same database]
    ///
    /// Chunks of rows (about 64 KiB each) that this backup already holds are neither compressed nor uploaded.
    #[arg(long, value_name = "BACKUP", help_heading = "How")]
    pub(crate) parent: Option<String>,
    /// Store all rows, also those that earlier backups hold; use it after packs of these were damaged
    #[arg(long, conflicts_with = "parent", help_heading = "How")]
    pub(crate) full: bool,
    /// Additional threads that compress, besides one for each session [default: one for each processor left]
    #[arg(long = "compress-threads", value_name = "N",
          value_parser = groups::helpers(), help_heading = "How")]
    pub(crate) compression_helpers: Option<usize>,
    /// Tag the backup, for `backup forget --keep-tag`; may be given several times
    #[arg(long = "tag", value_name = "TAG", help_heading = "How")]
    pub(crate) tags: Vec<String>,
    /// Do not record planner statistics, which hold some of the columns' values
    #[arg(long = "no-statistics", action = ArgAction::SetFalse, help_heading = "How")]
    pub(crate) statistics: bool,
    #[command(flatten)]
    pub(crate) throttle: ThrottleArgs,
    /// Print the plan and change nothing
    #[arg(long, help_heading = "How")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `restore`.
#[derive(Debug, clap::Args)]
pub(crate) struct RestoreArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The role to restore as: SET ROLE after connecting [env: DBHAUL_TARGET_ROLE]
    ///
    /// Constraints, generated columns and triggers of the backup run functions with the rights of this role.
    /// Use one that owns the database and may do nothing else.
    #[arg(long, value_name = "ROLE", help_heading = "Where")]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) letters: LetterArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) roles: RoleArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    /// Resume an unfinished restore of the same backup; nothing is loaded twice
    #[arg(long, help_heading = "How")]
    pub(crate) resume: bool,
    /// Do not compare the target with the backup afterwards
    #[arg(long = "no-verify", action = ArgAction::SetFalse, help_heading = "How")]
    pub(crate) verify: bool,
    /// Print the plan and change nothing; ends with 1 if the run would be refused
    ///
    /// The definitions are created on the target in transactions that are rolled back, as `preflight` does.
    #[arg(long, help_heading = "How")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) acting: SideRoleArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) roles: RoleArgs,
    #[command(flatten)]
    pub(crate) write: WriteArgs,
    /// Resume an unfinished migration; nothing is loaded twice
    ///
    /// Needs the same state of the source: its snapshot is still held (--hold-snapshot), or nothing was
    /// written to its cluster since.
    #[arg(long, help_heading = "How")]
    pub(crate) resume: bool,
    /// Hold the snapshot in a separate process, so that the run can be resumed whatever happens to it
    #[arg(long, help_heading = "How")]
    pub(crate) hold_snapshot: bool,
    /// Hours for which that process holds the snapshot after the run ended without finishing
    #[arg(long, value_name = "HOURS", default_value_t = 24, requires = "hold_snapshot",
          value_parser = clap::value_parser!(u64).range(1..=720), help_heading = "How")]
    pub(crate) hold_hours: u64,
    /// Do not compare both sides afterwards
    #[arg(long = "no-verify", action = ArgAction::SetFalse, help_heading = "How")]
    pub(crate) verify: bool,
    /// Also ask both databases the queries in FILE afterwards, and compare the answers
    ///
    /// FILE is the same as for `verify --check`. The source answers as of the snapshot that was copied.
    #[arg(long, value_name = "FILE", conflicts_with = "verify", help_heading = "How")]
    pub(crate) check: Option<PathBuf>,
    /// The format in which rows are copied
    ///
    /// Binary is used for tables whose columns all have types with the same binary format on every
    /// version; --dry-run -v lists them.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = CopyFormatName::Binary, help_heading = "How")]
    pub(crate) copy_format: CopyFormatName,
    #[command(flatten)]
    pub(crate) throttle: ThrottleArgs,
    /// Print the plan and change nothing; ends with 1 if the run would be refused
    ///
    /// The definitions are created on the target in transactions that are rolled back, as `preflight` does.
    #[arg(long, help_heading = "How")]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `cleanup`.
#[derive(Debug, clap::Args)]
pub(crate) struct CleanupArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) acting: SideRoleArgs,
    /// Clean up a store instead of a database: list the packs that no backup needs
    ///
    /// Dumps that failed or were killed leave them behind. Nothing is removed while a dump into the store
    /// is active, or if the manifest of any backup cannot be read.
    #[arg(long, value_name = "STORE", conflicts_with_all = ["target", "source"], help_heading = "Where")]
    pub(crate) store: Option<String>,
    #[command(flatten)]
    pub(crate) keys: WriterKeyArgs,
    /// Keep packs that are younger than HOURS
    ///
    /// Nothing is removed while a dump is active, whatever the age of its packs.
    #[arg(long, value_name = "HOURS", default_value_t = 72, requires = "store",
          conflicts_with_all = ["target", "source"], help_heading = "How")]
    pub(crate) grace_hours: u64,
    /// Only list, as without --yes
    #[arg(long, conflicts_with = "yes", help_heading = "How")]
    pub(crate) dry_run: bool,
    /// Remove what is listed
    #[arg(short, long, help_heading = "How")]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `verify`.
#[derive(Debug, clap::Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    #[command(flatten)]
    pub(crate) acting: SideRoleArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    #[command(flatten)]
    pub(crate) other: OtherBackupArgs,
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    #[command(flatten)]
    pub(crate) letters: LetterArgs,
    #[command(flatten)]
    pub(crate) map: RoleMapArgs,
    /// Also compare the properties of the databases themselves, which --create copies: owner, privileges,
    /// settings, comment, encoding, locale, tablespace, limits
    #[arg(short = 'C', long, help_heading = "What")]
    pub(crate) create: bool,
    #[command(flatten)]
    pub(crate) compare: CompareArgs,
    /// Sessions that scan each side [default: one for each processor, 4 at most]
    #[arg(short, long, value_name = "N", value_parser = groups::jobs(), help_heading = "How")]
    pub(crate) jobs: Option<usize>,
    #[command(flatten)]
    pub(crate) scratch: ScratchArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Whether definitions may be created on the target to be compared.
#[derive(Debug, clap::Args)]
pub(crate) struct ScratchArgs {
    /// Create definitions whose texts differ on the target, in a transaction that is rolled back, to compare
    /// them, even if transactions are read-only there by default. Elsewhere this is the default
    #[arg(long, help_heading = "How")]
    pub(crate) scratch: bool,
    /// Create nothing on the target, not even in a transaction that is rolled back, as on a server in
    /// production. Definitions are then compared by their parse trees, and not verified where these differ
    #[arg(long, conflicts_with = "scratch", help_heading = "How")]
    pub(crate) no_scratch: bool,
}

/// In which format rows are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CopyFormatName {
    /// Text, which needs less work of the client; binary for values too long for text and tables with a bytea
    Auto,
    /// Text
    Text,
    /// Binary where the types of a table allow it; like auto for tables of more than 100 columns
    Binary,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, plain lines elsewhere
    Auto,
    /// Bars
    Bar,
    /// A line every few seconds, with rate and time left
    Plain,
    /// Events as NDJSON
    Json,
    /// Warnings only
    None,
}
