//! Flags of the commands that write and read files of rows.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{LetterArgs, OutputArgs, ReportArgs, SourceArgs, TargetArgs, ThrottleArgs, groups};

/// A format of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormatName {
    /// Apache Parquet, compressed with zstd (.parquet)
    Parquet,
    /// Apache Arrow IPC (.arrow)
    Arrow,
    /// CSV with a header (.csv)
    Csv,
    /// One JSON object per line (.jsonl, .ndjson)
    Jsonl,
}

/// A compression of a whole file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompressionName {
    /// None, whatever the file is called
    None,
    /// .gz
    Gzip,
    /// .zst
    Zstd,
    /// .xz
    Xz,
    /// .bz2
    Bzip2,
    /// .lz4
    Lz4,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportRowsArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The role to read as: SET ROLE after connecting [env: DBHAUL_SOURCE_ROLE]
    #[arg(long, value_name = "ROLE", help_heading = "Where")]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) letters: LetterArgs,
    /// Write the rows into this file, which appears once it is complete; `-` is standard output
    #[arg(short = 'o', long, value_name = "FILE", help_heading = "Where")]
    pub(crate) output: PathBuf,
    /// Export this table or view: orders, shop.orders, 'shop."Orders"'
    ///
    /// A name without a schema has to be the name of one table only. No search path is used.
    #[arg(short = 't', long, value_name = "TABLE", required_unless_present = "query", help_heading = "What")]
    pub(crate) table: Option<String>,
    /// Export the rows of this query: one SELECT, VALUES or TABLE
    ///
    /// It runs in a read-only transaction with an empty search path, so write tables and functions with their schema.
    #[arg(long, value_name = "SQL", conflicts_with = "table", help_heading = "What")]
    pub(crate) query: Option<String>,
    /// The format of the rows [default: from the name of the file]
    #[arg(short = 'F', long, value_name = "FORMAT", value_enum, help_heading = "How")]
    pub(crate) format: Option<RowFormatName>,
    /// Compress the whole file, of CSV or JSON lines [default: from the name of the file]
    #[arg(long, value_name = "METHOD", value_enum, help_heading = "How")]
    pub(crate) compress: Option<CompressionName>,
    #[command(flatten)]
    pub(crate) throttle: ThrottleArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) messages: OutputArgs,
}

/// `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportRowsArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The role to write as: SET ROLE after connecting [env: DBHAUL_TARGET_ROLE]
    #[arg(long, value_name = "ROLE", help_heading = "Where")]
    pub(crate) role: Option<String>,
    #[command(flatten)]
    pub(crate) letters: LetterArgs,
    /// Import into this table: orders, shop.orders, 'shop."Orders"'
    #[arg(short = 't', long, value_name = "TABLE", help_heading = "What")]
    pub(crate) table: String,
    /// The file of rows: Parquet, Arrow, CSV with a header, or JSON lines
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The format of the rows [default: from the name of the file]
    #[arg(short = 'F', long, value_name = "FORMAT", value_enum, help_heading = "How")]
    pub(crate) format: Option<RowFormatName>,
    /// How the whole file is compressed, of CSV or JSON lines [default: from the name of the file]
    #[arg(long, value_name = "METHOD", value_enum, help_heading = "How")]
    pub(crate) compress: Option<CompressionName>,
    /// Fail if a lock on the table is not granted within this time: 500 (milliseconds), 30s, 5min
    #[arg(long, value_name = "TIMEOUT", value_parser = groups::wait, help_heading = "How")]
    pub(crate) lock_wait_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) messages: OutputArgs,
}
