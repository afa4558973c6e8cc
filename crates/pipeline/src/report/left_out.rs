//! What of a source cannot be carried, so that it is named and never lost in silence.

use dbhaul_archive::ExcludedObject;
use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Catalog, Difference, Object};

use crate::NamedReason;
use crate::report::explained::Told;

/// Objects of a catalog that a copy will not have, or not whole, each with the reason.
pub(crate) fn left_out(catalog: &Catalog) -> Vec<NamedReason> {
    let unreadable = catalog
        .unreadable()
        .into_iter()
        .map(|(identity, reason)| NamedReason { object: identity.to_string(), reason: reason.to_owned() });
    let invalid = invalid(catalog).map(|object| NamedReason {
        object: object.identity().to_string(),
        reason: "it is invalid on the source and not copied; REINDEX or drop it there".to_owned(),
    });
    unreadable.chain(invalid).collect()
}

/// The same by object, with how definitions differ by that.
pub(crate) fn told_of(catalog: &Catalog) -> Told {
    let unreadable = catalog.unreadable().into_iter().map(|(identity, _)| identity);
    let objects = unreadable.chain(invalid(catalog).map(Object::identity)).collect();
    Told { objects, changes: left_out_changes(catalog) }
}

/// Indexes that are invalid.
fn invalid(catalog: &Catalog) -> impl Iterator<Item = &Object> {
    catalog.objects.iter().filter(|object| match &object.body {
        Body::Index(index) => !index.valid && object.extension.is_none(),
        _ => false,
    })
}

fn left_out_changes(catalog: &Catalog) -> Vec<Difference> {
    let change = |object: &Object| match &object.body {
        Body::Index(index) if !index.valid => Some(Difference::Missing { identity: object.identity() }),
        Body::Subscription(subscription) if subscription.definition.is_none() => {
            Some(Difference::Missing { identity: object.identity() })
        }
        Body::UserMapping(mapping) if mapping.options.is_none() => {
            Some(Difference::changed(object.identity(), "body.options".to_owned()))
        }
        _ => None,
    };
    let own = catalog.objects.iter().filter(|object| object.extension.is_none());
    own.filter_map(change).collect()
}

/// As a manifest records them.
pub(crate) fn excluded(left_out: &[NamedReason]) -> Vec<ExcludedObject> {
    let excluded = |NamedReason { object, reason }: &NamedReason| ExcludedObject {
        object: object.clone(),
        reason: reason.clone(),
    };
    left_out.iter().map(excluded).collect()
}
