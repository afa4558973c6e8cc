//! What a script holds and a server may refuse, known from the source alone. A script is tried nowhere: where a
//! migration would skip an object by name, whoever runs the script is told before.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Catalog, EntryKind, Object, ObjectId, QualifiedName, Section, Toc, Unselected, quote_identifier,
};

use crate::report::rows_left_out::keys_without_rows;
use crate::{NamedReason, PipelineError, Selection};

/// Objects of a script that need something that is not in it, each with what that is.
///
/// # Errors
/// If the selection cannot be used.
pub(super) fn refusable(
    catalog: &Catalog,
    toc: &Toc,
    selection: &Selection,
) -> Result<Vec<NamedReason>, PipelineError> {
    let made: BTreeSet<ObjectId> = toc
        .entries
        .iter()
        .filter(|entry| entry.data.is_none() && !entry.create.is_empty())
        .filter_map(|entry| entry.object)
        .collect();
    let objects: BTreeMap<ObjectId, &Object> =
        catalog.objects.iter().filter(|it| made.contains(&it.id)).map(|it| (it.id, it)).collect();
    let needs = || catalog.unselected.iter().filter_map(|(id, needed)| Some((*objects.get(id)?, needed)));
    let parts: BTreeSet<(QualifiedName, &Unselected)> =
        needs().filter_map(|(object, needed)| Some((table_of(object)?, needed))).collect();
    let mut found = schemas(toc);
    for (object, needed) in needs() {
        let is_a_part_of_it = || {
            let name = QualifiedName::new(object.schema.clone().unwrap_or_default(), object.name.as_str());
            matches!(object.body, Body::Table(_)) && parts.contains(&(name, needed))
        };
        if needed.kind != EntryKind::Schema && !is_a_part_of_it() {
            let reason = format!(
                "needs {}, which is not selected (--with-dependencies includes it): the statement fails where the \
                 target does not have it",
                needed.name
            );
            found.push(NamedReason { object: object.identity().to_string(), reason });
        }
    }
    let keys = keys_without_rows(catalog, selection)?;
    found.extend(keys.into_iter().filter_map(|(id, reason)| {
        let reason = format!("{reason}: the statement fails where rows refer to such");
        Some(NamedReason { object: objects.get(&id)?.identity().to_string(), reason })
    }));
    Ok(found)
}

/// Schemas that a selection of tables does not bring along. An extension may make one of its own.
fn schemas(toc: &Toc) -> Vec<NamedReason> {
    let made = |kind: EntryKind| toc.entries.iter().filter(move |entry| entry.kind == kind);
    if made(EntryKind::Extension).next().is_some() {
        return Vec::new();
    }
    let theirs: BTreeSet<&str> = made(EntryKind::Schema).map(|entry| entry.name.as_str()).collect();
    let own =
        toc.entries.iter().filter(|entry| entry.section == Section::PreData && !entry.create.is_empty());
    let used: BTreeSet<&str> = own.filter_map(|entry| entry.schema.as_deref()).collect();
    let reason =
        "is not selected, and objects in it are: their statements fail where the target does not have it";
    let missing = used.into_iter().filter(|schema| *schema != "public" && !theirs.contains(schema));
    missing
        .map(|schema| NamedReason {
            object: format!("SCHEMA {}", quote_identifier(schema)),
            reason: reason.to_owned(),
        })
        .collect()
}

/// The table of a part that has a statement of its own.
fn table_of(object: &Object) -> Option<QualifiedName> {
    match &object.body {
        Body::ColumnDefault(default) => Some(default.table.clone()),
        Body::Constraint(constraint) => Some(constraint.table.clone()),
        _ => None,
    }
}
