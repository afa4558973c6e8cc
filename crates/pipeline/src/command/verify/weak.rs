//! What is in force on neither side, or on one, although it is there: indexes that are invalid, constraints that are not
//! valid, triggers that are disabled. Where the sides differ in it, definitions differ; where both are so, somebody who signs
//! a comparison has to know it all the same.

use dbhaul_catalog::kinds::{Body, Firing};
use dbhaul_catalog::{Catalog, Object};

use super::side::Side;
use crate::report::words::listed;

/// Sentences about one side.
pub(super) fn notes(side: &Side) -> Vec<String> {
    let name = &side.description.name;
    let of = |what: &str, is_weak: fn(&Object) -> bool| {
        listed(&format!("{name} has {what}"), named(&side.catalog, is_weak))
    };
    let notes = [
        of(
            "indexes that are invalid, which serve no query",
            |object| matches!(&object.body, Body::Index(index) if !index.valid),
        ),
        of(
            "constraints that are NOT VALID, which rows may violate",
            |object| matches!(&object.body, Body::Constraint(constraint) if constraint.is_not_valid()),
        ),
        of(
            "triggers that are disabled",
            |object| matches!(&object.body, Body::Trigger(trigger) if trigger.firing == Firing::Disabled),
        ),
    ];
    notes.into_iter().flatten().collect()
}

fn named(catalog: &Catalog, is_weak: fn(&Object) -> bool) -> Vec<String> {
    let own = catalog.objects.iter().filter(|object| object.extension.is_none() && is_weak(object));
    own.map(|object| object.identity().to_string()).collect()
}
