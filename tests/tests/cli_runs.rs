//! Whole runs of the real binary, as people and cron jobs see them.

use std::path::Path;

use dbhaul_tests::{Dbhaul, Fixture, Server, wait_until};
use tempfile::TempDir;

const SHOP: Fixture = Fixture::SampleShop { scale: 0.01 };

fn shop(major: u16) -> Server {
    let server = Server::start(major);
    SHOP.load(&server, "shop");
    server
}

fn empty(major: u16) -> Server {
    let server = Server::start(major);
    SHOP.prepare_target(&server);
    server.create_db("shop");
    server
}

fn store_command(words: &[&str], store: &Path) -> Dbhaul {
    Dbhaul::new(words).arg("--store").arg(store)
}

#[test]
fn dump_list_show_restore_verify() {
    let (source, target) = (shop(15), empty(16));
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("store");
    let (from, to) = (source.uri("shop"), target.uri("shop"));

    let dumped = store_command(&["dump", "--source", &from, "--json"], &store).run();
    dumped.assert_code(0);
    let report = dumped.json();
    assert_eq!(report["status"], "done", "{dumped}");
    let id = report["backup"].as_str().unwrap().to_owned();

    let list = store_command(&["backup", "list"], &store).run();
    list.assert_code(0);
    assert!(list.stdout.contains(&id) && list.stdout.contains("shop"), "{list}");
    let list = store_command(&["backup", "list", "--json"], &store).run().json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    let shown = store_command(&["backup", "show", &id[..20], "--json"], &store).run();
    shown.assert_code(0);
    let tables = shown.json()["tables"].as_array().unwrap().len();
    assert!(tables > 30, "{shown}");

    let restored = store_command(&["restore", "--target", &to], &store).run();
    restored.assert_code(0);
    assert!(restored.stdout.contains("restored"), "{restored}");
    assert_eq!(source.sql_digest("shop"), target.sql_digest("shop"));

    let report = dir.path().join("report.json");
    let verified =
        store_command(&["verify", "--target", &to, "--report", report.to_str().unwrap()], &store).run();
    verified.assert_code(0);
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(&report).unwrap()).unwrap();
    assert_eq!(report["status"], "done");
    assert!(report["tables"].as_array().unwrap().len() > 30);
}

#[test]
fn a_difference_is_found_and_named() {
    let (source, target) = (shop(16), empty(17));
    let sides = ["--source", &source.uri("shop"), "--target", &target.uri("shop")];
    Dbhaul::new(["migrate", "--no-verify"]).args(sides).run().assert_code(0);
    Dbhaul::new(["verify"]).args(sides).run().assert_code(0);
    let table = target.psql(
        "shop",
        "SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables t
         WHERE relname = 'customer' ORDER BY 1 LIMIT 1",
    );
    target.psql("shop", &format!("SET session_replication_role = replica; DELETE FROM {table} WHERE ctid = (SELECT min(ctid) FROM {table})"));
    let verified = Dbhaul::new(["verify"]).args(sides).run();
    verified.assert_code(4);
    assert!(verified.stdout.contains("customer"), "{verified}");
    let json = Dbhaul::new(["verify", "--json"]).args(sides).run();
    json.assert_code(4);
    assert_eq!(json.json()["status"], "different");
}

#[test]
fn a_dry_run_plans_and_changes_nothing() {
    let (source, target) = (shop(14), empty(18));
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("store");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let planned = store_command(&["dump", "--source", &from, "--dry-run"], &store).run();
    planned.assert_code(0);
    assert!(planned.stdout.starts_with("dump ") && planned.stdout.contains("customer"), "{planned}");
    assert!(!store.exists(), "a dry run made a store");
    let planned = Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--dry-run"]).run();
    planned.assert_code(0);
    assert!(planned.stdout.starts_with("migrate ") && planned.stdout.contains("customer"), "{planned}");
    let user_tables = "SELECT count(*) FROM pg_stat_user_tables";
    assert_eq!(target.psql("shop", user_tables), "0");
}

#[test]
fn progress_goes_to_standard_error() {
    let source = shop(17);
    let dir = TempDir::new().unwrap();
    let dump = |mode: &[&str]| {
        let run = store_command(&["dump", "--source", &source.uri("shop")], dir.path()).args(mode).run();
        run.assert_code(0);
        assert!(run.stdout.starts_with("backup "), "{run}");
        run.stderr
    };
    let plain = dump(&[]);
    assert!(plain.contains("data started") && plain.contains("commit finished"), "{plain}");
    assert!(!plain.contains('\u{1b}'), "colours or cursor movements in a log: {plain}");
    let json = dump(&["--progress", "json"]);
    let events: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let has = |name: &str| events.iter().any(|event| event["event"] == name);
    assert!(has("phase-started") && has("task-finished") && has("task-advanced"), "{json}");
    assert_eq!(dump(&["-q"]), "");
    assert_eq!(dump(&["--progress", "none", "-q"]), "");
}

#[test]
fn the_environment_names_places() {
    let server = Server::builder(16).scram().start();
    let store = TempDir::new().unwrap();
    let run = Dbhaul::new(["dump", "--schema", "none_*"])
        .env("DBHAUL_SOURCE", server.uri_as("postgres", "postgres"))
        .env("DBHAUL_STORE", store.path())
        .env("PGPASSWORD", Server::PASSWORD)
        .run();
    // A pattern that matches nothing: the password was taken from the environment, or it would not get so far.
    run.assert_code(1).assert_stderr_has(&["none_*"]);
    assert!(!run.stderr.contains(Server::PASSWORD), "{run}");
}

#[test]
fn passwords_never_show() {
    let server = Server::builder(18).scram().start();
    let store = TempDir::new().unwrap();
    let uri = server.uri_as(&format!("postgres:{}", Server::PASSWORD), "postgres");
    for arguments in [
        vec!["dump", "--source", &uri, "-vvv", "--store"],
        vec!["dump", "--source", &uri, "--progress", "json", "--json", "--dry-run", "--store"],
        vec!["preflight", "--source", &uri, "--store"],
    ] {
        let run = Dbhaul::new(&arguments).arg(store.path()).run();
        run.assert_code(0).assert_stderr_has(&["the password in --source shows in the list of processes"]);
        assert!(!run.stderr.contains(Server::PASSWORD) && !run.stdout.contains(Server::PASSWORD), "{run}");
    }
}

#[test]
fn interrupted_gracefully_leaves_no_backup() {
    let source = Server::start(16);
    source.create_db("shop");
    source.psql("shop", "CREATE TABLE t AS SELECT i FROM generate_series(1, 100000) i");
    let store = TempDir::new().unwrap();
    // A lock on the table holds the dump at a known place.
    let mut locker = source.client("psql");
    locker.args(["-Xq", "-d", &source.uri("shop"), "-c", "BEGIN; LOCK TABLE t; SELECT pg_sleep(600)"]);
    let mut locker = locker.stdout(std::process::Stdio::null()).spawn().unwrap();
    let locks = |granted: bool| {
        let sql =
            format!("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND granted = {granted}");
        source.psql("shop", &sql) != "0"
    };
    wait_until("the table is locked", || locks(true).then_some(()));
    let mut run = store_command(&["dump", "--source", &source.uri("shop")], store.path()).spawn();
    wait_until("the dump waits for the table", || (locks(false) || run.has_ended()).then_some(()));
    run.interrupt();
    let run = run.wait();
    locker.kill().unwrap();
    locker.wait().unwrap();
    run.assert_code(130).assert_stderr_has(&["stopping gracefully", "error: stopped before it was finished"]);
    run.assert_stderr_has(&["no backup was made"]);
    assert!(!store.path().join("backups").exists());
}
