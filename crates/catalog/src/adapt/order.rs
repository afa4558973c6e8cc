//! Tables whose columns keep their order only if the table defines all of them itself.

use std::collections::BTreeSet;

use super::Losses;
use crate::kinds::{Body, Constraint, ConstraintType};
use crate::{Catalog, QualifiedName, SharedText};

/// Tells what such tables will define themselves, which in the source only their parents do.
pub(super) fn keep(catalog: &Catalog, losses: &mut Losses) {
    let mut tables: BTreeSet<QualifiedName> = BTreeSet::new();
    // Columns that become the table's own, and their defaults with them.
    let mut columns: BTreeSet<(QualifiedName, SharedText)> = BTreeSet::new();
    for object in catalog.objects.iter().filter(|object| object.extension.is_none()) {
        let Body::Table(table) = &object.body else { continue };
        if !table.inherits_later {
            continue;
        }
        let name = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
        let inherited = table.columns.iter().filter(|column| !column.is_local);
        columns.extend(inherited.map(|column| (name.clone(), column.name.clone())));
        tables.insert(name);
        if table.columns.iter().any(|column| !column.is_local) {
            let what = "made with all columns as its own and then made to inherit: only so do they keep their \
                        order, which values of its row type depend on";
            losses.add(&object.identity().to_string(), what);
        }
    }
    let becomes_own = |constraint: &Constraint| {
        let is_inherited = !constraint.is_local && !constraint.separate;
        is_inherited
            && constraint.constraint_type == ConstraintType::Check
            && tables.contains(&constraint.table)
    };
    for object in &catalog.objects {
        if let Body::ColumnDefault(default) = &object.body
            && columns.contains(&(default.table.clone(), default.column.clone()))
        {
            losses.add(&object.identity().to_string(), "set with its column, which becomes the table's own");
        }
        if let Body::Constraint(constraint) = &object.body
            && becomes_own(constraint)
        {
            let what = format!(
                "made as a constraint of {} itself, which keeps the order of its columns",
                constraint.table
            );
            losses.add(&object.identity().to_string(), what);
        }
    }
}
