//! Tables whose columns keep their order only if the table defines all of them itself.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::Losses;
use crate::kinds::{Body, Constraint, ConstraintType, ExpressionPlace};
use crate::{Catalog, Object, QualifiedName, SharedText};

/// Tells what such tables will define themselves, which in the source only their parents do.
pub(super) fn keep(catalog: &Catalog, losses: &mut Losses) {
    let (tables, columns) = made_alone(catalog);
    for object in catalog.objects.iter().filter(|object| object.extension.is_none()) {
        if let Body::Table(table) = &object.body
            && table.inherits_later
            && table.columns.iter().any(|column| !column.is_local)
        {
            let what = "made with all columns as its own and then made to inherit: only so do they keep their \
                        order, which values of its row type depend on";
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
            let what = format!(
                "made as a constraint of {} itself, which keeps the order of its columns",
                constraint.table
            );
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
