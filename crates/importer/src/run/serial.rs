//! A serial stage: its entries in order over one session, many to a transaction.

use async_trait::async_trait;
use dbhaul_postgres::Session;

use super::attempt::{Attempt, StepError, until_committed};
use super::context::{Context, join};
use super::control::Control;
use super::entry::{EntryAttempt, why_left_out};
use super::record::Record;
use crate::ImportError;
use crate::ledger::DoneStep;
use crate::plan::{Stage, Work};
use crate::target::is_about_privileges;

/// Entries that go into one transaction at most.
const BATCH_ENTRIES: usize = 64;

/// What one entry may lock: a table with its TOAST table, sequence and indexes, its schema, its parents.
const LOCKS_PER_ENTRY: usize = 16;

/// SQLSTATE `insufficient_privilege`.
const NO_PRIVILEGE: &str = "42501";

/// Runs a stage. A batch that fails is done again one by one, so that the entry at fault is named and the
/// others are made.
pub(super) async fn run(
    control: &mut Control,
    context: &Context,
    stage: &Stage,
    record: &mut Record,
) -> Result<(), ImportError> {
    // half of the lock table, since other sessions need locks too
    let batch_entries = (context.lock_slots / 2 / LOCKS_PER_ENTRY).clamp(1, BATCH_ENTRIES);
    for steps in stage.steps.chunks(batch_entries) {
        let mut open = Vec::new();
        for step in steps {
            match context.done.get(&step.work.ledger_key()) {
                Some(done) => record.resumed(context, &step.work, done),
                None if record.is_broken(step.work.entry()) => {}
                None => open.push(step.work.clone()),
            }
        }
        if !batch(control, context, &open, record).await? {
            for work in &open {
                one(control, context, work, record).await?;
            }
        }
    }
    Ok(())
}

/// Tries to make all entries in one transaction; false if they have to be made one by one.
async fn batch(
    control: &mut Control,
    context: &Context,
    works: &[Work],
    record: &mut Record,
) -> Result<bool, ImportError> {
    let Some(first) = works.first() else { return Ok(true) };
    let mut attempt = BatchAttempt::default();
    for work in works {
        let entry = context.plan.entry(work.entry())?;
        if record.broken_dependency(context, entry).is_some() {
            return Ok(false);
        }
        let prepared = context.prepare(entry);
        let left_out = prepared.recorded();
        attempt.claims.push(context.ledger.claim_sql(&work.ledger_key(), left_out.as_deref()));
        attempt.statements.extend(prepared.messages());
        attempt.grants |= entry.kind.is_privilege();
        attempt.done.push(DoneStep { left_out, ..DoneStep::default() });
    }
    let what = format!("{} and what follows", context.plan.describe(first.entry()));
    match until_committed(context, &mut control.slot, &first.ledger_key(), &what, &mut attempt).await {
        Ok(_) => {
            works.iter().zip(&attempt.done).for_each(|(work, done)| record.finished(context, work, done));
            Ok(true)
        }
        Err(error) if error.is_cancelled() || error.is_outage() => Err(error.into_import_error(what)),
        Err(_) => Ok(false),
    }
}

/// Makes one entry, or notes why not.
async fn one(
    control: &mut Control,
    context: &Context,
    work: &Work,
    record: &mut Record,
) -> Result<(), ImportError> {
    let entry = context.plan.entry(work.entry())?;
    if let Some(on) = record.broken_dependency(context, entry) {
        record.skipped_for(context, work, on);
        return Ok(());
    }
    let key = work.ledger_key();
    let what = context.plan.describe(entry.id);
    let mut attempt = EntryAttempt::new(context, entry, key.clone());
    match until_committed(context, &mut control.slot, &key, &what, &mut attempt).await {
        Ok(done) => record.finished(context, work, &done),
        Err(error) if error.is_cancelled() || error.is_outage() => return Err(error.into_import_error(what)),
        // It was set with the rows. Whether anything has moved it since, the comparison says.
        Err(error) if matches!(work, Work::Position(_)) && error.sqlstate() == Some(NO_PRIVILEGE) => {
            context.progress.warning(format!(
                "{what} was not set once more, since the privileges that the copy has do not let this role: {error}"
            ));
        }
        Err(error) => match why_left_out(&context.plan, work, entry, &error) {
            Some(cause) => record.left_out(work, entry, cause),
            None => record.failed(context, work, &error),
        },
    }
    Ok(())
}

/// Makes many entries in one transaction.
#[derive(Default)]
struct BatchAttempt {
    claims: Vec<String>,
    statements: Vec<String>,
    /// Whether one of them is about privileges, of which the server may leave some out with a mere warning.
    grants: bool,
    done: Vec<DoneStep>,
}

#[async_trait]
impl Attempt for BatchAttempt {
    async fn run(&mut self, _: &Context, session: &Session) -> Result<DoneStep, StepError> {
        session.take_warnings();
        session.begin_and(&join(&self.claims)).await?;
        if !self.grants {
            session.run_each_and_commit(&self.statements, "").await?;
            return Ok(DoneStep::default());
        }
        session.run_each(&self.statements).await?;
        if session.take_warnings().iter().any(is_about_privileges) {
            return Err(StepError::Ignored);
        }
        session.commit().await?;
        Ok(DoneStep::default())
    }
}
