use dbhaul_catalog::kinds::{ColumnDefault, Domain, EnumType, Operator, Schema, Table, View};
use dbhaul_catalog::{Class, Section, ServerVersion, Target, Toc, TocOptions};
use dbhaul_importer::{Cause, Part, Skipped, Subject};
use serde_json::json;

use super::*;

fn object(oid: u32, schema: Option<&str>, name: &str, body: Body) -> Object {
    Object {
        id: ObjectId::new(Class::PG_CLASS, oid),
        schema: schema.map(Into::into),
        name: name.to_owned(),
        owner: Some("o".into()),
        acl: None,
        comment: None,
        security_labels: Vec::new(),
        extension: None,
        body,
    }
}

fn column(name: &str) -> serde_json::Value {
    json!({
        "name": name, "type_name": "text", "base_type_name": "text", "base_type_kind": "b", "not_null": null,
        "default": null, "identity": null, "options": [], "fdw_options": [], "storage": null, "compression": null, "statistics_target": null, "collation": null, "generated": null,
        "comment": null, "acl": null, "security_labels": [], "is_local": true, "inherit_count": 0
    })
}

fn table() -> Body {
    let table: Table = serde_json::from_value(json!({
        "table_kind": "ordinary", "unlogged": false, "columns": [column("id"), column("the \"title\"")], "checks": [], "of_type": null,
        "inherits": [], "partition_of": null, "partition_key": null, "options": [], "toast_options": [],
        "access_method": null, "tablespace": null, "row_security": false, "force_row_security": false,
        "replica_identity": "default", "foreign": null
    }))
    .unwrap();
    Body::from(table)
}

fn operator(of: &str) -> Body {
    Body::from(Operator {
        function: None,
        left_type: Some(of.to_owned()),
        right_type: None,
        commutator: None,
        negator: None,
        merges: false,
        hashes: false,
        restrict: None,
        join: None,
    })
}

fn view() -> Body {
    let (options, columns) = (Vec::new(), Vec::new());
    Body::from(View { options, check_option: None, definition: "SELECT 1".to_owned(), columns })
}

fn catalog() -> Catalog {
    let objects = vec![
        object(1, Some("public"), "film", table()),
        object(2, Some("public"), "film_list", view()),
        object(3, None, "public", Body::from(Schema {})),
        object(4, Some("public"), "mood", Body::from(EnumType { labels: Vec::new() })),
        object(5, Some("public"), "=", operator("public.mood")),
        object(6, Some("public"), "<", operator("public.mood_of_day")),
    ];
    Catalog { objects, ..Catalog::empty(ServerVersion::of_major(18)) }
}

/// All of what an entry of a kind makes, says or fills.
fn whole(kind: EntryKind, of: u32) -> (EntryKind, u32, Part) {
    (kind, of, Part::of(kind))
}

/// Whether a difference of object `of` is explained where an entry of `kind` for `skipped` was.
fn check((kind, skipped, part): (EntryKind, u32, Part), of: u32, path: Option<&str>, expected: bool) {
    check_named((kind, "", skipped, part), of, path, expected);
}

/// What a run excuses that has skipped this of an entry.
fn excuses_of(catalog: &Catalog, entries: &[TocEntry], entry: u32, part: Part) -> Excuses {
    let subject = Subject::of(&entries[entry as usize - 1]);
    let skipped = Skipped { subject, part, statements: Vec::new(), cause: Cause::Lost };
    let outcome = ImportOutcome { skipped: vec![skipped], ..ImportOutcome::default() };
    Excuses::new(catalog, entries, &outcome, Told::default())
}

/// As [`check`], of an entry of this name.
fn check_named(
    (kind, entry_name, skipped, part): (EntryKind, &str, u32, Part),
    of: u32,
    path: Option<&str>,
    expected: bool,
) {
    let catalog = catalog();
    let entry = TocEntry {
        id: 1,
        section: Section::PreData,
        kind,
        schema: None,
        name: entry_name.to_owned(),
        owner: None,
        create: Vec::new(),
        set_owner: None,
        drop: None,
        depends_on: Vec::new(),
        object: Some(ObjectId::new(Class::PG_CLASS, skipped)),
        data: None,
        weight_bytes: 0,
        adoption: None,
    };
    let excuses = excuses_of(&catalog, &[entry], 1, part);
    let object = catalog.objects.iter().find(|object| object.id.oid == of).unwrap();
    let identity = object.identity();
    let difference = match path {
        None => Difference::Missing { identity },
        Some(path) => Difference::Different {
            identity,
            path: path.to_owned(),
            part: None,
            left: json!(1),
            right: json!(2),
        },
    };
    assert_eq!(
        excuses.explain(&difference),
        expected,
        "{kind} of {} for {difference}",
        excuses.by_object.len()
    );
}

#[test]
fn privileges_excuse_privileges() {
    let acl = || whole(EntryKind::Acl, 1);
    check(acl(), 1, Some("acl"), true);
    check(acl(), 1, Some("body.columns.0.acl"), false);
    check(acl(), 1, Some("body.columns.0.type_name"), false);
    check(acl(), 1, Some("owner"), false);
    check(acl(), 1, None, false);
    check(whole(EntryKind::Comment, 1), 1, Some("comment"), true);
    check(whole(EntryKind::Comment, 1), 1, Some("acl"), false);
    check((EntryKind::Table, 1, Part::Owner), 1, Some("owner"), true);
    check((EntryKind::Table, 1, Part::Owner), 1, Some("body.unlogged"), false);
    check((EntryKind::Table, 1, Part::Owner), 1, None, false);
}

#[test]
fn an_object_excuses_no_other() {
    check(whole(EntryKind::View, 2), 2, None, true);
    check(whole(EntryKind::View, 2), 1, Some("body.unlogged"), false);
    check(whole(EntryKind::View, 2), 3, Some("owner"), false);
    check(whole(EntryKind::Table, 1), 3, Some("acl"), false);
    check(whole(EntryKind::TableData, 1), 1, Some("body.unlogged"), false);
}

/// What is there but was not finished may differ; it may not be missing.
#[test]
fn what_is_done_to_an_object_that_is_there_does_not_excuse_that_it_is_missing() {
    for part in [Part::Validation, Part::Addition, Part::Owner, Part::Filling, Part::Statistics] {
        check((EntryKind::Table, 1, part), 1, None, false);
    }
    check((EntryKind::Table, 1, Part::Validation), 1, Some("body.unlogged"), true);
    check((EntryKind::Table, 1, Part::Statistics), 1, Some("body.unlogged"), false);
    let analyze = Subject::Analyze { entry: 1, table: QualifiedName::new("public", "film") };
    let skipped =
        Skipped { subject: analyze, part: Part::Statistics, statements: Vec::new(), cause: Cause::Lost };
    let outcome = ImportOutcome { skipped: vec![skipped], ..ImportOutcome::default() };
    let (catalog, version) = (catalog(), ServerVersion::of_major(18));
    let toc = Toc::build(&catalog, &Target { version }, &TocOptions::default()).unwrap();
    let excuses = Excuses::new(&catalog, &toc.entries, &outcome, Told::default());
    assert!(excuses.by_object.is_empty(), "planner statistics excuse no definition");
}

#[test]
fn a_type_excuses_what_is_made_of_it() {
    check(whole(EntryKind::Type, 4), 5, None, true);
    check(whole(EntryKind::Type, 4), 6, None, false);
    check((EntryKind::Type, 4, Part::Owner), 5, None, false);
}

/// Only what is said of a column itself.
#[test]
fn what_is_said_of_a_column_excuses_that_column() {
    let entry = |kind| (kind, "COLUMN public.film.\"the \"\"title\"\"\"", 1, Part::of(kind));
    for (kind, property) in [
        (EntryKind::Acl, "acl"),
        (EntryKind::Comment, "comment"),
        (EntryKind::SecurityLabel, "security_labels"),
    ] {
        for (column, expected) in [("1", true), ("\"the \"\"title\"\"\"", true), ("0", false), ("11", false)]
        {
            check_named(entry(kind), 1, Some(&format!("body.columns.{column}.{property}")), expected);
            check_named(entry(kind), 1, Some(&format!("body.columns.{column}.type_name")), false);
        }
        check_named(entry(kind), 1, Some(property), false);
        check_named(entry(kind), 1, None, false);
        check_named((kind, "TABLE public.film", 1, Part::of(kind)), 1, Some(property), true);
        check_named((kind, "TABLE public.film", 1, Part::of(kind)), 1, Some("body.columns.1.acl"), false);
    }
}

/// What is told of an object excuses what was changed of it and nothing else.
#[test]
fn what_was_told_excuses_what_it_changes() {
    let catalog = catalog();
    let identity = |id: u32| catalog.objects.iter().find(|object| object.id.oid == id).unwrap().identity();
    let different = |id: u32, path: &str| Difference::Different {
        identity: identity(id),
        path: path.to_owned(),
        part: None,
        left: json!(1),
        right: json!(2),
    };
    let missing = |id: u32| Difference::Missing { identity: identity(id) };
    let changes = vec![different(1, "body.columns.1.compression"), different(3, "acl"), missing(2)];
    let told = Told { objects: [1, 2, 3, 4].map(identity).into(), changes };
    let excuses = Excuses::new(&catalog, &[], &ImportOutcome::default(), told);
    for (difference, expected) in [
        (different(1, "body.columns.1.compression"), true),
        (different(1, "body.columns"), false),
        (different(1, "body.columns.\"v\""), false),
        (different(1, "body.columns.11.compression"), false),
        (different(1, "body.columns.1.type_name"), false),
        (different(1, "owner"), false),
        (missing(1), false),
        (missing(2), true),
        (different(2, "body.definition"), false),
        (different(3, "acl"), true),
        (different(3, "comment"), false),
        (different(4, "body.labels"), false),
        (missing(4), false),
    ] {
        assert_eq!(excuses.explain(&difference), expected, "{difference}");
    }
}

/// Comments on a domain and on its constraints are said of different things.
#[test]
fn what_is_said_of_a_domain_is_not_said_of_its_constraints() {
    let constraint =
        |name: &str| json!({"name": name, "definition": "CHECK (true)", "validated": true, "comment": "c"});
    let body: Domain = serde_json::from_value(json!({
        "base_type": "text", "collation": null, "default": null, "not_null": true, "not_null_name": null,
        "not_null_comment": "n", "constraints": [constraint("a b"), constraint("c")]
    }))
    .unwrap();
    let mut domain = object(7, Some("public"), "d", Body::from(body));
    domain.comment = Some("d".to_owned());
    let identity = domain.identity();
    let version = ServerVersion::of_major(18);
    let catalog = Catalog { objects: vec![domain], ..Catalog::empty(version) };
    let toc = Toc::build(&catalog, &Target { version }, &TocOptions::default()).unwrap();
    let mut excused = Vec::new();
    for entry in toc.entries.iter().filter(|entry| entry.kind == EntryKind::Comment) {
        let excuses = excuses_of(&catalog, &toc.entries, entry.id, Part::of(entry.kind));
        let paths = [
            "comment",
            "body.constraints.0.comment",
            "body.constraints.1.comment",
            "body.not_null_comment",
            "body.constraints.0.definition",
            "body.constraints",
        ];
        excused.extend(
            paths
                .into_iter()
                .filter(|path| excuses.explain(&Difference::changed(identity.clone(), (*path).to_owned()))),
        );
    }
    excused.sort_unstable();
    let each =
        ["body.constraints.0.comment", "body.constraints.1.comment", "body.not_null_comment", "comment"];
    assert_eq!(excused, each);
}

/// A default that was skipped says nothing of other columns, nor of anything else of its table.
#[test]
fn a_default_excuses_the_default_of_its_column() {
    let body = ColumnDefault {
        table: QualifiedName::new("public", "film"),
        foreign: false,
        column: "the \"title\"".into(),
        expression: "public.f()".into(),
        separate: true,
    };
    let mut catalog = catalog();
    catalog.objects.push(object(7, Some("public"), "the \"title\"", Body::from(body)));
    let version = ServerVersion::of_major(18);
    let toc = Toc::build(&catalog, &Target { version }, &TocOptions::default()).unwrap();
    let default = toc.entries.iter().find(|entry| entry.kind == EntryKind::Default).unwrap();
    let excuses = excuses_of(&catalog, &toc.entries, default.id, Part::of(EntryKind::Default));
    let film = catalog.objects[0].identity();
    for (path, expected) in [
        ("body.columns.1.default", true),
        ("body.columns.\"the \"\"title\"\"\".default", true),
        ("body.columns.1.default.expression", true),
        ("body.columns.0.default", false),
        ("body.columns.1.type_name", false),
        ("body.columns.1", false),
        ("body.unlogged", false),
        ("owner", false),
    ] {
        let difference = Difference::changed(film.clone(), path.to_owned());
        assert_eq!(excuses.explain(&difference), expected, "{path}");
    }
    assert!(excuses.explain(&Difference::Missing { identity: catalog.objects[6].identity() }));
    let row_security = (EntryKind::RowSecurity, 1, Part::Addition);
    check(row_security, 1, Some("body.row_security"), true);
    check(row_security, 1, Some("body.unlogged"), false);
}
