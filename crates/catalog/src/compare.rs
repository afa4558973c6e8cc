//! Two catalogs compared, object by object and field by field.

mod around;
mod majors;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::around::{SystemDifferences, compare_databases, compare_system_privileges};
use self::majors::Majors;
use crate::acl::privilege::{Grantable, default_acl};
use crate::kinds::Body;
use crate::render::Target;
use crate::{Acl, Catalog, Identity, InitialAcl, Object, ObjectId, PartName, ServerVersion};

/// What differs between two catalogs, in order of identity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CatalogDiff {
    /// Every difference found; empty where the catalogs hold the same.
    pub differences: Vec<Difference>,
}

impl CatalogDiff {
    /// Forgets the differences of one property of objects, such as `owner` or
    /// `acl`, where it was left behind on purpose.
    pub fn forget(&mut self, property: &str) {
        let is_of = |path: &str| path.split('.').any(|part| part == property);
        let forgotten =
            |difference: &Difference| matches!(difference, Difference::Different { path, .. } if is_of(path));
        self.differences.retain(|difference| !forgotten(difference));
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum Difference {
    /// Only the left catalog has it.
    Missing {
        /// The object.
        identity: Identity,
    },
    /// Only the right catalog has it.
    Extra {
        /// The object.
        identity: Identity,
    },
    /// Both have it, and it is not the same.
    Different {
        /// The object.
        identity: Identity,
        /// Where in the object: `owner`, `body.columns.2.default`.
        path: String,
        /// What the left has; null for nothing.
        left: Value,
        /// What the right has; null for nothing.
        right: Value,
    },
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Difference::Missing { identity } => write!(f, "{identity}: missing"),
            Difference::Extra { identity } => write!(f, "{identity}: extra"),
            Difference::Different { identity, path, left, right } => {
                let (left, right) = (words::value(left), words::value(right));
                let property = words::property(path);
                let are = if property.starts_with("privileges") { "are" } else { "is" };
                write!(f, "{identity}: {property} {are} {left} on the left and {right} on the right")
            }
        }
    }
}

/// Compares two catalogs in both directions.
///
/// OIDs, sizes, server versions and dependencies are not compared: they are not
/// the database's contents or follow from them. Privileges are compared as what
/// they allow, so NULL equals the kind's default. Members of extensions are
/// compared by their privileges only: their extension makes the rest. Between
/// different majors, what they print differently of the same thing is the same.
pub fn compare(left: &Catalog, right: &Catalog) -> CatalogDiff {
    let majors = Majors::new(left.server_version, right.server_version);
    let left = Side::new(left);
    let right = Side::new(right);
    let mut differences = Vec::new();
    for (identity, object) in &left.objects {
        match right.objects.get(identity) {
            None => differences.push(Difference::Missing { identity: identity.clone() }),
            // Most are the same, and seeing that is cheap.
            Some(other) if left.notes(object) == right.notes(other) && same(object, other) => {}
            Some(other) => {
                let (one, two) = (left.value(object), right.value(other));
                walk(&Place { identity, majors }, String::new(), &one, &two, &mut differences);
            }
        }
    }
    let extra = right.objects.keys().filter(|identity| !left.objects.contains_key(identity));
    differences.extend(extra.map(|identity| Difference::Extra { identity: identity.clone() }));
    CatalogDiff { differences }
}

/// Whether two objects are the same in every field but their addresses.
fn same(left: &Object, right: &Object) -> bool {
    left.owner == right.owner
        && left.acl == right.acl
        && left.comment == right.comment
        && left.security_labels == right.security_labels
        && left.extension == right.extension
        && left.body == right.body
}

/// A part's name, comment and security labels.
type Note<'a> = (&'a PartName, &'a Option<String>, &'a Vec<(String, String)>);

/// One catalog's objects that are compared.
struct Side<'a> {
    version: ServerVersion,
    objects: BTreeMap<Identity, &'a Object>,
    notes: BTreeMap<ObjectId, Vec<Note<'a>>>,
}

impl<'a> Side<'a> {
    fn new(catalog: &'a Catalog) -> Self {
        let mut initial: BTreeMap<ObjectId, Vec<&InitialAcl>> = BTreeMap::new();
        for item in &catalog.initial_acls {
            initial.entry(item.object).or_default().push(item);
        }
        let version = catalog.server_version;
        let mut side = Side { version, objects: BTreeMap::new(), notes: BTreeMap::new() };
        for object in &catalog.objects {
            let initial = initial.get(&object.id).map(Vec::as_slice).unwrap_or_default();
            if object.extension.is_none() || has_own_acl(object, initial, version) {
                side.objects.insert(object.identity(), object);
            }
        }
        for note in &catalog.notes {
            let notes = side.notes.entry(note.object).or_default();
            notes.push((&note.part, &note.comment, &note.security_labels));
            notes.sort();
        }
        side
    }

    fn notes(&self, object: &Object) -> &[Note<'a>] {
        self.notes.get(&object.id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The object as the JSON value that is compared field by field.
    fn value(&self, object: &Object) -> Value {
        let mut value = object_value(object, self.version);
        if let Value::Object(fields) = &mut value {
            for (part, comment, labels) in self.notes(object) {
                fields.insert(format!("{part:?}"), json!({ "comment": comment, "security_labels": labels }));
            }
        }
        value
    }
}

/// Whether a member of an extension carries privileges that its extension did not give.
fn has_own_acl(object: &Object, initial: &[&InitialAcl], version: ServerVersion) -> bool {
    let whole = initial.iter().find(|item| item.column.is_none());
    let base = whole.map_or_else(|| default_of(object, version), |item| Some(item.acl.clone()));
    let now = object.acl.clone().or_else(|| default_of(object, version));
    normalised(now) != normalised(base)
}

fn object_value(object: &Object, version: ServerVersion) -> Value {
    let acl = normalised(object.acl.clone().or_else(|| default_of(object, version)));
    if object.extension.is_some() {
        return json!({ "extension": object.extension, "acl": acl });
    }
    let mut labels = object.security_labels.clone();
    labels.sort();
    json!({
        "owner": object.owner,
        "acl": acl,
        "comment": object.comment,
        "security_labels": labels,
        "body": body_value(object),
    })
}

/// The body, without what the target's installation decides: which version of
/// an extension it has, and what that version declares; and without the order of
/// columns that a child has from its parents, which no statement can restore.
fn body_value(object: &Object) -> Value {
    let mut body =
        serde_json::to_value(&object.body).unwrap_or_else(|error| json!({ "unreadable": error.to_string() }));
    match (&object.body, &mut body) {
        (Body::Extension(_), Value::Object(fields)) => {
            fields.retain(|name, _| !matches!(name.as_str(), "version" | "relocatable" | "configuration"));
        }
        (Body::Table(table), Value::Object(fields)) if !table.inherits.is_empty() => {
            let columns =
                table.columns.iter().map(|column| (column.name.to_string(), json!(column))).collect();
            fields.insert("columns".to_owned(), Value::Object(columns));
        }
        _ => {}
    }
    body
}

/// Where values may be passwords: that they differ is said, what they are is not.
fn is_secret(identity: &Identity, path: &str) -> bool {
    match identity.kind.as_str() {
        "USER MAPPING" => path.starts_with("body.options"),
        "SUBSCRIPTION" => path.starts_with("body.definition"),
        "DATABASE" => path.starts_with("settings."),
        _ => false,
    }
}

/// That there is a value, but not which.
fn masked(value: &Value) -> Value {
    if value.is_null() { Value::Null } else { json!("***") }
}

/// The kind's default privileges, which NULL stands for.
fn default_of(object: &Object, version: ServerVersion) -> Option<Acl> {
    let owner = object.owner.as_deref()?;
    let drafts = object.body.render(object, &Target { version });
    let address = drafts.first()?.address.as_deref()?;
    Grantable::of_address(address).map(|(kind, _)| default_acl(kind, owner, version))
}

/// Items in an order of their own.
fn normalised(acl: Option<Acl>) -> Option<Acl> {
    let mut acl = acl?;
    acl.sort();
    Some(acl)
}

/// What is being compared.
struct Place<'a> {
    identity: &'a Identity,
    majors: Majors,
}

/// Adds what differs between two values at `path` and below.
fn walk(place: &Place<'_>, path: String, left: &Value, right: &Value, into: &mut Vec<Difference>) {
    if left == right || place.majors.agree(place.identity, &path, left, right) {
        return;
    }
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                walk(place, below(key), value, b.get(key).unwrap_or(&Value::Null), into);
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                walk(place, below(key), &Value::Null, value, into);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (x, y)) in a.iter().zip(b).enumerate() {
                walk(place, below(&at.to_string()), x, y, into);
            }
        }
        _ if is_secret(place.identity, &path) => into.push(Difference::Different {
            identity: place.identity.clone(),
            path,
            left: masked(left),
            right: masked(right),
        }),
        _ => into.push(Difference::Different {
            identity: place.identity.clone(),
            path,
            left: left.clone(),
            right: right.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::compare;
    use crate::kinds::{Body, Extension, Schema};
    use crate::{Catalog, Class, Object, ObjectId, ServerVersion, parse_acl};

    fn schema(name: &str) -> Object {
        Object {
            id: ObjectId::new(Class::PG_NAMESPACE, 1),
            schema: None,
            name: name.to_owned(),
            owner: Some("own".into()),
            acl: None,
            comment: None,
            security_labels: Vec::new(),
            extension: None,
            body: Body::from(Schema {}),
        }
    }

    fn check(left: Vec<Object>, right: Vec<Object>, expected: &[&str]) {
        let catalog = |objects| Catalog { objects, ..Catalog::empty(ServerVersion::of_major(18)) };
        let found: Vec<String> =
            compare(&catalog(left), &catalog(right)).differences.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn both_directions() {
        check(vec![schema("a")], vec![schema("b")], &["SCHEMA a: missing", "SCHEMA b: extra"]);
        check(
            vec![schema("a")],
            vec![Object { id: ObjectId::new(Class::PG_NAMESPACE, 2), ..schema("a") }],
            &[],
        );
    }

    #[test]
    fn every_field() {
        let other = Object { owner: Some("bob".into()), comment: Some("x".to_owned()), ..schema("a") };
        check(
            vec![schema("a")],
            vec![other],
            &[
                "SCHEMA a: grantee of privilege 1 is \"own\" on the left and \"bob\" on the right",
                "SCHEMA a: grantor of privilege 1 is \"own\" on the left and \"bob\" on the right",
                "SCHEMA a: comment is nothing on the left and \"x\" on the right",
                "SCHEMA a: owner is \"own\" on the left and \"bob\" on the right",
            ],
        );
    }

    #[test]
    fn privileges_by_what_they_allow() {
        let acl = |items: &[&str]| {
            let items: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
            Object { acl: parse_acl(&items).ok(), ..schema("a") }
        };
        check(vec![schema("a")], vec![acl(&["own=UC/own"])], &[]);
        check(vec![acl(&["own=UC/own", "=U/own"])], vec![acl(&["=U/own", "own=UC/own"])], &[]);
        let extension = |version: &str| Object {
            body: Body::from(Extension {
                schema: "public".to_owned(),
                version: version.to_owned(),
                relocatable: true,
                configuration: Vec::new(),
            }),
            ..schema("hstore")
        };
        check(vec![extension("1.4")], vec![extension("1.8")], &[]);
    }
}
