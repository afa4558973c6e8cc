//! What a newer major than the source's no longer has.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::Losses;
use crate::kinds::{Body, Table, TableKind};
use crate::{Catalog, Object, QualifiedName, ServerVersion};

/// The first major in which partitioned tables cannot be `UNLOGGED`.
pub(super) const ALL_PARENTS_LOGGED: u32 = 18;

/// The first major in which range types have multirange types.
const MULTIRANGES: u32 = 14;

/// Since 14 a range type brings a multirange type and functions of its name. Where something else of a catalog from before
/// has the name that the server would choose, another is chosen.
pub(super) fn multiranges(catalog: &mut Cow<'_, Catalog>, version: ServerVersion, notes: &mut Vec<String>) {
    if version.major() < MULTIRANGES || catalog.server_version.major() >= MULTIRANGES {
        return;
    }
    let is_range = |object: &&Object| matches!(object.body, Body::RangeType(_)) && object.extension.is_none();
    if !catalog.objects.iter().any(|object| is_range(&object)) {
        return;
    }
    let mut taken: HashSet<String> =
        catalog.objects.iter().filter(|object| takes_name(object)).map(Object::sql_name).collect();
    let mut renamed: BTreeMap<usize, String> = BTreeMap::new();
    for (place, object) in catalog.objects.iter().enumerate().filter(|(_, object)| is_range(object)) {
        let Body::RangeType(range) = &object.body else { continue };
        if taken.insert(range.multirange.clone()) {
            continue;
        }
        let free = free_name(object, &taken);
        notes.push(format!(
            "{}: its multirange type is {free}, since {} is the name of something else",
            object.identity(),
            range.multirange
        ));
        taken.insert(free.clone());
        renamed.insert(place, free);
    }
    if renamed.is_empty() {
        return;
    }
    let catalog = catalog.to_mut();
    for (place, name) in renamed {
        if let Some(Body::RangeType(range)) = catalog.objects.get_mut(place).map(|object| &mut object.body) {
            range.multirange = name;
        }
    }
}

/// Whether a type of its name, or functions, cannot be there beside it.
fn takes_name(object: &Object) -> bool {
    matches!(
        object.body,
        Body::BaseType(_)
            | Body::CompositeType(_)
            | Body::Domain(_)
            | Body::EnumType(_)
            | Body::RangeType(_)
            | Body::Table(_)
            | Body::View(_)
            | Body::MaterializedView(_)
            | Body::Sequence(_)
            | Body::ShellType(_)
            | Body::Function(_)
    )
}

/// A name for the multirange type of a range type that nothing else has.
fn free_name(range: &Object, taken: &HashSet<String>) -> String {
    const LIMIT_BYTES: usize = 40;
    let mut end = range.name.len().min(LIMIT_BYTES);
    while !range.name.is_char_boundary(end) {
        end -= 1;
    }
    let schema = range.schema.as_deref().unwrap_or_default();
    let name = |number: usize| {
        QualifiedName::new(schema, format!("{}_multirange_{number}", &range.name[..end])).sql()
    };
    let mut number = 1;
    while taken.contains(&name(number)) {
        number += 1;
    }
    name(number)
}

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
