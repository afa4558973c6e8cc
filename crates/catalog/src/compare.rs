//! Two catalogs compared, object by object and field by field.

mod majors;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::majors::Majors;
use crate::acl::privilege::{Grantable, default_acl};
use crate::kinds::Body;
use crate::render::Target;
use crate::{Acl, Catalog, CatalogIndex, Identity, InitialAcl, Object, ObjectId, ServerVersion};

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
                write!(f, "{identity}: {path} is {left} on the left and {right} on the right")
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
    for (identity, value) in &left.objects {
        match right.objects.get(identity) {
            None => differences.push(Difference::Missing { identity: identity.clone() }),
            Some(other) => walk(&Place { identity, majors }, String::new(), value, other, &mut differences),
        }
    }
    let extra = right.objects.keys().filter(|identity| !left.objects.contains_key(identity));
    differences.extend(extra.map(|identity| Difference::Extra { identity: identity.clone() }));
    CatalogDiff { differences }
}

/// One catalog, each object as the JSON value that is compared.
struct Side {
    objects: BTreeMap<Identity, Value>,
}

impl Side {
    fn new(catalog: &Catalog) -> Self {
        let mut initial: BTreeMap<ObjectId, Vec<&InitialAcl>> = BTreeMap::new();
        for item in &catalog.initial_acls {
            initial.entry(item.object).or_default().push(item);
        }
        let mut objects = BTreeMap::new();
        for object in &catalog.objects {
            let member = object.extension.is_some();
            let initial = initial.get(&object.id).map(Vec::as_slice).unwrap_or_default();
            if !member || has_own_acl(object, initial, catalog.server_version) {
                objects.insert(object.identity(), object_value(object, catalog.server_version));
            }
        }
        add_notes(catalog, &mut objects);
        Side { objects }
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
            let columns = table.columns.iter().map(|column| (column.name.clone(), json!(column))).collect();
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
        _ => false,
    }
}

fn add_notes(catalog: &Catalog, objects: &mut BTreeMap<Identity, Value>) {
    let index = CatalogIndex::new(catalog);
    for note in &catalog.notes {
        let Some(object) = index.object(catalog, note.object) else { continue };
        if let Some(Value::Object(fields)) = objects.get_mut(&object.identity()) {
            let part = format!("{:?}", note.part);
            fields.insert(part, json!({ "comment": note.comment, "security_labels": note.security_labels }));
        }
    }
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
            left: json!("***"),
            right: json!("***"),
        }),
        _ => into.push(Difference::Different {
            identity: place.identity.clone(),
            path,
            left: left.clone(),
            right: right.clone(),
        }),
    }
}
