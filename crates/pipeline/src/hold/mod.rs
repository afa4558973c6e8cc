//! A process of its own that holds the snapshot of a migration, so that it outlives the run.
//!
//! The run starts the process, tells it on its standard input which tables to lock, and reads its answers
//! on its standard output, one JSON document a line. From [`HoldOrder::Keep`] on, the end of its input no
//! longer ends it: whoever resumes the run finds the snapshot in the ledger.

mod origin;
mod process;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use dbhaul_catalog::QualifiedName;
use dbhaul_postgres::{ConnectSettings, Error, Session, SessionRole, SnapshotHolder, SnapshotInfo};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::{Context, PipelineError};
pub(crate) use origin::Origin;
pub(crate) use process::HolderProcess;

/// How often the process looks whether its session is still there.
const LOOK: Duration = Duration::from_secs(1);

/// How long the process waits for the locks on all tables, which somebody else may hold or queue for.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);

/// How long the process takes to let its snapshot go before it just ends.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// A program that carries out [`hold_snapshot`], and for how long it shall do so.
#[derive(Clone)]
pub struct HoldProgram {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; the run's identifier is added.
    pub arguments: Vec<OsString>,
    /// Variables beside those it inherits. Secrets belong here, never into arguments.
    pub environment: Vec<(OsString, OsString)>,
    /// How long the snapshot is held after the run has gone without ending it.
    pub limit: Duration,
}

impl fmt::Debug for HoldProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HoldProgram").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Asks to hold a snapshot.
#[derive(Debug, Clone)]
pub struct HoldRequest {
    /// The database.
    pub source: ConnectSettings,
    /// The run it is held for.
    pub run: String,
}

/// What the process is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum HoldOrder {
    /// Lock these tables against what no snapshot withstands.
    Lock {
        /// The tables.
        tables: Vec<QualifiedName>,
    },
    /// Outlive the one who gives orders, for so long.
    Keep {
        /// How long.
        limit_seconds: u64,
    },
    /// Let the snapshot go.
    End,
}

/// What the process answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum HoldAnswer {
    /// It holds this.
    Holding {
        /// The snapshot.
        snapshot: SnapshotInfo,
    },
    /// The tables are locked.
    Locked {
        /// Those that were truncated, rewritten or dropped since the snapshot.
        changed: Vec<String>,
    },
    /// It will stay.
    Kept,
    /// It cannot.
    Failed {
        /// Why, in one line.
        reason: String,
    },
}

/// `application_name` of the session that holds a run's snapshot.
pub(crate) fn application_name(run: &str) -> String {
    format!("dbhaul hold {run}")
}

/// Holds a snapshot until told to let it go, until the orders' channel is closed without
/// [`HoldOrder::Keep`], until its time is over, or until cancelled.
///
/// # Errors
/// If the snapshot cannot be taken or is lost; the last answer says why.
pub async fn hold_snapshot(
    request: HoldRequest,
    mut orders: mpsc::Receiver<HoldOrder>,
    mut answer: impl FnMut(HoldAnswer),
    context: Context,
) -> Result<(), PipelineError> {
    let settings = request.source.with_application_name(&application_name(&request.run));
    let opened = SnapshotHolder::open(&settings, &context.cancel).await;
    let holder = match opened {
        Ok(holder) => holder,
        Err(error) => {
            answer(HoldAnswer::Failed { reason: crate::one_line(&error) });
            return Err(PipelineError::server("cannot hold a snapshot of the source", error));
        }
    };
    answer(HoldAnswer::Holding { snapshot: holder.info().clone() });
    let result = obey(&holder, &mut orders, &mut answer, &context).await;
    if let Err(error) = &result {
        answer(HoldAnswer::Failed { reason: crate::one_line(error) });
    }
    // Whoever needed it is gone or does not need it any more. A session that still waits for a lock ends
    // with its connection.
    let _ = tokio::time::timeout(RELEASE_PATIENCE, holder.release()).await;
    result
}

async fn obey(
    holder: &SnapshotHolder,
    orders: &mut mpsc::Receiver<HoldOrder>,
    answer: &mut impl FnMut(HoldAnswer),
    context: &Context,
) -> Result<(), PipelineError> {
    let holding = |error| PipelineError::server("cannot go on holding the snapshot", error);
    let mut limit = None;
    let mut deadline = None;
    loop {
        tokio::select! {
            () = context.cancel.cancelled() => return Ok(()),
            order = orders.recv(), if deadline.is_none() => match (order, limit) {
                (Some(HoldOrder::End), _) | (None, None) => return Ok(()),
                (None, Some(limit)) => deadline = Some(Instant::now() + limit),
                (Some(HoldOrder::Keep { limit_seconds }), _) => {
                    limit = Some(Duration::from_secs(limit_seconds));
                    answer(HoldAnswer::Kept);
                }
                (Some(HoldOrder::Lock { tables }), _) => {
                    let changed = lock(holder, &tables).await?;
                    answer(HoldAnswer::Locked { changed });
                }
            },
            () = tokio::time::sleep(LOOK) => {
                if !holder.is_alive() {
                    holder.check().await.map_err(holding)?;
                }
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Ok(());
                }
            }
        }
    }
}

/// Locks tables; returns those that are not what the snapshot saw. One that was dropped between the look
/// at it and its lock is of these, and has made the transaction useless: the run lets go and tries again.
async fn lock(holder: &SnapshotHolder, tables: &[QualifiedName]) -> Result<Vec<String>, PipelineError> {
    match tokio::time::timeout(LOCK_PATIENCE, holder.hold_tables(tables)).await {
        Ok(Err(error)) if is_gone(&error) => Ok(vec![error.to_string()]),
        Ok(result) => {
            result.map_err(|error| PipelineError::server("cannot go on holding the snapshot", error))
        }
        Err(_) => Err(PipelineError::Hold {
            reason: format!(
                "its locks on the tables of the source were not granted for {} s: somebody holds or waits for \
                 stronger ones, such as an ALTER TABLE (pg_stat_activity and pg_locks say who)",
                LOCK_PATIENCE.as_secs()
            ),
        }),
    }
}

/// Whether a table, or its schema, was dropped or renamed.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error.sqlstate(), Some("42P01" | "3F000"))
}

/// Sessions on a server that hold a run's snapshot.
pub(crate) async fn holding_sessions(
    source: &ConnectSettings,
    run: &str,
    context: &Context,
) -> Result<u64, PipelineError> {
    ask(source, &format!("SELECT pg_catalog.count(*) {}", of_run(run)), context).await
}

/// Runs whose snapshots sessions on a server hold, whoever began them, each with the process of its session
/// there and since when it holds.
pub(crate) async fn held_runs(
    source: &ConnectSettings,
    context: &Context,
) -> Result<Vec<HeldRun>, PipelineError> {
    let session = Session::connect(source, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
    let held = runs_held(&session).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    Ok(held)
}

fn asking(error: Error) -> PipelineError {
    PipelineError::server("cannot ask the source who holds snapshots", error)
}

async fn runs_held(session: &Session) -> Result<Vec<HeldRun>, Error> {
    let prefix = application_name("");
    let sql = format!(
        "SELECT pg_catalog.substr(application_name, {}) AS run, pid, \
         COALESCE(backend_start::text, 'a time that is hidden from this role') AS since \
         FROM pg_catalog.pg_stat_activity WHERE pg_catalog.starts_with(application_name, {}) \
         AND datname = pg_catalog.current_database() ORDER BY backend_start",
        prefix.len() + 1,
        dbhaul_catalog::quote_literal(&prefix)
    );
    session.query_json(&sql).await
}

/// As [`held_runs`], with the number of sessions of dbhaul's in the database that do not only hold a snapshot, the one
/// that asks left out. One session asks both: another of ours may be seen for a while after it was closed.
pub(crate) async fn held_runs_and_work(
    source: &ConnectSettings,
    context: &Context,
) -> Result<(Vec<HeldRun>, u64), PipelineError> {
    let session = Session::connect(source, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
    let held = runs_held(&session).await.map_err(asking)?;
    let sql = format!(
        "SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity \
         WHERE pg_catalog.starts_with(application_name, 'dbhaul') \
         AND NOT pg_catalog.starts_with(application_name, {}) \
         AND datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()",
        dbhaul_catalog::quote_literal(&application_name(""))
    );
    let count = session.query_one_text(&sql).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    Ok((held, count.and_then(|count| count.parse().ok()).unwrap_or_default()))
}

/// A session that holds a snapshot for a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldRun {
    /// The run.
    pub run: String,
    /// The session's process on the source's server.
    pub pid: i32,
    /// When the session began.
    pub since: String,
}

/// Ends the sessions on a server that hold a run's snapshot; returns how many there were. Their processes
/// notice and end.
pub(crate) async fn end_holding(
    source: &ConnectSettings,
    run: &str,
    context: &Context,
) -> Result<u64, PipelineError> {
    let sql = format!(
        "SELECT pg_catalog.count(*) FROM (SELECT pg_catalog.pg_terminate_backend(pid) AS ended {} OFFSET 0) e \
         WHERE ended",
        of_run(run)
    );
    ask(source, &sql, context).await
}

fn of_run(run: &str) -> String {
    let name = dbhaul_catalog::quote_literal(&application_name(run));
    format!(
        "FROM pg_catalog.pg_stat_activity WHERE application_name = {name} \
         AND datname = pg_catalog.current_database()"
    )
}

async fn ask(source: &ConnectSettings, sql: &str, context: &Context) -> Result<u64, PipelineError> {
    let asking = |error| PipelineError::server("cannot ask the source who holds the snapshot", error);
    let session = Session::connect(source, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
    let count = session.query_one_text(sql).await.map_err(asking)?;
    session.close().await.map_err(asking)?;
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or_default())
}
