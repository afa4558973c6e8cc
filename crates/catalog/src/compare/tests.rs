//! Catalogs that differ, and what is said of it.

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
    check(vec![schema("a")], vec![Object { id: ObjectId::new(Class::PG_NAMESPACE, 2), ..schema("a") }], &[]);
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
