//! The one database of a command, by the letters of `pg_dump` and `psql`.

use clap::Args;

/// Which database, by `pg_dump`'s letters; for commands that have one.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Where, by pg_dump's letters")]
pub(crate) struct LetterArgs {
    /// The server's host name, or the directory of its socket
    #[arg(short = 'h', long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// The server's port
    #[arg(short = 'p', long, value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// The role to connect as
    #[arg(short = 'U', long, value_name = "NAME")]
    pub(crate) username: Option<String>,
    /// The database, by its name or as a connection string
    #[arg(short = 'd', long, value_name = "DBNAME")]
    pub(crate) dbname: Option<String>,
}

impl LetterArgs {
    /// What was given, as keywords of a connection string.
    pub(crate) fn given(&self) -> Vec<(&'static str, &str)> {
        let all =
            [("host", &self.host), ("port", &self.port), ("user", &self.username), ("dbname", &self.dbname)];
        all.into_iter().filter_map(|(keyword, value)| Some((keyword, value.as_deref()?))).collect()
    }
}
