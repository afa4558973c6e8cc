//! Triggers of partitions that are switched on or off otherwise than those they are copies of.
//!
//! A catalog has no other copies: where one side alone has such a trigger, the other has it too, if it has its table, and
//! it fires there as the parent's does.

use serde_json::json;

use super::{Difference, Side};
use crate::kinds::{Body, Firing};
use crate::{EntryKind, Identity, Object};

/// What is to be told of an object that only the left has.
pub(super) fn of_left(object: &Object, right: &Side<'_>) -> Option<Difference> {
    match both(object, right) {
        Some((left, right)) => different(object, left, right),
        None => Some(Difference::Missing { identity: object.identity() }),
    }
}

/// What is to be told of an object that only the right has.
pub(super) fn of_right(object: &Object, left: &Side<'_>) -> Option<Difference> {
    match both(object, left) {
        Some((right, left)) => different(object, left, right),
        None => Some(Difference::Extra { identity: object.identity() }),
    }
}

fn different(object: &Object, left: Firing, right: Firing) -> Option<Difference> {
    let path = "body.firing".to_owned();
    let (identity, left, right) = (object.identity(), json!(left), json!(right));
    (left != right).then_some(Difference::Different { identity, path, part: None, left, right })
}

/// When a copy fires, and when it does on the other side, which does not list it.
fn both(object: &Object, other: &Side<'_>) -> Option<(Firing, Firing)> {
    let Body::Trigger(copy) = &object.body else { return None };
    if !copy.is_partition_copy {
        return None;
    }
    let mut table = copy.table.clone();
    loop {
        let parent = other.table(&table)?.partition_of.as_ref()?.parent.clone();
        let identity = Identity {
            kind: EntryKind::Trigger,
            schema: Some(parent.schema.to_string()),
            name: object.name.clone(),
            discriminator: Some(parent.name.to_string()),
        };
        if let Some(Body::Trigger(above)) = other.objects.get(&identity).map(|it| &it.body) {
            return Some((copy.firing, above.firing));
        }
        table = parent;
    }
}
