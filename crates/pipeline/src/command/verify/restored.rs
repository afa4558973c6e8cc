//! What a restore made, compared with the backup: definitions and sequences as they are on the target, rows as
//! they were loaded there.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{Catalog, Difference};
use dbhaul_importer::{ImportOutcome, Part};
use dbhaul_introspect::SequenceValue;
use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::Phase;
use dbhaul_rows::RowDigest;
use dbhaul_verifier::{Mode, Report, RowsOfRight, SideDescription, TableResult, Verdict};

use super::hidden::Hidden;
use super::side::{Side, describe_live};
use super::{ShownRows, compare_schemas, of_copy, report};
use crate::command::verify::scope::{Scope, aspects};
use crate::report::words::listed;
use crate::source::LiveDatabase;
use crate::target::settings::SET_LAST;
use crate::{Context, PipelineError, RestoreRequest};

/// What was restored.
pub(crate) struct Original {
    side: Side,
}

impl Original {
    /// Takes what was selected of the backup, with the roles that it has on the target.
    pub(crate) fn new(description: SideDescription, catalog: Catalog, sequences: Vec<SequenceValue>) -> Self {
        Original { side: Side::without_rows(description, catalog, sequences) }
    }

    pub(crate) fn description(&self) -> &SideDescription {
        &self.side.description
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.side.catalog
    }
}

/// How the rows are compared, as the report has it.
const ROWS_AS_LOADED: &str = "rows by their number and the sum of their 64-bit hashes as they were loaded, for each \
                              table, with those in the backup's manifest";

/// Compares what a restore has just made with the backup. What else is on the target is no difference.
///
/// # Errors
/// If the target cannot be read.
pub(crate) async fn verify_restored(
    original: &mut Original,
    target: &ConnectSettings,
    request: &RestoreRequest,
    (outcome, loaded): (&ImportOutcome, &BTreeMap<String, RowDigest>),
    context: &Context,
) -> Result<Report, PipelineError> {
    context.progress.phase_started(Phase::Verify, None, None);
    let left = &mut original.side;
    let copy = request.selection.for_copy_of(&left.catalog);
    let mut live = Box::pin(LiveDatabase::read(target, &copy, "target", context)).await?;
    let hidden = Hidden::sequences_of_copy(&live, &copy)?;
    // Catalogs may be large: none is copied.
    let catalog = std::mem::replace(&mut live.catalog, Catalog::empty(left.catalog.server_version));
    let mut right = Side::without_rows(describe_live(&live), catalog, std::mem::take(&mut live.sequences));
    live.release().await;
    let skipped = left.forget_skipped(outcome);
    right.forget_positions(outcome);
    let ledgers = match &outcome.ledger_schema {
        Some(_) => right.forget_ledgers(left),
        None => Vec::new(),
    };
    left.hide_sequences(hidden.sequences());
    // Set when everything else is done.
    let there = &right.catalog.database;
    let limit = std::mem::replace(&mut left.catalog.database.connection_limit, there.connection_limit);
    let settings = left.catalog.database.settings.clone();
    if request.options.create {
        left.catalog.database.settings.clone_from(&there.settings);
    }
    let options = &request.options;
    let scope = Scope {
        selection: &request.selection,
        aspects: aspects(&request.selection, options.set_owners, options.privileges),
        database: options.create,
        mode: &Mode::USUAL,
        shown: ShownRows::default(),
        limit: None,
        accept: None,
    };
    let schema = compare_schemas(left, &right, (&scope, &of_copy(target)), context).await;
    let equal =
        |(name, digest): (&String, &RowDigest)| TableResult::new(name, Verdict::Equal { digest: *digest });
    let mut tables: Vec<TableResult> = loaded.iter().map(equal).collect();
    tables.extend(not_loaded(outcome, loaded));
    tables.sort_by(|one, other| one.name.cmp(&other.name));
    let report = schema.and_then(|schema| report(left, &right, (schema, tables), &scope));
    left.catalog.database.connection_limit = limit;
    left.catalog.database.settings = settings;
    let mut report = report?;
    report.information.extend(ledgers);
    if options.create {
        report.not_compared.push(SET_LAST.to_owned());
    }
    report.rows_of_right = RowsOfRight::Loaded;
    report.options.pop();
    report.options.push(ROWS_AS_LOADED.to_owned());
    report.not_compared.extend(skipped.map(|name| format!("rows or position of {name}, which was skipped")));
    hidden.add_to(&mut report);
    forget_others(&mut report);
    context.progress.phase_finished(Phase::Verify);
    Ok(report)
}

/// Tables whose rows failed.
fn not_loaded(outcome: &ImportOutcome, loaded: &BTreeMap<String, RowDigest>) -> Vec<TableResult> {
    let rows = outcome.failed.iter().filter(|failed| failed.part == Part::Rows);
    let names = rows.filter_map(|failed| Some(failed.subject.entry()?.filled()?.sql()));
    let names: BTreeSet<String> = names.filter(|name| !loaded.contains_key(name)).collect();
    let reason = || "right: not all of its rows were loaded".to_owned();
    names.into_iter().map(|name| TableResult::new(name, Verdict::NotVerified { reason: reason() })).collect()
}

/// What only the target has was there before, or came with something: it is told.
pub(super) fn forget_others(report: &mut Report) {
    let mut others = Vec::new();
    report.definitions.retain(|definition| definition.left.is_some());
    report.schema.differences.retain(|difference| match difference {
        Difference::Extra { identity } => {
            others.push(identity.to_string());
            false
        }
        _ => true,
    });
    report.tables.retain(|table| table.verdict != Verdict::Extra);
    report.sequences.retain(|sequence| sequence.left.is_some() || sequence.not_verified.is_some());
    report.information.extend(listed("only the target has", others));
}
