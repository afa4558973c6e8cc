//! `--clean`: dropping what the TOC is going to create, in reverse.

use async_trait::async_trait;
use dbhaul_catalog::{EntryKind, TocEntry, drop_statements};
use dbhaul_postgres::Session;

use super::attempt::{Attempt, StepError, ready, until_committed};
use super::context::Context;
use super::control::Control;
use crate::ImportError;
use crate::ledger::{Clean, DoneStep};
use crate::plan::roles::drops_public;

/// SQLSTATEs of something that is not there to be dropped.
const ABSENT: [&str; 4] = ["42P01", "42704", "42883", "3F000"];

/// Drops the plan's objects, one a transaction, each with its ledger row: a resumed run must not drop
/// what it has made since.
pub(super) async fn drop_objects(control: &mut Control, context: &Context) -> Result<(), ImportError> {
    let Clean::Begun { if_exists } = context.clean else { return Ok(()) };
    for &id in &context.plan.drops {
        let entry = context.plan.entry(id)?;
        let key = format!("drop {id}");
        let Some(drop) = entry.drop.as_ref().filter(|drop| !drops_public(drop)) else { continue };
        // what cannot be made again is not dropped
        if context.done.get(&key).is_some() || context.is_refused(id) {
            continue;
        }
        let what = format!("dropping {}", context.plan.describe(id));
        let statements = drop_statements(drop, if_exists);
        let statements = statements.map_err(|problem| ImportError::Internal(format!("{what}: {problem}")))?;
        let mut attempt = DropAttempt { key: key.clone(), statements };
        let mut result = until_committed(context, &mut control.slot, &key, &what, &mut attempt).await;
        if result.as_ref().is_err_and(|error| is_harmless(entry, error)) {
            context.progress.notice(format!(
                "{} does not exist, so that it cannot be dropped",
                context.plan.describe(id)
            ));
            // It is still a step done: a resumed run finds there what this one is going to make.
            attempt.statements.clear();
            result = until_committed(context, &mut control.slot, &key, &what, &mut attempt).await;
        }
        match result {
            Ok(_) => {}
            Err(StepError::Target(source)) if !source.is_cancelled() => {
                return Err(ImportError::Clean { object: context.plan.describe(id), source });
            }
            Err(error) => return Err(error.into_import_error(what)),
        }
    }
    let ending = |error| ImportError::server("noting that all is dropped", error);
    let session = ready(context, &mut control.slot).await.map_err(ending)?;
    context.ledger.end_clean(&session).await.map_err(ending)?;
    control.slot = Some(session);
    Ok(())
}

/// Whether what could not be dropped is nothing to be dropped: it is absent, or it is default privileges
/// of a role that the importing one may not speak for, which are not going to be set either.
fn is_harmless(entry: &TocEntry, error: &StepError) -> bool {
    let state = error.sqlstate().unwrap_or_default();
    ABSENT.contains(&state) || (state == "42501" && entry.kind == EntryKind::DefaultAcl)
}

struct DropAttempt {
    key: String,
    /// None, where there is nothing to drop.
    statements: Vec<String>,
}

#[async_trait]
impl Attempt for DropAttempt {
    async fn run(&mut self, context: &Context, session: &Session) -> Result<DoneStep, StepError> {
        let claim = context.ledger.claim_sql(&self.key, None);
        // nothing but a drop: what is built on tables just loaded waits for autovacuum, which makes room in a second
        let limit =
            context.plan.options.lock_limit_sql().map(|limit| format!("; {limit}")).unwrap_or_default();
        session.begin_and(&format!("{claim}{limit}")).await?;
        // were the commit under way too, a drop that waits for a lock would be done after we are gone
        session.run_each(&self.statements).await?;
        session.commit().await?;
        Ok(DoneStep::default())
    }

    fn waits_once(&self) -> bool {
        true
    }
}
