//! Members of extensions' operator families that are the server's own operators and functions.
//!
//! Nothing in the catalogs says whether an extension's script or a user has added one to the family (PostgreSQL's
//! src/backend/commands/opclasscmds.c, `storeOperators`), so that what a user has added is not carried. The
//! extension makes its own again on the other side: what is not there was a user's, or another version's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::Difference;
use super::families::{Family, family, members};
use crate::kinds::Body;
use crate::{Catalog, Object, SharedText};

/// What the operator families of the left's extensions have and the same on the right lack, whatever made it.
pub fn compare_members_of_extensions(left: &Catalog, right: &Catalog) -> Vec<Difference> {
    let there = by_family(right, |_| true);
    // what is known to be a user's is an object of its own
    let users = by_family(left, |body| matches!(body, Body::OperatorFamily(it) if it.added_to.is_some()));
    // An older server has an older version of the extension, which makes fewer members: these are not compared, and
    // the report says so. A newer version makes what the older one makes.
    let (one, other) = (versions(left), versions(right));
    let is_older = right.server_version.major() < left.server_version.major();
    let is_same = |extension: &SharedText| !is_older || one.get(&**extension) == other.get(&**extension);
    let families = left.objects.iter().filter(|object| {
        object.extension.as_ref().is_some_and(is_same) && matches!(object.body, Body::OperatorFamily(_))
    });
    let missing = families.filter_map(|object| {
        let family = family(object)?;
        let is_in = |all: &BTreeMap<Family, BTreeSet<String>>, member: &String| {
            all.get(&family).is_some_and(|members| members.contains(member))
        };
        // a family that is not there went with its extension
        there.get(&family)?;
        let mut lacks = members(object);
        lacks.retain(|member| !is_in(&there, member) && !is_in(&users, member));
        (!lacks.is_empty()).then(|| Difference::Different {
            identity: object.identity(),
            path: "body.members".to_owned(),
            left: json!(lacks),
            right: json!([]),
        })
    });
    missing.collect()
}

/// The versions of extensions by their names.
fn versions<'a>(catalog: &'a Catalog) -> BTreeMap<&'a str, &'a str> {
    let version = |object: &'a Object| match &object.body {
        Body::Extension(extension) => Some((object.name.as_str(), extension.version.as_str())),
        _ => None,
    };
    catalog.objects.iter().filter_map(version).collect()
}

fn by_family(catalog: &Catalog, is_counted: impl Fn(&Body) -> bool) -> BTreeMap<Family, BTreeSet<String>> {
    let mut families: BTreeMap<Family, BTreeSet<String>> = BTreeMap::new();
    for object in catalog.objects.iter().filter(|object| is_counted(&object.body)) {
        if let Some(family) = family(object) {
            families.entry(family).or_default().extend(members(object));
        }
    }
    families
}
