//! Orders and loops of small catalogs made by hand.

use crate::kinds::{Body, Schema, View, ViewColumn};
use crate::{
    Catalog, Class, Dependency, EntryKind, Object, ObjectId, Section, ServerVersion, Target, Toc, TocError,
    TocOptions,
};

const VERSION: ServerVersion = ServerVersion::of_major(18);

fn object(class: Class, oid: u32, schema: Option<&str>, name: &str, body: Body) -> Object {
    Object {
        id: ObjectId::new(class, oid),
        schema: schema.map(Into::into),
        name: name.to_owned(),
        owner: Some("own".into()),
        acl: None,
        comment: None,
        security_labels: Vec::new(),
        extension: None,
        body,
    }
}

fn schema(oid: u32, name: &str) -> Object {
    object(Class::PG_NAMESPACE, oid, None, name, Body::from(Schema {}))
}

fn view(oid: u32, name: &str) -> Object {
    let column = ViewColumn {
        name: "a".to_owned(),
        type_name: "integer".to_owned(),
        collation: None,
        storage: None,
        compression: None,
        statistics_target: None,
        options: Vec::new(),
        acl: None,
        comment: None,
        security_labels: Vec::new(),
    };
    let view = View {
        options: Vec::new(),
        check_option: None,
        definition: format!(" SELECT {name}"),
        columns: vec![column],
    };
    object(Class::PG_CLASS, oid, Some("s"), name, Body::from(view))
}

/// A catalog in which each pair's first object needs its second.
fn catalog(objects: Vec<Object>, needs: &[(usize, usize)]) -> Catalog {
    let edge = |&(dependent, referenced): &(usize, usize)| Dependency {
        dependent: objects[dependent].id,
        referenced: objects[referenced].id,
        deptype: 'n',
    };
    let dependencies = needs.iter().map(edge).collect();
    Catalog { objects, dependencies, ..Catalog::empty(VERSION) }
}

fn build(catalog: &Catalog, options: &TocOptions) -> Result<Vec<String>, TocError> {
    let toc = Toc::build(catalog, &Target { version: VERSION }, options)?;
    for entry in &toc.entries {
        assert!(
            entry.depends_on.iter().all(|&need| need < entry.id),
            "{entry:?} stands before what it needs"
        );
    }
    Ok(toc.entries.into_iter().map(|entry| format!("{} {}", entry.kind, entry.name)).collect())
}

fn check(catalog: &Catalog, expected: &[&str]) {
    assert_eq!(build(catalog, &TocOptions::default()).unwrap(), expected);
}

#[test]
fn names_decide_where_dependencies_do_not() {
    check(&catalog(vec![schema(1, "b"), schema(2, "a")], &[]), &["SCHEMA a", "SCHEMA b"]);
    check(&catalog(vec![schema(1, "b"), schema(2, "a")], &[(1, 0)]), &["SCHEMA b", "SCHEMA a"]);
}

#[test]
fn comments_follow_their_object_and_privileges_come_late() {
    let mut first = schema(1, "a");
    first.comment = Some("it's".to_owned());
    first.acl = crate::parse_acl(&["own=UC/own".to_owned(), "=U/own".to_owned()]).ok();
    let catalog = catalog(vec![first, schema(2, "b")], &[]);
    check(&catalog, &["SCHEMA a", "COMMENT SCHEMA a", "SCHEMA b", "ACL SCHEMA a"]);
    let bare = TocOptions { comments: false, privileges: false, ..TocOptions::default() };
    assert_eq!(build(&catalog, &bare).unwrap(), ["SCHEMA a", "SCHEMA b"]);
    assert_eq!(build(&catalog, &TocOptions::data_only()).unwrap(), [""; 0]);
}

#[test]
fn views_that_need_each_other_are_made_in_two_steps() {
    let catalog = catalog(vec![view(1, "v"), view(2, "w")], &[(0, 1), (1, 0)]);
    let toc = Toc::build(&catalog, &Target { version: VERSION }, &TocOptions::default()).unwrap();
    let made: Vec<(EntryKind, Section, &str)> =
        toc.entries.iter().map(|entry| (entry.kind, entry.section, entry.create[0].as_str())).collect();
    assert_eq!(
        made,
        [
            (EntryKind::View, Section::PreData, "CREATE VIEW s.v AS\nSELECT\n    NULL::integer AS a"),
            (EntryKind::View, Section::PreData, "CREATE VIEW s.w AS\n SELECT w"),
            (EntryKind::Rule, Section::PostData, "CREATE OR REPLACE VIEW s.v AS\n SELECT v"),
        ]
    );
    assert_eq!(toc.entries[2].depends_on, [1, 2]);
}

#[test]
fn loops_that_cannot_be_taken_apart_name_their_members() {
    let catalog = catalog(vec![schema(1, "a"), schema(2, "b"), schema(3, "c")], &[(0, 1), (1, 0), (2, 0)]);
    let error = build(&catalog, &TocOptions::default()).unwrap_err().to_string();
    assert!(error.ends_with(": SCHEMA a, SCHEMA b"), "{error}");
}
