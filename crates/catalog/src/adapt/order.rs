//! Tables that are made with all their columns and inherit afterwards: whose columns keep their order only so, or whose
//! parents no server merges.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::Losses;
use crate::kinds::{Body, Column, Constraint, ConstraintType, ExpressionPlace, Table};
use crate::{Catalog, Object, QualifiedName, SharedText};

/// Has tables made alone whose parents have a column of other storage or compression than each other: `CREATE TABLE`
/// merges only what is the same (PostgreSQL src/backend/commands/tablecmds.c, MergeAttributes), `INHERIT` does not ask.
pub(super) fn part_from_parents(catalog: &mut Cow<'_, Catalog>) {
    let unmerged = unmerged(catalog);
    if unmerged.is_empty() {
        return;
    }
    for object in catalog.to_mut().objects.iter_mut().filter(|object| object.extension.is_none()) {
        let name = name_of(object);
        if let Body::Table(table) = &mut object.body {
            table.inherits_later |= unmerged.contains(&name);
        }
    }
}

/// The tables whose parents cannot be merged.
fn unmerged(catalog: &Catalog) -> BTreeSet<QualifiedName> {
    let tables = || {
        catalog.objects.iter().filter_map(|object| match &object.body {
            Body::Table(table) => Some((name_of(object), &**table)),
            _ => None,
        })
    };
    let heirs = || tables().filter(|(_, table)| table.inherits.len() > 1);
    let parents: BTreeSet<&QualifiedName> = heirs().flat_map(|(_, table)| &table.inherits).collect();
    let parents: BTreeMap<QualifiedName, &Table> =
        tables().filter(|(name, _)| parents.contains(name)).collect();
    let conflicts = |table: &Table| {
        let mut seen: BTreeMap<&str, [Option<&str>; 2]> = BTreeMap::new();
        let columns =
            table.inherits.iter().filter_map(|parent| parents.get(parent)).flat_map(|parent| &parent.columns);
        columns
            .into_iter()
            .any(|column| *seen.entry(&column.name).or_insert(merged(column)) != merged(column))
    };
    heirs().filter(|(_, table)| conflicts(table)).map(|(name, _)| name).collect()
}

/// What of a column parents must have in common.
fn merged(column: &Column) -> [Option<&str>; 2] {
    let extras = column.extras.as_ref();
    [
        extras.and_then(|extras| extras.storage.as_deref()),
        extras.and_then(|extras| extras.compression.as_deref()),
    ]
}

/// Tells what such tables will define themselves, which in the source only their parents do.
pub(super) fn keep(catalog: &Catalog, losses: &mut Losses) {
    let (tables, columns) = made_alone(catalog);
    let unmerged = unmerged(catalog);
    for object in catalog.objects.iter().filter(|object| object.extension.is_none()) {
        if let Body::Table(table) = &object.body
            && table.inherits_later
            && table.columns.iter().any(|column| !column.is_local)
        {
            let why = match unmerged.contains(&name_of(object)) {
                true => "can it have parents whose columns differ in storage or compression",
                false => "do they keep their order, which values of its row type depend on",
            };
            let what = format!("made with all columns as its own and then made to inherit: only so {why}");
            losses.add(&object.identity(), what);
        }
    }
    for object in &catalog.objects {
        if let Body::ColumnDefault(default) = &object.body
            && columns.contains(&(default.table.clone(), default.column.clone()))
        {
            losses.add(&object.identity(), "set with its column, which becomes the table's own");
        }
        if let Body::Constraint(constraint) = &object.body
            && becomes_own(constraint, &tables)
        {
            let what = format!("made as a constraint of {} itself, as its columns are", constraint.table);
            losses.add(&object.identity(), what);
        }
    }
}

/// The catalog as a target describes it afterwards: what such tables define themselves is theirs there.
pub fn as_made(catalog: &Catalog) -> Cow<'_, Catalog> {
    let (tables, columns) = made_alone(catalog);
    if tables.is_empty() {
        return Cow::Borrowed(catalog);
    }
    let mut made = catalog.clone();
    for object in made.objects.iter_mut().filter(|object| object.extension.is_none()) {
        match &mut object.body {
            Body::Table(table) if table.inherits_later => {
                for column in table.columns.iter_mut().filter(|column| !column.is_local) {
                    column.is_local = true;
                    if let Some(default) = &mut column.default {
                        default.place = ExpressionPlace::Inline;
                    }
                    if let Some(not_null) = &mut column.not_null {
                        not_null.is_local = true;
                    }
                }
            }
            Body::ColumnDefault(default)
                if columns.contains(&(default.table.clone(), default.column.clone())) =>
            {
                default.separate = false;
            }
            Body::Constraint(constraint) if becomes_own(constraint, &tables) => constraint.is_local = true,
            _ => {}
        }
    }
    Cow::Owned(made)
}

/// The tables that are made alone, and the columns that become their own by that.
fn made_alone(catalog: &Catalog) -> (BTreeSet<QualifiedName>, BTreeSet<(QualifiedName, SharedText)>) {
    let (mut tables, mut columns) = (BTreeSet::new(), BTreeSet::new());
    for object in catalog.objects.iter().filter(|object| object.extension.is_none()) {
        let Body::Table(table) = &object.body else { continue };
        if !table.inherits_later {
            continue;
        }
        let name = name_of(object);
        let inherited = table.columns.iter().filter(|column| !column.is_local);
        columns.extend(inherited.map(|column| (name.clone(), column.name.clone())));
        tables.insert(name);
    }
    (tables, columns)
}

fn becomes_own(constraint: &Constraint, tables: &BTreeSet<QualifiedName>) -> bool {
    let is_inherited = !constraint.is_local && !constraint.separate;
    is_inherited && constraint.constraint_type == ConstraintType::Check && tables.contains(&constraint.table)
}

fn name_of(object: &Object) -> QualifiedName {
    QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name)
}
