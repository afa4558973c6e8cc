//! What cannot be carried is named, in every report, and never ends in exit code 0.

use dbhaul_tests::{Dbhaul, Server};
use tempfile::TempDir;

/// A source with an index that a failed `CREATE INDEX CONCURRENTLY` left behind.
fn source_with_invalid_index() -> Server {
    let source = Server::start(18);
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE film (id int); INSERT INTO film VALUES (1), (1)");
    let failed = source.try_psql("shop", "CREATE UNIQUE INDEX CONCURRENTLY film_id ON film (id)");
    assert!(failed.is_err(), "the index was built over duplicates");
    source
}

#[test]
fn an_invalid_index_is_skipped_by_name() {
    let source = source_with_invalid_index();
    let target = Server::start(18);
    target.create_db("moved");
    target.create_db("restored");
    let store = TempDir::new().unwrap();
    let store = store.path().to_str().unwrap();
    let (from, moved, restored) = (source.uri("shop"), target.uri("moved"), target.uri("restored"));

    let runs = [
        vec!["migrate", "--source", &from, "--target", &moved],
        vec!["dump", "--source", &from, "--store", store],
        vec!["restore", "--store", store, "--backup", "latest", "--target", &restored],
    ];
    for arguments in runs {
        let done = Dbhaul::new(&arguments).run();
        done.assert_code(3);
        assert!(done.stdout.contains("film_id"), "{arguments:?} does not name the index:\n{}", done.stdout);
    }
    for db in ["moved", "restored"] {
        assert_eq!(target.sql_digest(db), source.sql_digest("shop"));
    }
}

#[test]
fn a_schema_that_a_table_needs_stands_in_the_way_if_it_is_missing() {
    let (source, target) = (Server::start(17), Server::start(17));
    source.create_db("shop");
    source.psql("shop", "CREATE SCHEMA \"Sales\"; CREATE TABLE \"Sales\".t AS SELECT 1 AS i");
    target.create_db("shop");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let run = |command: &str, selection: [&str; 2]| {
        Dbhaul::new([command, "--source", &from, "--target", &to]).args(selection).run()
    };
    let table = ["-t", "\"Sales\".t"];
    run("preflight", table).assert_code(5).assert_says("schema \"Sales\" is not there");
    run("migrate", table)
        .assert_code(1)
        .assert_stderr_has(&["schema \"Sales\" is not there", "CREATE SCHEMA"]);
    assert_eq!(target.psql("shop", "SELECT count(*) FROM pg_namespace WHERE nspname = 'dbhaul'"), "0");
    target.psql("shop", "CREATE SCHEMA \"Sales\"");
    let migrate = ["migrate", "--source", &from, "--target", &to, "--allow-non-empty"];
    Dbhaul::new(migrate).args(table).run().assert_code(0);
    assert_eq!(target.psql("shop", "SELECT i FROM \"Sales\".t"), "1");
}
