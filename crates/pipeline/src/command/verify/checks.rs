//! Application checks, asked of both sides at the end of a comparison, under the snapshots of the comparison.

use dbhaul_verifier::{CheckSide, Report, ValueStyle, run_checks};

use super::side::Side;
use crate::{Context, PipelineError, VerifyRequest};

/// Adds to a report what the checks of a request come to.
pub(super) async fn answer(
    (left, right): (&Side, &Side),
    request: &VerifyRequest,
    style: &ValueStyle,
    mut report: Report,
    context: &Context,
) -> Result<Report, PipelineError> {
    if request.checks.checks.is_empty() {
        return Ok(report);
    }
    let mut sides = [check_side(left), check_side(right)];
    let shown = (request.shown.max_rows, style);
    let checked =
        Box::pin(run_checks(&request.checks, &mut sides, shown, &context.progress, &context.cancel));
    report.checks = checked.await?;
    Ok(report)
}

fn check_side(side: &Side) -> CheckSide {
    match &side.live {
        Some(live) => CheckSide::live(&live.settings, &live.holder),
        None => CheckSide::unasked("a backup has no server that could answer"),
    }
}
