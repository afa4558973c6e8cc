//! Which definitions belong to the sections that were asked for.

use std::collections::HashMap;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, Difference, EntryKind, Identity, Object, Selection};
use dbhaul_verifier::Report;
use serde_json::Value;

/// Takes what belongs to no section of a selection out of a report, and notes it there.
pub(super) fn forget_other_sections(
    report: &mut Report,
    selection: &Selection,
    (left, right): (&Catalog, &Catalog),
) {
    let (other, is_wanted): (&str, fn(bool) -> bool) = match (selection.pre_data, selection.post_data) {
        (true, false) => ("post-data: indexes, keys, triggers, rules, policies, publications", |late| !late),
        (false, true) => ("pre-data: schemas, types, functions, tables", |late| late),
        _ => return,
    };
    let late: HashMap<Identity, bool> = [right, left]
        .into_iter()
        .flat_map(|catalog| &catalog.objects)
        .map(|object| (object.identity(), is_late(object)))
        .collect();
    let is_of_wanted = |difference: &Difference| {
        let identity = difference.identity();
        let is_late = late.get(identity).copied().unwrap_or_default();
        let is_late_part = difference.path().is_some_and(is_late_property) || is_of_late_checks(difference);
        is_wanted(is_late || is_late_part)
    };
    report.schema.differences.retain(is_of_wanted);
    let wanted = || left.objects.iter().filter(|object| is_wanted(is_late(object)));
    report.compared_object_count = wanted().count() as u64;
    report.compared_kinds.clear();
    for object in wanted() {
        *report.compared_kinds.entry(object.body.kind()).or_default() += 1;
    }
    report.not_compared.push(format!("definitions of section {other}, as asked"));
}

/// Whether it is made after the rows.
fn is_late(object: &Object) -> bool {
    match &object.body {
        Body::Constraint(constraint) => constraint.separate,
        Body::Index(_)
        | Body::Trigger(_)
        | Body::Rule(_)
        | Body::Policy(_)
        | Body::EventTrigger(_)
        | Body::Publication(_)
        | Body::Subscription(_)
        | Body::Statistics(_)
        | Body::DefaultAcl(_) => true,
        _ => false,
    }
}

/// Whether a difference is in checks of a domain that are added after the rows, since they are not valid.
fn is_of_late_checks(difference: &Difference) -> bool {
    let Difference::Different { identity, path, left, right } = difference else { return false };
    let is_valid = |check: &&Value| check.get("validated") != Some(&Value::Bool(false));
    if identity.kind != EntryKind::Domain {
        return false;
    }
    match (path.as_str(), left.as_array(), right.as_array()) {
        // all of them, where the sides have not the same number
        ("body.constraints", Some(left), Some(right)) => {
            left.iter().filter(is_valid).eq(right.iter().filter(is_valid))
        }
        _ => false,
    }
}

/// Whether a property of a table, or the filling of a view, comes after the rows.
fn is_late_property(path: &str) -> bool {
    const LATE: [&str; 4] =
        ["body.row_security", "body.force_row_security", "body.replica_identity", "body.populated"];
    LATE.iter()
        .any(|late| path.strip_prefix(late).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}
