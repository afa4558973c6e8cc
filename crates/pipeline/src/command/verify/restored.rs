//! What a restore made, as it is on the target, compared with the backup: definitions, rows and sequences.

use std::collections::BTreeSet;

use dbhaul_archive::Manifest;
use dbhaul_catalog::{Catalog, Difference, Selection};
use dbhaul_importer::{ImportOutcome, Part};
use dbhaul_postgres::ConnectSettings;
use dbhaul_repository::Repository;
use dbhaul_verifier::{Mode, Report, SideDescription, ValueStyle, Verdict};

use super::hidden::Hidden;
use super::side::Side;
use super::{Computed, ShownRows, compare_sides, looked, of_copy, upkeep};
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
    /// Takes what was selected of the backup, with the roles that it has on the target and the digests of its
    /// manifest.
    ///
    /// # Errors
    /// If the selection cannot be used.
    pub(crate) fn new(
        repository: &Repository,
        manifest: &Manifest,
        catalog: Catalog,
        selection: &Selection,
    ) -> Result<Self, PipelineError> {
        let mut side = Side::backup(repository, manifest, catalog, selection)?;
        side.rely_on(manifest);
        Ok(Original { side })
    }

    pub(crate) fn description(&self) -> &SideDescription {
        &self.side.description
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.side.catalog
    }
}

/// Compares what a restore has just made with the backup: the target's rows are read. What else is on the target is
/// no difference.
///
/// # Errors
/// If the target cannot be read.
pub(crate) async fn verify_restored(
    original: &mut Original,
    target: &ConnectSettings,
    request: &RestoreRequest,
    outcome: &ImportOutcome,
    context: &Context,
) -> Result<Report, PipelineError> {
    let left = &mut original.side;
    let copy = request.selection.for_copy_of(&left.catalog);
    let live = Box::pin(LiveDatabase::open(target, &copy, "target", context)).await?;
    let mut right = Side::live(live, &copy)?;
    // Catalogs may be large: none is copied. What the comparison takes out comes back for the next attempt.
    let kept = (left.rows.clone(), left.sequences.clone());
    let (limit, settings) = (left.catalog.database.connection_limit, left.catalog.database.settings.clone());
    let compared = Box::pin(compare((left, &mut right), &copy, (request, outcome), context)).await;
    right.release().await;
    let left = &mut original.side;
    (left.rows, left.sequences) = kept;
    left.catalog.database.connection_limit = limit;
    left.catalog.database.settings = settings;
    compared
}

async fn compare(
    (left, right): (&mut Side, &mut Side),
    copy: &Selection,
    (request, outcome): (&RestoreRequest, &ImportOutcome),
    context: &Context,
) -> Result<Report, PipelineError> {
    let (selection, options) = (&request.selection, &request.options);
    let skipped = left.forget_skipped(outcome);
    right.forget_positions(outcome);
    right.forget_rows_of_others(left);
    not_loaded(outcome, right);
    let ledgers = match &outcome.ledger_schema {
        Some(_) => right.forget_ledgers(left),
        None => Vec::new(),
    };
    let hidden = Hidden::take_out((&mut *left, selection), (&mut *right, copy))?;
    // Set when everything else is done.
    let (wanted, there) = (&mut left.catalog.database, &right.catalog.database);
    wanted.connection_limit = there.connection_limit;
    if options.create {
        wanted.settings.clone_from(&there.settings);
    }
    let scope = Scope {
        selection,
        aspects: aspects(selection, options.set_owners, options.privileges),
        database: options.create,
        mode: &Mode::USUAL,
        shown: ShownRows::default(),
        limit: None,
        accept: None,
        computed: Computed::default(),
    };
    let (style, settler) = (ValueStyle::default(), of_copy(&request.target));
    let how = (&scope, &settler, &style);
    let (mut report, _) = Box::pin(compare_sides(left, right, options.jobs, how, context)).await?;
    if selection.data {
        let sides = [looked(left, None), looked(right, right.live.as_ref())];
        Box::pin(upkeep::tell(&mut report, sides, selection, context)).await?;
    }
    report.information.extend(ledgers);
    if options.create {
        report.not_compared.push(SET_LAST.to_owned());
    }
    report.not_compared.extend(skipped.map(|name| format!("rows or position of {name}, which was skipped")));
    hidden.add_to(&mut report);
    forget_others(&mut report);
    Ok(report)
}

/// Of tables whose rows failed, nothing more is to be known.
fn not_loaded(outcome: &ImportOutcome, right: &mut Side) {
    let rows = outcome.failed.iter().filter(|failed| failed.part == Part::Rows);
    let names = rows.filter_map(|failed| Some(failed.subject.entry()?.filled()?.sql()));
    for name in names.collect::<BTreeSet<String>>() {
        if let Some(rows) = right.rows.get_mut(&name) {
            rows.missing = Some("not all of its rows were loaded");
        }
    }
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
