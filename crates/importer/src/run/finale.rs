//! The end of a run: what comes last goes in together with the end of the ledger.

use async_trait::async_trait;
use dbhaul_catalog::end_of_restore;
use dbhaul_postgres::{Error, Session};

use super::attempt::{Attempt, StepError, once, ready};
use super::context::{Context, join};
use super::control::Control;
use super::record::Record;
use super::{serial, unlogged};
use crate::ImportError;
use crate::ledger::{DoneStep, DoneSteps, Ledger};
use crate::plan::stages::StageName;
use crate::plan::{Stage, Work};

/// Compares the ledger with what was committed, makes the last entries and, if nothing failed, drops the
/// ledger; returns whether it was dropped.
///
/// The ledger is dropped in the transaction that creates event triggers, and before them, since they would
/// fire on it. In the same transaction, at its end, an extension that was told of the restore is told that it is over:
/// while there is a ledger, there is something to resume.
pub(super) async fn run(
    control: &mut Control,
    context: &Context,
    record: &mut Record,
) -> Result<bool, ImportError> {
    compare_ledger(control, context, record).await?;
    let none = Stage { name: StageName::Last, steps: Vec::new(), gates: Vec::new() };
    let last = context.plan.stages.iter().find(|stage| stage.name == StageName::Last).unwrap_or(&none);
    if !record.has_failures() {
        let works = last.steps.iter().map(|step| &step.work);
        let works: Vec<&Work> = works.filter(|work| !record.is_broken(work.entry())).collect();
        match end(control, context, &works, record).await {
            Ok(()) => return Ok(true),
            Err(error) if last.steps.is_empty() || error.is_cancelled() || error.is_outage() => {
                return Err(error.into_import_error("ending the run".to_owned()));
            }
            Err(_) => {} // one of the last entries is at fault: made one by one, it gets named
        }
    }
    serial::run(control, context, last, record).await?;
    compare_ledger(control, context, record).await?;
    if record.has_failures() {
        return Ok(false);
    }
    let ended = end(control, context, &[], record).await;
    ended.map_err(|error| error.into_import_error("dropping the ledger".to_owned()))?;
    Ok(true)
}

/// Commits do not wait for the disk, so a crash of the target may have taken the last of them back. What
/// is compared after a flush stays.
pub(super) async fn compare_ledger(
    control: &mut Control,
    context: &Context,
    record: &mut Record,
) -> Result<(), ImportError> {
    let mut attempts = context.plan.options.retry.attempts();
    let found = loop {
        let error = match flushed_steps(control, context).await {
            Ok(found) => break found,
            Err(error) => error,
        };
        let Some(pause) = attempts.failed(error.is_transient()) else {
            return Err(ImportError::server("reading the ledger", error));
        };
        context.count_retry("reading the ledger", &error);
        pause.wait(&context.cancel).await.map_err(|_| ImportError::Cancelled)?;
    };
    record.compare_with(context, &found);
    Ok(())
}

async fn flushed_steps(control: &mut Control, context: &Context) -> Result<DoneSteps, Error> {
    let session = ready(context, &mut control.slot).await?;
    context.ledger.flush(&session).await?;
    let mut found = context.ledger.done_steps(&session).await?;
    // What is taken out counts as lost; only a resume, which looks again, forgets it for good.
    unlogged::take_emptied(&context.plan, &context.ledger, &session, &mut found).await?;
    control.slot = Some(session);
    Ok(found)
}

/// Drops the ledger and makes the given entries, in one transaction that waits for the disk.
async fn end(
    control: &mut Control,
    context: &Context,
    works: &[&Work],
    record: &mut Record,
) -> Result<(), StepError> {
    let own = ["SET LOCAL synchronous_commit TO on".to_owned(), context.ledger.assert_alive_sql()];
    let own = join(&[own.as_slice(), &[context.ledger.drop_sql()]].concat());
    let mut statements = Vec::new();
    let mut made = Vec::new();
    for work in works {
        let done = context.done.get(&work.ledger_key()).cloned();
        let is_resumed = done.is_some();
        let done = match (done, context.plan.entry(work.entry())) {
            (Some(done), _) => done,
            (None, Ok(entry)) => {
                let prepared = context.prepare(entry);
                let left_out = prepared.recorded();
                statements.extend(prepared.messages());
                DoneStep { left_out, ..DoneStep::default() }
            }
            (None, Err(_)) => continue,
        };
        made.push((work, done, is_resumed));
    }
    let end = end_of_restore(&context.plan.toc).filter(|(entry, _)| !record.is_broken(entry.id));
    statements.extend(end.map(|(_, sql)| sql));
    until_gone(context, control, &mut EndAttempt { own, statements }).await?;
    for (work, done, is_resumed) in made {
        if is_resumed {
            record.resumed(context, work, &done);
        } else {
            record.finished(context, work, &done);
        }
    }
    Ok(())
}

/// Tries until the ledger is gone: where the answer to the commit was lost, its absence is the answer.
async fn until_gone(
    context: &Context,
    control: &mut Control,
    attempt: &mut EndAttempt,
) -> Result<(), StepError> {
    let mut attempts = context.plan.options.retry.attempts();
    let mut is_doubtful = false;
    loop {
        let error = match once(context, &mut control.slot, attempt).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        if is_doubtful && is_gone(context, control).await.unwrap_or(false) {
            return Ok(());
        }
        is_doubtful |= matches!(&error, StepError::Target(error) if error.is_connection_lost());
        let may_repeat = !error.is_cancelled() && error.is_transient();
        let Some(pause) = attempts.failed(may_repeat) else { return Err(error) };
        context.count_retry("ending the run", &error);
        pause.wait(&context.cancel).await.map_err(|_| StepError::Cancelled)?;
        if is_doubtful && is_gone(context, control).await.unwrap_or(false) {
            return Ok(());
        }
    }
}

async fn is_gone(context: &Context, control: &mut Control) -> Result<bool, Error> {
    let session = ready(context, &mut control.slot).await?;
    let ledgers = Ledger::find(&session).await?;
    control.slot = Some(session);
    Ok(ledgers.iter().all(|found| found.ledger.run != context.ledger.run))
}

struct EndAttempt {
    /// What ends the ledger.
    own: String,
    /// What is made last.
    statements: Vec<String>,
}

#[async_trait]
impl Attempt for EndAttempt {
    async fn run(&mut self, _: &Context, session: &Session) -> Result<DoneStep, StepError> {
        session.begin_and(&self.own).await?;
        session.run_each_and_commit(&self.statements, "").await?;
        Ok(DoneStep::default())
    }
}
