//! Materialized views whose filling may ask foreign servers: a rehearsal does not, for what runs there is not undone
//! here, and may take long.

use std::collections::{BTreeSet, HashSet};

use dbhaul_catalog::{EntryKind, ObjectId};

use crate::ImportPlan;
use crate::plan::touched_tables::TouchedTables;

/// Kinds that are code, which may read anything.
const CODE: [EntryKind; 3] = [EntryKind::Function, EntryKind::Procedure, EntryKind::Aggregate];

/// The entries that fill materialized views of which a foreign table lies below, or code where there are such tables.
pub(super) fn asking_others(plan: &ImportPlan) -> HashSet<u32> {
    let entries = || plan.toc.entries.iter();
    let foreign: BTreeSet<ObjectId> =
        entries().filter(|entry| entry.kind == EntryKind::ForeignTable).map(TouchedTables::key).collect();
    if foreign.is_empty() {
        return HashSet::new();
    }
    let touched_tables = TouchedTables::new(&plan.toc);
    let asks = |id: u32| {
        let (tables, has_code) = read_by(plan, id);
        has_code || !touched_tables.with_descendants(tables.into_iter()).is_disjoint(&foreign)
    };
    let filled = entries().filter(|entry| entry.kind == EntryKind::MaterializedViewData);
    filled.map(|entry| entry.id).filter(|id| asks(*id)).collect()
}

/// The tables that filling a materialized view reads, by itself or through views, and whether it calls code.
fn read_by(plan: &ImportPlan, filled: u32) -> (BTreeSet<ObjectId>, bool) {
    let (mut tables, mut has_code) = (BTreeSet::new(), false);
    let (mut stack, mut seen) = (vec![filled], HashSet::new());
    while let Some(id) = stack.pop() {
        let Some(entry) = plan.entry(id).ok().filter(|_| seen.insert(id)) else { continue };
        has_code |= CODE.contains(&entry.kind);
        match entry.kind {
            EntryKind::Table | EntryKind::ForeignTable => drop(tables.insert(TouchedTables::key(entry))),
            EntryKind::View
            | EntryKind::MaterializedView
            | EntryKind::MaterializedViewData
            | EntryKind::Rule => {
                stack.extend(&entry.depends_on);
            }
            _ => {}
        }
    }
    (tables, has_code)
}
