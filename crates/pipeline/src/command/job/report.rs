//! What a job did.

use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::in_one_line;
use jiff::Timestamp;
use serde::Serialize;

use crate::{CheckSummary, DumpReport, ForgetReport, PruneReport, Status};

/// What a job did, step by step.
#[derive(Debug, Serialize)]
pub struct JobReport {
    /// The job.
    pub job: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// Its steps in the order in which they were taken.
    pub steps: Vec<Step>,
}

/// One step of a job.
#[derive(Debug, Serialize)]
pub struct Step {
    /// The database; none for what concerns the whole store.
    pub database: Option<String>,
    /// What was done.
    pub step: StepKind,
    /// How long it took.
    pub elapsed_seconds: f64,
    /// What came of it.
    #[serde(flatten)]
    pub result: StepResult,
}

/// A kind of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Finding the databases, the lock of the job.
    Prepare,
    /// The backup.
    Dump,
    /// Reading the backup again.
    Check,
    /// Forgetting what the policy does not keep.
    Forget,
    /// Freeing space.
    Prune,
}

/// What came of a step.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepResult {
    /// A backup was made.
    Dumped(Box<DumpReport>),
    /// The backup was checked.
    Checked(Box<CheckSummary>),
    /// Backups were forgotten, or there were none to forget.
    Forgot(ForgetReport),
    /// Space was freed, or there was none to free.
    Pruned(Box<PruneReport>),
    /// It failed.
    Failed {
        /// Why, with its causes, on one line.
        error: String,
        /// What to do.
        help: Option<String>,
    },
    /// Another one does it, or the next run: nothing is lost by that.
    Left {
        /// Why.
        reason: String,
    },
    /// It was not begun.
    NotDone {
        /// Why.
        reason: String,
    },
}

impl JobReport {
    /// The report of a job that could not begin, because its profile cannot be used.
    pub(super) fn unusable(job: String, error: String) -> Self {
        let result = StepResult::Failed { error, help: Some("correct the configuration".to_owned()) };
        let step = Step { database: None, step: StepKind::Prepare, elapsed_seconds: 0.0, result };
        let now = Timestamp::now();
        JobReport { job, started: now, finished: now, steps: vec![step] }
    }

    /// Failed if any step did; skipped if a backup lacks objects or was not made because another run is at work.
    pub fn status(&self) -> Status {
        self.steps.iter().map(Step::status).max().unwrap_or(Status::Failed)
    }
}

impl Step {
    /// How the step ended.
    pub fn status(&self) -> Status {
        match &self.result {
            StepResult::Dumped(report) => report.status(),
            // whatever a check has found, the step that was to find nothing has failed
            StepResult::Checked(summary) if summary.status() == Status::Done => Status::Done,
            StepResult::Checked(_) => Status::Failed,
            StepResult::Forgot(report) => report.status(),
            StepResult::Pruned(report) => report.status(),
            StepResult::Failed { .. } => Status::Failed,
            StepResult::Left { .. } => Status::Done,
            StepResult::NotDone { .. } => Status::Skipped,
        }
    }
}

impl Display for StepKind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StepKind::Prepare => "prepare",
            StepKind::Dump => "dump",
            StepKind::Check => "check",
            StepKind::Forget => "forget",
            StepKind::Prune => "prune",
        })
    }
}

impl Display for JobReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let status = match self.status() {
            Status::Done => "done",
            Status::Skipped => "done in part",
            _ => "FAILED",
        };
        write!(f, "job {}: {status}", in_one_line(&self.job))?;
        for step in &self.steps {
            let of = step.database.as_ref().map(|name| format!(" {}", in_one_line(name))).unwrap_or_default();
            write!(f, "\n{}{of}: ", step.step)?;
            let text = match &step.result {
                StepResult::Dumped(report) => report.to_string(),
                StepResult::Checked(summary) => summary.to_string(),
                StepResult::Forgot(report) => report.summary(),
                StepResult::Pruned(report) => report.to_string(),
                StepResult::Failed { error, help: Some(help) } => format!("failed: {error}\n{help}"),
                StepResult::Failed { error, help: None } => format!("failed: {error}"),
                StepResult::Left { reason } => format!("left to another run: {reason}"),
                StepResult::NotDone { reason } => format!("not done: {reason}"),
            };
            write!(f, "{}", text.replace('\n', "\n  "))?;
        }
        Ok(())
    }
}
