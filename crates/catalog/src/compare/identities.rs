//! What makes a column an identity column shows in its table and in the sequence that serves it. It is told once, of the
//! column.

use super::findings::Finding;
use super::{Difference, Side};
use crate::kinds::{Body, SequenceOwner};
use crate::{EntryKind, Identity, Object};

/// Takes out what differs in a sequence because its column is an identity column of another kind, or on one side alone.
pub(super) fn without_told_of_columns(findings: Vec<Finding>, sides: (&Side<'_>, &Side<'_>)) -> Vec<Finding> {
    let is_of_identity = |difference: &&Difference| {
        difference.identity().kind == EntryKind::Table
            && difference.path().is_some_and(|path| path.starts_with(COLUMNS) && path.ends_with(IDENTITY))
    };
    let columns = findings.iter().filter_map(settled).filter(is_of_identity);
    let columns: Vec<(Identity, String)> =
        columns.filter_map(|difference| column(difference, sides)).collect();
    if columns.is_empty() {
        return findings;
    }
    let is_told = |difference: &Difference| {
        let is_part = matches!(difference.path(), None | Some("body.owned_by.identity"));
        let owner =
            Some(difference.identity()).filter(|_| is_part).and_then(|sequence| owner(sequence, sides));
        owner.is_some_and(|owner| {
            columns.iter().any(|(table, column)| {
                table.schema.as_deref() == Some(&*owner.table.schema)
                    && table.name == owner.table.name
                    && *column == owner.column
            })
        })
    };
    findings.into_iter().filter(|finding| !settled(finding).is_some_and(is_told)).collect()
}

const COLUMNS: &str = "body.columns.";
const IDENTITY: &str = ".identity";

fn settled(finding: &Finding) -> Option<&Difference> {
    match finding {
        Finding::Settled(difference) => Some(difference),
        Finding::Unsettled(_) => None,
    }
}

fn object<'a>(identity: &Identity, (left, right): (&'a Side<'_>, &'a Side<'_>)) -> Option<&'a Object> {
    left.objects.get(identity).or_else(|| right.objects.get(identity)).copied()
}

/// The column whose identity differs, by its table and name.
fn column(difference: &Difference, sides: (&Side<'_>, &Side<'_>)) -> Option<(Identity, String)> {
    let place = difference.path()?.strip_prefix(COLUMNS)?.strip_suffix(IDENTITY)?;
    let Body::Table(table) = &object(difference.identity(), sides)?.body else { return None };
    let column = table.columns.get(place.parse::<usize>().ok()?)?;
    Some((difference.identity().clone(), column.name.to_string()))
}

/// The identity column that a sequence serves, on one of the sides.
fn owner<'a>(sequence: &Identity, (left, right): (&'a Side<'_>, &'a Side<'_>)) -> Option<&'a SequenceOwner> {
    let owner = |side: &'a Side<'_>| match &side.objects.get(sequence)?.body {
        Body::Sequence(sequence) => sequence.owned_by.as_ref().filter(|owner| owner.identity.is_some()),
        _ => None,
    };
    owner(left).or_else(|| owner(right))
}
