//! What is done with a report that was written before.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::help;

/// What to do with a report.
#[derive(Debug, Subcommand)]
pub(crate) enum ReportAction {
    /// Write a JSON report of verify, migrate or restore as a page, as Markdown or for a CI
    #[command(after_long_help = help::CONVERT)]
    Convert(ConvertArgs),
}

/// `report convert`.
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    /// The report, as --report FILE.json or --json wrote it
    #[arg(value_name = "IN.json")]
    pub(crate) input: PathBuf,
    /// The files to write, each by its name: .html, .md, or .xml for JUnit. A file that is there is overwritten
    #[arg(value_name = "OUT", required = true)]
    pub(crate) outputs: Vec<PathBuf>,
}
