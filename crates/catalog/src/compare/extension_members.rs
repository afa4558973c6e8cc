//! Members of extensions: of their operator families, and what a user has made one (`ALTER EXTENSION ... ADD`).
//!
//! Nothing in the catalogs says whether an extension's script or a user has added one to the family (PostgreSQL's
//! src/backend/commands/opclasscmds.c, `storeOperators`): a member depends on its operator or function and on its
//! family or class, never on the extension, so that what a user has added of the server's own or of the extension's
//! is not carried. The extension makes its own again on the other side: what is not there was a user's, or another
//! version's. It is the version's where the versions differ and the operator or function is of the same extension as the
//! family: a user who has added just that loses it without a difference.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;

use super::Difference;
use super::families::{Family, family, members};
use super::quoting::bare;
use crate::kinds::Body;
use crate::{Catalog, Identity, Object, QualifiedName};

/// The one extension that every database has from the start (PostgreSQL's src/bin/initdb/initdb.c, `load_plpgsql`), and
/// that is read as little as anything else of the server's own. Its members that are read are a user's.
pub const EXTENSION_OF_SERVER: &str = "plpgsql";

/// So many members of an extension are named that another version of it lacks.
const SHOWN_MEMBERS: usize = 10;

/// What operator families of the left's extensions have and the same on the right lack.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemberDifferences {
    /// What may be a user's.
    pub lacking: Vec<Difference>,
    /// What the extension's version on the left has made and that on the right has not, in words.
    pub of_versions: Vec<String>,
}

impl MemberDifferences {
    /// Those of members that hold rows or a position, for comparisons that look at nothing else.
    pub fn with_data(self, left: &Catalog) -> impl Iterator<Item = Difference> {
        let held = left.objects.iter().filter(|object| holds_data(&object.body));
        let held: BTreeSet<Identity> = held.map(Object::identity).collect();
        self.lacking.into_iter().filter(move |difference| held.contains(difference.identity()))
    }
}

fn holds_data(body: &Body) -> bool {
    matches!(body, Body::Table(_) | Body::Sequence(_))
}

/// What the operator families of the left's extensions have and the same on the right lack, whatever made it.
pub fn compare_members_of_extensions(left: &Catalog, right: &Catalog) -> MemberDifferences {
    let there = by_family(right, |_| true);
    // what is known to be a user's is an object of its own
    let users = by_family(left, |body| matches!(body, Body::OperatorFamily(it) if it.added_to.is_some()));
    let (one, other) = (versions(left), versions(right));
    let is_older = right.server_version.major() < left.server_version.major();
    let mut of_extensions: Option<HashMap<String, &str>> = None;
    let mut found = MemberDifferences::default();
    for object in &left.objects {
        let (Some(extension), Body::OperatorFamily(_)) = (&object.extension, &object.body) else { continue };
        let Some(family) = family(object) else { continue };
        // a family that is not there went with its extension
        let Some(there) = there.get(&family) else { continue };
        let is_known = |member: &String| {
            there.contains(member) || users.get(&family).is_some_and(|members| members.contains(member))
        };
        let lacks = named_members(object).filter(|(member, _)| !is_known(member));
        let (version, other_version) = (one.get(&**extension), other.get(&**extension));
        if version == other_version {
            found.lacks(object, lacks.map(|(member, _)| member).collect());
            continue;
        }
        let of_extensions = of_extensions.get_or_insert_with(|| of_extensions_in(left));
        let (versions, rest): (Vec<_>, Vec<_>) =
            lacks.partition(|(_, what)| of_extensions.get(what) == Some(&&**extension));
        if !versions.is_empty() {
            let members: Vec<String> = versions.into_iter().map(|(member, _)| member).collect();
            let (identity, members) = (object.identity(), members.join(", "));
            let (version, other) = (version.unwrap_or(&"?"), other_version.unwrap_or(&"?"));
            found.of_versions.push(format!(
                "{identity}: extension {extension} has version {version} on the left and {other} on the right, which \
                 makes no {members}"
            ));
        }
        // An older server has an older version, which makes fewer members: these are not compared, and the report
        // says so. A newer version makes what the older one makes of the server's own.
        if !is_older {
            found.lacks(object, rest.into_iter().map(|(member, _)| member).collect());
        }
    }
    found.add_objects(left, right);
    found
}

impl MemberDifferences {
    /// Adds members that are objects of their own. `CREATE EXTENSION` makes what the script makes: with the same version
    /// on a server of the same major, what it has not made a user has added. Scripts look at the server's major too. But
    /// tables and sequences hold something, whoever made them, and what they hold is not on the right.
    fn add_objects(&mut self, left: &Catalog, right: &Catalog) {
        let (one, other) = (versions(left), versions(right));
        let is_same_major = left.server_version.major() == right.server_version.major();
        let mut there: Option<BTreeSet<Identity>> = None;
        let (here, elsewhere) = (schemas(left), schemas(right));
        let mut gone: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for object in &left.objects {
            let Some(extension) = object.extension.as_deref() else { continue };
            let (version, other_version) = (one.get(extension), other.get(extension));
            let of_server =
                [version, other_version].map(|it| it.is_none() && extension == EXTENSION_OF_SERVER);
            // a family is told by its members, and an extension that is not there is told itself
            if matches!(object.body, Body::OperatorFamily(_)) || (other_version.is_none() && !of_server[1]) {
                continue;
            }
            // nor are members looked for by their names whose extension lies in another schema, which is told too
            if of_server == [false; 2] && here.get(extension) != elsewhere.get(extension) {
                continue;
            }
            let there = there.get_or_insert_with(|| right.objects.iter().map(super::key).collect());
            if there.contains(&super::key(object)) {
                continue;
            }
            let identity = object.identity();
            let holds_state = holds_data(&object.body);
            let is_a_users = match of_server {
                [true, _] => true,
                [false, true] => holds_state,
                [false, false] => holds_state || version == other_version && is_same_major,
            };
            if is_a_users {
                self.lacking.push(Difference::Missing { identity });
            } else {
                gone.entry(extension).or_default().push(identity.to_string());
            }
        }
        self.of_versions.extend(gone.into_iter().map(|(extension, names)| {
            let (shown, more) = names.split_at(names.len().min(SHOWN_MEMBERS));
            let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            let shown = shown.join(", ");
            format!("extension {extension} has members on the left that it does not have on the right: {shown}{more}")
        }));
    }

    fn lacks(&mut self, object: &Object, members: Vec<String>) {
        if !members.is_empty() {
            self.lacking.push(Difference::Different {
                identity: object.identity(),
                path: "body.members".to_owned(),
                part: None,
                left: json!(members),
                right: json!([]),
            });
        }
    }
}

/// The extensions that operators and functions are members of, by the names and types of these.
fn of_extensions_in(catalog: &Catalog) -> HashMap<String, &str> {
    let name = |object: &Object| {
        let schema = object.schema.as_deref().unwrap_or_default();
        match &object.body {
            Body::Operator(operator) => {
                let side = |name: &Option<String>| name.clone().unwrap_or_else(|| "NONE".to_owned());
                let types = format!("({},{})", side(&operator.left_type), side(&operator.right_type));
                Some(format!("{}.{}{types}", crate::quote_identifier(schema), object.name))
            }
            Body::Function(function) => {
                let name = QualifiedName::new(schema, &object.name).sql();
                Some(format!("{name}({})", function.argument_types.join(",")))
            }
            _ => None,
        }
    };
    let of = |object| Some((bare(&name(object)?).into_owned(), object.extension.as_deref()?));
    catalog.objects.iter().filter_map(of).collect()
}

/// The members of a family, each with its operator or function.
fn named_members(object: &Object) -> impl Iterator<Item = (String, String)> {
    let names: Vec<String> = match &object.body {
        Body::OperatorFamily(family) => {
            let operators = family.operators.iter().map(|member| &member.operator);
            let names = operators.chain(family.functions.iter().map(|member| &member.function));
            names.map(|name| bare(name).into_owned()).collect()
        }
        _ => Vec::new(),
    };
    members(object).into_iter().zip(names)
}

/// The versions of extensions by their names.
fn versions<'a>(catalog: &'a Catalog) -> BTreeMap<&'a str, &'a str> {
    let version = |object: &'a Object| match &object.body {
        Body::Extension(extension) => Some((object.name.as_str(), extension.version.as_str())),
        _ => None,
    };
    catalog.objects.iter().filter_map(version).collect()
}

/// The schemas of extensions by their names.
fn schemas<'a>(catalog: &'a Catalog) -> BTreeMap<&'a str, &'a str> {
    let schema = |object: &'a Object| match &object.body {
        Body::Extension(extension) => Some((object.name.as_str(), extension.schema.as_str())),
        _ => None,
    };
    catalog.objects.iter().filter_map(schema).collect()
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
