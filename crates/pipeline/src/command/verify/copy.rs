//! Comparing a copy that was just made, whatever happens to the connections.

use std::time::Duration;

use dbhaul_postgres::ConnectSettings;
use dbhaul_verifier::Report;

use crate::{Context, PipelineError};

/// Comparisons begun before the copy is left without one, and the pause before the second, doubled for each
/// after it: together half a minute, in which a server starts anew.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);

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
    let mut attempt = 1;
    loop {
        let error = match Box::pin(verify()).await {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        let unverified =
            |error| PipelineError::Unverified { target: target.describe(), source: Box::new(error) };
        if attempt == ATTEMPTS || !error.is_transient() {
            return Err(unverified(error));
        }
        let message = crate::one_line(&error);
        context.progress.warning(format!("{message}; comparing the copy once more"));
        let pause = tokio::time::sleep(PAUSE * 2_u32.pow(attempt - 1));
        if context.cancel.run_until_cancelled(pause).await.is_none() {
            return Err(unverified(PipelineError::Cancelled));
        }
        attempt += 1;
    }
}
