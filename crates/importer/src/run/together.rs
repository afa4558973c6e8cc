//! Small steps done many in one transaction: for a small table beginning, claiming and committing cost its
//! server and us more than the work itself.

use async_trait::async_trait;
use dbhaul_catalog::{DataEntry, EntryKind, TableData};
use dbhaul_postgres::Session;

use super::attempt::{Attempt, Shared, StepError, once, until_committed};
use super::context::Context;
use super::segment::LEAST_FROZEN_BYTES;
use crate::ledger::DoneStep;
use crate::plan::stages::StageName;
use crate::plan::{Stage, Work};
use crate::schedule::{NodeId, Scheduler};
use crate::target::is_about_privileges;

/// Steps in one transaction at most.
const MOST_STEPS: usize = 32;

/// What one step may lock: a table with its TOAST table, its indexes, another table that it refers to.
const LOCKS_PER_STEP: usize = 16;

/// Steps worth more are done alone.
const MOST_BYTES: u64 = LEAST_FROZEN_BYTES / 4;

/// Kinds whose statements lock what the schedule knows of, and no more.
const SIMPLE: [EntryKind; 7] = [
    EntryKind::Index,
    EntryKind::Constraint,
    EntryKind::ForeignKey,
    EntryKind::CheckConstraint,
    EntryKind::Trigger,
    EntryKind::Default,
    EntryKind::SequenceSet,
];

/// One step and how to do it alone.
pub(super) struct Member {
    pub(super) id: NodeId,
    pub(super) work: Work,
    pub(super) attempt: Box<dyn Attempt>,
}

/// How a step ended.
pub(super) type Ended = (NodeId, Result<DoneStep, StepError>);

/// What may be done together with a step that was started: of what kind, and nothing for one to be done alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rows,
    Statements,
    Analyze,
}

/// Starts steps that may go into one transaction with the one that was started before.
pub(super) fn companions(
    context: &Context,
    stage: &Stage,
    scheduler: &mut Scheduler,
    first: NodeId,
) -> Vec<NodeId> {
    let Some(kind) = kind(context, stage, first) else { return Vec::new() };
    let jobs = context.plan.options.jobs;
    // towards the end less, so that no session is left alone with the last
    let share = scheduler.ready_count() / (8 * jobs);
    // half of the lock table, since other sessions need locks too
    let most = MOST_STEPS.min(context.lock_slots / 2 / LOCKS_PER_STEP / jobs).min(share);
    let is_alike = |id| self::kind(context, stage, id) == Some(kind);
    let next = || scheduler.start_next_if(is_alike);
    std::iter::from_fn(next).take(most.saturating_sub(1)).collect()
}

/// What of its kind may join a step; nothing for a step to be done alone.
fn kind(context: &Context, stage: &Stage, id: NodeId) -> Option<Kind> {
    let step = stage.steps.get(id)?;
    let plan = &context.plan;
    let is_small_table = |entry: &u32| {
        let segments = plan.segments.get(entry).map(Vec::as_slice);
        matches!(segments, Some([bytes]) if *bytes < LEAST_FROZEN_BYTES)
    };
    match &step.work {
        _ if stage.name != StageName::Bulk => None,
        Work::Segment(segment) => {
            // rows of a foreign table are not committed with ours: when another server has them and the rest is
            // rolled back, they would come twice
            let is_ours = |table: &TableData| table.created_by_toc && table.has_tids && table.root.is_none();
            let data = &plan.entry(segment.entry).ok()?.data;
            let is_ours = matches!(data, Some(DataEntry::Table(table)) if is_ours(table));
            (is_ours && is_small_table(&segment.entry)).then_some(Kind::Rows)
        }
        Work::Entry(entry) => {
            let is_whole = !plan.splits.contains_key(entry);
            let is_simple = SIMPLE.contains(&plan.entry(*entry).ok()?.kind);
            let is_small = step.node.weight_bytes <= MOST_BYTES;
            (is_whole && is_simple && is_small).then_some(Kind::Statements)
        }
        Work::Analyze(analyze) if !analyze.is_parent && !analyze.upkeep.vacuums() => {
            is_small_table(&analyze.entry).then_some(Kind::Analyze)
        }
        Work::Analyze(_) | Work::Build(_) | Work::Validate(_) | Work::Position(_) => None,
    }
}

/// Does steps in one transaction or, if that fails, each in one of its own, so that the one at fault is named
/// and the others are done. A transaction whose end is in doubt is settled in the same way: alone, each step
/// looks into the ledger. Ends early with a cancellation, or with a server that stays away.
pub(super) async fn run(
    context: &Context,
    slot: &mut Option<Session>,
    mut members: Vec<Member>,
) -> Vec<Ended> {
    if members.len() > 1 {
        let mut together = Together { members: &mut members, done: Vec::new() };
        match once(context, slot, &mut together).await {
            Ok(_) => {
                let done = together.done;
                return members.iter().zip(done).map(|(member, (_, done))| (member.id, Ok(done))).collect();
            }
            Err(error) if error.is_retry() && !context.cancel.is_cancelled() => {
                let first = members.first().map(|member| context.plan.what(&member.work)).unwrap_or_default();
                context.count_retry(&format!("{first} and what goes with it"), &error);
            }
            // whatever it was, it is met again
            Err(error) => tracing::debug!(%error, steps = members.len(), "not together, but one by one"),
        }
    }
    let mut ended = Vec::new();
    for Member { id, work, mut attempt } in members {
        let what = context.plan.what(&work);
        let result = until_committed(context, slot, &work.ledger_key(), &what, attempt.as_mut()).await;
        let is_over = result.as_ref().is_err_and(|error| error.is_cancelled() || error.is_outage());
        ended.push((id, result));
        if is_over {
            break;
        }
    }
    ended
}

/// All steps in one transaction.
///
/// They are claimed at its end: should an earlier process still be at one of them, whichever commits first
/// has the claim, and all that the other did is rolled back with it.
struct Together<'a> {
    members: &'a mut [Member],
    done: Vec<(String, DoneStep)>,
}

#[async_trait]
impl Attempt for Together<'_> {
    async fn run(&mut self, context: &Context, session: &Session) -> Result<DoneStep, StepError> {
        session.take_warnings();
        session.begin().await?;
        let mut statements = Vec::new();
        for Member { work, attempt, .. } in self.members.iter_mut() {
            let done = match attempt.share(context, session).await? {
                Shared::Done(done) => done,
                Shared::Statements(own, done) => {
                    statements.extend(own);
                    done
                }
                Shared::Alone => return Err(StepError::Alone),
            };
            self.done.push((work.ledger_key(), done));
        }
        session.run_each(&statements).await?;
        if session.take_warnings().iter().any(is_about_privileges) {
            return Err(StepError::Ignored);
        }
        session.commit_after(&context.ledger.claim_done_sql(&self.done)).await?;
        Ok(DoneStep::default())
    }
}
