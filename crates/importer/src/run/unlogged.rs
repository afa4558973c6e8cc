//! What a crash of the target leaves of unlogged tables and sequences: nothing.
//!
//! Their steps stay in the ledger, which is logged. Left at that, a run that goes on after a crash would
//! end well with empty tables.

use dbhaul_catalog::{DataEntry, EntryKind, QualifiedName};
use dbhaul_postgres::{Error, Session};
use serde::Deserialize;

use crate::ledger::{DoneSteps, Ledger};
use crate::plan::Work;
use crate::{ImportError, ImportPlan, SegmentRef};

/// A table or sequence that was filled, and is not any more.
pub(super) struct Emptied {
    relation: QualifiedName,
    is_table: bool,
    has_triggers: bool,
    /// The partitioned table through which it was filled, and others with it.
    root: Option<QualifiedName>,
    /// Its steps that the ledger has.
    steps: Vec<String>,
}

#[derive(Deserialize)]
struct UnloggedRow {
    schema: String,
    name: String,
    is_table: bool,
    has_triggers: bool,
}

const UNLOGGED_SQL: &str = "\
    SELECT n.nspname AS schema, c.relname AS name, c.relkind = 'r' AS is_table, \
           EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal) \
               AS has_triggers \
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relpersistence = 'u' AND c.relkind IN ('r', 'S')";

/// Takes out of `done` what a crash has emptied since it was recorded, and returns that. Where a crash
/// has emptied nothing of the run's, it is forgotten.
pub(super) async fn take_emptied(
    plan: &ImportPlan,
    ledger: &Ledger,
    session: &Session,
    done: &mut DoneSteps,
) -> Result<Vec<Emptied>, Error> {
    if ledger.is_alive(session).await? {
        return Ok(Vec::new());
    }
    let rows: Vec<UnloggedRow> = session.query_json(UNLOGGED_SQL).await?;
    let mut emptied = Vec::new();
    for row in rows {
        let relation = QualifiedName::new(&row.schema, &row.name);
        let root = root_of(plan, &relation);
        let mut steps = steps_that_fill(plan, &relation, root.as_ref());
        steps.retain(|step| done.remove(step));
        if !steps.is_empty() {
            let (is_table, has_triggers) = (row.is_table, row.has_triggers);
            emptied.push(Emptied { relation, is_table, has_triggers, root, steps });
        }
    }
    if emptied.is_empty() {
        session.execute(&ledger.revive_sql()).await?;
    }
    Ok(emptied)
}

/// Makes the ledger forget what was emptied, so that it is filled again.
///
/// # Errors
/// [`ImportError::Emptied`] for a table that has its triggers already: they would see its rows twice.
pub(super) async fn forget(
    ledger: &Ledger,
    session: &Session,
    emptied: &[Emptied],
) -> Result<(), ImportError> {
    if emptied.is_empty() {
        return Ok(());
    }
    if let Some(table) = emptied.iter().find(|emptied| emptied.has_triggers) {
        let (target, table) = (session.server().to_owned(), table.relation.sql());
        return Err(ImportError::Emptied { target, table });
    }
    let mut statements = vec!["SET LOCAL synchronous_commit TO on".to_owned()];
    for emptied in emptied {
        // What was loaded after the crash goes too: which steps that were is not known.
        // Its rows may have gone into other partitions, which a crash leaves as they are.
        statements.extend(emptied.is_table.then(|| match &emptied.root {
            Some(root) => format!("DELETE FROM {}", root.sql()),
            None => format!("DELETE FROM ONLY {}", emptied.relation.sql()),
        }));
        statements.push(ledger.forget_sql(&emptied.steps));
    }
    statements.push(ledger.revive_sql());
    let forgetting = |error| ImportError::server("forgetting what a crash of the target emptied", error);
    session.begin().await.map_err(forgetting)?;
    session.batch(&super::context::join(&statements)).await.map_err(forgetting)?;
    session.commit().await.map_err(forgetting)
}

/// The partitioned table through which a table is filled.
fn root_of(plan: &ImportPlan, relation: &QualifiedName) -> Option<QualifiedName> {
    plan.toc.entries.iter().find_map(|entry| match &entry.data {
        Some(DataEntry::Table(table)) if table.table == *relation => table.root.clone(),
        _ => None,
    })
}

/// Ledger keys of the steps that load a table, all partitions of its root with it, or set a sequence.
fn steps_that_fill(plan: &ImportPlan, relation: &QualifiedName, root: Option<&QualifiedName>) -> Vec<String> {
    let mut steps = Vec::new();
    for entry in &plan.toc.entries {
        match &entry.data {
            Some(DataEntry::Table(table))
                if table.table == *relation || root.is_some() && table.root.as_ref() == root =>
            {
                let count = plan.segments.get(&entry.id).map_or(0, Vec::len);
                let segments = (0_u32..).take(count).map(|segment| SegmentRef { entry: entry.id, segment });
                steps.extend(segments.map(|segment| Work::Segment(segment).ledger_key()));
            }
            None if entry.kind == EntryKind::SequenceSet
                && entry.name == relation.name
                && entry.schema.as_deref() == Some(&relation.schema) =>
            {
                steps.extend([Work::Entry(entry.id), Work::Position(entry.id)].map(|step| step.ledger_key()));
            }
            _ => {}
        }
    }
    steps
}
