//! Which definitions belong to the sections that were asked for.

use std::collections::HashMap;

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, Difference, Identity, Object, Selection};
use dbhaul_verifier::Report;

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
        let is_late = late.get(difference.identity()).copied().unwrap_or_default();
        is_wanted(is_late || difference.path().is_some_and(is_late_property))
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
        | Body::Statistics(_) => true,
        _ => false,
    }
}

/// Whether a property of a table is set after its rows.
fn is_late_property(path: &str) -> bool {
    const LATE: [&str; 3] = ["body.row_security", "body.force_row_security", "body.replica_identity"];
    LATE.iter()
        .any(|late| path.strip_prefix(late).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}
