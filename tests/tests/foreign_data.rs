//! Databases that others have made, which are no part of this project. Built and run only with the feature
//! `foreign-data`; `DBHAUL_TEST_DATA` names the directory that holds them. What they show is tested on
//! databases of our own too, so that nothing depends on them.

#[path = "catalog_round_trip/copies.rs"]
mod copies;
#[path = "script/trips.rs"]
mod trips;
#[path = "round_trip/trip.rs"]
mod whole;

use dbhaul_tests::{Dbhaul, Fixture, MAJORS, Original, Server, others_data};
use tempfile::TempDir;

/// Pairs of majors for `migrate`, `dump` and `restore`.
const PAIRS: [(u16, u16); 5] = [(13, 13), (13, 18), (15, 16), (17, 18), (18, 18)];

#[test]
fn chinook_arrives() {
    PAIRS.iter().for_each(|&(from, to)| whole::round_trip(Fixture::Chinook, from, to));
}

#[test]
fn pagila_arrives() {
    PAIRS.iter().for_each(|&(from, to)| whole::round_trip(Fixture::Pagila, from, to));
}

#[test]
fn the_catalog_of_chinook() {
    copies::round_trip(Fixture::Chinook, copies::MAJORS);
}

#[test]
fn the_catalog_of_pagila() {
    copies::round_trip(Fixture::Pagila, copies::MAJORS);
}

#[test]
fn the_script_of_chinook() {
    trips::round_trips(|server, db| Fixture::Chinook.load(server, db), &[(13, 13), (16, 18), (18, 18)]);
}

#[test]
fn the_script_of_pagila() {
    trips::round_trips(|server, db| Fixture::Pagila.load(server, db), &[(13, 18), (16, 16), (18, 18)]);
}

/// A script of one object of every kind that a server has, made by `pg_dump`'s own tests; statements that a
/// major does not know fail and are passed over.
#[test]
fn the_catalog_of_every_kind_of_object() {
    let script = others_data("object-kinds.sql");
    let newest = Server::start(19);
    let mut found = Vec::new();
    for major in [13, 14, 15, 16, 17, 18] {
        let server = Server::start(major);
        server.create_db("kinds");
        let status =
            server.client("psql").args(["-Xq", "-o", "/dev/null", "-d", "kinds", "-f"]).arg(&script).output();
        assert!(status.unwrap().status.success());
        found.extend(copies::problems(&server, "kinds", &server));
        if major < 18 {
            found.extend(copies::problems(&server, "kinds", &newest));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What the script's owners and grantees are on a server that it does not run on.
const ROLES: &str = r#"CREATE ROLE regress_dump_test_role; CREATE ROLE "regress_quoted  \"" role""#;

/// How many statements a major does not know: SQL bodies, expressions in statistics and compression
/// came with 14, lists of columns, filters and schemas of publications with 15; 19 refuses the name of a role
/// that holds a line break.
fn unknown_statements(major: u16) -> usize {
    match major {
        13 => 9,
        14 => 6,
        15..=18 => 0,
        _ => 1,
    }
}

/// Runs the script to its end, and returns what a server does not know. These servers are built without
/// lz4; 13 knows no compression at all.
fn load(server: &Server, script: &str) -> Vec<String> {
    let mut script = script.replace(" COMPRESSION lz4", " COMPRESSION pglz");
    if server.major() == 13 {
        script = script.replace(" COMPRESSION pglz", "");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    server.create_db("kinds");
    let psql =
        server.client("psql").args(["-Xqo", "/dev/null", "-d", "kinds", "-f"]).arg(file.path()).output();
    let psql = psql.unwrap();
    assert!(psql.status.success());
    // It counts the rows of pg_class, which are not the same in two databases.
    server.psql("kinds", "REFRESH MATERIALIZED VIEW dump_test.regress_pg_dump_matview_am_1 WITH NO DATA");
    let errors = String::from_utf8(psql.stderr).unwrap();
    errors.lines().filter(|line| line.contains("ERROR:  ")).map(str::to_owned).collect()
}

/// Through a store to itself, and straight to the newest or the one before it.
#[test]
fn every_kind_of_object_arrives() {
    let script = std::fs::read_to_string(others_data("object-kinds.sql")).unwrap();
    let targets = [Server::start(18), Server::start(19)];
    targets.iter().for_each(|target| drop(target.psql("postgres", ROLES)));
    for major in MAJORS {
        let newest = &targets[usize::from(major >= 18)];
        let server = Server::start(major);
        let skipped = load(&server, &script);
        assert_eq!(skipped.len(), unknown_statements(major), "{major}: {skipped:#?}");
        through_a_store(&server);
        // pg_dump leaves behind who owns a function of the server's own, and is the judge between majors.
        server.psql("kinds", "ALTER FUNCTION pg_catalog.pg_stat_reset() OWNER TO CURRENT_USER");
        let original = Original::new(&server, "kinds", newest);
        let copy = format!("from_{major}");
        newest.create_db(&copy);
        let uris = (server.uri("kinds"), newest.uri(&copy));
        Dbhaul::new(["migrate", "--source", &uris.0, "--target", &uris.1]).run().assert_code(0);
        original.assert_equals(&copy);
    }
}

fn through_a_store(server: &Server) {
    let original = Original::new(server, "kinds", server);
    server.create_db("copy");
    let directory = TempDir::new().unwrap();
    let store = directory.path().to_str().unwrap();
    let uris = (server.uri("kinds"), server.uri("copy"));
    Dbhaul::new(["dump", "--source", &uris.0, "--store", store]).run().assert_code(0);
    Dbhaul::new(["restore", "--target", &uris.1, "--store", store]).run().assert_code(0);
    original.assert_equals("copy");
}
