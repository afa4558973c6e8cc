//! Where rows land: in their own table, or in any partition of the root through which they are loaded.

use std::collections::{BTreeSet, HashMap};

use dbhaul_catalog::{DataEntry, EntryKind, ObjectId, QualifiedName, Toc, TocEntry};

use crate::plan::touched_tables::TouchedTables;

/// The partitions below each root through which rows are loaded.
#[derive(Debug, Default)]
pub(crate) struct LoadTargets {
    below: HashMap<QualifiedName, BTreeSet<ObjectId>>,
}

impl LoadTargets {
    /// Reads a TOC. A root that it does not make itself is known by the partitions that name it.
    pub(crate) fn new(toc: &Toc, touched_tables: &TouchedTables) -> Self {
        let mut load_targets = LoadTargets::default();
        for entry in &toc.entries {
            if let Some(root) = root(entry) {
                load_targets.below.entry(root.clone()).or_default().insert(TouchedTables::key(entry));
            }
        }
        if load_targets.below.is_empty() {
            return load_targets;
        }
        for entry in toc.entries.iter().filter(|entry| entry.kind == EntryKind::Table) {
            let Some(schema) = &entry.schema else { continue };
            if let Some(below) = load_targets.below.get_mut(&QualifiedName::new(schema, &entry.name)) {
                below.extend(touched_tables.with_descendants(std::iter::once(TouchedTables::key(entry))));
            }
        }
        load_targets
    }

    /// The tables that the rows of an entry may land in.
    pub(crate) fn tables(&self, entry: &TocEntry) -> BTreeSet<ObjectId> {
        let below = root(entry).and_then(|root| self.below.get(root));
        below.cloned().unwrap_or_else(|| BTreeSet::from([TouchedTables::key(entry)]))
    }
}

/// The root through which the rows of an entry are loaded.
pub(crate) fn root(entry: &TocEntry) -> Option<&QualifiedName> {
    match &entry.data {
        Some(DataEntry::Table(table)) => table.root.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::LoadTargets;
    use crate::plan::touched_tables::TouchedTables;
    use crate::testing::Entries;

    #[test]
    fn rows_land_in_their_table_or_in_any_partition_of_their_root() {
        let mut toc = Entries::default();
        let (root, part, other) = (toc.table("mood"), toc.table("mood_1"), toc.table("mood_2"));
        toc.attach("mood_1", part, root);
        toc.attach("mood_2", other, root);
        let rows = toc.rows("mood_1", part);
        toc.load_through(rows, "mood");
        let plain = toc.table("film");
        let plain_rows = toc.rows("film", plain);
        let keys = |toc: &Entries, ids: &[u32]| {
            ids.iter().map(|id| toc.object(*id).unwrap()).collect::<BTreeSet<_>>()
        };
        let (below, own) = (keys(&toc, &[root, part, other]), keys(&toc, &[plain]));
        let toc = toc.into_toc();
        let load_targets = LoadTargets::new(&toc, &TouchedTables::new(&toc));
        let entry = |id: u32| &toc.entries[id as usize - 1];
        assert_eq!(load_targets.tables(entry(rows)), below);
        assert_eq!(load_targets.tables(entry(plain_rows)), own);
    }
}
