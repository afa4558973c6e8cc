//! What `verify` compares, and what it shows of rows that differ.

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
    /// Rows that differ to show of each table, with --mode deep [default: 20]
    #[arg(long, value_name = "N", value_parser = max_rows(), help_heading = "What")]
    pub(crate) max_rows: Option<usize>,
    /// How to show the values of rows that differ, keys included, with --mode deep [default: mask]
    #[arg(long, value_name = "HOW", help_heading = "What")]
    pub(crate) values: Option<ValuesName>,
    /// Look again at rows that differ, for up to SECONDS, before they count, with --mode deep
    ///
    /// For two live databases of which one is written to and the other follows, by logical replication for
    /// example: rows that are on their way differ at first and agree a little later. They are read again under
    /// new snapshots of both sides, after growing pauses. Rows that agree then are counted as settled and are no
    /// differences. Rows that are still being changed when the time is over leave their table not verified.
    #[arg(long, value_name = "SECONDS", value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400), help_heading = "What")]
    pub(crate) settle: Option<u64>,
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
