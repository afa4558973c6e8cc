//! Running the statements of one TOC entry, or analyzing one table.

use async_trait::async_trait;
use dbhaul_catalog::{EntryKind, QualifiedName, TocEntry};
use dbhaul_postgres::{Error, FailedStatement, Session};

use super::attempt::{Shared, StepError};
use super::context::{Context, join};
use super::search_path::{PathAttempt, Transaction};
use crate::ledger::DoneStep;
use crate::plan::piece::messages;
use crate::plan::{Analyze, Work};
use crate::run::prepared::Prepared;
use crate::subject::{LeftOut, recorded};
use crate::target::is_about_privileges;
use crate::{Cause, ImportPlan, Part};

/// Runs the statements of one entry.
pub(crate) struct EntryAttempt {
    key: String,
    kind: EntryKind,
    prepared: Prepared,
}

impl EntryAttempt {
    pub(crate) fn new(context: &Context, entry: &TocEntry, key: String) -> PathAttempt<Self> {
        let attempt = EntryAttempt { key, kind: entry.kind, prepared: context.prepare(entry) };
        PathAttempt::new(attempt, crate::plan::touched_tables::describe(entry))
    }

    /// Makes the object, gives it its owner and commits; where the owner is refused, the object stays the
    /// importing role's, nothing is committed yet, and that is returned.
    async fn make(&self, session: &Session) -> Result<Option<LeftOut>, StepError> {
        let mut statements: Vec<String> = messages(self.prepared.statements.iter().cloned()).collect();
        let made = statements.len();
        if let Some(owner) = &self.prepared.set_owner {
            statements.extend(["SAVEPOINT owner".to_owned(), owner.clone()]);
        }
        match session.run_each_and_commit(&statements, "").await {
            Ok(()) => Ok(None),
            Err(FailedStatement { place, error })
                if place == made + 1 && matches!(error.sqlstate(), Some("42501" | "42704")) =>
            {
                session.batch("ROLLBACK TO SAVEPOINT owner").await?;
                Ok(Some(LeftOut::whole(Part::Owner, Cause::refused(&error))))
            }
            Err(failed) => Err(failed.into()),
        }
    }

    /// Grants and commits; where the server granted less and said so in a warning, nothing is committed yet,
    /// and that is returned.
    async fn grant(&self, session: &Session) -> Result<Option<LeftOut>, StepError> {
        session.take_warnings();
        session.run_each(&self.prepared.messages()).await?;
        let ignored = session.take_warnings().into_iter().find(is_about_privileges);
        if ignored.is_none() {
            session.commit().await?;
        }
        Ok(ignored.map(|warning| LeftOut::whole(Part::of(self.kind), Cause::refusal(&warning))))
    }
}

#[async_trait]
impl Transaction for EntryAttempt {
    async fn run(
        &mut self,
        context: &Context,
        session: &Session,
        first: Option<String>,
    ) -> Result<DoneStep, StepError> {
        let mut left_out = self.prepared.recorded();
        let mut own: Vec<String> = first.into_iter().collect();
        own.push(context.ledger.claim_sql(&self.key, left_out.as_deref()));
        session.begin_and(&join(&own)).await?;
        let refusal = match self.kind.is_privilege() {
            true => self.grant(session).await?,
            false => self.make(session).await?,
        };
        if let Some(refusal) = refusal {
            let all: Vec<LeftOut> = self.prepared.left_out.iter().cloned().chain([refusal]).collect();
            let all = recorded(&all).unwrap_or_default();
            session.commit_after(&context.ledger.left_out_sql(&self.key, &all)).await?;
            left_out = Some(all);
        }
        Ok(DoneStep { left_out, ..DoneStep::default() })
    }

    async fn share(&mut self, _: &Context, _: &Session) -> Result<Shared, StepError> {
        let left_out = self.prepared.recorded();
        Ok(Shared::Statements(self.prepared.messages(), DoneStep { left_out, ..DoneStep::default() }))
    }

    fn runs_functions(&self) -> bool {
        self.kind.may_call_functions()
    }
}

/// Kinds whose statement names roles. What else they need was made before them, so an object that is
/// undefined (SQLSTATE 42704) is a role that the target lacks.
const NAMES_ROLES: [EntryKind; 2] = [EntryKind::Policy, EntryKind::UserMapping];

/// Kinds that hold rows: without them data is lost, so that they fail and are never merely left out. A
/// materialized view has no rows of its own.
const HOLDS_ROWS: [EntryKind; 4] =
    [EntryKind::Table, EntryKind::SequenceSet, EntryKind::LargeObject, EntryKind::LargeObjectData];

/// Errors that may pass, by class or code: connections, conflicts, room, objects in use, operators, the system. What
/// fails for one of them is done by a run that is resumed.
const MAY_PASS: [&str; 8] = ["08", "40", "53", "55006", "55P03", "57", "58", "XX"];

/// Kinds that decide which rows come in, how they are changed on the way, or who sees them: until they are there
/// the rows are not protected. A unique index is one too, and what attaches such an index or constraint to another.
const GUARDS_ROWS: [EntryKind; 9] = [
    EntryKind::Constraint,
    EntryKind::ForeignKey,
    EntryKind::CheckConstraint,
    EntryKind::Trigger,
    EntryKind::Rule,
    EntryKind::Policy,
    EntryKind::RowSecurity,
    EntryKind::SecurityLabel,
    EntryKind::TableAttach,
];

/// Whether rows are missing or unprotected without an entry.
pub(super) fn rows_rely_on(plan: &ImportPlan, entry: &TocEntry) -> bool {
    entry.data.is_some() || HOLDS_ROWS.contains(&entry.kind) || guards_rows(plan, entry)
}

/// Whether an entry protects rows.
pub(super) fn guards_rows(plan: &ImportPlan, entry: &TocEntry) -> bool {
    match entry.kind {
        EntryKind::Index => entry.create.first().is_some_and(|sql| sql.starts_with("CREATE UNIQUE INDEX ")),
        EntryKind::IndexAttach => {
            let attached = entry.depends_on.iter().filter_map(|on| plan.entry(*on).ok());
            let mut indexes = attached.filter(|on| on.kind != EntryKind::IndexAttach);
            indexes.any(|on| guards_rows(plan, on))
        }
        kind => GUARDS_ROWS.contains(&kind),
    }
}

/// Whether an entry takes privileges away, which others have until that is done.
fn revokes(entry: &TocEntry) -> bool {
    entry.kind.is_privilege() && entry.create.iter().any(|sql| sql.starts_with("REVOKE "))
}

/// Why an entry that failed so is left out rather than failed: a refusal that nobody could predict, one that
/// the caller has told, or one of something that no rows rely on; `None` where it failed.
pub(crate) fn why_left_out(
    plan: &ImportPlan,
    work: &Work,
    entry: &TocEntry,
    error: &StepError,
) -> Option<Cause> {
    let kind = entry.kind;
    let state = error.sqlstate()?;
    let may_pass = || MAY_PASS.iter().any(|class| state.starts_with(class));
    match state {
        "42501" if !rows_rely_on(plan, entry) => Some(error.cause(None)),
        "42704" if NAMES_ROLES.contains(&kind) && !rows_rely_on(plan, entry) => Some(error.cause(None)),
        // as it was announced
        "23503" => {
            let reason = plan.options.keys_without_rows.get(&entry.object?)?.clone();
            Some(match work {
                Work::Validate(_) => Cause::LeftNotValid { reason },
                _ => Cause::RowsLeftOut { reason },
            })
        }
        // it holds no rows of its own, and its definition is there
        _ if kind == EntryKind::MaterializedViewData && !may_pass() => {
            let view = QualifiedName::new(entry.schema.as_deref().unwrap_or_default(), &entry.name);
            Some(Cause::Unfilled { view, error: error.to_string() })
        }
        _ if !rows_rely_on(plan, entry) && !revokes(entry) && !may_pass() => {
            let statements = entry.create.join("; ");
            let is_shown = SHOWN.contains(&kind) && !statements.contains('\n');
            let to_do = is_shown.then(|| format!("to do: remove the cause, then run: {statements}"));
            Some(error.cause(to_do))
        }
        _ => None,
    }
}

/// Kinds of what is made after the rows, by statements that hold no secrets.
pub(super) const SHOWN: [EntryKind; 7] = [
    EntryKind::Index,
    EntryKind::Constraint,
    EntryKind::ForeignKey,
    EntryKind::CheckConstraint,
    EntryKind::Trigger,
    EntryKind::Rule,
    EntryKind::Statistics,
];

/// Analyzes one table, vacuums it, or both.
pub(crate) struct AnalyzeAttempt {
    key: String,
    vacuum: Option<String>,
    sql: Option<String>,
}

impl AnalyzeAttempt {
    /// Before 18, `ANALYZE` of a partitioned table always goes through its partitions: then they are not
    /// analyzed on their own, or it would be done twice.
    pub(crate) fn new(context: &Context, analyze: &Analyze, key: String) -> PathAttempt<Self> {
        let has_only = context.version.major() >= 18;
        let table = analyze.table.sql();
        let sql = match (analyze.is_parent, analyze.is_part) {
            (_, true) if !has_only => None,
            (true, _) if has_only => Some(format!("ANALYZE ONLY {table}")),
            _ => Some(format!("ANALYZE {table}")),
        };
        let sql = sql.filter(|_| analyze.upkeep.analyzes());
        let vacuum = analyze.upkeep.vacuums().then(|| format!("VACUUM {table}"));
        let what = format!("{} {table}", analyze.upkeep.as_str());
        PathAttempt::new(AnalyzeAttempt { key, vacuum, sql }, what)
    }

    /// `VACUUM` runs in no transaction, so the ledger cannot have it; done again, it costs little. Nothing
    /// depends on it but speed, so where it is refused the step goes on. Before the commits that loaded the
    /// rows are on disk no page counts as visible to all (PostgreSQL src/backend/access/heap, "async commit").
    async fn vacuum(&mut self, context: &Context, session: &Session) -> Result<(), StepError> {
        let Some(sql) = &self.vacuum else { return Ok(()) };
        context.ledger.flush(session).await?;
        match session.batch(sql).await {
            Err(Error::Server(refusal)) => tracing::debug!(%refusal, "not vacuumed"),
            result => result?,
        }
        self.vacuum = None;
        Ok(())
    }
}

#[async_trait]
impl Transaction for AnalyzeAttempt {
    async fn run(
        &mut self,
        context: &Context,
        session: &Session,
        first: Option<String>,
    ) -> Result<DoneStep, StepError> {
        self.vacuum(context, session).await?;
        let Some(sql) = &self.sql else { return Ok(DoneStep::default()) };
        let mut statements: Vec<String> = first.into_iter().collect();
        statements.push(context.ledger.claim_sql(&self.key, None));
        statements.push(sql.clone());
        session.begin_and(&join(&statements)).await?;
        session.commit().await?;
        Ok(DoneStep::default())
    }

    async fn share(&mut self, _: &Context, _: &Session) -> Result<Shared, StepError> {
        match &self.vacuum {
            Some(_) => Ok(Shared::Alone),
            None => Ok(Shared::Statements(self.sql.iter().cloned().collect(), DoneStep::default())),
        }
    }

    fn runs_functions(&self) -> bool {
        true
    }
}
