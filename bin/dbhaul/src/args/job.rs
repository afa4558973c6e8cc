//! Backup jobs: `backup run` and `config check`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OutputArgs, ReportArgs};

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration [env: DBHAUL_CONFIG] [default: ~/.config/dbhaul/dbhaul.toml, else
    /// /etc/dbhaul/dbhaul.toml]
    #[arg(long, value_name = "FILE", help_heading = "Where")]
    pub(crate) config: Option<PathBuf>,
}

/// `backup run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The profiles to run, one after the other
    #[arg(value_name = "PROFILE", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) names: Vec<String>,
    /// Run every profile of the configuration
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check the configuration and the secrets that it names, without connecting to anything
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// Print JSON instead of text
        #[arg(long, help_heading = "Output")]
        json: bool,
    },
}
