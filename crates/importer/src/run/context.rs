//! What every step of a run needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dbhaul_catalog::{ServerVersion, TocEntry};
use dbhaul_postgres::{ConnectSettings, Error, Session, SessionOptions, SessionRole};
use dbhaul_progress::Progress;
use tokio_util::sync::CancellationToken;

use crate::ledger::{Clean, DoneSteps, Ledger};
use crate::plan::Work;
use crate::plan::roles::RoleLimits;
use crate::run::prepared::Prepared;
use crate::target::{Predicted, Tuning};
use crate::{ImportPlan, SegmentSource};

/// SQLSTATE of a table that is not there, or whose schema is not.
const UNDEFINED_TABLE: &str = "42P01";

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
    /// What the target is known to refuse.
    pub(crate) predicted: Predicted,
    pub(crate) version: ServerVersion,
    pub(crate) tuning: Tuning,
    /// Locks that the target has room for, of all sessions together.
    pub(crate) lock_slots: usize,
    pub(crate) retried_attempts: AtomicU64,
}

impl Context {
    /// Opens a session that loads.
    ///
    /// Commits do not wait for the disk. When a crash has taken the last of them back, whatever was done next
    /// would come before what it comes after: a table's triggers, say, before its rows, which then fire them
    /// when they are loaded again. So a session is opened only on a server that has not crashed.
    ///
    /// # Errors
    /// [`Error::Crashed`] if it has; and as [`Session::connect`].
    pub(crate) async fn connect(&self) -> Result<Session, Error> {
        let mut extra_pins = self.tuning.pins();
        if self.plan.options.disable_triggers {
            extra_pins.push(("session_replication_role".to_owned(), "replica".to_owned()));
        }
        let options = SessionOptions { role: SessionRole::Loader, extra_pins };
        let session = Session::connect(&self.target, options, &self.cancel).await?;
        match self.ledger.is_alive(&session).await {
            Ok(true) => Ok(session),
            Ok(false) => {
                let server = session.server().to_owned();
                session.close().await?;
                Err(Error::Crashed { server })
            }
            // with the run's last commit the ledger goes
            Err(error) if error.sqlstate() == Some(UNDEFINED_TABLE) => Ok(session),
            Err(error) => Err(error),
        }
    }

    /// What will be sent for an entry.
    pub(crate) fn prepare(&self, entry: &TocEntry) -> Prepared {
        Prepared::new(entry, &self.roles, &self.plan.options, &self.predicted)
    }

    /// Whether an entry will not be made, which was known before the run began. What an earlier process of
    /// the run has made all the same is made.
    pub(crate) fn is_refused(&self, entry: u32) -> bool {
        self.predicted.refused(entry).is_some() && self.done.get(&Work::Entry(entry).ledger_key()).is_none()
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
