//! `backup run`: what a job does every night: dump, check, forget, prune, and tell others of it.

mod databases;
mod overlap;
mod report;
mod run;

use std::time::Duration;

use dbhaul_archive::CheckLevel;
use dbhaul_repository::{KeepPolicy, StoreKeys};

use crate::notify::Notifications;
use crate::{CheckSubset, DumpRequest, PipelineError};

use databases::{Closed, Matching};
pub use report::{JobReport, Step, StepKind, StepResult};
pub use run::{run_job, tell_unusable};

/// A backup job.
#[derive(Debug, Clone)]
pub struct BackupJob {
    /// Its name in the configuration, by which messages and metrics call it.
    pub name: String,
    /// How each database is dumped; without patterns the one of its source.
    pub dump: DumpRequest,
    /// Patterns of the names of databases of that server, with `*` and `?`; none for the one of the source.
    pub databases: Vec<String>,
    /// How long a lock on a table of the source is waited for; none: until it is granted.
    pub lock_wait: Option<Duration>,
    /// What opens the store, where it is encrypted.
    pub keys: StoreKeys,
    /// How the backup is checked that was just made; none: not at all.
    pub check: Option<JobCheck>,
    /// Which backups to keep afterwards; none: all of them.
    pub keep: Option<KeepPolicy>,
    /// How long packs stay after they were marked; none: nothing is pruned.
    pub prune: Option<Duration>,
    /// What to do while another run of the job is at work on the same database.
    pub overlap: Overlap,
    /// Whom to tell.
    pub notify: Notifications,
    /// Who cannot be told, and why.
    pub notify_problems: Vec<String>,
}

/// A job that cannot begin, because its profile cannot be used. Whoever can be told is told of that.
#[derive(Debug, Clone)]
pub struct UnusableJob {
    /// Its name in the configuration.
    pub name: String,
    /// Why the profile cannot be used.
    pub problem: String,
    /// Whom to tell.
    pub notify: Notifications,
    /// Who cannot be told, and why.
    pub notify_problems: Vec<String>,
}

/// How a job checks the backup that it has made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobCheck {
    /// How closely; a machine that makes backups in an encrypted store has a key for no more than level 1.
    pub level: CheckLevel,
    /// Read only these packs of rows.
    pub subset: Option<CheckSubset>,
}

impl Default for JobCheck {
    fn default() -> Self {
        JobCheck { level: CheckLevel::Hashes, subset: None }
    }
}

/// What a job does that finds another run of itself at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// Leaves the database out and says so.
    #[default]
    Skip,
    /// Waits for the end of the other.
    Wait,
    /// Runs beside it.
    Run,
}

/// What a job backs up, and what it cannot.
struct Sources {
    /// A dump of each database.
    open: Vec<DumpRequest>,
    /// Databases that match a pattern and refuse connections.
    closed: Vec<Closed>,
    /// What is wrong with patterns that match none.
    unmatched: Vec<PipelineError>,
}

impl BackupJob {
    /// The databases that it backs up, read from the server where they are given by patterns.
    ///
    /// # Errors
    /// If the server cannot be asked.
    async fn sources(&self, context: &crate::Context) -> Result<Sources, PipelineError> {
        if self.databases.is_empty() {
            return Ok(Sources { open: vec![self.dump.clone()], closed: Vec::new(), unmatched: Vec::new() });
        }
        let Matching { open, closed, unmatched } =
            databases::matching(&self.dump.source, &self.databases, context).await?;
        let of =
            |name: String| DumpRequest { source: self.dump.source.with_database(&name), ..self.dump.clone() };
        Ok(Sources { open: open.into_iter().map(of).collect(), closed, unmatched })
    }
}
