//! `--clean`: dropping what the TOC is going to create, in reverse.

use async_trait::async_trait;
use dbhaul_postgres::Session;

use super::attempt::{Attempt, StepError, until_committed};
use super::context::{Context, join};
use super::control::Control;
use crate::ImportError;
use crate::ledger::DoneStep;
use crate::roles::drops_public;

/// SQLSTATEs of something that is not there to be dropped.
const ABSENT: [&str; 4] = ["42P01", "42704", "42883", "3F000"];

/// Drops the plan's objects, one a transaction, each with its ledger row: a resumed run must not drop
/// what it has made since.
pub(super) async fn drop_objects(control: &mut Control, context: &Context) -> Result<(), ImportError> {
    for &id in &context.plan.drops {
        let entry = context.plan.entry(id)?;
        let key = format!("drop {id}");
        let Some(drop) = entry.drop.as_ref().filter(|drop| !drops_public(drop)) else { continue };
        if context.done.get(&key).is_some() {
            continue;
        }
        let sql = drop.sql(context.plan.options.if_exists);
        let mut attempt = DropAttempt { key: key.clone(), sql };
        let what = format!("dropping {}", context.plan.describe(id));
        match until_committed(context, &mut control.slot, &key, &what, &mut attempt).await {
            Ok(_) => {}
            Err(error) if error.sqlstate().is_some_and(|state| ABSENT.contains(&state)) => {
                context.progress.notice(format!("{} is not there to be dropped", context.plan.describe(id)));
            }
            Err(StepError::Target(source)) if !source.is_cancelled() => {
                return Err(ImportError::Clean { object: context.plan.describe(id), source });
            }
            Err(error) => return Err(error.into_import_error(what)),
        }
    }
    Ok(())
}

struct DropAttempt {
    key: String,
    sql: String,
}

#[async_trait]
impl Attempt for DropAttempt {
    async fn run(&mut self, context: &Context, session: &Session) -> Result<DoneStep, StepError> {
        session.begin().await?;
        session.batch(&join(&[context.ledger.claim_sql(&self.key, None), self.sql.clone()])).await?;
        session.commit().await?;
        Ok(DoneStep::default())
    }
}
