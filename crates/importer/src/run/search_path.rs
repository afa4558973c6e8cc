//! Steps that run functions of the user's, which may rely on the source's search path.

use async_trait::async_trait;
use dbhaul_postgres::{Session, search_path_sql};

use super::attempt::{Attempt, Shared, StepError};
use super::context::Context;
use crate::ledger::DoneStep;

/// SQLSTATEs of a name that was not found: function, table, other object, schema.
pub(crate) const NOT_FOUND: [&str; 4] = ["42883", "42P01", "42704", "3F000"];

/// What begins, works and commits. The statement in `first` sets a search path of the source's; it goes
/// right behind the beginning, so that whatever else the transaction does names all it uses with its schema.
#[async_trait]
pub(crate) trait Transaction: Send {
    async fn run(
        &mut self,
        context: &Context,
        session: &Session,
        first: Option<String>,
    ) -> Result<DoneStep, StepError>;

    /// As [`Attempt::share`].
    async fn share(&mut self, context: &Context, session: &Session) -> Result<Shared, StepError>;

    /// Whether it runs functions of the user's.
    fn runs_functions(&self) -> bool;
}

/// Runs a transaction with an empty search path, as `pg_restore` does, and where a name is not found once
/// more with the source's.
pub(crate) struct PathAttempt<T> {
    transaction: T,
    description: String,
    uses_source_path: bool,
}

impl<T: Transaction> PathAttempt<T> {
    /// `description` is what a person knows the step by.
    pub(crate) fn new(transaction: T, description: String) -> Self {
        PathAttempt { transaction, description, uses_source_path: false }
    }

    fn first(&self, context: &Context) -> Option<String> {
        let path = context.plan.options.source_search_path.as_ref().filter(|_| self.uses_source_path)?;
        Some(search_path_sql(path))
    }

    fn may_differ(&self, context: &Context, error: &StepError) -> bool {
        !self.uses_source_path
            && self.transaction.runs_functions()
            && context.plan.options.source_search_path.is_some()
            && error.sqlstate().is_some_and(|state| NOT_FOUND.contains(&state))
    }
}

#[async_trait]
impl<T: Transaction> Attempt for PathAttempt<T> {
    async fn run(&mut self, context: &Context, session: &Session) -> Result<DoneStep, StepError> {
        let first = self.first(context);
        let error = match self.transaction.run(context, session, first).await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if !self.may_differ(context, &error) {
            return Err(error);
        }
        session.rollback().await?;
        self.uses_source_path = true;
        let first = self.first(context);
        let done = self.transaction.run(context, session, first).await?;
        let text = error.to_string();
        context.progress.warning(format!(
            "{} relies on the search path ({}); it was done with the source's, but pg_restore could not do it",
            self.description,
            text.lines().next().unwrap_or_default()
        ));
        Ok(done)
    }

    /// With an empty search path only.
    async fn share(&mut self, context: &Context, session: &Session) -> Result<Shared, StepError> {
        self.transaction.share(context, session).await
    }
}
