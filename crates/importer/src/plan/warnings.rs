//! What a person should know before a plan is run.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{DataEntry, EntryKind, Toc, in_one_line};

use crate::plan::split::Split;
use crate::plan::touched_tables::{describe, entry_by_id};
use crate::{Cause, ImportOptions};

/// Warns of what its options mean for what is there already.
pub(crate) fn warnings(toc: &Toc, options: &ImportOptions, splits: &BTreeMap<u32, Split>) -> Vec<String> {
    let loads_existing = toc.entries.iter().any(|entry| match &entry.data {
        Some(DataEntry::Table(table)) => !table.created_by_toc || !options.sections.pre_data,
        _ => false,
    });
    let mut warnings = options.notes.clone();
    warnings.extend(keys_without_rows(toc, options, splits));
    if options.sections.data && loads_existing && !options.sections.pre_data {
        warnings.push(
            "rows go into tables that exist already: their triggers fire, and foreign keys among them may \
             refuse rows that arrive before those they refer to"
                .to_owned(),
        );
    }
    warnings
}

/// Warns of foreign keys that hold only where rows do not refer to those that are left out.
fn keys_without_rows(toc: &Toc, options: &ImportOptions, splits: &BTreeMap<u32, Split>) -> Vec<String> {
    if !(options.sections.data && options.sections.post_data) {
        return Vec::new();
    }
    let keys = toc.entries.iter().filter(|entry| entry.kind == EntryKind::ForeignKey);
    let told = keys.filter_map(|entry| {
        let reason = options.keys_without_rows.get(&entry.object?)?;
        let key = in_one_line(&describe(entry));
        let reason = reason.clone();
        let (becomes, cause) = match splits.get(&entry.id) {
            Some(Split::Validate { .. }) => ("left NOT VALID", Cause::LeftNotValid { reason }),
            _ => ("skipped", Cause::RowsLeftOut { reason }),
        };
        Some(format!(
            "will be {becomes} if a row that is carried needs one of them: {key}: {}",
            in_one_line(&cause.to_string())
        ))
    });
    told.collect()
}

/// Warns of what functions compute from each other: no order is right for all of it.
pub(crate) fn tangle_warning(toc: &Toc, entries: &BTreeSet<u32>) -> Option<String> {
    const SHOWN: usize = 5;
    let names = entries.iter().filter_map(|id| entry_by_id(toc, *id)).map(describe);
    let shown: Vec<String> = names.take(SHOWN).collect();
    let more = entries.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!shown.is_empty()).then(|| {
        format!(
            "functions may compute or check these from each other's rows, so that whatever comes first meets \
             tables that are not filled yet: {}{more}",
            shown.join(", ")
        )
    })
}
