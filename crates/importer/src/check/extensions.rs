//! Extensions of a plan against those that the target has or offers.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{TocEntry, quote_identifier};

use super::foretell::wanted;
use super::queries::OfferedExtension;
use crate::ImportPlan;
use crate::check::Blocker;
use crate::footprint::describe;

/// What follows from a comparison.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) blockers: Vec<Blocker>,
    pub(super) warnings: Vec<String>,
}

/// Compares. An extension that is not on offer stands in the way; one that is in another schema than
/// the statements say does so if anything needs it.
pub(super) fn compare(plan: &ImportPlan, offered: &[OfferedExtension]) -> Comparison {
    let offered: BTreeMap<&str, &OfferedExtension> =
        offered.iter().map(|extension| (extension.name.as_str(), extension)).collect();
    let mut comparison = Comparison::default();
    for entry in wanted(plan).filter(|entry| entry.kind == "EXTENSION") {
        let needed_by = dependants(plan, entry);
        match offered.get(entry.name.as_str()) {
            None => comparison.blockers.push(missing(entry, needed_by)),
            Some(OfferedExtension { installed_schema: Some(schema), .. }) => {
                if let Some(wanted) = other_schema(entry, schema) {
                    comparison.elsewhere(entry, schema, wanted, &needed_by);
                }
            }
            Some(_) => {}
        }
    }
    comparison
}

impl Comparison {
    fn elsewhere(&mut self, entry: &TocEntry, found: &str, wanted: &str, needed_by: &[String]) {
        if needed_by.is_empty() {
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
    let (_, wanted) = entry.create.first()?.rsplit_once(" WITH SCHEMA ")?;
    (wanted != quote_identifier(found)).then_some(wanted)
}

/// What cannot be made without an extension, beside remarks about it.
fn dependants(plan: &ImportPlan, extension: &TocEntry) -> Vec<String> {
    let mut dependants = BTreeSet::from([extension.id]);
    let mut needed_by = Vec::new();
    for entry in &plan.toc.entries[extension.id as usize..] {
        if entry.depends_on.iter().any(|on| dependants.contains(on)) {
            dependants.insert(entry.id);
            if entry.object != extension.object && !matches!(entry.kind.as_str(), "COMMENT" | "ACL") {
                needed_by.push(describe(entry));
            }
        }
    }
    needed_by
}

fn missing(extension: &TocEntry, mut needed_by: Vec<String>) -> Blocker {
    const SHOWN: usize = 5;
    let needed_by_count = needed_by.len();
    needed_by.truncate(SHOWN);
    Blocker::MissingExtension { name: extension.name.clone(), needed_by, needed_by_count }
}
