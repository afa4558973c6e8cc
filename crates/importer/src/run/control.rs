//! The session that leads a run: it looks, locks, and does what is done serially.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use dbhaul_catalog::in_one_line;
use dbhaul_postgres::{ConnectSettings, Probe, Session, SessionRole};
use dbhaul_progress::{Progress, counted};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::unlogged;
use crate::ledger::{Beginning, Clean, DoneSteps, Ledger};
use crate::outcome::tell;
use crate::target::{TargetReport, inspect};
use crate::{ImportError, ImportPlan, SegmentSource};

/// Advisory lock that keeps two imports out of one database: the letters `dbhaul`.
const LOCK_KEY: i64 = 0x6462_6861_756c;

/// How often and how long the lock is tried: a server needs a moment to notice that a killed process's
/// sessions are gone.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// The session that leads a run, or nothing where it was lost.
pub(crate) struct Control {
    pub(crate) slot: Option<Session>,
}

impl Control {
    /// Connects, locks, checks the target, and finds or creates the ledger.
    pub(crate) async fn open(
        plan: ImportPlan,
        target: &ConnectSettings,
        source: Arc<dyn SegmentSource>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<(Control, Arc<Context>), ImportError> {
        let connecting = |error| ImportError::server("connecting to the target", error);
        let session = Session::connect(target, SessionRole::Loader, cancel).await.map_err(connecting)?;
        lock(&session, cancel).await?;
        let report = inspect(&plan, &session).await?;
        if !report.blockers.is_empty() {
            return Err(ImportError::Blocked { target: report.target, blockers: report.blockers });
        }
        report.warnings.iter().for_each(|warning| progress.warning(warning.clone()));
        for (object, reason) in tell(&report.predicted) {
            let object = in_one_line(&object);
            progress.warning(format!("will be skipped: {object}: {}", in_one_line(&reason)));
        }
        progress.notice(format!(
            "{} with maintenance_work_mem {} MiB and {} per index build on {}",
            counted(plan.options.jobs, "session"),
            report.tuning.maintenance_work_mem_bytes >> 20,
            counted(report.tuning.index_workers, "worker"),
            report.target
        ));
        let lock_slots = Probe::new(&session).lock_capacity().await.map_err(connecting)?.lock_slots;
        let Opened { ledger, clean, done } = open_ledger(&plan, &session, &report).await?;
        let context = Context {
            plan,
            target: target.clone(),
            source,
            progress: progress.clone(),
            cancel: cancel.clone(),
            ledger,
            clean,
            done,
            roles: report.roles,
            predicted: report.refusals,
            version: report.version,
            tuning: report.tuning,
            lock_slots: usize::try_from(lock_slots).unwrap_or_default(),
            retried_attempts: AtomicU64::new(0),
        };
        Ok((Control { slot: Some(session) }, Arc::new(context)))
    }

    /// Ends the session in good order. What happens to it no longer matters.
    pub(crate) async fn close(self) {
        if let Some(session) = self.slot
            && let Err(error) = session.close().await
        {
            tracing::debug!(%error, "closing the leading session");
        }
    }
}

/// Keeps every other import out of the database for as long as the session lasts.
pub(crate) async fn lock(session: &Session, cancel: &CancellationToken) -> Result<(), ImportError> {
    let locking = |error| ImportError::server("locking the target against other imports", error);
    let sql = format!("SELECT pg_catalog.pg_try_advisory_lock({LOCK_KEY})::pg_catalog.text");
    for _ in 0..LOCK_ATTEMPTS {
        if session.query_one_text(&sql).await.map_err(locking)?.as_deref() == Some("true") {
            return Ok(());
        }
        tokio::select! {
            () = cancel.cancelled() => return Err(ImportError::Cancelled),
            () = tokio::time::sleep(LOCK_PAUSE) => {}
        }
    }
    let ledgers = Ledger::find(session).await.map_err(locking)?;
    let run = ledgers.into_iter().next().map_or_else(|| "unknown".to_owned(), |found| found.ledger.run);
    Err(ImportError::Busy { target: session.server().to_owned(), run })
}

/// A ledger, found or made.
struct Opened {
    ledger: Ledger,
    clean: Clean,
    done: DoneSteps,
}

async fn open_ledger(
    plan: &ImportPlan,
    session: &Session,
    report: &TargetReport,
) -> Result<Opened, ImportError> {
    let opening = |error| ImportError::server("opening the ledger on the target", error);
    let options = &plan.options;
    if let Some(found) = report.found_ledger.as_ref().filter(|_| options.resume) {
        let mut done = found.ledger.done_steps(session).await.map_err(opening)?;
        let emptied = unlogged::take_emptied(plan, &found.ledger, session, &mut done).await;
        unlogged::forget(&found.ledger, session, &emptied.map_err(opening)?).await?;
        return Ok(Opened { ledger: found.ledger.clone(), clean: found.clean, done });
    }
    let clean = if options.clean { Clean::Begun { if_exists: options.if_exists } } else { Clean::None };
    let ledger = Ledger { schema: report.free_ledger_schema.clone(), run: options.run.clone() };
    let beginning = Beginning {
        fingerprint: &options.source_fingerprint,
        shape: &plan.shape(),
        source_state: options.source_state.as_deref(),
        clean,
    };
    // --clean starts over
    let replaced = report.found_ledger.as_ref().map(|found| &found.ledger);
    ledger.create(session, beginning, replaced).await.map_err(opening)?;
    Ok(Opened { ledger, clean, done: DoneSteps::default() })
}
