//! Databases that others have moved: with `pg_dump` and `psql`, with `pg_dump` and `pg_restore`, by logical
//! replication, and in the long form with `pgcopydb`.

use std::process::Command;

use dbhaul_tests::{Fixture, Server, contender, wait_until};
use tempfile::TempDir;

use crate::findings::{Findings, assert_finds, findings, verify};

/// What a move may lose: the rows of one table, and a foreign key of another.
const LOSSES: &str = "TRUNCATE film_note; ALTER TABLE rental DROP CONSTRAINT rental_staff_id_fkey";

const BY_DEFINITIONS_AND_ROWS: &[&str] = &["--mode", "schema,digest"];

/// The losses as a report names them.
fn losses() -> Findings {
    ["FK CONSTRAINT public.rental_staff_id_fkey rental: missing", "rows of public.film_note: different"]
        .map(str::to_owned)
        .into()
}

/// A copy is equal but for what is known, and once something is lost exactly that is found.
#[track_caller]
fn assert_judged(
    what: &str,
    (source, target): (&Server, &Server),
    db: &str,
    (options, known): (&[&str], &Findings),
) {
    let (from, to) = (source.uri("cinema"), target.uri(db));
    let options = &[BY_DEFINITIONS_AND_ROWS, options].concat();
    assert_finds(what, &verify(&from, &to, options), known);
    target.psql(db, LOSSES);
    let all = losses().union(known).cloned().collect();
    assert_finds(what, &verify(&from, &to, options), &all);
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Moves a database with an archive of `pg_dump`.
fn restore(source: &Server, target: &Server, db: &str) {
    let directory = TempDir::new().unwrap();
    let archive = directory.path().join("archive");
    run(source.client("pg_dump").args(["-Fd", "-j2", "-d", "cinema", "-f"]).arg(&archive));
    target.create_db(db);
    // with several jobs it may create a trigger of a partitioned table before the rows of a partition are there
    run(target.client("pg_restore").args(["--exit-on-error", "-d", db]).arg(&archive));
}

/// Moves a database with `pgcopydb clone`.
fn clone(source: &Server, target: &Server, db: &str) {
    target.create_db(db);
    let directory = TempDir::new().unwrap();
    run(contender("pgcopydb")
        .args(["clone", "--source", &source.uri("cinema"), "--target", &target.uri(db)])
        .args(["--table-jobs", "2", "--index-jobs", "2", "--dir"])
        .arg(directory.path().join("work")));
}

/// Has a database follow another by logical replication, from the first row on.
fn replicate(source: &Server, target: &Server, db: &str) {
    source.copy_by_pg_dump_with("cinema", target, db, &["--schema-only"]);
    source.psql("cinema", "CREATE PUBLICATION everything FOR ALL TABLES");
    let place = format!("host=127.0.0.1 port={} user=postgres dbname=cinema", source.port());
    target.psql(db, &format!("CREATE SUBSCRIPTION follower CONNECTION '{place}' PUBLICATION everything"));
    wait_until("all tables are copied", || {
        let waiting = "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'";
        (target.psql(db, waiting) == "0").then_some(())
    });
}

#[test]
fn moves_of_others_are_judged_by_what_they_moved() {
    let (source, target) = (Server::start(16), Server::start(18));
    Fixture::Cinema.load(&source, "cinema");
    source.copy_by_pg_dump("cinema", &target, "scripted");
    assert_judged("pg_dump and psql", (&source, &target), "scripted", (&[], &Findings::new()));
    restore(&source, &target, "restored");
    assert_judged("pg_dump and pg_restore", (&source, &target), "restored", (&[], &Findings::new()));
    if std::env::var_os("DBHAUL_LONG").is_some() {
        // the major that the clients of pgcopydb are of
        let target = Server::start(17);
        // pgcopydb 0.17 opens large objects on the target before they are there
        source.psql("cinema", "SELECT lo_unlink(oid) FROM pg_largeobject_metadata");
        clone(&source, &target, "cloned");
        // by which index a table was clustered, it loses
        let lost = ["INDEX public.idx_unq_rental: body.properties.clustered".to_owned()].into();
        assert_judged("pgcopydb", (&source, &target), "cloned", (&[], &lost));
    }
}

#[test]
fn logical_replication_is_judged_by_what_it_moved() {
    let (source, target) = (Server::start(16), Server::start(18));
    Fixture::Cinema.load(&source, "cinema");
    replicate(&source, &target, "followed");
    let options = ["--no-publications", "--no-subscriptions"];
    let (from, to) = (source.uri("cinema"), target.uri("followed"));
    // what logical replication does not carry: positions of sequences, rows of materialized views and of unlogged
    // tables, large objects
    let found = findings(&verify(&from, &to, &[BY_DEFINITIONS_AND_ROWS, &options].concat()));
    let is_filled_later =
        |line: &String| line.starts_with("position of ") || line.starts_with("MATERIALIZED VIEW ");
    let (later, never): (Findings, Findings) = found.into_iter().partition(is_filled_later);
    assert!(later.iter().filter(|line| line.starts_with("position of ")).count() > 3, "{later:#?}");
    assert_eq!(later.iter().filter(|line| line.starts_with("MATERIALIZED VIEW ")).count(), 2, "{later:#?}");
    let is_unlogged =
        |line: &&String| line.starts_with("rows of public.basket") || line.contains("large objects");
    assert_eq!(never.iter().filter(is_unlogged).count(), 2, "{never:#?}");
    assert!(
        never.iter().filter(|line| !is_unlogged(line)).all(|line| line.starts_with("BLOB ")),
        "{never:#?}"
    );
    let positions =
        "SELECT format('SELECT setval(%L, %s);', format('%I.%I', schemaname, sequencename), last_value)
        FROM pg_sequences WHERE last_value IS NOT NULL";
    target.psql("followed", &source.psql("cinema", positions));
    target.psql(
        "followed",
        "REFRESH MATERIALIZED VIEW rental_by_category; REFRESH MATERIALIZED VIEW best_category",
    );
    assert_judged("logical replication", (&source, &target), "followed", (&options, &never));
}
