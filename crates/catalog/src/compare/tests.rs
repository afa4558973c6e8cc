//! Catalogs that differ, and what is said of it.

use super::{Aspects, Decision, Printed, compare, compare_aspects};
use crate::kinds::{Body, Cast, CastContext, CastMethod, Extension, Schema, View};
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
    check(
        vec![acl(&["own=UC/own", "a=U/own", "c=U/own"])],
        vec![acl(&["own=UC/own", "b=U/own", "c=U/own"])],
        &[
            "SCHEMA a: privileges: missing on the target: GRANT USAGE TO a; only on the target: GRANT USAGE TO b",
        ],
    );
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

fn of_major(major: u32, object: Object) -> Catalog {
    Catalog { objects: vec![object], ..Catalog::empty(ServerVersion::of_major(major)) }
}

#[test]
fn texts_that_differ_wait_for_a_decision() {
    let view = |definition: &str| Object {
        schema: Some("s".into()),
        body: Body::from(View {
            options: Vec::new(),
            check_option: None,
            definition: definition.to_owned(),
            columns: Vec::new(),
        }),
        ..schema("v")
    };
    let compared = || {
        let (left, right) =
            (of_major(15, view("SELECT t.a FROM s.t")), of_major(18, view("SELECT a FROM s.t")));
        compare_aspects(&left, &right, Aspects::ALL)
    };
    let comparison = compared();
    let [unsettled] = comparison.unsettled()[..] else { panic!("{comparison:?}") };
    assert!(matches!(unsettled.printed, Printed::Query { .. }));
    assert!(compared().settle([Decision::Same]).is_empty());
    let told = |decisions: Vec<Decision>| {
        compared().settle(decisions).differences.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        told(vec![Decision::Different]),
        [
            "VIEW s.v: definition is \"SELECT t.a FROM s.t\" on the left and \"SELECT a FROM s.t\" on the right"
        ]
    );
    assert!(
        told(vec![Decision::NotVerified("no server".to_owned())])[0].contains("is not verified: no server; ")
    );
    // what nobody decided is not equal
    assert_eq!(told(Vec::new()).len(), 1);
}

#[test]
fn quotes_of_keywords_are_no_difference() {
    let cast = |source: &str, function: &str| Object {
        body: Body::from(Cast {
            source: source.to_owned(),
            target: "text".to_owned(),
            method: CastMethod::Function { function: function.to_owned() },
            context: CastContext::Explicit,
        }),
        ..schema(&format!("CAST ({source} AS text)"))
    };
    let differences = |one: Object, two: Object| {
        compare(&of_major(16, one), &of_major(17, two))
            .differences
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let quoted = || cast("public.\"json\"", "public.\"json\"(public.\"json\")");
    assert_eq!(differences(cast("public.json", "public.json(public.json)"), quoted()), [""; 0]);
    assert_eq!(differences(cast("public.json", "public.jsonb(public.json)"), quoted()).len(), 1);
}
