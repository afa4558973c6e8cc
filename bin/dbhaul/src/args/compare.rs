//! What `verify` compares, and what it shows of rows that differ.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

/// What is compared.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// What to compare, separated by commas [default: schema,digest]
    ///
    /// The modes combine: schema,deep compares definitions and finds the rows that differ; counts alone takes
    /// a glance, and its verdict says that the contents of rows were not compared.
    #[arg(long, value_name = "MODE", value_delimiter = ',', help_heading = "What")]
    pub(crate) mode: Vec<ModeName>,
    /// Rows that differ to show of each table, with --mode deep, and of each check [default: 20]
    #[arg(long, value_name = "N", value_parser = max_rows(), help_heading = "What")]
    pub(crate) max_rows: Option<usize>,
    /// How to show the values of rows that differ, keys included, with --mode deep or --check [default: mask]
    #[arg(long, value_name = "HOW", help_heading = "What")]
    pub(crate) values: Option<ValuesName>,
    /// Also compare the rows of materialized views, as each side has computed them last
    ///
    /// They are computed from tables, which are compared in any case: views that were refreshed at other times differ.
    /// Both sides have to be live databases.
    #[arg(long, help_heading = "What")]
    pub(crate) materialized_views: bool,
    /// Also compare the values of generated columns
    ///
    /// They are computed from other columns of their rows, which are compared in any case. Both sides have to be live
    /// databases.
    #[arg(long, conflicts_with = "repair_sql", help_heading = "What")]
    pub(crate) generated_columns: bool,
    /// Look again at rows that differ, for up to SECONDS, before they count, with --mode deep
    ///
    /// For two live databases of which one is written to and the other follows, by logical replication for
    /// example: rows that are on their way differ at first and agree a little later. They are read again under
    /// new snapshots of both sides, after growing pauses. Rows that agree then are counted as settled and are no
    /// differences. Rows that are still being changed when the time is over leave their table not verified.
    #[arg(long, value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400), help_heading = "What")]
    pub(crate) settle: Option<u64>,
    /// Also ask both databases the queries in FILE, and compare the answers
    ///
    /// FILE is TOML: [[check]] with `name` and `sql`, which has to be one SELECT. It is run in a transaction
    /// that is read-only, sees the snapshot of the comparison and is rolled back. Names in it need their schemas,
    /// unless FILE has a `search_path`.
    #[arg(long, value_name = "FILE", help_heading = "What")]
    pub(crate) check: Option<PathBuf>,
    /// Do not count the differences that FILE lists, each with a reason
    ///
    /// A line names an object as the report does, in brackets the part that may differ, and behind ` -- ` why:
    /// `TABLE public.audit_log [rows] -- still written to`. The report lists what was accepted, and lines that
    /// accepted nothing.
    #[arg(long, value_name = "FILE", help_heading = "What")]
    pub(crate) accept: Option<PathBuf>,
    /// Write statements into FILE that would make the rows of the target equal, with --mode deep
    ///
    /// dbhaul never runs them. They are for tables that have the same key on both sides, and for positions of
    /// sequences. FILE holds values as they are, whatever --values says.
    #[arg(long, value_name = "FILE", help_heading = "What")]
    pub(crate) repair_sql: Option<PathBuf>,
    /// Read rows for SECONDS at most; what is not compared by then is not verified
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=31_536_000), help_heading = "What")]
    pub(crate) max_seconds: Option<u64>,
}

/// A backup on the right.
#[derive(Debug, Args)]
pub(crate) struct OtherBackupArgs {
    /// Compare with this backup in the place of a target: `latest`, or the beginning of its ID
    ///
    /// The left side is the backup that --store and --backup name, or the database of --source.
    #[arg(long, value_name = "ID", help_heading = "Where")]
    pub(crate) other_backup: Option<String>,
    /// The store of --other-backup [default: the same as --store]
    #[arg(long, value_name = "STORE", help_heading = "Where")]
    pub(crate) other_store: Option<String>,
}

/// Takes a number of rows. The limit keeps a report readable, and a query that asks for the rows short.
fn max_rows() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=10_000)
}

/// Something that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    /// Definitions
    Schema,
    /// How many rows each table has, and not what is in them
    Counts,
    /// The number of rows of each table and the sum of their hashes
    Digest,
    /// The same; of tables that differ, also which rows and columns do
    Deep,
}

/// How values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ValuesName {
    /// As they are, the first 200 characters of each
    Show,
    /// By their length and a mark: equal values have equal marks in one report, and marks tell nothing else
    Mask,
    /// Not at all: only the columns are named
    Omit,
}
