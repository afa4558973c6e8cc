//! How rows of two sides are to be hashed so that their digests compare, and what the digests say.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::quote_identifier;
use dbhaul_introspect::SequenceValue;
use dbhaul_rows::{DigestSpec, RowDigest};
use dbhaul_verifier::{Found, LARGE_OBJECTS, SequenceResult, TableResult, Verdict, judge};

use super::side::{Rows, Side};

/// How each table that both sides have is to be hashed, so that values compare;
/// or why they cannot compare. A known digest decides; of two live sides the
/// left one does, unless encodings differ. Where definitions are not compared, columns that only the right has are
/// none of its rows' that the left could have given; they are named in the second value.
pub(super) fn agree_on_specs(
    left: &Side,
    right: &Side,
    compares_definitions: bool,
) -> (BTreeMap<String, Result<DigestSpec, String>>, Vec<String>) {
    let mut specs = BTreeMap::new();
    let mut others = Vec::new();
    for (name, rows) in left.rows.iter().chain(&right.rows) {
        let spec = match (left.rows.get(name), right.rows.get(name)) {
            (Some(left), Some(right)) if left.missing.is_none() && right.missing.is_none() => {
                let more = only_right(left, right);
                let may_have_more = !compares_definitions && right.known.is_none();
                match more.is_empty() || !may_have_more {
                    true => agree(left, right),
                    false => {
                        if !specs.contains_key(name) {
                            others.push(format!("{} of {name}", more.join(", ")));
                        }
                        Ok(left.spec.clone())
                    }
                }
            }
            _ => Ok(rows.spec.clone()),
        };
        specs.insert(name.clone(), spec);
    }
    (specs, others)
}

/// Columns that only the right has, if it has all of the left's.
fn only_right(left: &Rows, right: &Rows) -> Vec<String> {
    let has = |rows: &Rows, name: &str| rows.spec.columns.iter().any(|column| *column.name == *name);
    if left.spec.columns.iter().any(|column| !has(right, &column.name)) {
        return Vec::new();
    }
    let more = right.spec.columns.iter().filter(|column| !has(left, &column.name));
    more.map(|column| quote_identifier(&column.name)).collect()
}

fn agree(left: &Rows, right: &Rows) -> Result<DigestSpec, String> {
    let columns = |rows: &Rows| rows.spec.columns.iter().map(|c| c.name.clone()).collect::<BTreeSet<_>>();
    let (left_columns, right_columns) = (columns(left), columns(right));
    if left_columns != right_columns {
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
            a.difference(b).cloned().collect::<Vec<_>>().join(", ")
        };
        return Err(format!(
            "its columns differ (only left: [{}], only right: [{}])",
            only(&left_columns, &right_columns),
            only(&right_columns, &left_columns)
        ));
    }
    Ok(match (left.known, right.known) {
        (None, Some(_)) => right.spec.clone(),
        (Some(_), _) => left.spec.clone(),
        // UTF-8 hex compares across encodings; it is what every encoding but UTF8 uses anyway.
        (None, None) if left.spec.text_form != right.spec.text_form => {
            DigestSpec { text_form: dbhaul_rows::TextForm::Utf8Hex, ..left.spec.clone() }
        }
        (None, None) => left.spec.clone(),
    })
}

pub(super) fn judge_all(left: &BTreeMap<String, Found>, right: &BTreeMap<String, Found>) -> Vec<TableResult> {
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let result = |name: &String| TableResult::new(name, judge_one(name, left.get(name), right.get(name)));
    names.into_iter().map(result).collect()
}

/// Large objects that are not there are an empty set, not a missing table.
fn judge_one(name: &str, left: Option<&Found>, right: Option<&Found>) -> Verdict {
    let none = Found::Digest(RowDigest::default());
    let is_large_objects = name == LARGE_OBJECTS;
    let or_none = |found| if is_large_objects { Some(found).flatten().or(Some(&none)) } else { found };
    judge(or_none(left), or_none(right))
}

/// Sequences whose positions differ, and how many were compared.
pub(super) fn compare_sequences(
    left: &[SequenceValue],
    right: &[SequenceValue],
) -> (Vec<SequenceResult>, u64) {
    let positions = |values: &[SequenceValue]| -> BTreeMap<String, String> {
        values.iter().map(|value| (value.sequence.sql(), position(value))).collect()
    };
    let (left, right) = (positions(left), positions(right));
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let count = names.len() as u64;
    let differs = |name: &&String| left.get(*name) != right.get(*name);
    let result = |name: &String| SequenceResult {
        name: name.clone(),
        left: left.get(name).cloned(),
        right: right.get(name).cloned(),
        not_verified: None,
        behind: None,
    };
    (names.into_iter().filter(differs).map(result).collect(), count)
}

/// Where a sequence stands, as a report has it.
pub(super) fn position(value: &SequenceValue) -> String {
    let called = if value.is_called { "given out" } else { "next" };
    format!("{} ({called})", value.last_value)
}
