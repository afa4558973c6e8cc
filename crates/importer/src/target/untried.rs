//! What a rehearsal learns nothing of, and what for that reason it does not try.
//!
//! On a target that holds objects already some of what a plan makes is there. Whatever is on a relation that
//! is there would lock it, or build indexes on rows that others use; and whatever needs something that could
//! not be made here would fail for that alone, which says nothing about the run.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{EntryKind, TocEntry};

use crate::ImportPlan;

/// Kinds that are on a relation without reading its rows, and that may be refused.
const LIGHT_KINDS: [EntryKind; 5] = [
    EntryKind::Acl,
    EntryKind::Comment,
    EntryKind::SecurityLabel,
    EntryKind::Policy,
    EntryKind::PublicationTable,
];

/// Kinds of which a literal of a statement may be, whatever the statement does with it: reading one runs the checks
/// of domains.
const TYPE_KINDS: [EntryKind; 2] = [EntryKind::Type, EntryKind::Domain];

/// Kinds that are what they are, whoever made them.
pub(super) const ALIKE_KINDS: [EntryKind; 2] = [EntryKind::Schema, EntryKind::Extension];

/// How an entry is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Kept until the end of the act, for what depends on it.
    Kept,
    /// Taken back at once, and its locks with it.
    TakenBack,
    /// Not at all.
    NotTried,
}

/// Entries that were not made, though nobody refused them.
#[derive(Debug)]
pub(super) struct Untried {
    /// Whether the target holds objects that the run has not made.
    holds_others: bool,
    entries: BTreeMap<u32, Why>,
    /// Entries that rest on what the target holds already, which may be of another make than what the run
    /// would put in its place.
    leaning: BTreeSet<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The target holds it already.
    Stands,
    /// It was not tried, or it failed for a reason that says nothing about the run.
    Unknown,
}

/// Whether an entry locks a table that the selection left out and the target may hold.
fn is_on_others(plan: &ImportPlan, entry: &TocEntry) -> bool {
    let is_left_out = || entry.object.is_some_and(|object| plan.options.unselected.contains_key(&object));
    matches!(entry.kind, EntryKind::ForeignKey | EntryKind::TableAttach) && is_left_out()
}

impl Untried {
    pub(super) fn new(holds_others: bool) -> Self {
        Untried { holds_others, entries: BTreeMap::new(), leaning: BTreeSet::new() }
    }

    pub(super) fn stands(&mut self, entry: u32) {
        self.entries.insert(entry, Why::Stands);
    }

    /// Whether it was not made, though nobody refused it.
    pub(super) fn is_unknown(&self, entry: u32) -> bool {
        self.entries.get(&entry) == Some(&Why::Unknown)
    }

    pub(super) fn unknown(&mut self, entry: u32) {
        self.entries.entry(entry).or_insert(Why::Unknown);
    }

    /// How to try an entry, so that the answer tells something and costs others nothing.
    pub(super) fn manner(&mut self, plan: &ImportPlan, entry: &TocEntry) -> Manner {
        if self.entries.contains_key(&entry.id) {
            return Manner::NotTried;
        }
        if self.holds_others && is_on_others(plan, entry) {
            return Manner::TakenBack;
        }
        let manners = entry.depends_on.iter().map(|on| self.manner_on(plan, entry, *on));
        let manner = manners.max_by_key(|manner| *manner as u8).unwrap_or(Manner::Kept);
        if manner == Manner::NotTried {
            self.unknown(entry.id);
        }
        if self.holds_others && entry.depends_on.iter().any(|on| self.is_other(plan, *on)) {
            self.leaning.insert(entry.id);
        }
        manner
    }

    /// Whether a failure may be due to something that the run would replace.
    pub(super) fn leans(&self, entry: u32) -> bool {
        self.leaning.contains(&entry)
    }

    fn manner_on(&self, plan: &ImportPlan, entry: &TocEntry, on: u32) -> Manner {
        let is_relation = plan.entry(on).is_ok_and(|on| on.kind.is_relation());
        match self.entries.get(&on) {
            // relations that the plan does not make hold rows, which others may use
            None if is_relation && !plan.options.sections.pre_data => Manner::TakenBack,
            None => Manner::Kept,
            Some(Why::Unknown) => Manner::NotTried,
            Some(Why::Stands) if is_relation => {
                let is_light = !self.holds_others && LIGHT_KINDS.contains(&entry.kind);
                if is_light { Manner::TakenBack } else { Manner::NotTried }
            }
            Some(Why::Stands) if self.would_run(plan, entry, on) => Manner::NotTried,
            Some(Why::Stands) => Manner::Kept,
        }
    }

    /// Whether trying an entry might call a function that the target holds already: whoever made that has a say in
    /// what it does, and a rehearsal is no run. A check that a domain gets is tried on the rows of its tables, too.
    fn would_run(&self, plan: &ImportPlan, entry: &TocEntry, on: u32) -> bool {
        let Ok(on) = plan.entry(on) else { return true };
        let on = on.kind;
        if ALIKE_KINDS.contains(&on) || LIGHT_KINDS.contains(&entry.kind) {
            return false;
        }
        TYPE_KINDS.contains(&on) || entry.kind.may_call_functions()
    }

    fn is_other(&self, plan: &ImportPlan, on: u32) -> bool {
        let is_alike = || plan.entry(on).is_ok_and(|on| ALIKE_KINDS.contains(&on.kind));
        self.leaning.contains(&on) || self.entries.get(&on) == Some(&Why::Stands) && !is_alike()
    }
}
