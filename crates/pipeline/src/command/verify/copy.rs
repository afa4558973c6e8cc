//! Comparing a copy that was just made, whatever happens to the connections.

use dbhaul_postgres::ConnectSettings;
use dbhaul_retry::RetryPolicy;
use dbhaul_verifier::Report;

use crate::{Context, PipelineError};

/// Compares a copy with what it was made of, by `verify`. Nobody but this run writes the copy, so where its
/// snapshot goes with the connections, a later one is as good.
///
/// # Errors
/// [`PipelineError::Unverified`]: the copy is whole and nobody has compared it.
pub(crate) async fn verify_patiently(
    target: &ConnectSettings,
    context: &Context,
    mut verify: impl AsyncFnMut() -> Result<Report, PipelineError>,
) -> Result<Report, PipelineError> {
    let mut attempts = RetryPolicy::default().attempts();
    loop {
        let error = match Box::pin(verify()).await {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        let unverified =
            |error| PipelineError::Unverified { target: target.describe(), source: Box::new(error) };
        let Some(pause) = attempts.failed(error.is_transient()) else {
            return Err(unverified(error));
        };
        let message = crate::one_line(&error);
        context.progress.warning(format!("{message}; comparing the copy once more"));
        if pause.wait(&context.cancel).await.is_err() {
            return Err(unverified(PipelineError::Cancelled));
        }
    }
}
