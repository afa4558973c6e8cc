//! What is around the objects of a database, compared: the database itself, and the privileges of the
//! server's own objects in it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::handed_over::Handover;
use super::{Aspects, Comparison, Difference, Majors, Place, walk};
use crate::acl::privilege::{Grantable, default_acl};
use crate::acl::system::system_grants;
use crate::script::named_setting;
use crate::{Acl, Catalog, Database, EntryKind, Identity, ServerVersion, SystemPrivileges};

/// Compares the databases themselves: owner, privileges, comment, encoding, locale, tablespace,
/// limits, and which settings they have. Names are not compared, nor versions of collations, which
/// are the installations'. Of settings it is said that they differ, not what they are: those of
/// applications may be secrets. Without owners, privileges are those under the right's.
/// Nothing is compared of what `aspects` has not.
pub fn compare_databases(left: &Catalog, right: &Catalog, aspects: Aspects) -> Vec<Difference> {
    let identity = left.database.identity();
    let majors = Majors::new(left.server_version, right.server_version);
    let owners = (Some(&*left.database.owner), Some(&*right.database.owner));
    let owners = if aspects.owners { owners } else { (owners.1, owners.1) };
    let place = Place { identity: &identity, majors, owners, objects: None };
    let acls = (acl(left), acl(right));
    let is_handed_over = !aspects.owners && left.database.owner != right.database.owner;
    let acl = if is_handed_over { under(right, left, &acls) } else { acls.0 };
    let (mut one, mut two) = (value(left, acl), value(right, acls.1));
    aspects.narrow_annotated(&mut one);
    aspects.narrow_annotated(&mut two);
    let mut findings = Vec::new();
    walk(&place, &[], &one, &two, &mut findings);
    Comparison::new(findings).by_text().differences
}

/// The privileges in force, in an order of their own.
fn acl(catalog: &Catalog) -> Acl {
    let default = || default_acl(Grantable::Database, &catalog.database.owner, catalog.server_version);
    sorted(catalog.database.acl.clone().unwrap_or_else(default))
}

fn sorted(mut acl: Acl) -> Acl {
    acl.sort();
    acl
}

/// The privileges of the left as they may be under the owner of the right, the closest to the right's.
fn under(right: &Catalog, left: &Catalog, (acl, there): &(Acl, Acl)) -> Acl {
    let (from, to) = (&left.database.owner, &right.database.owner);
    let base = default_acl(Grantable::Database, from, left.server_version);
    let [first, second] = Handover { from, to }.readings(acl, &base).map(sorted);
    if second == *there { second } else { first }
}

fn value(catalog: &Catalog, acl: Acl) -> Value {
    let database = &catalog.database;
    let mut labels = database.security_labels.clone();
    labels.sort();
    json!({
        "owner": database.owner,
        "acl": acl,
        "comment": database.comment,
        "security_labels": labels,
        "encoding": database.encoding,
        "collate": database.collate,
        "ctype": database.ctype,
        "locale_provider": database.locale_provider,
        "locale": database.locale,
        "icu_rules": database.icu_rules,
        "tablespace": database.tablespace,
        "connection_limit": database.connection_limit,
        "is_template": database.is_template,
        "settings": settings(database),
    })
}

/// Values by the setting's name, behind the role's where it is one role's.
fn settings(database: &Database) -> BTreeMap<String, &str> {
    let named = database.settings.iter().map(|(role, setting)| named_setting(role.as_deref(), setting));
    named.collect()
}

/// Where the privileges of the server's own objects were changed otherwise than on the other side.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SystemDifferences {
    /// Changes of the left that the right lacks, with what the right has instead.
    pub lacking: Vec<Difference>,
    /// Changes of the right to objects of which the right lacks nothing: providers make some in
    /// every database.
    pub extra: Vec<Difference>,
}

/// Compares what was changed, since `initdb`, in privileges and owners of the server's own objects; in owners
/// only where `aspects` has them.
pub fn compare_system_privileges(left: &Catalog, right: &Catalog, aspects: Aspects) -> SystemDifferences {
    let common = left.server_version.min(right.server_version);
    let (one, two) = (Changes::new(left, common), Changes::new(right, common));
    let mut found = SystemDifferences::default();
    let keys: BTreeSet<&Key> = one.by_object.keys().chain(two.by_object.keys()).collect();
    for key in keys {
        let none = Change::default();
        let (left, right) =
            (one.by_object.get(key).unwrap_or(&none), two.by_object.get(key).unwrap_or(&none));
        let identity = system_identity(&key.0);
        let path = |property: &str| match &key.1 {
            Some(column) => format!("columns.{column}.{property}"),
            None => property.to_owned(),
        };
        if aspects.owners && left.owner != right.owner {
            let into = if left.owner.is_some() { &mut found.lacking } else { &mut found.extra };
            into.push(different(&identity, path("owner"), json!(left.owner), json!(right.owner)));
        }
        let only = |of: &Change, other: &Change| -> Vec<String> {
            of.grants.difference(&other.grants).cloned().collect()
        };
        let (lacks, has) = (only(left, right), only(right, left));
        if !(lacks.is_empty() && has.is_empty()) {
            let into = if lacks.is_empty() { &mut found.extra } else { &mut found.lacking };
            into.push(different(&identity, path("acl"), json!(lacks), json!(has)));
        }
    }
    found
}

fn different(identity: &Identity, path: String, left: Value, right: Value) -> Difference {
    Difference::Different { identity: identity.clone(), path, part: None, left, right }
}

/// An object's address, and the column.
type Key = (String, Option<String>);

/// What was changed of one object: its owner, if that is another now, and the statements that lead to
/// its privileges.
#[derive(Debug, Default, PartialEq)]
struct Change {
    owner: Option<String>,
    grants: BTreeSet<String>,
}

struct Changes {
    by_object: BTreeMap<Key, Change>,
}

impl Changes {
    /// The changes of one catalog, in the words of a server that both sides understand.
    fn new(catalog: &Catalog, common: ServerVersion) -> Self {
        let change = |system: &SystemPrivileges| {
            let owner = system.initial_owner.as_ref().map(|_| system.owner.clone());
            let grants = system_grants(system, catalog.server_version, common).into_iter().collect();
            ((system.address.clone(), system.column.clone()), Change { owner, grants })
        };
        Changes { by_object: catalog.system_privileges.iter().map(change).collect() }
    }
}

/// The identity under which [`compare_system_privileges`] tells of one of the server's own objects, from its
/// address, such as `FUNCTION pg_catalog.pg_reload_conf()`.
pub fn system_identity(address: &str) -> Identity {
    // An address that names no kind is its own name.
    let (kind, name) = EntryKind::of_address(address).unwrap_or((EntryKind::Acl, address));
    let (name, discriminator) = match name.find('(') {
        Some(at) => (&name[..at], Some(name[at..].to_owned())),
        None => (name, None),
    };
    let (schema, name) = match name.split_once('.') {
        Some((schema, name)) => (Some(schema.to_owned()), name),
        None => (None, name),
    };
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
    Identity { kind, schema, name: name.replace("\"\"", "\""), discriminator }
}

#[cfg(test)]
mod tests {
    use super::{Aspects, compare_databases, compare_system_privileges, system_identity};
    use crate::{Acl, Catalog, Database, Difference, ServerVersion, SystemPrivileges, parse_acl};

    fn acl(items: &[&str]) -> Option<Acl> {
        let items: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
        parse_acl(&items).ok()
    }

    fn texts(differences: &[Difference]) -> Vec<String> {
        differences.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn databases() {
        let catalog =
            |database: Database| Catalog { database, ..Catalog::empty(ServerVersion::of_major(18)) };
        let one = Database {
            name: "shop".to_owned(),
            owner: "own".to_owned(),
            encoding: "UTF8".to_owned(),
            settings: vec![(None, "app.token=one".to_owned()), (Some("bob".to_owned()), "a=1".to_owned())],
            ..Database::default()
        };
        let two = Database {
            name: "copy".to_owned(),
            acl: acl(&["=Tc/own", "own=CTc/own"]),
            collation_version: Some("2.36".to_owned()),
            settings: one.settings.iter().rev().cloned().collect(),
            ..one.clone()
        };
        assert_eq!(
            texts(&compare_databases(&catalog(one.clone()), &catalog(two.clone()), Aspects::ALL)),
            [""; 0]
        );
        let three = Database {
            encoding: "LATIN1".to_owned(),
            comment: Some("x".to_owned()),
            settings: vec![(None, "app.token=two".to_owned())],
            ..two
        };
        let found = texts(&compare_databases(&catalog(one), &catalog(three), Aspects::ALL));
        assert_eq!(
            found,
            [
                "DATABASE shop: comment is nothing on the left and \"x\" on the right",
                "DATABASE shop: encoding is \"UTF8\" on the left and \"LATIN1\" on the right",
                "DATABASE shop: setting a of role bob is \"***\" on the left and nothing on the right",
                "DATABASE shop: setting app.token is \"***\" on the left and \"***\" on the right",
            ]
        );
    }

    #[test]
    fn changes_and_not_what_they_lead_to() {
        let catalog = |major: u32, acl, initial| Catalog {
            system_privileges: vec![SystemPrivileges {
                address: "TABLE pg_catalog.pg_authid".to_owned(),
                column: None,
                owner: "postgres".to_owned(),
                initial_owner: None,
                acl,
                initial,
            }],
            ..Catalog::empty(ServerVersion::of_major(major))
        };
        let none = || Catalog::empty(ServerVersion::of_major(18));
        let compare = |left: &Catalog, right: &Catalog| compare_system_privileges(left, right, Aspects::ALL);
        let old = catalog(
            16,
            acl(&["postgres=arwdDxt/postgres", "bob=r/postgres"]),
            acl(&["postgres=arwdDxt/postgres"]),
        );
        let new = catalog(
            18,
            acl(&["postgres=arwdDxtm/postgres", "bob=r/postgres"]),
            acl(&["postgres=arwdDxtm/postgres"]),
        );
        assert_eq!(compare(&old, &new), Default::default());
        let grant = "GRANT SELECT ON TABLE pg_catalog.pg_authid TO bob";
        let lacking = compare(&old, &none());
        let told = format!("TABLE pg_catalog.pg_authid: privileges: missing on the target: {grant}");
        assert_eq!(texts(&lacking.lacking), [told]);
        assert!(lacking.extra.is_empty());
        let extra = compare(&none(), &new);
        assert!(extra.lacking.is_empty());
        assert_eq!(extra.extra.len(), 1);
    }

    #[test]
    fn addresses() {
        for (address, printed) in [
            ("FUNCTION pg_catalog.pg_reload_conf()", "FUNCTION pg_catalog.pg_reload_conf()"),
            ("TABLE information_schema.\"A b\"", "TABLE information_schema.\"A b\""),
            ("SCHEMA pg_catalog", "SCHEMA pg_catalog"),
            // the language that statements call so is listed by its whole name
            ("LANGUAGE internal", "PROCEDURAL LANGUAGE internal"),
            ("FOREIGN DATA WRAPPER w", "FOREIGN DATA WRAPPER w"),
        ] {
            assert_eq!(system_identity(address).to_string(), printed);
        }
    }
}
