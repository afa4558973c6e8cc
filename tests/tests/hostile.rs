//! Databases made to be difficult, moved by the binary from every major. What arrives must be what
//! `pg_dump` 18 says of the source, and `migrate` must find it equal itself.

use std::path::PathBuf;

use dbhaul_tests::{Dbhaul, MAJORS, Original, Server};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn start(major: u16) -> Server {
    start_for(major, major)
}

/// A server with the roles of the fixtures, as a target of this major takes them.
fn start_for(major: u16, target: u16) -> Server {
    let server = Server::start(major);
    run(&server, ("postgres", "hostile-roles"), target);
    server
}

fn load(server: &Server, name: &str) {
    load_for(server, name, server.major());
}

fn load_for(server: &Server, name: &str, target: u16) {
    server.create_db("hostile");
    run(server, ("hostile", name), target);
}

/// Runs a fixture. From 19 on names of roles hold no line breaks.
fn run(server: &Server, (db, name): (&str, &str), target: u16) {
    let mut script = std::fs::read_to_string(fixture(&format!("{name}.sql"))).unwrap();
    if target >= 19 {
        script = script.replace("\"über.Rolle\nx\"", "\"über.Rolle x\"");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    server.psql_file(db, file.path(), &[]);
}

/// `migrate` from these majors to 18, and from the newest of them to 19.
fn to_the_newest(name: &str, majors: &[u16]) {
    let all = majors.iter().copied();
    to(18, name, all.clone().filter(|major| *major <= 18));
    to(19, name, all.filter(|major| *major >= 18));
}

fn to(newest: u16, name: &str, majors: impl Iterator<Item = u16>) {
    let target = start(newest);
    for major in majors {
        let source = start_for(major, newest);
        load_for(&source, name, newest);
        let original = Original::new(&source, "hostile", &target);
        let copy = format!("from_{major}");
        target.create_db(&copy);
        let uris = (source.uri("hostile"), target.uri(&copy));
        Dbhaul::new(["migrate", "--source", &uris.0, "--target", &uris.1]).run().assert_code(0);
        original.assert_equals(&copy);
    }
}

/// `dump` and `restore` on these majors, back into the server they came from.
fn through_a_store(name: &str, majors: &[u16]) {
    for &major in majors {
        let server = start(major);
        load(&server, name);
        let original = Original::new(&server, "hostile", &server);
        server.create_db("copy");
        let directory = TempDir::new().unwrap();
        let store = directory.path().to_str().unwrap();
        let uris = (server.uri("hostile"), server.uri("copy"));
        Dbhaul::new(["dump", "--source", &uris.0, "--store", store]).run().assert_code(0);
        Dbhaul::new(["restore", "--target", &uris.1, "--store", store]).run().assert_code(0);
        original.assert_equals("copy");
    }
}

macro_rules! hostile {
    ($($name:ident: $fixture:literal, $newest:expr, $store:expr;)*) => { $(
        mod $name {
            use super::*;

            #[test]
            fn to_the_newest_major() {
                to_the_newest($fixture, $newest);
            }

            #[test]
            fn dumped_and_restored() {
                through_a_store($fixture, $store);
            }
        }
    )* };
}

hostile! {
    values: "values", &[13, 18], &[14];
    names: "hostile-names", &[13, 18], &[16];
    privileges: "privileges", &MAJORS, &[14, 16];
    partitions: "partitions", &MAJORS, &[14, 16];
    views: "views", &MAJORS, &[14, 16];
    routines: "routines", &MAJORS, &[14, 16];
    outward: "outward", &MAJORS, &[14, 16];
    system_privileges: "system-privileges", &[18], &[13, 14, 15, 16, 17];
}

/// A table under whose rows lies a foreign table with a server that is out of reach cannot be analyzed:
/// the statistics are named as missing, and nothing else is.
#[test]
fn a_foreign_server_out_of_reach() {
    for major in [13, 18] {
        let server = start(major);
        load(&server, "foreign-parts");
        server.create_db("copy");
        let schema = server.pg_dump_schema("hostile");
        let uris = (server.uri("hostile"), server.uri("copy"));
        let run = Dbhaul::new(["migrate", "--source", &uris.0, "--target", &uris.1]).run();
        run.assert_code(3);
        assert!(run.stdout.contains("ANALYZE public.near: "), "{}", run.stdout);
        assert!(run.stdout.contains("1 skipped"), "{}", run.stdout);
        assert_eq!(server.pg_dump_schema("copy"), schema);
        assert_eq!(server.psql("copy", "SELECT count(*) FROM ONLY near").trim(), "2");
    }
}

/// Everything that `pg_dump` says of a database, its schema `dbhaul` included.
fn whole(server: &Server, db: &str) -> String {
    let output = server.client("pg_dump").args(["-d", db]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let noise = ["\\restrict", "\\unrestrict", "-- Dumped "];
    text.lines()
        .filter(|line| !noise.iter().any(|start| line.starts_with(start)))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Schemas, tables and databases with the names that dbhaul gives its own.
#[test]
fn names_of_our_own() {
    for major in [13, 18] {
        let (source, target) = (start(major), start(major));
        source.create_db("dbhaul");
        source.psql_file("dbhaul", &fixture("like-our-own.sql"), &[]);
        let expected = whole(&source, "dbhaul");
        let directory = TempDir::new().unwrap();
        let store = directory.path().to_str().unwrap();
        let from = source.uri("dbhaul");
        for db in ["dbhaul", "post'gres\""] {
            target.create_db(db);
            let to = target.uri(db);
            if db == "dbhaul" {
                Dbhaul::new(["migrate", "--source", &from, "--target", &to]).run().assert_code(0);
            } else {
                Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
                Dbhaul::new(["restore", "--target", &to, "--store", store]).run().assert_code(0);
            }
            assert_eq!(whole(&target, db), expected, "{db} on {major}");
        }
    }
}

/// Default privileges that a first run has set are not in the way of a second one's objects.
#[test]
fn default_privileges_before_a_second_run() {
    let server = start(18);
    load(&server, "privileges");
    let original = Original::new(&server, "hostile", &server);
    server.create_db("copy");
    let directory = TempDir::new().unwrap();
    let store = directory.path().to_str().unwrap();
    let (from, to) = (server.uri("hostile"), server.uri("copy"));
    Dbhaul::new(["dump", "--source", &from, "--store", store]).run().assert_code(0);
    for more in [&[] as &[&str], &["--clean", "--if-exists"]] {
        let run = Dbhaul::new(["restore", "--target", &to, "--store", store]).args(more);
        run.run().assert_code(0);
        original.assert_equals("copy");
    }
}
