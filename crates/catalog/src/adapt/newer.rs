//! What a newer major than the source's no longer has.

use std::collections::{BTreeMap, BTreeSet};

use super::Losses;
use crate::kinds::{Body, Table, TableKind};
use crate::{Catalog, QualifiedName, ServerVersion};

/// The first major in which partitioned tables cannot be `UNLOGGED`.
pub(super) const ALL_PARENTS_LOGGED: u32 = 18;

/// Since 18 a partitioned table, which holds no rows itself, cannot be `UNLOGGED`. And what a logged table's
/// foreign key refers to must be logged.
pub(super) fn unlogged(catalog: &mut Catalog, version: ServerVersion, losses: &mut Losses) {
    let major = version.major();
    if major < ALL_PARENTS_LOGGED || catalog.server_version.major() >= ALL_PARENTS_LOGGED {
        return;
    }
    let mut logged: BTreeMap<QualifiedName, String> = BTreeMap::new();
    for object in &catalog.objects {
        if let Body::Table(table) = &object.body
            && table.unlogged
            && table.table_kind == TableKind::Partitioned
        {
            let what = format!(
                "logged, since partitioned tables cannot be UNLOGGED on PostgreSQL {major}; its partitions stay as they are"
            );
            logged.insert(name(object), what);
        }
    }
    let mut new: BTreeSet<QualifiedName> = logged.keys().cloned().collect();
    while !new.is_empty() {
        let referenced = referenced(catalog, &new).into_iter();
        let unseen = referenced.filter(|(table, _)| !logged.contains_key(table));
        let found: Vec<(QualifiedName, QualifiedName)> =
            unseen.filter(|(table, _)| is_unlogged(catalog, table)).collect();
        new = found.iter().map(|(table, _)| table.clone()).collect();
        logged.extend(found.into_iter().map(|(table, by)| {
            let what = format!(
                "logged, since a foreign key of {by}, which is logged on PostgreSQL {major}, refers to it"
            );
            (table, what)
        }));
    }
    for object in &mut catalog.objects {
        let identity = object.identity();
        let table = name(object);
        match &mut object.body {
            Body::Table(table_body) => {
                if let Some(what) = logged.get(&table) {
                    table_body.unlogged = false;
                    losses.add(&identity, what);
                }
            }
            Body::Sequence(sequence) => {
                if let Some(owner) = &mut sequence.owned_by
                    && logged.contains_key(&owner.table)
                {
                    owner.table_unlogged = false;
                }
            }
            _ => {}
        }
    }
}

/// Whether there is a partitioned table that is `UNLOGGED`, as there may be before 18.
pub(super) fn has_unlogged_parents(catalog: &Catalog) -> bool {
    let is_one = |table: &Table| table.unlogged && table.table_kind == TableKind::Partitioned;
    catalog.objects.iter().any(|object| matches!(&object.body, Body::Table(table) if is_one(table)))
}

/// What foreign keys of some tables refer to, with the table of the key.
fn referenced(catalog: &Catalog, tables: &BTreeSet<QualifiedName>) -> Vec<(QualifiedName, QualifiedName)> {
    let constraints = catalog.objects.iter().filter_map(|object| match &object.body {
        Body::Constraint(constraint) if tables.contains(&constraint.table) => Some(constraint),
        _ => None,
    });
    constraints.filter_map(|one| Some((one.referenced_table.clone()?, one.table.clone()))).collect()
}

fn is_unlogged(catalog: &Catalog, table: &QualifiedName) -> bool {
    let is_it = |body: &Table, object: &crate::Object| body.unlogged && name(object) == *table;
    catalog.objects.iter().any(|object| matches!(&object.body, Body::Table(body) if is_it(body, object)))
}

fn name(object: &crate::Object) -> QualifiedName {
    QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name)
}
