//! Running the statements of one TOC entry, or analyzing one table.

use async_trait::async_trait;
use dbhaul_catalog::{TocEntry, quote_literal};
use dbhaul_postgres::Session;

use super::attempt::{Attempt, StepError};
use super::context::{Context, Prepared, join};
use crate::ledger::DoneStep;
use crate::plan::Analyze;

/// SQLSTATEs of a name that was not found: a function that relies on the source's search path fails so.
const NOT_FOUND: [&str; 4] = ["42883", "42P01", "42704", "3F000"];

/// Kinds whose statements run functions of the user's.
const RUNS_FUNCTIONS: [&str; 4] = ["INDEX", "CONSTRAINT", "CHECK CONSTRAINT", "MATERIALIZED VIEW DATA"];

/// Kinds of which one that the importing role may not create is left out and reported, since nothing
/// of the database's contents is lost with it.
const LEFT_OUT_WITHOUT_PRIVILEGE: [&str; 4] = ["COMMENT", "SECURITY LABEL", "ACL", "DEFAULT ACL"];

/// Runs the statements of one entry.
pub(crate) struct EntryAttempt {
    key: String,
    kind: String,
    description: String,
    prepared: Prepared,
    search_path: SearchPath,
}

/// Whose search path an entry runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchPath {
    Empty,
    Source,
}

impl EntryAttempt {
    pub(crate) fn new(context: &Context, entry: &TocEntry, key: String) -> Self {
        EntryAttempt {
            key,
            kind: entry.kind.clone(),
            description: crate::footprint::describe(entry),
            prepared: context.prepare(entry),
            search_path: SearchPath::Empty,
        }
    }

    /// Gives the object its owner; where that is refused, the object stays the importing role's.
    async fn set_owner(&self, session: &Session, statement: &str) -> Result<Option<String>, StepError> {
        session.batch("SAVEPOINT owner").await?;
        match session.batch(statement).await {
            Ok(()) => Ok(None),
            Err(error) if matches!(error.sqlstate(), Some("42501" | "42704")) => {
                session.batch("ROLLBACK TO SAVEPOINT owner").await?;
                let message = error.server_error().map(|error| error.message.clone());
                Ok(Some(format!("owner not set: {}", message.unwrap_or_default())))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn transaction(&self, context: &Context, session: &Session) -> Result<DoneStep, StepError> {
        let mut left_out = self.prepared.left_out.clone();
        session.begin().await?;
        if let (SearchPath::Source, Some(path)) = (self.search_path, &context.plan.options.source_search_path)
        {
            session.batch(&search_path_sql(path)).await?;
        }
        let mut statements = vec![context.ledger.claim_sql(&self.key, left_out.as_deref())];
        statements.extend(self.prepared.statements.iter().cloned());
        session.batch(&join(&statements)).await?;
        if let Some(statement) = &self.prepared.set_owner
            && let Some(refusal) = self.set_owner(session, statement).await?
        {
            let all = left_out.map_or(refusal.clone(), |other| format!("{other}; {refusal}"));
            session.batch(&context.ledger.left_out_sql(&self.key, &all)).await?;
            left_out = Some(all);
        }
        session.commit().await?;
        Ok(DoneStep { left_out, ..DoneStep::default() })
    }
}

#[async_trait]
impl Attempt for EntryAttempt {
    async fn run(&mut self, context: &Context, session: &Session) -> Result<DoneStep, StepError> {
        let error = match self.transaction(context, session).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let may_differ = RUNS_FUNCTIONS.contains(&self.kind.as_str());
        if !(may_differ && may_retry_with_path(context, self.search_path, &error)) {
            return Err(error);
        }
        session.rollback().await?;
        self.search_path = SearchPath::Source;
        context.progress.warning(path_warning(&self.description, &error));
        self.transaction(context, session).await
    }
}

/// Whether the source's search path could make a difference.
pub(crate) fn may_retry_with_path(context: &Context, used: SearchPath, error: &StepError) -> bool {
    used == SearchPath::Empty
        && context.plan.options.source_search_path.is_some()
        && error.sqlstate().is_some_and(|state| NOT_FOUND.contains(&state))
}

/// Sets the search path for the rest of the transaction.
pub(crate) fn search_path_sql(path: &str) -> String {
    format!("SELECT pg_catalog.set_config('search_path', {}, true)", quote_literal(path))
}

/// What a person is told of an object that relies on the search path.
pub(crate) fn path_warning(description: &str, error: &StepError) -> String {
    let error = error.to_string();
    let first_line = error.lines().next().unwrap_or_default();
    format!(
        "{description} relies on the search path ({first_line}); it is made with the source's, but \
         pg_dump's output would not restore it"
    )
}

/// Whether an entry that failed so is left out rather than failed.
pub(crate) fn is_left_out(entry: &TocEntry, error: &StepError) -> bool {
    error.sqlstate() == Some("42501") && LEFT_OUT_WITHOUT_PRIVILEGE.contains(&entry.kind.as_str())
}

/// Analyzes one table.
pub(crate) struct AnalyzeAttempt {
    key: String,
    sql: Option<String>,
}

impl AnalyzeAttempt {
    /// Before 18, `ANALYZE` of a partitioned table always goes through its partitions: then they are not
    /// analyzed on their own, or it would be done twice.
    pub(crate) fn new(context: &Context, analyze: &Analyze, key: String) -> Self {
        let has_only = context.version.major() >= 18;
        let table = analyze.table.sql();
        let sql = match (analyze.is_parent, analyze.is_part) {
            (_, true) if !has_only => None,
            (true, _) if has_only => Some(format!("ANALYZE ONLY {table}")),
            _ => Some(format!("ANALYZE {table}")),
        };
        AnalyzeAttempt { key, sql }
    }
}

#[async_trait]
impl Attempt for AnalyzeAttempt {
    async fn run(&mut self, context: &Context, session: &Session) -> Result<DoneStep, StepError> {
        let Some(sql) = &self.sql else { return Ok(DoneStep::default()) };
        session.begin().await?;
        session.batch(&join(&[context.ledger.claim_sql(&self.key, None), sql.clone()])).await?;
        session.commit().await?;
        Ok(DoneStep::default())
    }
}
