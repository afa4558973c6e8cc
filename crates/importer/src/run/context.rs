//! What every step of a run needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dbhaul_catalog::{ServerVersion, TocEntry};
use dbhaul_postgres::{ConnectSettings, Error, Session, SessionOptions, SessionRole};
use dbhaul_progress::Progress;
use tokio_util::sync::CancellationToken;

use crate::check::Tuning;
use crate::ledger::{Clean, DoneSteps, Ledger};
use crate::roles::RoleLimits;
use crate::{ImportPlan, SegmentSource};

/// What every step of a run needs; never changes while it lasts.
pub(crate) struct Context {
    pub(crate) plan: ImportPlan,
    pub(crate) target: ConnectSettings,
    pub(crate) source: Arc<dyn SegmentSource>,
    pub(crate) progress: Progress,
    pub(crate) cancel: CancellationToken,
    pub(crate) ledger: Ledger,
    /// Whether there is something to drop first.
    pub(crate) clean: Clean,
    /// Steps that an earlier process of the same run has committed.
    pub(crate) done: DoneSteps,
    pub(crate) roles: RoleLimits,
    pub(crate) version: ServerVersion,
    pub(crate) tuning: Tuning,
    /// Locks that the target has room for, of all sessions together.
    pub(crate) lock_slots: usize,
    pub(crate) retried_attempts: AtomicU64,
}

/// The statements of an entry as this run will send them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prepared {
    pub(crate) statements: Vec<String>,
    pub(crate) set_owner: Option<String>,
    /// What cannot be done on this target, and why.
    pub(crate) left_out: Option<String>,
}

impl Context {
    /// Opens a session that loads.
    pub(crate) async fn connect(&self) -> Result<Session, Error> {
        let options = SessionOptions { role: SessionRole::Loader, extra_pins: self.tuning.pins() };
        Session::connect(&self.target, options, &self.cancel).await
    }

    /// What will be sent for an entry.
    pub(crate) fn prepare(&self, entry: &TocEntry) -> Prepared {
        let runnable = self.roles.runnable(entry);
        let mut left_out = runnable.left_out;
        let mut set_owner = entry.set_owner.clone().filter(|_| self.plan.options.set_owners);
        let problem = entry.owner.as_deref().and_then(|owner| self.roles.owner_problem(owner));
        if let (Some(problem), true) = (problem, set_owner.is_some()) {
            set_owner = None;
            left_out.push(problem);
        }
        let left_out = (!left_out.is_empty()).then(|| left_out.join("; "));
        Prepared { statements: runnable.statements, set_owner, left_out }
    }

    /// Counts an attempt that is going to be repeated, and says so.
    pub(crate) fn count_retry(&self, what: &str, error: &dyn std::fmt::Display) {
        self.retried_attempts.fetch_add(1, Ordering::Relaxed);
        let first_line = error.to_string().lines().next().unwrap_or_default().to_owned();
        self.progress.warning(format!("{what}: {first_line}; trying again"));
    }
}

/// Statements as one message. Each ends on a line of its own, since it may end in a comment.
pub(crate) fn join(statements: &[String]) -> String {
    statements.join("\n;\n")
}
