//! One run of a job at a time on a database, by an advisory lock there: it goes with the session, whatever ends the run.

use std::time::Duration;

use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use dbhaul_rows::hash_bytes_extended;
use dbhaul_store::StoreUrl;

use super::Overlap;
use crate::{Context, PipelineError};

/// How often a run that waits looks whether it is its turn.
const LOOK: Duration = Duration::from_secs(2);

/// What came of asking for the lock.
pub(super) enum Turn {
    /// The run may go on; the session holds the lock as long as it lives.
    Ours(Option<Session>),
    /// Another run is at work.
    Taken,
}

/// Takes the lock for backups of a database into a store, as the policy says.
///
/// # Errors
/// If the server cannot be asked, or the user stops the run while it waits.
pub(super) async fn take_turn(
    source: &ConnectSettings,
    store: &StoreUrl,
    overlap: Overlap,
    context: &Context,
) -> Result<Turn, PipelineError> {
    if overlap == Overlap::Run {
        return Ok(Turn::Ours(None));
    }
    let asking = |error| PipelineError::server("taking the lock of the job", error);
    let session = Session::connect(source, SessionRole::Reader, &context.cancel).await.map_err(asking)?;
    // The same store is the same job, whoever runs it and whatever its name is.
    let key = hash_bytes_extended(format!("dbhaul backup into {store}").as_bytes(), 0) as i64;
    let tried = format!("SELECT pg_catalog.pg_try_advisory_lock({key})::pg_catalog.text");
    if session.query_one_text(&tried).await.map_err(asking)?.as_deref() == Some("true") {
        return Ok(Turn::Ours(Some(session)));
    }
    if overlap == Overlap::Skip {
        session.close().await.map_err(asking)?;
        return Ok(Turn::Taken);
    }
    let database = source.database();
    context
        .progress
        .notice(format!("another backup of {database} into this store is running; waiting until it ends"));
    // a session that waits for the lock would hold back VACUUM meanwhile
    loop {
        tokio::select! {
            () = context.cancel.cancelled() => return Err(PipelineError::Cancelled),
            () = tokio::time::sleep(LOOK) => {}
        }
        if session.query_one_text(&tried).await.map_err(asking)?.as_deref() == Some("true") {
            return Ok(Turn::Ours(Some(session)));
        }
    }
}
