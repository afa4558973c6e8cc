//! One step, tried until it is committed or fails for good.

use std::time::Duration;

use async_trait::async_trait;
use dbhaul_postgres::{Error, FailedStatement, Session};
use dbhaul_progress::{counted, one_line};

use super::context::Context;
use crate::ledger::DoneStep;
use crate::{Again, Cause, ImportError, SourceError, StatisticsError};

/// How long a rollback may take: a server that has stopped answering must not keep a run from ending.
const ROLLBACK_PATIENCE: Duration = Duration::from_secs(15);

/// SQLSTATE of a lock that was not granted in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Why an attempt at a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    /// The target refused, or went away.
    #[error(transparent)]
    Target(#[from] Error),
    /// The rows could not be read. Whoever shows it names the step, and so the table and the segment.
    #[error("{}", .0.without_place())]
    Source(#[from] SourceError),
    /// The planner statistics could not be read.
    #[error("{}", one_line(.0))]
    Statistics(#[from] StatisticsError),
    /// The target took another number of rows than were sent.
    #[error("the target counts {} where {sent} went to it", counted(*taken, "row"))]
    RowCount {
        /// Rows in the chunks.
        sent: u64,
        /// Rows in the answer to COPY.
        taken: u64,
    },
    /// A chunk's count and its digest do not agree.
    #[error("a chunk of {} carries a digest of {digest_row_count}", counted(*row_count, "row"))]
    ChunkCount {
        /// Rows the chunk says it has.
        row_count: u64,
        /// Rows its digest is of.
        digest_row_count: u64,
    },
    /// One of several entries made together was not granted in full; alone, each says what it lacks.
    #[error("a privilege was not granted")]
    Ignored,
    /// It cannot go into one transaction with others.
    #[error("it goes with no others")]
    Alone,
    /// It is on a loop of steps that wait for each other.
    #[error("it waits for steps that wait for it")]
    Loop,
    /// The caller's token was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<FailedStatement> for StepError {
    fn from(failed: FailedStatement) -> Self {
        StepError::Target(failed.error)
    }
}

impl StepError {
    pub(crate) fn is_cancelled(&self) -> bool {
        match self {
            StepError::Cancelled => true,
            StepError::Target(error) => error.is_cancelled(),
            _ => false,
        }
    }

    pub(crate) fn is_transient(&self) -> bool {
        match self {
            StepError::Target(error) => error.is_transient(),
            StepError::Source(error) => error.is_transient(),
            StepError::Statistics(error) => error.transient,
            _ => false,
        }
    }

    /// Whether to do the same again counts as a retry.
    pub(crate) fn is_retry(&self) -> bool {
        self.is_transient() && !self.comes_otherwise()
    }

    /// Whether trying other steps is pointless after retries have run out: a server is away, or has lost what
    /// was done, or a snapshot is gone.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            StepError::Target(error) => {
                error.is_connection_lost() || matches!(error, Error::Connect(_) | Error::Crashed { .. })
            }
            StepError::Source(error) => matches!(error.again, Again::Later | Again::Gone),
            _ => false,
        }
    }

    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            StepError::Target(error) => error.sqlstate(),
            _ => None,
        }
    }

    /// Whether it comes from computing with values: no session, and no other server, would do better.
    pub(crate) fn is_of_values(&self) -> bool {
        const CLASSES: [&str; 7] = ["21", "22", "23", "2F", "38", "39", "P0"];
        match self {
            StepError::Target(error) => error.server_error().is_some_and(|error| {
                error.where_.is_some() || CLASSES.iter().any(|class| error.is_in_class(class))
            }),
            _ => false,
        }
    }

    /// Why what was attempted is not done, with what can be done about it.
    pub(crate) fn cause(&self, to_do: Option<String>) -> Cause {
        Cause::Failed { sqlstate: self.sqlstate().map(str::to_owned), error: self.to_string(), to_do }
    }

    /// The error that ends the whole run.
    pub(crate) fn into_import_error(self, what: String) -> ImportError {
        match self {
            StepError::Target(error) => ImportError::server(what, error),
            StepError::Source(error) => ImportError::Source(error),
            StepError::Cancelled => ImportError::Cancelled,
            other => ImportError::Internal(format!("{what}: {other}")),
        }
    }

    /// Whether the rows come in another format when they are read again.
    fn comes_otherwise(&self) -> bool {
        matches!(self, StepError::Source(error) if error.again == Again::Otherwise)
    }

    /// Whether the step may have been committed all the same: the answer was lost, or the ledger has it.
    fn is_doubtful(&self) -> bool {
        match self {
            StepError::Target(error) => error.is_connection_lost() || error.sqlstate() == Some("23505"),
            _ => false,
        }
    }
}

fn first_line(error: &StepError) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// What is attempted: a transaction that does the step and records it in the ledger.
#[async_trait]
pub(crate) trait Attempt: Send {
    /// Begins, works, commits. After an error the transaction is rolled back by the caller.
    async fn run(&mut self, context: &Context, session: &Session) -> Result<DoneStep, StepError>;

    /// Whether it is not tried again where a lock was not granted in time: then somebody uses what it changes.
    fn waits_once(&self) -> bool {
        false
    }

    /// What it does, without the ledger, in a transaction that others begin, claim in the ledger and commit;
    /// see [`Shared`].
    async fn share(&mut self, _: &Context, _: &Session) -> Result<Shared, StepError> {
        Ok(Shared::Alone)
    }
}

/// How an attempt takes part in a transaction of several.
pub(crate) enum Shared {
    /// It cannot.
    Alone,
    /// By these statements, which are still to be sent.
    Statements(Vec<String>, DoneStep),
    /// It has done its work.
    Done(DoneStep),
}

/// Runs one attempt after another until the step is committed or fails for good.
///
/// `slot` holds a session for the next step, or nothing where it was lost. An error whose outcome is in
/// doubt is settled by looking into the ledger.
///
/// # Errors
/// The error of the last attempt.
pub(crate) async fn until_committed(
    context: &Context,
    slot: &mut Option<Session>,
    key: &str,
    what: &str,
    attempt: &mut dyn Attempt,
) -> Result<DoneStep, StepError> {
    let mut attempts = context.plan.options.retry.attempts();
    let mut has_turned = false;
    loop {
        let error = match once(context, slot, attempt).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if error.is_cancelled() || context.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        if error.comes_otherwise() && !std::mem::replace(&mut has_turned, true) {
            context.progress.warning(format!("{what}: {}", first_line(&error)));
            continue;
        }
        let settled = if error.is_doubtful() { look(context, slot, key).await } else { Ok(None) };
        if let Ok(Some(done)) = settled {
            return Ok(done);
        }
        // a doubt that could not be settled is a reason to look again, never one to give up as failed
        let has_waited = attempt.waits_once() && error.sqlstate() == Some(LOCK_NOT_AVAILABLE);
        let may_repeat =
            error.is_transient() && !has_waited || settled.is_err_and(|error| error.is_transient());
        let Some(pause) = attempts.failed(may_repeat) else { return Err(error) };
        context.count_retry(what, &error);
        pause.wait(&context.cancel).await.map_err(|_| StepError::Cancelled)?;
        if let Ok(Some(done)) = look_after_doubt(context, slot, key, &error).await {
            return Ok(done);
        }
    }
}

/// Looks once more after the pause: an attempt whose connection was lost may have been committed since.
async fn look_after_doubt(
    context: &Context,
    slot: &mut Option<Session>,
    key: &str,
    error: &StepError,
) -> Result<Option<DoneStep>, Error> {
    if error.is_doubtful() { look(context, slot, key).await } else { Ok(None) }
}

pub(super) async fn once(
    context: &Context,
    slot: &mut Option<Session>,
    attempt: &mut dyn Attempt,
) -> Result<DoneStep, StepError> {
    let session = ready(context, slot).await?;
    match attempt.run(context, &session).await {
        Ok(done) => {
            *slot = Some(session);
            Ok(done)
        }
        Err(error) => {
            // a session that cannot roll back is not used again; dropping it rolls back
            if !session.is_closed() {
                let rolled_back = tokio::time::timeout(ROLLBACK_PATIENCE, session.rollback()).await;
                *slot = rolled_back.is_ok_and(|result| result.is_ok()).then_some(session);
            }
            Err(error)
        }
    }
}

/// The session in the slot, or a new one.
pub(super) async fn ready(context: &Context, slot: &mut Option<Session>) -> Result<Session, Error> {
    match slot.take() {
        Some(session) if !session.is_closed() => Ok(session),
        _ => context.connect().await,
    }
}

/// What the ledger says about a step.
async fn look(context: &Context, slot: &mut Option<Session>, key: &str) -> Result<Option<DoneStep>, Error> {
    let session = ready(context, slot).await?;
    let found = context.ledger.done_among(&session, &[key.to_owned()]).await?;
    *slot = Some(session);
    Ok(found.get(key).cloned())
}
