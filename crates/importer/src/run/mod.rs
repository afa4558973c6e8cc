//! Carrying out a plan.

mod attempt;
mod builds;
mod clean;
mod context;
mod control;
mod entry;
mod finale;
mod large_objects;
mod parallel;
pub(crate) mod prepared;
mod record;
mod search_path;
mod segment;
mod serial;
mod statistics;
mod together;
mod unlogged;

use std::sync::Arc;

use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::{Phase, Progress};
use tokio_util::sync::CancellationToken;

use crate::plan::stages::StageName;
use crate::{ImportError, ImportOutcome, ImportPlan, SegmentSource};
use context::Context;
use control::Control;
pub(crate) use control::lock as lock_target;
use record::Record;

pub(crate) use search_path::NOT_FOUND;

/// Carries out a plan.
///
/// Objects that fail or have to be left out do not end it: they are named in the outcome, what depends on
/// them is skipped, and everything else goes on. The run can then be resumed, as after a cancellation, a
/// crash or an error: with [`ImportOptions::resume`](crate::ImportOptions::resume) and the same source.
///
/// # Errors
/// If the target cannot take the import (nothing was changed then), if a server or the source stays away
/// longer than retries last, or when cancelled.
pub async fn import(
    plan: ImportPlan,
    target: &ConnectSettings,
    source: Arc<dyn SegmentSource>,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<ImportOutcome, ImportError> {
    let (control, context) = Control::open(plan, target, source, progress, cancel).await?;
    let mut control = control;
    let mut record = Record::new(&context);
    let result = Box::pin(stages(&mut control, &context, &mut record)).await;
    control.close().await;
    let ledger_dropped = result?;
    let mut outcome = record.into_outcome(&context);
    outcome.ledger_schema = (!ledger_dropped).then(|| context.ledger.schema.clone());
    Ok(outcome)
}

/// Runs all stages; returns whether the ledger was dropped.
async fn stages(
    control: &mut Control,
    context: &Arc<Context>,
    record: &mut Record,
) -> Result<bool, ImportError> {
    clean::drop_objects(control, context).await?;
    for stage in &context.plan.stages {
        if context.cancel.is_cancelled() {
            return Err(ImportError::Cancelled);
        }
        match stage.name {
            StageName::Last => {}
            // what is still to be done may move them
            StageName::Positions if record.has_failures() => {}
            StageName::PreData => {
                context.progress.phase_started(Phase::PreData, Some(stage.steps.len() as u64), None);
                serial::run(control, context, stage, record).await?;
                finale::compare_ledger(control, context, record).await?;
                context.progress.phase_finished(Phase::PreData);
            }
            name if name.is_serial() => serial::run(control, context, stage, record).await?,
            _ => parallel::run(context, stage, record).await?,
        }
        if let Some(wave) = stage.name.statistics_wave() {
            statistics::run(context, wave, record).await?;
        }
    }
    finale::run(control, context, record).await
}
