//! Where rows land: in their own table, or in any partition of the root through which they are loaded.

use std::collections::{BTreeSet, HashMap};

use dbhaul_catalog::{DataEntry, EntryKind, ObjectId, QualifiedName, Toc, TocEntry};

use crate::plan::footprint::Footprint;

/// The partitions below each root through which rows are loaded.
#[derive(Debug, Default)]
pub(crate) struct Landing {
    below: HashMap<QualifiedName, BTreeSet<ObjectId>>,
}

impl Landing {
    /// Reads a TOC. A root that it does not make itself is known by the partitions that name it.
    pub(crate) fn new(toc: &Toc, footprint: &Footprint) -> Self {
        let mut landing = Landing::default();
        for entry in &toc.entries {
            if let Some(root) = root(entry) {
                landing.below.entry(root.clone()).or_default().insert(Footprint::key(entry));
            }
        }
        if landing.below.is_empty() {
            return landing;
        }
        for entry in toc.entries.iter().filter(|entry| entry.kind == EntryKind::Table) {
            let Some(schema) = &entry.schema else { continue };
            if let Some(below) = landing.below.get_mut(&QualifiedName::new(schema, &entry.name)) {
                below.extend(footprint.with_descendants(std::iter::once(Footprint::key(entry))));
            }
        }
        landing
    }

    /// The tables that the rows of an entry may land in.
    pub(crate) fn tables(&self, entry: &TocEntry) -> BTreeSet<ObjectId> {
        let below = root(entry).and_then(|root| self.below.get(root));
        below.cloned().unwrap_or_else(|| BTreeSet::from([Footprint::key(entry)]))
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

    use super::Landing;
    use crate::plan::footprint::Footprint;
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
        let landing = Landing::new(&toc, &Footprint::new(&toc));
        let entry = |id: u32| &toc.entries[id as usize - 1];
        assert_eq!(landing.tables(entry(rows)), below);
        assert_eq!(landing.tables(entry(plain_rows)), own);
    }
}
