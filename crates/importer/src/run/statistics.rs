//! Setting the source's planner statistics on the target.
//!
//! Setting them twice changes nothing, so batches leave no trace in the ledger; a whole wave does. A
//! relation that gets none is named: statistics are no data, but a plan that lacks them may take hours.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use dbhaul_catalog::{QualifiedName, RelationStatistics, ServerVersion, quote_literal};
use dbhaul_postgres::Session;
use dbhaul_progress::Phase;
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::attempt::{Attempt, StepError, until_committed};
use super::context::{Context, join};
use super::record::{Record, not_gathered};
use crate::ledger::DoneStep;
use crate::{ImportError, StatisticsMode, StatisticsStream, StatisticsWave};

/// How many names a warning shows.
const SHOWN: usize = 5;

/// Sets the statistics of one wave, batches side by side over as many sessions as the plan has jobs.
///
/// # Errors
/// If the target stays away, or when cancelled.
pub(super) async fn run(
    context: &Arc<Context>,
    wave: StatisticsWave,
    record: &mut Record,
) -> Result<(), ImportError> {
    let options = &context.plan.options;
    let is_wanted = options.statistics == StatisticsMode::Copy && options.sections.data;
    let key = format!("statistics {wave:?}").to_lowercase();
    if !is_wanted || context.done.get(&key).is_some() {
        return Ok(());
    }
    context.progress.phase_started(Phase::Analyze, None, None);
    let result = Workers::default().wave(context, wave, record, &key).await;
    context.progress.phase_finished(Phase::Analyze);
    result
}

/// Sessions between batches, and what became of all batches so far.
#[derive(Default)]
struct Workers {
    sessions: Vec<Session>,
    missing: BTreeSet<String>,
    analyzed: BTreeSet<String>,
    has_failures: bool,
}

/// How a batch ended, and the session it leaves for the next one.
struct BatchEnd {
    slot: Option<Session>,
    attempts: Vec<BatchAttempt>,
    failures: Vec<(String, StepError)>,
}

impl Workers {
    async fn wave(
        mut self,
        context: &Arc<Context>,
        wave: StatisticsWave,
        record: &mut Record,
        key: &str,
    ) -> Result<(), ImportError> {
        let mut attempts = context.plan.options.retry.attempts();
        while let Err(error) = self.stream(context, context.source.statistics(wave).await, record).await? {
            let Some(pause) = attempts.failed(error.is_transient()) else {
                self.has_failures = true;
                record.statistics_missing("of all that were not yet set", &error);
                break;
            };
            // from the front: to set them again changes nothing
            context.count_retry("reading planner statistics", &error);
            pause.wait(&context.cancel).await.map_err(|_| ImportError::Cancelled)?;
        }
        self.warn(context);
        if self.has_failures {
            return Ok(());
        }
        let mut slot = self.sessions.pop();
        let mut claim = ClaimAttempt { sql: context.ledger.claim_sql(key, None) };
        let claimed = until_committed(context, &mut slot, key, "planner statistics", &mut claim).await;
        claimed.map(|_| ()).map_err(|error| error.into_import_error("planner statistics".to_owned()))
    }

    /// Sets all that a stream yields; the inner error is the stream's.
    async fn stream(
        &mut self,
        context: &Arc<Context>,
        mut stream: StatisticsStream,
        record: &mut Record,
    ) -> Result<Result<(), StepError>, ImportError> {
        let mut running: JoinSet<Result<BatchEnd, StepError>> = JoinSet::new();
        let mut read = Ok(());
        loop {
            if context.cancel.is_cancelled() {
                running.shutdown().await;
                return Err(ImportError::Cancelled);
            }
            while running.len() >= context.plan.options.jobs {
                self.ended(&mut running, record).await?;
            }
            match stream.try_next().await {
                Ok(Some(batch)) => self.spawn(&mut running, context, batch),
                Ok(None) => break,
                Err(error) => {
                    read = Err(StepError::from(error));
                    break;
                }
            }
        }
        while !running.is_empty() {
            self.ended(&mut running, record).await?;
        }
        Ok(read)
    }

    fn spawn(
        &mut self,
        running: &mut JoinSet<Result<BatchEnd, StepError>>,
        context: &Arc<Context>,
        batch: Vec<RelationStatistics>,
    ) {
        let slot = self.sessions.pop();
        let context = Arc::clone(context);
        running.spawn(async move { set(&context, slot, batch).await });
    }

    async fn ended(
        &mut self,
        running: &mut JoinSet<Result<BatchEnd, StepError>>,
        record: &mut Record,
    ) -> Result<(), ImportError> {
        let joined = running.join_next().await;
        let end = match joined {
            None => return Ok(()),
            Some(Ok(Ok(end))) => end,
            Some(Ok(Err(error))) => return Err(error.into_import_error("planner statistics".to_owned())),
            Some(Err(error)) => return Err(ImportError::Internal(format!("a worker ended: {error}"))),
        };
        self.sessions.extend(end.slot);
        for attempt in end.attempts {
            self.missing.extend(attempt.missing);
            self.analyzed.extend(attempt.refused);
        }
        for (relation, error) in &end.failures {
            self.has_failures |= error.sqlstate() != Some("42501");
            record.statistics_missing(relation, error);
        }
        Ok(())
    }

    fn warn(&self, context: &Context) {
        let warn = |names: &BTreeSet<String>, what: &str| {
            if names.is_empty() {
                return;
            }
            let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
            let more = if names.len() > SHOWN { ", ..." } else { "" };
            context.progress.warning(format!("{} {what}: {}{more}", names.len(), shown.join(", ")));
        };
        warn(&self.missing, "relations are not on the target, so their planner statistics were not copied");
        warn(
            &self.analyzed,
            "tables were analyzed, because the target did not take all of the source's planner statistics",
        );
    }
}

/// Sets a batch in one transaction or, if that fails, each relation in one of its own.
async fn set(
    context: &Context,
    mut slot: Option<Session>,
    batch: Vec<RelationStatistics>,
) -> Result<BatchEnd, StepError> {
    const KEY: &str = "statistics batch"; // never claimed: an attempt in doubt is repeated
    let version = context.source.server_version();
    let mut whole = BatchAttempt::new(batch, version);
    let result = until_committed(context, &mut slot, KEY, "planner statistics", &mut whole).await;
    match result {
        Ok(_) => return Ok(BatchEnd { slot, attempts: vec![whole], failures: Vec::new() }),
        Err(error) if error.is_cancelled() || error.is_outage() => return Err(error),
        Err(_) => {}
    }
    let (mut attempts, mut failures) = (Vec::new(), Vec::new());
    for relation in whole.batch {
        let name = relation.relation.to_string();
        let mut single = BatchAttempt::new(vec![relation], version);
        let result = until_committed(context, &mut slot, KEY, "planner statistics", &mut single).await;
        let result = match result {
            // the expressions of extended statistics cannot be computed, which the other statistics need not be
            Err(error) if error.is_of_values() && single.has_extended() => {
                context.progress.warning(not_gathered(&name, &error));
                single.leave_out_extended();
                until_committed(context, &mut slot, KEY, "planner statistics", &mut single).await
            }
            result => result,
        };
        match result {
            Ok(_) => attempts.push(single),
            Err(error) if error.is_cancelled() || error.is_outage() => return Err(error),
            Err(error) => failures.push((name, error)),
        }
    }
    Ok(BatchEnd { slot, attempts, failures })
}

/// Sets the statistics of some relations in one transaction.
struct BatchAttempt {
    batch: Vec<RelationStatistics>,
    source_version: ServerVersion,
    /// Relations that are not on the target.
    missing: Vec<String>,
    /// Tables of which the target did not take all statistics, and which were analyzed instead.
    refused: Vec<String>,
}

impl BatchAttempt {
    fn new(batch: Vec<RelationStatistics>, source_version: ServerVersion) -> Self {
        BatchAttempt { batch, source_version, missing: Vec::new(), refused: Vec::new() }
    }

    /// Whether extended statistics are to be gathered.
    fn has_extended(&self) -> bool {
        self.batch.iter().any(|relation| relation.has_extended)
    }

    /// Gathers no extended statistics.
    fn leave_out_extended(&mut self) {
        self.batch.iter_mut().for_each(|relation| relation.has_extended = false);
    }

    /// Which relations of the batch the target has.
    async fn present(&self, session: &Session) -> Result<Vec<bool>, StepError> {
        let names: Vec<String> =
            self.batch.iter().map(|relation| quote_literal(&relation.relation.sql())).collect();
        let sql = format!(
            "SELECT (pg_catalog.to_regclass(w.name) IS NOT NULL)::text \
             FROM pg_catalog.unnest(ARRAY[{}]::text[]) WITH ORDINALITY w(name, place) ORDER BY w.place",
            names.join(", ")
        );
        Ok(session.query_strings(&sql).await?.iter().map(|answer| answer == "true").collect())
    }
}

#[async_trait]
impl Attempt for BatchAttempt {
    async fn run(&mut self, _: &Context, session: &Session) -> Result<DoneStep, StepError> {
        (self.missing, self.refused) = (Vec::new(), Vec::new());
        session.begin().await?;
        let present = self.present(session).await?;
        let mut statements = Vec::new();
        let mut tables: Vec<&QualifiedName> = Vec::new();
        for (relation, is_present) in self.batch.iter().zip(present) {
            if !is_present {
                self.missing.push(relation.relation.to_string());
                continue;
            }
            if relation.has_extended && !relation.columns.is_empty() {
                statements.push(format!("ANALYZE ONLY {}", relation.relation));
            }
            let own = relation.statements(self.source_version);
            tables.extend(own.iter().map(|_| relation.analyzed_table()));
            statements.extend(own);
        }
        let answers = session.query_strings(&join(&statements)).await?;
        let refused = tables.iter().zip(&answers).filter(|(_, answer)| *answer != "t");
        let refused: BTreeSet<String> = refused.map(|(table, _)| table.to_string()).collect();
        if !refused.is_empty() {
            let analyzes: Vec<String> = refused.iter().map(|table| format!("ANALYZE ONLY {table}")).collect();
            session.batch(&join(&analyzes)).await?;
        }
        session.commit().await?;
        self.refused = refused.into_iter().collect();
        Ok(DoneStep::default())
    }
}

/// Notes in the ledger that a wave is done.
struct ClaimAttempt {
    sql: String,
}

#[async_trait]
impl Attempt for ClaimAttempt {
    async fn run(&mut self, _: &Context, session: &Session) -> Result<DoneStep, StepError> {
        session.begin().await?;
        session.batch(&self.sql).await?;
        session.commit().await?;
        Ok(DoneStep::default())
    }
}
