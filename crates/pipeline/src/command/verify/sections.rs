//! Which definitions belong to the sections that were asked for.

use std::collections::{HashMap, HashSet};

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Catalog, Difference, EntryKind, Identity, Object, ObjectId, Section, Selection, Target, Toc, TocOptions,
};
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
    let later = Later::of(left);
    let is_of_wanted = |difference: &Difference| {
        let identity = difference.identity();
        let is_late = late.get(identity).copied().unwrap_or_default() || later.objects.contains(identity);
        let is_late_part = difference.path().is_some_and(|path| {
            is_late_property(path) || later.steps.contains(identity) && is_of_second_step(identity.kind, path)
        });
        let is_late_part = is_late_part || is_of_late_checks(difference);
        is_wanted(is_late || is_late_part)
    };
    report.schema.differences.retain(is_of_wanted);
    let is_made_late = |object: &Object| is_late(object) || later.objects.contains(&object.identity());
    let wanted = || left.objects.iter().filter(|object| is_wanted(is_made_late(object)));
    report.compared_object_count = wanted().count() as u64;
    report.compared_kinds.clear();
    for object in wanted() {
        *report.compared_kinds.entry(object.body.kind()).or_default() += 1;
    }
    report.not_compared.push(format!("definitions of section {other}, as asked"));
}

/// What of the original is made after the rows because of something that it needs.
#[derive(Default)]
struct Later {
    /// Objects that are.
    objects: HashSet<Identity>,
    /// Objects of which a second step is: the query of a view, the checks of a domain.
    steps: HashSet<Identity>,
}

impl Later {
    fn of(catalog: &Catalog) -> Self {
        let target = Target { version: catalog.server_version };
        // what cannot be ordered was not copied
        let Ok(toc) = Toc::build(catalog, &target, &TocOptions::default()) else { return Later::default() };
        let mut made: HashMap<ObjectId, [usize; 2]> = HashMap::new();
        for entry in toc.entries.iter().filter(|entry| makes_something(entry.kind)) {
            let Some(object) = entry.object else { continue };
            let [early, late] = made.entry(object).or_default();
            *early += usize::from(entry.section == Section::PreData);
            *late += usize::from(entry.section == Section::PostData);
        }
        let mut later = Later::default();
        for object in &catalog.objects {
            match (made.get(&object.id), &object.body) {
                (Some([_, 0]) | None, _) => {}
                (Some([0, _]), _) => drop(later.objects.insert(object.identity())),
                // those that are not valid come late, whatever becomes of the others
                (Some([_, late]), Body::Domain(domain)) if *late < domain.constraints.len() => {}
                (Some(_), _) => drop(later.steps.insert(object.identity())),
            }
        }
        later
    }
}

/// Whether an entry of this kind makes an object or a part of it, rather than saying something of it.
fn makes_something(kind: EntryKind) -> bool {
    !kind.is_privilege()
        && !kind.holds_rows()
        && !matches!(kind, EntryKind::Comment | EntryKind::SecurityLabel | EntryKind::SequenceSet)
}

/// Whether a property of an object is that of its second step.
fn is_of_second_step(kind: EntryKind, path: &str) -> bool {
    let properties: &[&str] = match kind {
        EntryKind::View => &["body.definition", "body.options", "body.check_option"],
        EntryKind::Domain => &["body.constraints"],
        _ => &[],
    };
    properties.iter().any(|property| is_within(path, property))
}

fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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
    let Difference::Different { identity, path, left, right, .. } = difference else { return false };
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
    LATE.iter().any(|late| is_within(path, late))
}
