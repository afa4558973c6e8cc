//! Application checks, asked of both sides at the end of a comparison, under the snapshots of the comparison.

use dbhaul_verifier::{CheckResult, CheckSide, Checks, ValueStyle, run_checks};

use super::ShownRows;
use crate::source::LiveDatabase;
use crate::{Context, PipelineError};

/// What checks come to. A side that is no live database answers none.
pub(super) async fn answer(
    sides: [Option<&LiveDatabase>; 2],
    (checks, shown, style): (&Checks, ShownRows, &ValueStyle),
    context: &Context,
) -> Result<Vec<CheckResult>, PipelineError> {
    if checks.checks.is_empty() {
        return Ok(Vec::new());
    }
    let mut sides = sides.map(check_side);
    let shown = (shown.max_rows, style);
    Ok(Box::pin(run_checks(checks, &mut sides, shown, &context.progress, &context.cancel)).await?)
}

fn check_side(live: Option<&LiveDatabase>) -> CheckSide {
    match live {
        Some(live) => CheckSide::live(&live.settings, &live.holder),
        None => CheckSide::unasked("a backup has no server that could answer"),
    }
}
