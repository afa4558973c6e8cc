//! Extensions of a plan against those that the target has or offers.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{EntryKind, TocEntry, end_of_restore, quote_identifier, quote_literal};

use super::predict::{Predicted, wanted};
use super::queries::{Facts, OfferedExtension};
use crate::ImportPlan;
use crate::plan::touched_tables::describe;
use crate::target::Blocker;

/// What follows from a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) blockers: Vec<Blocker>,
    pub(super) warnings: Vec<String>,
}

/// Compares. An extension that is not on offer stands in the way; one that is in another schema than
/// the statements say does so if anything needs it.
pub(super) fn compare(plan: &ImportPlan, offered: &[OfferedExtension], facts: &Facts) -> Comparison {
    let offered: BTreeMap<&str, &OfferedExtension> =
        offered.iter().map(|extension| (extension.name.as_str(), extension)).collect();
    let mut comparison = Comparison::default();
    let restored = end_of_restore(&plan.toc).map(|(entry, _)| entry.id);
    for entry in wanted(plan).filter(|entry| entry.kind == EntryKind::Extension) {
        let needed_by = dependants(plan, entry);
        let is_offered = offered.contains_key(entry.name.as_str());
        if restored == Some(entry.id) && is_offered && !facts.has_timescaledb {
            comparison.blockers.push(Blocker::NotPreloaded { name: entry.name.clone() });
        }
        match offered.get(entry.name.as_str()) {
            None => comparison.blockers.push(missing(entry, needed_by)),
            Some(OfferedExtension { installed_schema, installed_version, .. }) => {
                if let Some(schema) = installed_schema
                    && let Some(wanted) = other_schema(entry, schema)
                {
                    // a run calls its functions by their schema
                    let may_be = needed_by.is_empty() && restored != Some(entry.id);
                    comparison.elsewhere(entry, schema, wanted, may_be);
                }
                if let Some(found) = installed_version {
                    comparison.blockers.extend(other_version(entry, found));
                }
            }
        }
    }
    comparison
}

impl Comparison {
    fn elsewhere(&mut self, entry: &TocEntry, found: &str, wanted: &str, may_be: bool) {
        if may_be {
            let name = quote_identifier(&entry.name);
            self.warnings.push(format!("extension {name} is in schema {found} there, not in {wanted}"));
        } else {
            self.blockers.push(Blocker::ExtensionElsewhere {
                name: entry.name.clone(),
                found: found.to_owned(),
                wanted: wanted.to_owned(),
            });
        }
    }
}

/// The schema that a statement wants an extension in, quoted, if that is not the one it is in.
fn other_schema<'a>(entry: &'a TocEntry, found: &str) -> Option<&'a str> {
    let (_, wanted) = create_and_version(entry)?.0.rsplit_once(" WITH SCHEMA ")?;
    (wanted != quote_identifier(found)).then_some(wanted)
}

/// The statement that makes an extension, and the version that it asks for at its end, as a literal.
fn create_and_version(entry: &TocEntry) -> Option<(&str, Option<&str>)> {
    let create = entry.create.first()?;
    match create.strip_suffix('\'').and_then(|start| start.rsplit_once(" VERSION '")) {
        Some((start, _)) => Some((start, create.get(start.len() + " VERSION ".len()..))),
        None => Some((create, None)),
    }
}

/// One that is there in another version than the one that is asked for stays so.
fn other_version(entry: &TocEntry, found: &str) -> Option<Blocker> {
    let (_, wanted) = create_and_version(entry)?;
    let wanted = wanted.filter(|wanted| *wanted != quote_literal(found))?;
    let (name, found, wanted) = (entry.name.clone(), found.to_owned(), wanted.to_owned());
    Some(Blocker::ExtensionVersion { name, found, wanted })
}

/// What cannot be made without an extension, beside remarks about it.
fn dependants(plan: &ImportPlan, extension: &TocEntry) -> Vec<String> {
    let is_more = |entry: &&TocEntry| {
        entry.object != extension.object && !matches!(entry.kind, EntryKind::Comment | EntryKind::Acl)
    };
    below(plan, extension).into_iter().filter(is_more).map(describe).collect()
}

/// What depends on an entry, directly or not.
fn below<'a>(plan: &'a ImportPlan, entry: &TocEntry) -> Vec<&'a TocEntry> {
    let mut seen = BTreeSet::from([entry.id]);
    let mut below = Vec::new();
    for entry in &plan.toc.entries[entry.id as usize..] {
        if entry.depends_on.iter().any(|on| seen.contains(on)) {
            seen.insert(entry.id);
            below.push(entry);
        }
    }
    below
}

/// Extensions that the target was seen to refuse although it offers them, where rows need them.
pub(super) fn refused(plan: &ImportPlan, refusals: &Predicted) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    for entry in wanted(plan).filter(|entry| entry.kind == EntryKind::Extension) {
        let Some(cause) = refusals.refused(entry.id) else { continue };
        // then that is what stands in the way
        if entry.depends_on.iter().any(|on| refusals.refused(*on).is_some()) {
            continue;
        }
        let is_lost = |entry: &TocEntry| entry.data.is_some() && refusals.refused(entry.id).is_some();
        let mut needed_by: Vec<String> =
            below(plan, entry).into_iter().filter(|entry| is_lost(entry)).map(describe).collect();
        let needed_by_count = needed_by.len();
        needed_by.truncate(SHOWN);
        if needed_by_count > 0 {
            let (name, reason) = (entry.name.clone(), cause.to_string());
            blockers.push(Blocker::RefusedExtension { name, reason, needed_by, needed_by_count });
        }
    }
    blockers
}

/// How many of what needs an extension are named.
const SHOWN: usize = 5;

fn missing(extension: &TocEntry, mut needed_by: Vec<String>) -> Blocker {
    let needed_by_count = needed_by.len();
    needed_by.truncate(SHOWN);
    Blocker::MissingExtension { name: extension.name.clone(), needed_by, needed_by_count }
}
