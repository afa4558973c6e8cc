//! Of each kind of object one change in each of its properties, all planted at once in schemas of their own: what is
//! found is exactly what was planted.

use std::collections::BTreeSet;

use dbhaul_catalog::EntryKind;
use dbhaul_tests::{Server, wait_until};

use crate::database_changes::DATABASES;
use crate::findings::{Findings, assert_finds, findings, verify};
use crate::function_changes::FUNCTIONS;
use crate::schema_changes::SCHEMAS;
use crate::table_changes::TABLES;
use crate::type_changes::TYPES;
use crate::view_changes::VIEWS;

/// One change: since which major it can be made, its name, what both sides have, what is done on the right, and what
/// a report has to say. `$s` is a schema of its own, `$n` its name where names have no schema.
pub(crate) type Change = (u16, &'static str, &'static str, &'static str, &'static [&'static str]);

/// What a database needs that holds all of them.
const ALL: &str = "CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE FUNCTION public.other_fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE FUNCTION public.hear() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE FUNCTION public.other_hear() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EXTENSION hstore WITH SCHEMA public VERSION '1.4'";

/// Roles that the changes name, and a tablespace where the server can have one without a directory.
fn prepare(server: &Server) {
    server.psql("postgres", "CREATE ROLE one; CREATE ROLE two; CREATE ROLE login_one LOGIN");
    if server.major() >= 15 {
        server.psql("postgres", "ALTER SYSTEM SET allow_in_place_tablespaces = on");
        server.psql("postgres", "SELECT pg_reload_conf()");
        wait_until("tablespaces may lie in place", || {
            (server.psql("postgres", "SHOW allow_in_place_tablespaces") == "on").then_some(())
        });
        server.psql("postgres", "CREATE TABLESPACE aside LOCATION ''");
    }
}

/// The changes that both of these majors can have.
fn changes(major: u16) -> Vec<&'static Change> {
    let all = [TABLES, VIEWS, FUNCTIONS, TYPES, SCHEMAS, DATABASES];
    all.into_iter().flatten().filter(|(since, ..)| *since <= major).collect()
}

/// A text of a change, with its names.
fn named(text: &str, name: &str) -> String {
    text.replace("$s", &format!("c_{name}")).replace("$n", &format!("n_{name}"))
}

/// Creates what the changes are made to.
fn fill(server: &Server, db: &str, changes: &[&Change]) {
    server.create_db(db);
    let creates = changes.iter().map(|(_, name, create, ..)| {
        named(&format!("CREATE SCHEMA $s; SET search_path = $s, pg_catalog, public;\n{create};\n"), name)
    });
    server.psql(db, &format!("{ALL};\n{}", creates.collect::<String>()));
}

/// Makes the changes.
fn plant(server: &Server, db: &str, changes: &[&Change]) {
    let planted = changes.iter().map(|(_, name, _, change, _)| {
        named(&format!("SET search_path = $s, pg_catalog, public;\n{change};\n"), name)
    });
    server.psql(
        db,
        &format!(
            "SET allow_system_table_mods = on; SET check_function_bodies = off;\n{}",
            planted.collect::<String>()
        ),
    );
}

fn expected(changes: &[&Change]) -> Findings {
    let lines =
        |(_, name, _, _, lines): &&Change| lines.iter().map(|line| named(line, name)).collect::<Vec<_>>();
    changes.iter().flat_map(lines).collect()
}

/// What is found if the sides are exchanged.
fn mirrored(expected: &Findings) -> Findings {
    let mirrored = |line: &String| match line.rsplit_once(": ") {
        Some((object, "missing")) => format!("{object}: extra"),
        Some((object, "extra")) => format!("{object}: missing"),
        _ => line.clone(),
    };
    expected.iter().map(mirrored).collect()
}

/// The objects that a report names.
fn objects(findings: &Findings) -> BTreeSet<String> {
    findings.iter().filter_map(|line| Some(line.rsplit_once(": ")?.0.to_owned())).collect()
}

/// All changes of two servers at once, seen from both sides, with and without the help of the right server.
fn find_all(left: u16, right: u16) {
    let changes = changes(left);
    let (left, right) = (Server::start(left), Server::start(right));
    for server in [&left, &right] {
        prepare(server);
    }
    fill(&left, "shop", &changes);
    fill(&right, "copy", &changes);
    // the schema public has another owner since 15
    if left.major() < 15 && right.major() >= 15 {
        right.psql("copy", "ALTER SCHEMA public OWNER TO postgres; GRANT CREATE ON SCHEMA public TO PUBLIC");
    }
    let (was, is) = (left.uri("shop"), right.uri("copy"));
    let schema = ["--mode", "schema"];
    assert_finds("before any change", &verify(&was, &is, &schema), &Findings::new());

    plant(&right, "copy", &changes);
    let all = expected(&changes);
    assert_finds("left to right", &verify(&was, &is, &schema), &all);
    if left.major() == right.major() {
        assert_finds("right to left", &verify(&is, &was, &schema), &mirrored(&all));
    }
    // parse trees alone do not tell everything, and name no more than there is
    let alone = findings(&verify(&was, &is, &["--mode", "schema", "--no-scratch"]));
    assert_eq!(objects(&alone), objects(&all), "without a scratch schema");
}

/// Kinds of which no change is planted here, each with the reason.
const ELSEWHERE: [(EntryKind, &str); 16] = [
    (EntryKind::Acl, "privileges are their object's"),
    (EntryKind::LargeObject, "with the rows"),
    (EntryKind::LargeObjectData, "with the rows"),
    (EntryKind::Comment, "comments are their object's"),
    (EntryKind::Database, "only with --create"),
    (EntryKind::IndexAttach, "a step of a restore"),
    (EntryKind::MaterializedViewData, "with the rows"),
    (EntryKind::PublicationSchema, "their publication's"),
    (EntryKind::PublicationTable, "their publication's"),
    (EntryKind::RowSecurity, "their table's"),
    (EntryKind::SecurityLabel, "no server has a provider of them"),
    (EntryKind::ShellType, "a type, as far as it is there"),
    (EntryKind::SequenceOwnedBy, "their sequence's"),
    (EntryKind::SequenceSet, "with the rows"),
    (EntryKind::TableAttach, "their table's"),
    (EntryKind::TableData, "with the rows"),
];

#[test]
fn a_change_of_every_kind_of_object_is_planted() {
    let changes = changes(18);
    let lines: Vec<&str> = changes.iter().flat_map(|(.., lines)| lines.iter().copied()).collect();
    for kind in EntryKind::ALL {
        let is_elsewhere = ELSEWHERE.iter().any(|(other, _)| other == kind);
        let is_planted = lines.iter().any(|line| line.starts_with(&format!("{kind} ")));
        assert!(is_planted != is_elsewhere, "{kind}: planted {is_planted}, elsewhere {is_elsewhere}");
    }
}

#[test]
fn each_change_of_an_object_is_found_within_18() {
    find_all(18, 18);
}

#[test]
fn each_change_of_an_object_is_found_from_14_to_18() {
    find_all(14, 18);
}
