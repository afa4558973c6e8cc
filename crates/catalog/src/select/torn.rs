//! Partitions that a selection tears from tables whose rows only belong together.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::kinds::{Body, Table};
use crate::{Catalog, ObjectId, QualifiedName, TornFamily};

/// The families of `whole`, all below a hash that another database does not share, of which not every table is
/// kept.
pub(super) fn torn(whole: &Catalog, keeps: impl Fn(&ObjectId) -> bool) -> Vec<TornFamily> {
    if whole.unstable_hashes.is_empty() {
        return Vec::new();
    }
    let tables: HashMap<QualifiedName, (&Table, ObjectId)> = whole
        .objects
        .iter()
        .filter_map(|object| match &object.body {
            Body::Table(table) => {
                let name = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
                Some((name, (&**table, object.id)))
            }
            _ => None,
        })
        .collect();
    let mut families: BTreeMap<QualifiedName, BTreeSet<&QualifiedName>> = BTreeMap::new();
    for (name, (table, _)) in &tables {
        if let Some(root) = unstable_root(whole, &tables, table) {
            families.entry(root).or_default().insert(name);
        }
    }
    let is_kept = |name: &QualifiedName| tables.get(name).is_some_and(|(_, id)| keeps(id));
    let family = |(root, partitions): (QualifiedName, BTreeSet<&QualifiedName>)| {
        let named = |wanted: bool| -> Vec<QualifiedName> {
            partitions.iter().filter(|name| is_kept(name) == wanted).map(|name| (*name).clone()).collect()
        };
        let (kept, left_out) = (named(true), named(false));
        let is_whole = left_out.is_empty() && is_kept(&root);
        (!is_whole && !kept.is_empty()).then(|| TornFamily { has_root: is_kept(&root), root, kept, left_out })
    };
    families.into_iter().filter_map(family).collect()
}

/// The topmost table above a partition, if any on the way assigns rows by such a hash.
fn unstable_root(
    whole: &Catalog,
    tables: &HashMap<QualifiedName, (&Table, ObjectId)>,
    table: &Table,
) -> Option<QualifiedName> {
    let (mut root, mut is_unstable) = (None, false);
    let mut above = table.partition_of.as_ref();
    while let Some(of) = above {
        let (parent, id) = tables.get(&of.parent)?;
        is_unstable |= whole.unstable_hashes.contains(&id.oid);
        root = Some(of.parent.clone());
        above = parent.partition_of.as_ref();
    }
    root.filter(|_| is_unstable)
}
