//! One run of a job at a time on a database, by an advisory lock there: it goes with the session, whatever ends the run.

use dbhaul_postgres::{ConnectSettings, Session, SessionRole};
use dbhaul_rows::hash_bytes_extended;
use dbhaul_store::StoreUrl;

use super::Overlap;
use crate::{Context, PipelineError};

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
        .notice(format!("another backup of {database} into this store is at work; waiting for its end"));
    session.execute(&format!("SELECT pg_catalog.pg_advisory_lock({key})")).await.map_err(asking)?;
    Ok(Turn::Ours(Some(session)))
}
