//! The statements of objects that differ, so that a report can show them beside each other.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Catalog, CatalogDiff, Difference, EntryKind, Identity, Object, ObjectId, Selection, Target, Toc,
    shown_value, without_values,
};
use dbhaul_verifier::ObjectDefinitions;

/// Objects whose statements a report has. Of more, the differences alone.
const MOST_OBJECTS: usize = 200;

/// Objects of a database whose statements are written. Of more it would take memory that the comparison does not need.
const MOST_IN_CATALOG: usize = 50_000;

/// Bytes of one object's statements on one side.
const MOST_BYTES: usize = 64 << 10;

/// The statements that make the objects that differ, on both sides, for one version of PostgreSQL. They are an
/// addition: where one side has none for an object that it has, nothing is shown of that object.
pub(crate) fn definitions(
    schema: &CatalogDiff,
    (left, right): (&Catalog, &Catalog),
    selection: &Selection,
) -> Vec<ObjectDefinitions> {
    let mut wanted: BTreeMap<&Identity, &Difference> = BTreeMap::new();
    for difference in &schema.differences {
        if wanted.len() == MOST_OBJECTS {
            break;
        }
        wanted.insert(difference.identity(), difference);
    }
    let is_large = [left, right].iter().any(|catalog| catalog.objects.len() > MOST_IN_CATALOG);
    if wanted.is_empty() || is_large {
        return Vec::new();
    }
    let target = Target { version: left.server_version.max(right.server_version) };
    let identities: BTreeSet<&Identity> = wanted.keys().copied().collect();
    let sides = [left, right].map(|catalog| statements(catalog, selection, target, &identities));
    let [Some(mut left), Some(mut right)] = sides else { return Vec::new() };
    let both = wanted.into_iter().filter_map(|(identity, difference)| {
        let (left, right) = (left.remove(identity), right.remove(identity));
        let is_whole = match difference {
            Difference::Missing { .. } => left.is_some() && right.is_none(),
            Difference::Extra { .. } => left.is_none() && right.is_some(),
            Difference::Different { .. } | Difference::NotVerified { .. } => {
                left.is_some() && right.is_some() && left != right
            }
        };
        is_whole.then(|| ObjectDefinitions { identity: identity.clone(), left, right })
    });
    both.collect()
}

/// What makes each of these objects, with owner, privileges and comment; `None` where no order of statements can be found.
fn statements(
    catalog: &Catalog,
    selection: &Selection,
    target: Target,
    wanted: &BTreeSet<&Identity>,
) -> Option<BTreeMap<Identity, String>> {
    let objects = catalog.objects.iter().filter(|object| !sets_a_secret(object));
    let objects = objects.map(|object| (object.id, object.identity()));
    let objects: BTreeMap<ObjectId, Identity> =
        objects.filter(|(_, identity)| wanted.contains(identity)).collect();
    let toc = Toc::build(catalog, &target, &selection.toc_options(catalog).ok()?).ok()?;
    let mut texts: BTreeMap<Identity, String> = BTreeMap::new();
    for entry in toc.entries.iter().filter(|entry| entry.data.is_none()) {
        let Some(identity) = entry.object.as_ref().and_then(|object| objects.get(object)) else { continue };
        let text = texts.entry(identity.clone()).or_default();
        for statement in entry.create.iter().chain(&entry.set_owner) {
            text.push_str(&shown(identity.kind, statement));
            text.push_str(";\n");
        }
    }
    texts.values_mut().for_each(shorten);
    Some(texts)
}

/// Whether a function sets what may be a secret. Its statement has the value among all else, and is not shown.
fn sets_a_secret(object: &Object) -> bool {
    let Body::Function(function) = &object.body else { return false };
    function.settings.iter().any(|(name, value)| shown_value(name, value) != value)
}

/// A statement without the options and connection strings in which secrets are.
fn shown(kind: EntryKind, statement: &str) -> String {
    use EntryKind::{Database, ForeignDataWrapper, ForeignTable, Server, Subscription, UserMapping};
    match kind {
        Database | ForeignDataWrapper | ForeignTable | Server | Subscription | UserMapping => {
            without_values(statement)
        }
        _ => statement.to_owned(),
    }
}

fn shorten(text: &mut String) {
    if text.len() > MOST_BYTES {
        let kept = (0..=MOST_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        let left_out = text.len() - kept;
        text.truncate(kept);
        text.push_str(&format!("\n-- {left_out} bytes more\n"));
    }
}
