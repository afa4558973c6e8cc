//! Two catalogs compared, object by object and field by field.

mod around;
mod aspects;
mod conninfo;
mod extension_members;
mod families;
mod findings;
mod given;
mod grants;
mod handed_over;
mod identities;
mod locale;
mod maintain;
mod majors;
mod named;
mod printed;
mod quoting;
mod repeated;
mod secret;
mod severity;
mod triggers;
mod words;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::around::{SystemDifferences, compare_databases, compare_system_privileges, system_identity};
pub use self::aspects::Aspects;
pub use self::extension_members::{EXTENSION_OF_SERVER, MemberDifferences, compare_members_of_extensions};
use self::families::Families;
use self::findings::Finding;
pub use self::findings::{Comparison, Decision};
use self::given::GivenOnBoth;
pub use self::given::given_on_the_right;
use self::handed_over::Handover;
use self::identities::without_told_of_columns;
use self::maintain::Maintain;
pub use self::maintain::{kept_maintain, lost_maintain};
use self::majors::Majors;
pub use self::printed::{DomainBase, FunctionPart, Printed, Signature, Unsettled};
pub use self::severity::Severity;
use crate::acl::privilege::{Grantable, default_acl, public_schema_acl};
use crate::adapt::chosen_name;
use crate::kinds::{Body, ConstraintType, Table};
use crate::render::Target;
use crate::{
    Acl, Catalog, EntryKind, Identity, InitialAcl, Object, ObjectId, PartName, QualifiedName, ServerVersion,
};

/// What differs between two catalogs, in order of identity.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CatalogDiff {
    /// Every difference found; empty where the catalogs hold the same.
    pub differences: Vec<Difference>,
}

impl CatalogDiff {
    /// Forgets whether materialized views are filled, where no rows were to be there.
    pub fn forget_filling(&mut self) {
        self.differences.retain(|difference| difference.unfilled_view().is_none());
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
        /// The name of the column, attribute or constraint that the path has by its place in a list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<String>,
        /// What the left has; null for nothing.
        left: Value,
        /// What the right has; null for nothing.
        right: Value,
    },
    /// Both have it, under texts that differ, and nobody could tell whether they mean the same.
    NotVerified {
        /// The object.
        identity: Identity,
        /// Where in the object.
        path: String,
        /// The name of the column or constraint that the path has by its place in a list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part: Option<String>,
        /// Why.
        reason: String,
        /// The left's text.
        left: String,
        /// The right's.
        right: String,
    },
}

impl Difference {
    /// A property that is known to differ, whatever the values are.
    pub fn changed(identity: Identity, path: String) -> Self {
        Difference::Different { identity, path, part: None, left: Value::Null, right: Value::Null }
    }

    /// The object that differs.
    pub fn identity(&self) -> &Identity {
        match self {
            Difference::Missing { identity }
            | Difference::Extra { identity }
            | Difference::Different { identity, .. }
            | Difference::NotVerified { identity, .. } => identity,
        }
    }

    /// Where in the object; `None` where one side has nothing of it.
    pub fn path(&self) -> Option<&str> {
        match self {
            Difference::Missing { .. } | Difference::Extra { .. } => None,
            Difference::Different { path, .. } | Difference::NotVerified { path, .. } => Some(path),
        }
    }

    /// The property that differs, in words: `default of column price`; `None` where one side has nothing of the object.
    pub fn property(&self) -> Option<String> {
        self.path().map(|path| words::property(path, self.part()))
    }

    /// The same with a column's place for its name: `default of column 2`.
    pub fn numbered_property(&self) -> Option<String> {
        self.path().map(|path| words::property(path, None))
    }

    /// The name of the column, attribute or constraint that the path has by its place in a list.
    fn part(&self) -> Option<&str> {
        match self {
            Difference::Missing { .. } | Difference::Extra { .. } => None,
            Difference::Different { part, .. } | Difference::NotVerified { part, .. } => part.as_deref(),
        }
    }

    /// The materialized view that is filled on one side alone, if that is the difference.
    pub fn unfilled_view(&self) -> Option<&Identity> {
        match self {
            Difference::Different { identity, path, .. }
                if identity.kind == EntryKind::MaterializedView && path == "body.populated" =>
            {
                Some(identity)
            }
            _ => None,
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Difference::Missing { identity } => write!(f, "{identity}: missing"),
            Difference::Extra { identity } => write!(f, "{identity}: extra"),
            Difference::Different { identity, path, part, left, right } => {
                if let Some(sentence) = words::sentence(path, part.as_deref(), left, right) {
                    return write!(f, "{identity}: {sentence}");
                }
                let property = words::property(path, part.as_deref());
                if let Some(grants) = words::grants(path, left, right) {
                    return write!(f, "{identity}: {property}: {grants}");
                }
                if let Some(columns) = words::columns(path, left, right) {
                    return write!(f, "{identity}: {columns}");
                }
                let (left, right) = (words::value(left), words::value(right));
                write!(f, "{identity}: {property} is {left} on the left and {right} on the right")
            }
            Difference::NotVerified { identity, path, part, reason, left, right } => {
                let property = words::property(path, part.as_deref());
                write!(
                    f,
                    "{identity}: {property} is not verified: {reason}; it is {left:?} on the left and {right:?} on \
                     the right"
                )
            }
        }
    }
}

/// Compares two catalogs in both directions.
///
/// OIDs, sizes, server versions and dependencies are not compared: they are not
/// the database's contents or follow from them. Privileges are compared as what
/// they allow, so NULL equals the kind's default. Members of extensions are
/// compared by their privileges only: their extension makes the rest. Definitions
/// whose texts differ are different; see [`compare_aspects`] for more.
pub fn compare(left: &Catalog, right: &Catalog) -> CatalogDiff {
    compare_aspects(left, right, Aspects::ALL).by_text()
}

/// As [`compare`], only of what is asked for, and without a decision on definitions
/// that a server printed and whose texts differ.
pub fn compare_aspects(left: &Catalog, right: &Catalog, aspects: Aspects) -> Comparison {
    let versions = (left.server_version, right.server_version);
    let newer = versions.0.major().max(versions.1.major());
    let (left, right) = (left.quoted_for(newer), right.quoted_for(newer));
    let (left, right) = (&*left, &*right);
    let (majors, maintain) = (Majors::new(versions.0, versions.1), Maintain::between(versions.0, versions.1));
    let given = GivenOnBoth::new(left, right);
    let mut left = Side::new(left, aspects, maintain);
    let mut right = Side::new(right, aspects, maintain);
    if majors.differ_in_families() {
        left.families = Some(Families::of(&left.objects));
        right.families = Some(Families::of(&right.objects));
    }
    let mut findings = Vec::new();
    let members = right.objects.keys().filter_map(|identity| left.members.get_key_value(identity));
    for (identity, &object) in left.objects.iter().chain(members) {
        let Some(&other) = right.objects.get(identity).or_else(|| right.members.get(identity)) else {
            if has_all_elsewhere((&left, &right), object) || given.is_on_the_right(object) {
                continue;
            }
            findings.extend(triggers::of_left(object, &right).map(Finding::Settled));
            continue;
        };
        let identity = &object.identity();
        let handed_over = match aspects {
            Aspects { owners: false, privileges: true, .. } => handed_over((&left, object), (&right, other)),
            _ => None,
        };
        let notes = (left.notes(object), right.notes(other));
        let object = handed_over.as_ref().unwrap_or(object);
        // Most are the same, and seeing that is cheap.
        if notes.0 != notes.1 || !same(object, other) {
            let (mut one, mut two) = (left.value(object, notes.0), right.value(other, notes.1));
            aspects.narrow(&mut one);
            aspects.narrow(&mut two);
            let place = Place {
                identity,
                majors,
                owners: owners(object, other),
                objects: Some((object, other, &right)),
            };
            walk(&place, &[], &one, &two, &mut findings);
        }
    }
    findings.extend(given.missing(|identity| right.has(identity)).map(Finding::Settled));
    let extra = right.objects.iter().filter(|(identity, object)| {
        !left.has(identity) && !has_all_elsewhere((&left, &right), object) && !given.is_no_extra(object)
    });
    let extra = extra.filter_map(|(_, object)| triggers::of_right(object, &left));
    findings.extend(extra.map(Finding::Settled));
    Comparison::new(without_told_of_columns(findings, (&left, &right)))
}

/// Whether an object that one side alone has is what the other has too, tied to others.
fn has_all_elsewhere((left, right): (&Side<'_>, &Side<'_>), object: &Object) -> bool {
    match (&left.families, &right.families) {
        (Some(left), Some(right)) => left.has_all_elsewhere(right, object),
        _ => false,
    }
}

fn owners<'a>(left: &'a Object, right: &'a Object) -> (Option<&'a str>, Option<&'a str>) {
    (left.owner.as_deref(), right.owner.as_deref())
}

/// An identity under which objects of both sides are found: names in it have no quotes that only some majors
/// write.
pub(crate) fn key(object: &Object) -> Identity {
    let mut key = object.identity();
    if let Body::Cast(_) = object.body {
        key.name = quoting::bare(&key.name).into_owned();
    }
    if let (Body::Function(_) | Body::Aggregate(_) | Body::Operator(_), Some(types)) =
        (&object.body, &key.discriminator)
    {
        key.discriminator = Some(quoting::bare(types).into_owned());
    }
    key
}

/// An object of the left as it may be under the owner of the right, the closest to the right's; `None`
/// where it has the same owner or none.
fn handed_over((left, object): (&Side<'_>, &Object), (right, other): (&Side<'_>, &Object)) -> Option<Object> {
    let (from, to) = (object.owner.as_deref()?, other.owner.as_deref()?);
    if from == to || matches!(object.body, Body::DefaultAcl(_)) {
        return None;
    }
    let handover = Handover { from, to };
    let closest = |acl: &Acl, base: &Acl, there: &Acl| {
        let [first, second] = handover.readings(acl, base);
        let compared = |acl: &Acl| left.compared(object, to, acl.clone());
        if compared(&second) == compared(there) { second } else { first }
    };
    let mut moved = Object { owner: other.owner.clone(), ..object.clone() };
    if let (Some(acl), Some(there)) = (left.acl(object), right.acl(other)) {
        let base = left.base(object, right.version).unwrap_or_default();
        moved.acl = Some(closest(&acl, &base, &there));
    }
    let nothing = Acl::new();
    let columns = other.body.column_annotations();
    for (name, acl) in moved.body.column_acls_mut() {
        let Some(acl) = acl else { continue };
        let there = columns.iter().find(|column| column.column == name).and_then(|column| column.acl);
        let base = left.initial_of(object, Some(name)).unwrap_or(&nothing);
        *acl = closest(acl, base, there.unwrap_or(&nothing));
    }
    Some(moved)
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
    maintain: Maintain,
    objects: BTreeMap<Identity, &'a Object>,
    /// Members of extensions whose privileges are those that their extension gave: compared with one of which
    /// the other side says more.
    members: BTreeMap<Identity, &'a Object>,
    notes: BTreeMap<ObjectId, Vec<Note<'a>>>,
    initial: BTreeMap<ObjectId, Vec<&'a InitialAcl>>,
    /// Members of operator families, where they are compared as those.
    families: Option<Families>,
}

impl<'a> Side<'a> {
    fn new(catalog: &'a Catalog, aspects: Aspects, maintain: Maintain) -> Self {
        let mut side = Side {
            version: catalog.server_version,
            maintain,
            objects: BTreeMap::new(),
            members: BTreeMap::new(),
            notes: BTreeMap::new(),
            initial: BTreeMap::new(),
            families: None,
        };
        for item in &catalog.initial_acls {
            side.initial.entry(item.object).or_default().push(item);
        }
        for object in &catalog.objects {
            let is_compared = match (&object.extension, &object.body) {
                (Some(_), _) => aspects.privileges && side.has_own_acl(object),
                (None, Body::DefaultAcl(default)) if aspects.privileges => maintain.leaves_some(default),
                (None, body) => aspects.compare_body(body),
            };
            if is_compared {
                side.objects.insert(key(object), object);
            } else if object.extension.is_some() && !matches!(object.body, Body::OperatorFamily(_)) {
                // a family has no privileges, and its name is that of what users have added to it
                side.members.insert(key(object), object);
            }
        }
        for note in &catalog.notes {
            let compared = aspects.of_note((&note.part, &note.comment, &note.security_labels));
            let notes = side.notes.entry(note.object).or_default();
            notes.extend(compared);
            notes.sort();
        }
        side
    }

    /// The table of this name, if it is compared.
    fn table(&self, name: &QualifiedName) -> Option<&'a Table> {
        let object = [EntryKind::Table, EntryKind::ForeignTable].into_iter().find_map(|kind| {
            self.objects.get(&Identity {
                kind: kind.to_owned(),
                schema: Some(name.schema.to_string()),
                name: name.name.to_string(),
                discriminator: None,
            })
        })?;
        match &object.body {
            Body::Table(table) => Some(table),
            _ => None,
        }
    }

    fn has(&self, identity: &Identity) -> bool {
        self.objects.contains_key(identity) || self.members.contains_key(identity)
    }

    fn notes(&self, object: &Object) -> &[Note<'a>] {
        self.notes.get(&object.id).map(Vec::as_slice).unwrap_or_default()
    }

    /// What an extension's script gave on a member, or on one of its columns.
    fn initial_of(&self, object: &Object, column: Option<&str>) -> Option<&'a Acl> {
        let items = self.initial.get(&object.id)?;
        items.iter().find(|item| item.column.as_deref() == column).map(|item| &item.acl)
    }

    /// The privileges in force; `None` for a kind that has none.
    fn acl(&self, object: &Object) -> Option<Acl> {
        object.acl.clone().or_else(|| default_of(object, self.version))
    }

    /// The privileges that an object has when it is made, or the server of `made_on` has made it.
    fn base(&self, object: &Object, made_on: ServerVersion) -> Option<Acl> {
        match (&object.body, &object.owner) {
            (Body::Schema(_), Some(owner)) if object.name == "public" => {
                Some(public_schema_acl(owner, made_on))
            }
            _ => self.initial_of(object, None).cloned().or_else(|| default_of(object, self.version)),
        }
    }

    /// Whether a member of an extension carries privileges that its extension did not give.
    fn has_own_acl(&self, object: &Object) -> bool {
        let base = self.initial_of(object, None).cloned().or_else(|| default_of(object, self.version));
        let owner = object.owner.as_deref().unwrap_or_default();
        let compared = |acl: Option<Acl>| acl.and_then(|acl| self.compared(object, owner, acl));
        compared(self.acl(object)) != compared(base) || !self.own_column_acls(object).is_empty()
    }

    /// Privileges on columns of a member that its extension did not give, by column.
    fn own_column_acls(&self, object: &Object) -> BTreeMap<String, Value> {
        let given = self.initial.get(&object.id).into_iter().flatten();
        let given = given.filter_map(|item| Some((item.column.as_deref()?, Acl::new())));
        // What was revoked again is none of the column's any more.
        let mut acls: BTreeMap<&str, Acl> = given.collect();
        for column in object.body.column_annotations() {
            acls.insert(column.column, column.acl.cloned().unwrap_or_default());
        }
        let own = acls.into_iter().filter_map(|(column, acl)| {
            let (acl, initial) = (normalised(Some(acl)), self.initial_of(object, Some(column)).cloned());
            let is_own = acl != normalised(Some(initial.unwrap_or_default()));
            is_own.then(|| (words::quoted(column), json!({ "acl": acl })))
        });
        own.collect()
    }

    /// Privileges on an object, if `owner` owns it, as they are compared.
    fn compared(&self, object: &Object, owner: &str, acl: Acl) -> Option<Acl> {
        match object.extension {
            Some(_) => {
                let initial = self.initial_of(object, None).cloned().unwrap_or_default();
                self.maintain.compared_beside(Some(acl), Some(owner), &initial)
            }
            None => self.maintain.compared(Some(acl), Some(owner)),
        }
    }

    /// The object as the JSON value that is compared field by field.
    fn value(&self, object: &Object, notes: &[Note<'a>]) -> Value {
        let owner = object.owner.as_deref().unwrap_or_default();
        let acl = self.acl(object).and_then(|acl| self.compared(object, owner, acl));
        if object.extension.is_some() {
            let columns = self.own_column_acls(object);
            return json!({ "extension": object.extension, "acl": acl, "body": { "columns": columns } });
        }
        let mut labels = object.security_labels.clone();
        labels.sort();
        let mut value = json!({
            "owner": object.owner,
            "acl": acl,
            "comment": object.comment,
            "security_labels": labels,
            "body": match &object.body {
                Body::DefaultAcl(default) => body_value(&self.maintain.compared_defaults(default).into()),
                body => body_value(body),
            },
        });
        if let (Some(families), Some(body)) = (&self.families, value.get_mut("body")) {
            families.put_into(body, object);
        }
        if let Value::Object(fields) = &mut value {
            for (part, comment, labels) in notes {
                fields.insert(format!("{part:?}"), json!({ "comment": comment, "security_labels": labels }));
            }
        }
        value
    }
}

/// The body, without what the target's installation decides: which version of
/// an extension it has, and what that version declares; and without the order of
/// columns that a child has from its parents, which no statement can restore.
fn body_value(body: &Body) -> Value {
    let mut value =
        serde_json::to_value(body).unwrap_or_else(|error| json!({ "unreadable": error.to_string() }));
    match (body, &mut value) {
        (Body::Extension(_), Value::Object(fields)) => {
            fields.retain(|name, _| !matches!(name.as_str(), "version" | "relocatable" | "configuration"));
        }
        (Body::Table(_) | Body::MaterializedView(_) | Body::Sequence(_), Value::Object(fields)) => {
            let granted = body.undeclared_columns().iter();
            let granted = granted.map(|column| (words::quoted(&column.name), json!({ "acl": column.acl })));
            fields.insert("undeclared_columns".to_owned(), Value::Object(granted.collect()));
        }
        _ => {}
    }
    match (body, &mut value) {
        // The definition ends with it.
        (Body::Index(_), Value::Object(fields)) => drop(fields.remove("predicate")),
        (Body::Constraint(_), Value::Object(fields)) => drop(fields.remove("switched_off")),
        (Body::Function(function), Value::Object(fields)) => {
            let settings = function.settings.iter().map(|(name, value)| (words::quoted(name), json!(value)));
            fields.insert("settings".to_owned(), Value::Object(settings.collect()));
        }
        (Body::Table(table), Value::Object(fields)) if !table.inherits.is_empty() => {
            let columns =
                table.columns.iter().map(|column| (words::quoted(&column.name), json!(column))).collect();
            fields.insert("columns".to_owned(), Value::Object(columns));
        }
        _ => {}
    }
    value
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
    /// Of the left and the right.
    owners: (Option<&'a str>, Option<&'a str>),
    /// The left's and the right's, with the right side; `None` for what is no object.
    objects: Option<(&'a Object, &'a Object, &'a Side<'a>)>,
}

impl Place<'_> {
    /// Whether values that differ are what the majors say of the same thing.
    fn agree(&self, path: &[&str], left: &Value, right: &Value) -> bool {
        let is_partition =
            || self.objects.is_some_and(|(left, right, _)| is_partition(left) && is_partition(right));
        self.majors.agree(self.identity, path, left, right)
            || self.majors.share_identity(path, left, right) && is_partition()
            || matches!(path, ["body", "columns", _, "not_null", "is_local"]) && is_partition()
            || matches!(path, ["body", "is_local"]) && self.is_on_partition()
            || self.is_name_by_rule(path, left, right)
            || match (path, left.as_str(), right.as_str()) {
                (["body", path @ ..], Some(left), Some(right)) => quoting::agree(path, left, right),
                _ => false,
            }
    }

    /// Whether one side gives the name of a `NOT NULL` that the other's server would choose by itself: it does where
    /// another constraint of the schema has the same.
    fn is_name_by_rule(&self, path: &[&str], left: &Value, right: &Value) -> bool {
        let (["body", "columns", key, "not_null", "name"], Some((object, ..))) = (path, self.objects) else {
            return false;
        };
        let (Body::Table(table), Some(name)) = (&object.body, left.as_str().or(right.as_str())) else {
            return false;
        };
        let is_it = |place: usize, column: &str| key.parse() == Ok(place) || *key == words::quoted(column);
        let mut columns = table.columns.iter().enumerate();
        (left.is_null() || right.is_null())
            && columns.any(|(place, column)| {
                is_it(place, &column.name) && chosen_name(&[&object.name, &column.name]) == name
            })
    }

    /// Whether it is a check or a `NOT NULL` of a partition. Such a one cannot be dropped while the parent has it, and becomes the
    /// partition's own when that is detached: whether it is so already says nothing, and depends on what was made first.
    fn is_on_partition(&self) -> bool {
        self.objects.is_some_and(|(_, right, side)| match &right.body {
            Body::Constraint(constraint) => {
                matches!(constraint.constraint_type, ConstraintType::Check | ConstraintType::NotNull)
                    && side.table(&constraint.table).is_some_and(|table| table.partition_of.is_some())
            }
            _ => false,
        })
    }

    /// The name of what a path has by its place in a list.
    fn part(&self, path: &[&str]) -> Option<String> {
        let (left, right, _) = self.objects?;
        named::part((&left.body, &right.body), path)
    }

    /// What two texts are, where a parser has to say whether they differ.
    fn printed(&self, path: &[&str]) -> Option<Printed> {
        let (left, right, side) = self.objects?;
        match path {
            ["body", path @ ..] => printed::at((left, right), side, path),
            _ => None,
        }
    }

    /// Privileges that only one of the sides gives, where `path` leads to privileges.
    fn grants(&self, path: &[&str], left: &Value, right: &Value) -> Option<(Vec<String>, Vec<String>)> {
        match path {
            ["acl"]
            | ["body", "columns" | "undeclared_columns", _, "acl"]
            | ["body", "granted" | "revoked"] => {
                grants::only_on_each((left, self.owners.0), (right, self.owners.1))
            }
            _ => None,
        }
    }
}

fn is_partition(object: &Object) -> bool {
    matches!(&object.body, Body::Table(table) if table.partition_of.is_some())
}

/// Adds what differs between two values at `path` and below. Parts of a path are kept apart while it is
/// judged: some are names of users', which may be those of properties or have dots in them.
fn walk(place: &Place<'_>, path: &[&str], left: &Value, right: &Value, into: &mut Vec<Finding>) {
    if left == right || place.agree(path, left, right) {
        return;
    }
    if let Some((lacks, has)) = place.grants(path, left, right) {
        if !(lacks.is_empty() && has.is_empty()) {
            into.push(different(place, path, &json!(lacks), &json!(has)));
        }
        return;
    }
    let no_privileges = json!({});
    let or_none = |value| match path {
        ["body", "undeclared_columns", _] if Value::is_null(value) => &no_privileges,
        _ => value,
    };
    let (left, right) = (or_none(left), or_none(right));
    let mut below = |key: &str, left: &Value, right: &Value| {
        walk(place, &[path, &[key]].concat(), left, right, into);
    };
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                below(key, value, b.get(key).unwrap_or(&Value::Null));
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                below(key, &Value::Null, value);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (at, (x, y)) in a.iter().zip(b).enumerate() {
                below(&at.to_string(), x, y);
            }
        }
        (Value::String(one), Value::String(two)) => into.push(match place.printed(path) {
            Some(printed) => Finding::Unsettled(Box::new(Unsettled {
                identity: place.identity.clone(),
                path: path.join("."),
                part: place.part(path),
                printed,
                left: one.clone(),
                right: two.clone(),
            })),
            None => different(place, path, left, right),
        }),
        _ => into.push(different(place, path, left, right)),
    }
}

fn different(place: &Place<'_>, path: &[&str], left: &Value, right: &Value) -> Finding {
    let (identity, part, path) = (place.identity.clone(), place.part(path), path.join("."));
    let shown = |value: &Value| secret::shown(&identity, &path, value);
    let (left, right) = (shown(left), shown(right));
    Finding::Settled(Difference::Different { identity, path, part, left, right })
}

#[cfg(test)]
mod tests;
