//! `verify`: are two databases equal? Any two of live databases and backups.

mod agree;
mod checks;
mod computed;
pub(crate) mod copy;
mod deep;
mod hidden;
pub(crate) mod lsn;
mod repair;
mod restored;
pub(crate) mod roots;
pub(crate) mod scope;
mod sections;
mod settled;
mod side;
mod stored;
mod upkeep;
mod weak;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use dbhaul_catalog::{CatalogDiff, EntryKind, Selection, compare_aspects};
use dbhaul_importer::ImportOutcome;
use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::{Phase, counted};
use dbhaul_verifier::{
    Mode, Report, RowsOfRight, Settler, TableResult, TimeLimit, ValueStyle, settle_definitions,
};
use jiff::Timestamp;
use serde::Serialize;

use self::agree::{agree_on_specs, compare_sequences, judge_all};
pub use self::computed::Computed;
pub use self::deep::ShownRows;
use self::deep::{drill_down, group_large};
use self::hidden::Hidden;
use self::repair::Repair;
use self::restored::forget_others;
pub(crate) use self::restored::{Original, verify_restored};
use self::side::Side;
pub(crate) use self::side::describe_live;
use crate::command::verify::lsn::doubt_printed_otherwise;
use crate::command::verify::roots::{Roots, doubt_torn};
use crate::command::verify::scope::{Scope, aspects, selected};
use crate::report::definitions::definitions;
use crate::report::rows_left_out::RowsLeftOut;
use crate::report::words::listed;
use crate::sides::check_comparison;
use crate::source::LiveDatabase;
use crate::target::settings::SET_LAST;
use crate::{Context, MigrateRequest, PipelineError, Scratch, Status, VerifyRequest, VerifySide};

/// The outcome of a verification.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct VerifyReport {
    /// What was found.
    pub report: Report,
}

impl VerifyReport {
    /// Done if nothing of what was to be compared differs, different otherwise.
    pub fn status(&self) -> Status {
        if self.report.agrees() { Status::Done } else { Status::Different }
    }
}

impl Display for VerifyReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

/// Compares two sides: schemas, rows of every table, sequences. A backup is read
/// whole: every pack is compared with its hash.
///
/// # Errors
/// If a side cannot be opened, or the verification was stopped. A table that
/// cannot be read is in the report as not verified.
pub async fn verify(request: VerifyRequest, context: Context) -> Result<VerifyReport, PipelineError> {
    // boxed, because callers hold it
    Box::pin(compare_requested(&request, &context)).await
}

async fn compare_requested(
    request: &VerifyRequest,
    context: &Context,
) -> Result<VerifyReport, PipelineError> {
    context.progress.phase_started(Phase::Introspect, None, None);
    check_comparison(request, context).await?;
    let selection = &narrowed(&request.selection, &request.mode);
    let mode = request.mode.as_slice();
    let limit = request.max_seconds.map(|seconds| TimeLimit::after(Duration::from_secs(seconds)));
    let mut left = Box::pin(Side::open(&request.left, (selection, mode, limit), "left", context)).await?;
    let copy = selection.for_copy_of(&left.catalog);
    let mut right = match Box::pin(Side::open(&request.right, (&copy, mode, limit), "right", context)).await {
        Ok(right) => right,
        Err(error) => {
            left.release().await;
            return Err(error);
        }
    };
    request.computed.add_to(&mut left, selection)?;
    request.computed.add_to(&mut right, &copy)?;
    context.progress.phase_finished(Phase::Introspect);
    let scope = Scope {
        selection,
        aspects: aspects(selection, request.owners, request.privileges),
        database: request.database,
        mode,
        shown: request.shown,
        limit,
        accept: request.repair_sql.as_ref().map(|_| &request.accept),
        computed: request.computed,
    };
    let settler = settler(request);
    let ledgers = right.forget_ledgers(&left);
    let hidden = Hidden::take_out((&mut left, selection), (&mut right, &copy))?;
    let report = match left.rename_roles(&request.role_map, &right, context).await {
        Ok(renamed) => {
            let style = ValueStyle::new(request.shown.values);
            let how = (&scope, &settler, &style);
            let report = Box::pin(compare_sides(&left, &right, request.jobs, how, context)).await;
            let report = match report {
                Ok((report, repair)) => {
                    let sides = (&left, &right);
                    Box::pin(complete(report, sides, request, (&style, repair), context)).await
                }
                Err(error) => Err(error),
            };
            report.map(|mut report| {
                report.selection = selected(&request.selection);
                hidden.add_to(&mut report);
                report.not_compared.extend(renamed);
                report.not_compared.extend(counted_on_paper(request));
                report.information.extend(ledgers);
                let notes = [&left, &right].map(|side| side.selection_note(&request.selection));
                report.information.extend(notes.into_iter().flatten());
                report.information.extend([&left, &right].into_iter().filter_map(Side::keys_note));
                if scope.compares_definitions() {
                    report.information.extend([&left, &right].into_iter().flat_map(weak::notes));
                }
                request.accept.apply(&mut report);
                report
            })
        }
        Err(error) => Err(error),
    };
    left.release().await;
    right.release().await;
    Ok(VerifyReport { report: report? })
}

/// Adds to a report what was asked for beside the comparison.
async fn complete(
    report: Report,
    sides: (&Side, &Side),
    request: &VerifyRequest,
    (style, repair): (&ValueStyle, Repair),
    context: &Context,
) -> Result<Report, PipelineError> {
    let mut report = report;
    if request.selection.data && request.mode.iter().any(|mode| *mode != Mode::Schema) {
        let looked = [sides.0, sides.1].map(|side| looked(side, side.live.as_ref()));
        Box::pin(upkeep::tell(&mut report, looked, &request.selection, context)).await?;
    }
    let asked = [sides.0, sides.1].map(|side| side.live.as_ref());
    report.checks = Box::pin(checks::answer(asked, (&request.checks, request.shown, style), context)).await?;
    report
        .options
        .extend(request.max_seconds.map(|limit| format!("rows for {} at most", counted(limit, "second"))));
    if let Some(file) = &request.repair_sql {
        let notes = repair.write(file, &report, sides)?;
        report.information.extend(notes);
    }
    Ok(report)
}

fn looked<'a>(side: &'a Side, live: Option<&'a LiveDatabase>) -> upkeep::Looked<'a> {
    upkeep::Looked { live, catalog: &side.catalog, sequences: &side.sequences }
}

async fn compare_sides(
    left: &Side,
    right: &Side,
    jobs: usize,
    (scope, settler, style): (&Scope<'_>, &Settler, &ValueStyle),
    context: &Context,
) -> Result<(Report, Repair), PipelineError> {
    context.progress.phase_started(Phase::Verify, None, None);
    let (specs, other_columns) = agree_on_specs(left, right, scope.compares_definitions());
    let roots = roots(left, right);
    let how = (scope.measure(), jobs, scope.limit);
    let groups_by = match scope.mode.contains(&Mode::Deep) {
        true => group_large((left, right), &specs),
        false => BTreeMap::new(),
    };
    let of_left = left.digests(&specs, &groups_by, how, context).await?;
    let of_right = right.digests(&specs, &groups_by, how, context).await?;
    let groups = [of_left.groups, of_right.groups];
    let left_found = roots.sum_up(of_left.found, &specs);
    let right_found = roots.sum_up(of_right.found, &specs);
    let mut tables = judge_all(&left_found, &right_found);
    doubt_torn(&mut tables, &left.catalog, &right.catalog);
    doubt_printed_otherwise(&mut tables, &left.catalog, &right.catalog);
    let mut repair = Repair::default();
    if scope.mode.contains(&Mode::Deep) {
        repair = drill_down(&mut tables, (left, right), (&specs, groups), (scope, style), context).await?;
    }
    // before definitions are created on the right, and rolled back
    let written = settled::written_to(&tables, [left, right], context).await;
    let schema = compare_schemas(left, right, (scope, settler), context).await?;
    let mut report = report(left, right, (schema, tables), scope)?;
    report.information.extend(written);
    report.not_compared.extend(roots.not_compared());
    report.not_compared.extend(listed("columns that only the right has", other_columns));
    report.not_compared.extend(right.completed_roots.iter().map(|root| {
        format!(
            "rows of {root} that are left out: on the right all of its rows count, since they cannot be told apart"
        )
    }));
    context.progress.phase_finished(Phase::Verify);
    Ok((report, repair))
}

/// Compares a fresh copy with the digests taken on the way.
pub(crate) async fn verify_copy(
    source: &LiveDatabase,
    target: &ConnectSettings,
    request: &MigrateRequest,
    outcome: &ImportOutcome,
    context: &Context,
) -> Result<Report, PipelineError> {
    let copy = request.selection.for_copy_of(&source.catalog);
    let settler = of_copy(target);
    let target = Box::pin(LiveDatabase::open(target, &copy, "target", context)).await?;
    let mut right = Side::live(target, &copy)?;
    let mut left = Side::copied(source, &request.selection, outcome)?;
    let skipped = left.forget_skipped(outcome);
    right.forget_positions(outcome);
    let ledgers = match &outcome.ledger_schema {
        Some(_) => right.forget_ledgers(&left),
        None => Vec::new(),
    };
    let hidden = Hidden::take_out((&mut left, &request.selection), (&mut right, &copy))?;
    // Set when everything else is done: they might stop the sessions that compare.
    let (wanted, there) = (&mut left.catalog.database, &right.catalog.database);
    wanted.connection_limit = there.connection_limit;
    if request.options.create {
        wanted.settings.clone_from(&there.settings);
    }
    let scope = Scope {
        selection: &request.selection,
        aspects: aspects(&request.selection, request.options.set_owners, request.options.privileges),
        database: request.options.create,
        mode: &Mode::USUAL,
        shown: ShownRows::default(),
        limit: None,
        accept: None,
        computed: Computed::default(),
    };
    let style = ValueStyle::default();
    let how = (&scope, &settler, &style);
    let report = match Box::pin(compare_sides(&left, &right, request.options.jobs, how, context)).await {
        Ok((report, _)) => Box::pin(ask_both(report, (source, &left), &right, request, context)).await,
        Err(error) => Err(error),
    };
    right.release().await;
    let mut report = report?;
    report.information.extend(ledgers);
    if request.options.create {
        report.not_compared.push(SET_LAST.to_owned());
    }
    report.not_compared.extend(skipped.map(|name| format!("rows or position of {name}, which was skipped")));
    hidden.add_to(&mut report);
    if request.options.allow_non_empty {
        forget_others(&mut report);
    }
    Ok(report)
}

/// Adds to the report on a copy what both databases are asked beside the comparison.
async fn ask_both(
    mut report: Report,
    (source, left): (&LiveDatabase, &Side),
    right: &Side,
    request: &MigrateRequest,
    context: &Context,
) -> Result<Report, PipelineError> {
    let target = right.live.as_ref();
    if request.selection.data {
        let looked = [looked(left, Some(source)), looked(right, target)];
        Box::pin(upkeep::tell(&mut report, looked, &request.selection, context)).await?;
    }
    let style = ValueStyle::default();
    let how = (&request.checks, ShownRows::default(), &style);
    report.checks = Box::pin(checks::answer([Some(source), target], how, context)).await?;
    Ok(report)
}

/// Who is asked what definitions mean that this run has just created: their server.
fn of_copy(target: &ConnectSettings) -> Settler {
    Settler::Target { settings: Box::new(target.clone()), although_read_only: true, may_run_functions: true }
}

fn roots(left: &Side, right: &Side) -> Roots {
    let rows = left.rows.iter().chain(&right.rows);
    Roots::new(rows.map(|(table, rows)| (table, rows.root.as_ref())))
}

/// Who is asked what definitions mean whose texts differ.
fn settler(request: &VerifyRequest) -> Settler {
    match (&request.right, request.scratch) {
        (_, Scratch::Never) => Settler::Nobody(
            "nothing was created on the target to compare them, as asked (--no-scratch)".to_owned(),
        ),
        (VerifySide::Live(settings), scratch) => Settler::Target {
            settings: Box::new(settings.clone()),
            although_read_only: scratch == Scratch::Always,
            may_run_functions: false,
        },
        (VerifySide::Backup { .. }, _) => {
            Settler::Nobody("a backup has no server that could parse them".to_owned())
        }
    }
}

/// What is selected of what is to be compared. Definitions are read in any case: they tell the keys of tables.
fn narrowed(selection: &Selection, mode: &[Mode]) -> Selection {
    let has_rows = mode.iter().any(|mode| *mode != Mode::Schema);
    Selection { data: selection.data && has_rows, ..selection.clone() }
}

/// What is to be said of rows of a backup that were only counted.
fn counted_on_paper(request: &VerifyRequest) -> Option<String> {
    let is_backup = |side: &VerifySide| matches!(side, VerifySide::Backup { .. });
    let reads_rows = request.mode.iter().any(|mode| mode.reads_rows());
    (!reads_rows
        && request.mode.contains(&Mode::Counts)
        && (is_backup(&request.left) || is_backup(&request.right)))
    .then(|| "whether the rows of the backup are there: their numbers are those in its manifest".to_owned())
}

/// What differs in the schemas, if these are compared.
async fn compare_schemas(
    left: &Side,
    right: &Side,
    (scope, settler): (&Scope<'_>, &Settler),
    context: &Context,
) -> Result<CatalogDiff, PipelineError> {
    if !scope.compares_definitions() {
        return Ok(CatalogDiff::default());
    }
    let comparison = compare_aspects(&left.catalog, &right.catalog, scope.aspects);
    let versions = (left.catalog.server_version, right.catalog.server_version);
    let settled = Box::pin(settle_definitions(comparison, versions, settler, &context.cancel)).await;
    Ok(settled?)
}

/// The report of two sides whose rows are judged.
fn report(
    left: &Side,
    right: &Side,
    (schema, tables): (CatalogDiff, Vec<TableResult>),
    scope: &Scope<'_>,
) -> Result<Report, PipelineError> {
    let rows_left_out = RowsLeftOut::of(&left.catalog, scope.selection)?;
    let compared = |side: &Side| rows_left_out.compared(&side.sequences);
    let (sequences, compared_sequence_count) = compare_sequences(&compared(left), &compared(right));
    let mut report = Report {
        left: left.description.clone(),
        right: right.description.clone(),
        compared_at: Timestamp::now().to_string(),
        dbhaul_version: env!("CARGO_PKG_VERSION").to_owned(),
        mode: scope.mode.to_vec(),
        selection: selected(scope.selection),
        options: scope.options(),
        schema,
        compared_object_count: left.catalog.objects.len() as u64,
        compared_kinds: kinds(left),
        definitions: Vec::new(),
        tables,
        rows_of_right: RowsOfRight::Read,
        compared_sequence_count,
        sequences,
        checks: Vec::new(),
        accepted: Vec::new(),
        unused_accept_lines: Vec::new(),
        not_compared: Vec::new(),
        information: Vec::new(),
    };
    scope.apply(&mut report, (&left.catalog, &right.catalog), &rows_left_out);
    report.definitions = definitions(&report.schema, (&left.catalog, &right.catalog), scope.selection);
    Ok(report)
}

fn kinds(side: &Side) -> BTreeMap<EntryKind, u64> {
    let mut kinds = BTreeMap::new();
    for object in &side.catalog.objects {
        *kinds.entry(object.body.kind()).or_default() += 1;
    }
    kinds
}
