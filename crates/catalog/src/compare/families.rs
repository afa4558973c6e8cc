//! Members of operator classes and families, where two majors tie them to different owners.
//!
//! Before 14 everything that `CREATE OPERATOR CLASS` lists is a member of the class; since then what the class
//! can do without is a loose member of its family. What the family has in all is the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::quoting::bare;
use crate::kinds::Body;
use crate::{Identity, Object};

/// The members of each family, its classes' among them.
#[derive(Debug, Default)]
pub(super) struct Families {
    by_name: BTreeMap<Family, BTreeSet<String>>,
}

/// Access method, schema and name.
pub(super) type Family = (String, Option<String>, String);

impl Families {
    pub(super) fn of(objects: &BTreeMap<Identity, &Object>) -> Self {
        let mut families = Families::default();
        for object in objects.values() {
            let Some(family) = family(object) else { continue };
            families.by_name.entry(family).or_default().extend(members(object));
        }
        families
    }

    /// Whether an object is only what users added to a family of the server or an extension, and that has the same on
    /// the other side, where all of it may be members of classes.
    pub(super) fn has_all_elsewhere(&self, other: &Families, object: &Object) -> bool {
        let Body::OperatorFamily(body) = &object.body else { return false };
        body.is_only_added_to(object)
            && family(object).is_some_and(|family| self.by_name.get(&family) == other.by_name.get(&family))
    }

    /// Replaces the members of an object with those of its family.
    pub(super) fn put_into(&self, body: &mut Value, object: &Object) {
        let (Some(family), Value::Object(fields)) = (family(object), body) else { return };
        fields.remove("operators");
        fields.remove("functions");
        fields.insert("members_of_the_family".to_owned(), json!(self.by_name.get(&family)));
    }
}

pub(super) fn family(object: &Object) -> Option<Family> {
    match &object.body {
        Body::OperatorClass(class) => {
            let (schema, name) = (class.family.schema.to_string(), class.family.name.to_string());
            Some((class.access_method.clone(), Some(schema), name))
        }
        Body::OperatorFamily(family) => {
            let schema = object.schema.as_ref().map(ToString::to_string);
            Some((family.access_method.clone(), schema, object.name.clone()))
        }
        _ => None,
    }
}

/// The members of a class, or the loose ones of a family.
pub(super) fn members(object: &Object) -> Vec<String> {
    let (operators, functions) = match &object.body {
        Body::OperatorClass(class) => (&class.operators, &class.functions),
        Body::OperatorFamily(family) => (&family.operators, &family.functions),
        _ => return Vec::new(),
    };
    let all = crate::kinds::members(operators, functions).into_iter();
    all.map(|member| bare(&member).into_owned()).collect()
}
