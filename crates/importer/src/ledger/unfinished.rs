//! Runs that have begun on a target and not ended.

use dbhaul_postgres::{ConnectSettings, Flight, Session, SessionRole};
use tokio_util::sync::CancellationToken;

use crate::ImportError;
use crate::ledger::{FoundLedger, Ledger};
use crate::run::lock_target;

/// A run that has begun and not ended, as its ledger knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedRun {
    /// Its identifier.
    pub run: String,
    /// The schema of its ledger.
    pub schema: String,
    /// What it imports.
    pub source_fingerprint: String,
    /// What its beginner wrote down in [`ImportOptions::source_state`](crate::ImportOptions::source_state).
    pub source_state: Option<String>,
    /// Steps that are committed.
    pub done_step_count: u64,
}

/// What there is of unfinished runs on a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnfinishedRuns {
    /// Those whose ledger the connecting role or a superuser owns.
    pub runs: Vec<UnfinishedRun>,
    /// A sentence for each schema whose comment calls it a ledger and that was not read.
    pub unread: Vec<String>,
}

/// The unfinished runs on a target; changes nothing.
///
/// # Errors
/// If the target cannot be asked.
pub async fn unfinished_runs(
    target: &ConnectSettings,
    cancel: &CancellationToken,
) -> Result<UnfinishedRuns, ImportError> {
    let session = connect(target, cancel).await?;
    let looking = |error| ImportError::server("looking for unfinished runs on the target", error);
    let mut runs = Vec::new();
    for found in Ledger::find(&session).await.map_err(looking)? {
        let FoundLedger { ledger, fingerprint, source_state, .. } = found;
        let done_step_count = ledger.done_step_count(&session).await.map_err(looking)?;
        runs.push(UnfinishedRun {
            run: ledger.run,
            schema: ledger.schema,
            source_fingerprint: fingerprint,
            source_state,
            done_step_count,
        });
    }
    let flight = Flight::new(&session);
    let unread = Box::pin(flight.run(Ledger::unread(&flight))).await.map_err(looking)?;
    session.close().await.map_err(looking)?;
    Ok(UnfinishedRuns { runs, unread })
}

/// Drops the ledger of a run, which can then not be resumed any more. What it has loaded stays. Whether
/// there was such a ledger.
///
/// # Errors
/// [`ImportError::Busy`] while the run is at work, and whatever the target says: a schema that holds
/// something of somebody else's is not dropped.
pub async fn remove_ledger(
    target: &ConnectSettings,
    run: &str,
    cancel: &CancellationToken,
) -> Result<bool, ImportError> {
    let session = connect(target, cancel).await?;
    let removing = |error| ImportError::server(format!("removing the ledger of run {run}"), error);
    lock_target(&session, cancel).await?;
    let ledgers = Ledger::find(&session).await.map_err(removing)?;
    let found = ledgers.into_iter().find(|found| found.ledger.run == run);
    if let Some(found) = &found {
        session.batch(&found.ledger.drop_sql()).await.map_err(removing)?;
    }
    session.close().await.map_err(removing)?;
    Ok(found.is_some())
}

async fn connect(target: &ConnectSettings, cancel: &CancellationToken) -> Result<Session, ImportError> {
    let connecting = |error| ImportError::server("connecting to the target", error);
    Session::connect(target, SessionRole::Loader, cancel).await.map_err(connecting)
}
