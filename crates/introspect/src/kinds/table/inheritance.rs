//! Settles what a child's columns say for themselves and what they leave to
//! their parents (`flagInhAttrs` of `pg_dump`'s `common.c`).

use std::collections::{HashMap, HashSet};

use dbhaul_catalog::ServerVersion;
use dbhaul_catalog::kinds::{Column, ColumnExpression, ExpressionPlace, ExpressionRole};

/// What the parents' columns of one name have in common for a child.
#[derive(Default)]
struct Inherited {
    not_null: bool,
    default: bool,
    same_generation: bool,
    other_generation: bool,
}

/// Goes over the columns of every child table. `parents` lists parents by child,
/// `alone` the children that are made before they have parents: partitions and what inherits later.
pub(super) fn settle(
    columns: &mut HashMap<u32, Vec<Column>>,
    parents: &HashMap<u32, Vec<u32>>,
    alone: &HashSet<u32>,
    version: ServerVersion,
) {
    let is_parent: HashSet<u32> = parents.values().flatten().copied().collect();
    let before: HashMap<u32, Vec<Column>> = is_parent
        .into_iter()
        .filter_map(|oid| columns.get(&oid).map(|columns| (oid, columns.clone())))
        .collect();
    for (child, columns) in columns.iter_mut() {
        let parents: Vec<&Column> =
            parents.get(child).into_iter().flatten().filter_map(|oid| before.get(oid)).flatten().collect();
        if parents.is_empty() {
            continue;
        }
        for column in columns {
            let inherited = look_up(column, &parents);
            apply(column, &inherited, alone.contains(child), version);
        }
    }
}

fn look_up(column: &Column, parents: &[&Column]) -> Inherited {
    let mut inherited = Inherited::default();
    for parent in parents.iter().filter(|parent| parent.name == column.name) {
        inherited.not_null |= parent.not_null.as_ref().is_some_and(|not_null| !not_null.no_inherit);
        match &parent.default {
            Some(default) if default.role != ExpressionRole::Default => {
                let own = column.default.as_ref();
                let same =
                    own.is_some_and(|own| own.role == default.role && own.expression == default.expression);
                inherited.same_generation |= same;
                inherited.other_generation |= !same;
            }
            Some(_) => inherited.default = true,
            None => {}
        }
    }
    inherited
}

fn apply(column: &mut Column, inherited: &Inherited, is_made_alone: bool, version: ServerVersion) {
    // Servers before 18 do not say whose a NOT NULL is: what a parent demands is taken as the parent's. And
    // there a child may do without.
    if version.major() < 18 && inherited.not_null {
        match &mut column.not_null {
            Some(not_null) => not_null.is_local = false,
            None if !is_made_alone => column.extras_mut().drops_not_null = true,
            None => {}
        }
    }
    match &mut column.default {
        // Without a default of its own the child would get the parent's.
        None if inherited.default => {
            let printed = column.is_local || is_made_alone;
            column.default = Some(Box::new(ColumnExpression {
                expression: "NULL".into(),
                role: ExpressionRole::Default,
                place: if printed { ExpressionPlace::Inline } else { ExpressionPlace::Behind },
            }));
        }
        Some(own) if own.role != ExpressionRole::Default => {
            let from_parent = inherited.same_generation && !inherited.other_generation && !is_made_alone;
            let unprinted = !column.is_local && !is_made_alone;
            if from_parent || unprinted {
                own.place = ExpressionPlace::Inherited;
            }
        }
        _ => {}
    }
}
