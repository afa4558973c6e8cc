//! A rehearsal cut into transactions, each with all that its entries need.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{EntryKind, TocEntry};

use super::predict::wanted;
use crate::ImportPlan;
use crate::plan::touched_tables::is_child;

/// The entries to try, in the order of the run, cut so that the locks of each act find room.
///
/// What others need is taken with them, and so again in each act that needs it. That is least where the acts are
/// gathered from the end of the run: a key then brings its table along, which need not be tried without it.
pub(super) fn acts(plan: &ImportPlan, lock_slots: u64) -> Vec<Vec<u32>> {
    let most = usize::try_from(lock_slots / 6).unwrap_or(usize::MAX).clamp(100, 2_500);
    // a key that is built first, or validated last, has two steps and is tried once
    let mut seen = BTreeSet::new();
    let entries: Vec<&TocEntry> =
        wanted(plan).filter(|entry| is_tryable(plan, entry) && seen.insert(entry.id)).collect();
    let needs = Needs::new(plan, &entries);
    let mut acts = Vec::new();
    let mut act: BTreeSet<usize> = BTreeSet::new();
    let mut tried = vec![false; entries.len()];
    for place in (0..entries.len()).rev() {
        let mut open = if tried[place] { Vec::new() } else { vec![place] };
        while let Some(next) = open.pop() {
            if act.insert(next) {
                tried[next] = true;
                open.extend(needs.of(entries[next]));
            }
        }
        if act.len() >= most {
            acts.push(std::mem::take(&mut act));
        }
    }
    acts.push(act);
    acts.retain(|act| !act.is_empty());
    acts.into_iter().map(|act| act.into_iter().map(|place| entries[place].id).collect()).collect()
}

/// The places of what must be in an act together with an entry.
struct Needs {
    places: BTreeMap<u32, usize>,
    /// Where the entry is that attaches a table, by the table's entry. A partition's index can be attached
    /// only once the partition is, and no dependency says so.
    attachments: BTreeMap<u32, usize>,
}

impl Needs {
    fn new(plan: &ImportPlan, entries: &[&TocEntry]) -> Self {
        let mut needs = Needs { places: BTreeMap::new(), attachments: BTreeMap::new() };
        for (place, entry) in entries.iter().enumerate() {
            needs.places.insert(entry.id, place);
            if entry.kind == EntryKind::TableAttach {
                let tables = entry.depends_on.iter().filter_map(|on| plan.entry(*on).ok());
                needs.attachments.extend(tables.filter(|on| is_child(entry, on)).map(|on| (on.id, place)));
            }
        }
        needs
    }

    fn of(&self, entry: &TocEntry) -> impl Iterator<Item = usize> {
        let depends_on = entry.depends_on.iter().filter_map(|on| self.places.get(on));
        depends_on.chain(self.attachments.get(&entry.id)).copied()
    }
}

/// Whether trying it changes nothing that a rollback does not take back, and costs no more than some rows
/// of the catalogs. What is about an event trigger cannot be tried, since that is not kept.
fn is_tryable(plan: &ImportPlan, entry: &TocEntry) -> bool {
    let on = |id: &u32| plan.entry(*id).is_ok_and(|on| on.kind == EntryKind::EventTrigger);
    if entry.depends_on.iter().any(on) {
        return false;
    }
    let is_large_object = entry.kind == EntryKind::LargeObject || entry.name.starts_with("LARGE OBJECT ");
    let fills = entry.data.is_some()
        || matches!(entry.kind, EntryKind::SequenceSet | EntryKind::MaterializedViewData);
    !fills && !is_large_object
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dbhaul_catalog::EntryKind;

    use super::{acts, is_tryable, wanted};
    use crate::testing::Entries;
    use crate::{EntrySegments, ImportOptions, plan};

    /// Keys of large tables have several steps.
    #[test]
    fn an_entry_is_tried_once() {
        let mut entries = Entries::default();
        let [from, to] = ["from", "to"].map(|name| entries.table(name));
        let sizes = [from, to].map(|table| EntrySegments {
            entry: entries.rows("rows", table),
            segment_bytes: vec![1 << 30; 4],
        });
        let key = entries.key("key", &[to]);
        entries.post_data(EntryKind::Index, "beside the key", &[to]);
        entries.foreign_key("reference", from, to, key);
        let plan = plan(entries.into_toc(), &sizes, ImportOptions::new("run", "backup")).unwrap();
        let tried: Vec<u32> = acts(&plan, 6_400).concat();
        let steps = wanted(&plan).filter(|entry| is_tryable(&plan, entry)).count();
        let different: BTreeSet<&u32> = tried.iter().collect();
        assert_eq!(tried.len(), different.len(), "{tried:?}");
        assert!(steps > tried.len(), "every entry has one step");
    }

    /// A table is not tried once for itself and once more for its key.
    #[test]
    fn a_table_is_tried_with_its_key() {
        let mut entries = Entries::default();
        let tables: Vec<u32> = (0..250).map(|number| entries.table(&format!("table {number}"))).collect();
        tables.iter().for_each(|table| _ = entries.key(&format!("key of {table}"), &[*table]));
        let plan = plan(entries.into_toc(), &[], ImportOptions::new("run", "backup")).unwrap();
        let acts = acts(&plan, 0);
        assert!(acts.len() > 1, "{acts:?}");
        assert_eq!(acts.concat().len(), 500);
    }

    /// Each act has the tables that its entries are about, and these are attached in it.
    #[test]
    fn a_partition_is_attached_in_every_act_that_needs_it() {
        let mut entries = Entries::default();
        let parent = entries.table("parent");
        let mut indexes = Vec::new();
        for number in 0..60 {
            let name = format!("part {number}");
            let part = entries.table(&name);
            entries.attach(&name, part, parent);
            indexes.push((part, number));
        }
        let whole = entries.post_data(EntryKind::Index, "whole", &[parent]);
        for (part, number) in indexes {
            let index = entries.post_data(EntryKind::Index, &format!("index {number}"), &[part]);
            entries.post_data(EntryKind::IndexAttach, &format!("index {number}"), &[whole, index]);
        }
        let plan = plan(entries.into_toc(), &[], ImportOptions::new("run", "backup")).unwrap();
        let acts = acts(&plan, 0);
        assert!(acts.len() > 1, "{acts:?}");
        for act in &acts {
            for entry in act.iter().map(|id| plan.entry(*id).unwrap()) {
                assert!(entry.depends_on.iter().all(|on| act.contains(on)), "{entry:?}");
                if entry.name.starts_with("part ") {
                    let attaches = |id: &u32| {
                        let other = plan.entry(*id).unwrap();
                        other.kind == EntryKind::TableAttach && other.name == entry.name
                    };
                    assert!(act.iter().any(attaches), "{entry:?}");
                }
            }
        }
    }
}
