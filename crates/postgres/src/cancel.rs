//! Watching a cancellation token while the server works.

use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result, describe_chain};
use crate::link::Link;
use crate::tap::TapHandle;

/// How long a cancel request may take to be sent.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);

/// How long the server may take to stop once asked to.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// What became of an operation that was watched.
pub(crate) enum Watched<T> {
    /// It ended by itself, or in spite of the cancellation.
    Ended(std::result::Result<T, tokio_postgres::Error>),
    /// It was cancelled, and the server has stopped.
    Stopped,
    /// It was cancelled, and the server has not stopped in time.
    Running,
}

/// Asks the server to stop what this connection does. Goes over a new connection,
/// encrypted like the first.
pub(crate) async fn request(link: &Link) {
    let sent = tokio::time::timeout(REQUEST_PATIENCE, send(link)).await;
    match sent {
        Ok(Ok(())) => {}
        Ok(Err(reason)) => tracing::warn!(server = link.server(), %reason, "the cancel request was not sent"),
        Err(_) => tracing::warn!(server = link.server(), "the cancel request was not sent in time"),
    }
}

async fn send(link: &Link) -> std::result::Result<(), String> {
    let socket = link.dial().socket(TapHandle::default()).await.map_err(|error| error.to_string())?;
    let encryption = link.dial().encryption().map_err(|error| error.to_string())?;
    let sent = link.client().cancel_token().cancel_query_raw(socket, encryption).await;
    sent.map_err(|error| describe_chain(&error))
}

/// Runs an operation. When the token is cancelled the server is asked to stop; if
/// the operation succeeds all the same, its result counts.
pub(crate) async fn watch<T>(
    link: &Link,
    token: &CancellationToken,
    operation: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
) -> Watched<T> {
    let mut operation = pin!(operation);
    tokio::select! {
        biased;
        result = &mut operation => return Watched::Ended(result),
        () = token.cancelled() => {}
    }
    request(link).await;
    match tokio::time::timeout(STOP_PATIENCE, operation).await {
        Ok(Ok(value)) => Watched::Ended(Ok(value)),
        Ok(Err(_)) => Watched::Stopped,
        Err(_) => Watched::Running,
    }
}

/// Refuses to begin anything once the token is cancelled.
pub(crate) fn check(token: &CancellationToken) -> Result<()> {
    if token.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}
