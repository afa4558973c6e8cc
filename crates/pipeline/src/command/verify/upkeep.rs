//! Sequences that will give out what is there already, and planner statistics that are missing.
//!
//! Of a sequence that is behind its column on both sides, the source is to be mended; on the target alone, something was
//! lost on the way, whatever the positions say.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, Object, QualifiedName, Selection};
use dbhaul_introspect::SequenceValue;
use dbhaul_verifier::{
    BehindColumn, FilledColumn, Furthest, Report, SequenceResult, TableResult, Upkeep, Verdict, VerifyError,
    look_at_upkeep,
};

use super::agree::position;
use crate::report::rows_left_out::RowsLeftOut;
use crate::report::words::listed;
use crate::source::LiveDatabase;
use crate::{Context, PipelineError};

/// A side as it is looked at: the database, if it is a live one, and where its sequences stand.
#[derive(Clone, Copy)]
pub(super) struct Looked<'a> {
    pub(super) live: Option<&'a LiveDatabase>,
    pub(super) catalog: &'a Catalog,
    pub(super) sequences: &'a [SequenceValue],
}

/// A sequence that is behind a column.
struct Behind {
    sequence: String,
    column: String,
    table: String,
    position: String,
    furthest: i64,
}

impl Behind {
    fn key(&self) -> (String, String) {
        (self.sequence.clone(), self.column.clone())
    }

    fn told(&self) -> String {
        let Behind { sequence, position, column, furthest, .. } = self;
        format!("{sequence} stands at {position} and {column} goes to {furthest}")
    }
}

/// Adds to a report what is found of the sides that are live. Of a side that cannot be asked nothing is found, and the
/// report says so: its definitions, rows and positions have been compared all the same.
///
/// # Errors
/// [`PipelineError::Cancelled`], and if the selection cannot be used.
pub(super) async fn tell(
    report: &mut Report,
    sides: [Looked<'_>; 2],
    selection: &Selection,
    context: &Context,
) -> Result<(), PipelineError> {
    if report.compared_sequence_count == 0 && report.tables.is_empty() {
        return Ok(());
    }
    let [left, right] = sides;
    let (of_left, of_right) =
        futures::join!(Box::pin(look(left.live, context)), Box::pin(look(right.live, context)));
    let mut found = Vec::with_capacity(2);
    for (side, upkeep) in [("left", of_left), ("right", of_right)] {
        match upkeep {
            Ok(upkeep) => found.push(upkeep),
            Err(_) if context.cancel.is_cancelled() => return Err(PipelineError::Cancelled),
            Err(error) => {
                let error = crate::one_line(&error);
                report.not_compared.push(format!(
                    "whether sequences on the {side} are behind their columns, and whether planner statistics are missing: {error}"
                ));
                found.push(None);
            }
        }
    }
    let found = [found.first().and_then(Option::as_ref), found.get(1).and_then(Option::as_ref)];
    // of a table whose rows are left out, nothing has to be as on the other side
    let left_out = RowsLeftOut::of(left.catalog, selection)?;
    let sequences = [left.sequences, right.sequences].map(|values| left_out.compared(values));
    tell_behind(report, found, sequences.each_ref().map(Vec::as_slice));
    if let [Some(left), Some(right)] = found {
        let missing = without_statistics(report, left, right);
        report.information.extend(missing);
    }
    Ok(())
}

async fn look(live: Option<&LiveDatabase>, context: &Context) -> Result<Option<Upkeep>, VerifyError> {
    let Some(live) = live else { return Ok(None) };
    // others may be anybody's, and locked
    let is_table = |object: &&Object| matches!(object.body, Body::Table(_));
    let name = |object: &Object| QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
    let tables: BTreeSet<QualifiedName> = live.catalog.objects.iter().filter(is_table).map(name).collect();
    let asked = (&tables, live.unplanned());
    look_at_upkeep(&live.settings, &live.holder, asked, &context.cancel).await.map(Some)
}

/// Adds sequences that are behind: those of the right alone as differences, the others for information.
fn tell_behind(report: &mut Report, found: [Option<&Upkeep>; 2], sequences: [&[SequenceValue]; 2]) {
    let behind = [0, 1].map(|side| behind(found[side], sequences[side]));
    let unknown = [0, 1].map(|side| unknown(found[side], sequences[side]));
    let is_same = |there: &Behind| {
        let is_known = found[0].is_some() && !unknown[0].contains_key(&there.key());
        match is_known {
            true => behind[0].iter().any(|here| here.key() == there.key()),
            false => is_equal(report, there),
        }
    };
    let of_left = positions(sequences[0]);
    let alone = behind[1].iter().filter(|there| !is_same(there));
    let results: Vec<SequenceResult> = alone.map(|there| result(there, &of_left)).collect();
    results.into_iter().for_each(|result| add(report, result));
    for (side, behind) in ["left", "right"].into_iter().zip(&behind) {
        let what = format!(
            "sequences on the {side} are behind columns that they fill, so that new rows may collide with rows that are there"
        );
        report.information.extend(listed(&what, behind.iter().map(Behind::told).collect()));
    }
    let told = |((sequence, column), reason): (&(String, String), &String)| {
        format!("{sequence} and {column} ({reason})")
    };
    let names: BTreeSet<String> = unknown.iter().flatten().map(told).collect();
    let what = "whether sequences are behind the columns that they fill";
    report.not_compared.extend(listed(what, names.into_iter().collect()));
}

fn positions(sequences: &[SequenceValue]) -> BTreeMap<&QualifiedName, &SequenceValue> {
    sequences.iter().map(|value| (&value.sequence, value)).collect()
}

/// Columns that are filled by sequences whose positions are compared.
fn filled<'a>(
    upkeep: Option<&'a Upkeep>,
    sequences: &'a [SequenceValue],
) -> impl Iterator<Item = (&'a FilledColumn, &'a SequenceValue)> {
    let positions = positions(sequences);
    let filled = upkeep.into_iter().flat_map(|upkeep| &upkeep.filled);
    filled.filter_map(move |column| Some((column, *positions.get(&column.sequence)?)))
}

fn behind(upkeep: Option<&Upkeep>, sequences: &[SequenceValue]) -> Vec<Behind> {
    let behind = |(column, value): (&FilledColumn, &SequenceValue)| {
        Some(Behind {
            furthest: column.ahead_of(value.last_value, value.is_called)?,
            sequence: column.sequence.sql(),
            column: column.sql(),
            table: column.table.sql(),
            position: position(value),
        })
    };
    filled(upkeep, sequences).filter_map(behind).collect()
}

/// Sequences and columns of which nobody knows, with the reasons.
fn unknown(upkeep: Option<&Upkeep>, sequences: &[SequenceValue]) -> BTreeMap<(String, String), String> {
    let unknown = |(column, _): (&FilledColumn, &SequenceValue)| match &column.furthest {
        Furthest::Unknown(reason) => Some(((column.sequence.sql(), column.sql()), reason.clone())),
        Furthest::Value(_) => None,
    };
    filled(upkeep, sequences).filter_map(unknown).collect()
}

/// Whether the left, of which nobody could ask, has the same rows and the same position: then it is behind as well.
fn is_equal(report: &Report, behind: &Behind) -> bool {
    let has_same_rows = |table: &TableResult| table.name == behind.table && table.verdict.is_equal();
    report.tables.iter().any(has_same_rows)
        && report.sequences.iter().all(|sequence| sequence.name != behind.sequence)
}

fn result(behind: &Behind, left: &BTreeMap<&QualifiedName, &SequenceValue>) -> SequenceResult {
    let of_left = left.values().find(|value| value.sequence.sql() == behind.sequence);
    SequenceResult {
        name: behind.sequence.clone(),
        left: of_left.map(|value| position(value)),
        right: Some(behind.position.clone()),
        not_verified: None,
        behind: Some(BehindColumn { column: behind.column.clone(), furthest: behind.furthest }),
    }
}

/// Adds that a sequence is behind to what is said of it already.
fn add(report: &mut Report, result: SequenceResult) {
    match report.sequences.iter_mut().find(|other| other.name == result.name) {
        Some(told) if told.not_verified.is_none() => told.behind = result.behind,
        Some(_) => {}
        None => {
            report.sequences.push(result);
            report.sequences.sort_by(|one, other| one.name.cmp(&other.name));
        }
    }
}

/// Tables with rows of which the planner knows on the left alone.
fn without_statistics(report: &Report, left: &Upkeep, right: &Upkeep) -> Option<String> {
    let has_rows =
        |name: &str| report.tables.iter().any(|table| table.name == name && rows_of_right(table) > 0);
    let lost = left.analyzed.difference(&right.analyzed).map(QualifiedName::sql);
    listed(
        "planner statistics are missing on the right, where ANALYZE makes them, of tables that have them on the left",
        lost.filter(|name| has_rows(name)).collect(),
    )
}

fn rows_of_right(table: &TableResult) -> u64 {
    match &table.verdict {
        Verdict::Equal { digest } => digest.row_count,
        Verdict::Different { right, .. } | Verdict::Settled { right, .. } => right.row_count,
        Verdict::SameCount { row_count } => *row_count,
        Verdict::OtherCount { right, .. } => *right,
        Verdict::Missing | Verdict::Extra | Verdict::NotVerified { .. } => 0,
    }
}
