//! Whole runs of the real binary, as people and cron jobs see them.

use std::path::Path;

use dbhaul_tests::{Dbhaul, Fixture, Running, Server, wait_until};
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

    // A report that cannot be written names its place, and says that the work was done.
    let full = store_command(&["verify", "--target", &to, "--report", "/dev/full"], &store).run();
    full.assert_code(1).assert_stderr_has(&["cannot write to /dev/full", "No space left", "had ended"]);
    // A backup of a selection is told as such to whoever compares everything with it.
    let source = source.uri("shop");
    let some = store_command(&["dump", "--source", &source, "--schema", "shop"], &store);
    some.run().assert_code(0);
    let other = store_command(&["verify", "--target", &to], &store).run();
    other.assert_code(4).assert_says("was made with --schema=shop: give verify the same options");
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
        assert!(run.stdout.starts_with(if mode.contains(&"-q") { "" } else { "backup " }), "{run}");
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

/// A server with a table that somebody has locked, which holds a dump at a known place.
struct LockedTable {
    source: Server,
    locker: std::process::Child,
}

impl LockedTable {
    fn new() -> Self {
        let source = Server::start(16);
        source.create_db("shop");
        source.psql("shop", "CREATE TABLE t AS SELECT i FROM generate_series(1, 100000) i");
        let mut locker = source.client("psql");
        locker.args(["-Xq", "-d", &source.uri("shop"), "-c", "SET application_name = 'a nightly job'"]);
        locker.args(["-c", "BEGIN; LOCK TABLE t; SELECT pg_sleep(600)"]).stdout(std::process::Stdio::null());
        let locked = Self { locker: locker.spawn().unwrap(), source };
        wait_until("the table is locked", || locked.has_lock(true).then_some(()));
        locked
    }

    fn has_lock(&self, granted: bool) -> bool {
        let sql =
            format!("SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND granted = {granted}");
        self.source.psql("shop", &sql) != "0"
    }

    /// A dump that waits for the table.
    fn dump(&self, store: &Path) -> Running {
        let mut run = store_command(&["dump", "--source", &self.source.uri("shop")], store).spawn();
        wait_until("the dump waits for the table", || {
            (self.has_lock(false) || run.has_ended()).then_some(())
        });
        run
    }
}

impl Drop for LockedTable {
    fn drop(&mut self) {
        let _ = self.locker.kill();
        let _ = self.locker.wait();
    }
}

#[test]
fn whatever_stops_a_run_stops_it_gracefully() {
    let locked = LockedTable::new();
    for signal in ["INT", "TERM", "HUP"] {
        let store = TempDir::new().unwrap();
        let run = locked.dump(store.path());
        run.signal(signal);
        let run = run.wait();
        run.assert_code(130);
        run.assert_stderr_has(&["stopping gracefully", "error: stopped before it was finished"]);
        run.assert_stderr_has(&["no backup was made"]);
        assert!(!store.path().join("backups").exists(), "SIG{signal}");
    }
}

#[test]
fn whoever_has_the_lock_that_a_run_waits_for_is_named() {
    let locked = LockedTable::new();
    let store = TempDir::new().unwrap();
    let mut run = locked.dump(store.path());
    wait_until("it says for whom it waits", || {
        assert!(!run.has_ended(), "it did not wait\n{}", run.stderr_so_far());
        run.stderr_so_far().contains("waiting for").then_some(())
    });
    let holder =
        locked.source.psql("shop", "SELECT pid FROM pg_locks WHERE relation = 't'::regclass AND granted");
    let said = run.stderr_so_far();
    for text in ["the lock on public.t: process ", &holder, "(postgres, a nightly job, active)"] {
        assert!(said.contains(text), "no {text:?}\n{said}");
    }
    locked.source.terminate_backends("shop", "BEGIN; LOCK TABLE%");
    run.wait().assert_code(0);
}

#[test]
fn the_wait_for_locks_is_limited_on_request() {
    let locked = LockedTable::new();
    locked.source.create_db("copy");
    let (from, to) = (locked.source.uri("shop"), locked.source.uri("copy"));
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("store");
    let runs = [
        store_command(&["dump", "--source", &from], &store),
        Dbhaul::new(["dump", "--source", &from, "--format", "sql"]),
        Dbhaul::new(["migrate", "--source", &from, "--target", &to]),
        Dbhaul::new(["migrate", "--source", &from, "--target", &to, "--hold-snapshot"]),
    ];
    for run in runs {
        let run = run.args(["--lock-wait-timeout", "200"]).run();
        run.assert_code(1).assert_says("lock timeout").assert_says("run it again when");
        run.assert_says("others have locked public.t (process ");
    }
    locked.source.create_db("from");
    locked.source.psql("from", "CREATE TABLE t (a int)");
    let clean =
        ["migrate", "--source", &locked.source.uri("from"), "--target", &from, "--clean", "--if-exists"];
    let run = Dbhaul::new(clean).args(["--lock-wait-timeout", "200"]).run();
    run.assert_code(1).assert_says("dropping TABLE public.t before the import").assert_says("lock timeout");
    run.assert_says("start over with --clean --if-exists when that is over");
}

#[test]
fn pg_dumps_letters_name_the_database() {
    let (source, target) = (shop(16), empty(17));
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("store");
    let port = |server: &Server| server.port().to_string();
    let at = |port: &str| ["-h", "127.0.0.1", "-p", port, "-U", "postgres"].map(str::to_owned);
    let (from, to) = (at(&port(&source)), at(&port(&target)));
    // Without any place for what is made there is no work done, and no success.
    Dbhaul::new(["dump", "-h", "127.0.0.1"]).run().assert_code(2).assert_stderr_has(&["missing --store"]);
    Dbhaul::new(["dump", "-h"]).run().assert_code(2);
    store_command(&["dump", "shop"], &store).args(&from).run().assert_code(0);
    store_command(&["restore", "-d", "shop"], &store).args(&to).run().assert_code(0);
    store_command(&["verify", "-d", "shop"], &store).args(&to).run().assert_code(0).assert_says("EQUAL");
    let script = Dbhaul::new(["dump", "-F", "p", "-d", "shop"]).args(&from).run();
    script.assert_code(0);
    assert!(script.stdout.contains("CREATE SCHEMA shop"), "{}", script.stderr);
    let socket = source.socket_dir().to_str().unwrap();
    let by_socket = ["dump", "-h", socket, "-p", &from[3], "-U", "postgres", "-w", "-d", "shop", "--dry-run"];
    store_command(&by_socket, &store).run().assert_code(0);
}

#[test]
fn quiet_success_is_silent() {
    let (source, target) = (shop(16), empty(16));
    let dir = TempDir::new().unwrap();
    let store = dir.path().join("store");
    let (from, to) = (source.uri("shop"), target.uri("shop"));
    let silent = |words: &[&str]| {
        let run = Dbhaul::new(words).arg("-q").run();
        run.assert_code(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "{run}");
    };
    let store = store.to_str().unwrap();
    silent(&["dump", "--source", &from, "--store", store]);
    silent(&["restore", "--target", &to, "--store", store]);
    silent(&["verify", "--target", &to, "--store", store]);
    silent(&["dump", "--source", &from, "--format", "sql", "--file", &format!("{store}/shop.sql")]);
    assert!(Dbhaul::new(["backup", "list", "--store", store, "-q"]).run().stdout.contains("shop"));
    target.psql(
        "shop",
        "UPDATE shop.country SET name = name || '!' WHERE code = (SELECT min(code) FROM shop.country)",
    );
    let different = Dbhaul::new(["verify", "--target", &to, "--store", store, "-q"]).run();
    different.assert_code(4).assert_says("DIFFERENT").assert_says("shop.country");
}

#[test]
fn a_log_says_when() {
    let source = shop(16);
    let dir = TempDir::new().unwrap();
    let run = store_command(&["dump", "--source", &source.uri("shop")], &dir.path().join("store")).run();
    run.assert_code(0);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines.len() > 4, "{run}");
    let mut ids = None;
    for line in lines {
        let (when, what) = line.split_once(' ').unwrap();
        let digits = when.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
        assert_eq!(String::from_utf8(digits.collect()).unwrap(), "0000-00-00T00:00:00Z", "{line}");
        let (run, what) = what.split_once(' ').unwrap();
        assert!(run.len() == 8 && run.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
        assert_eq!(*ids.get_or_insert(run), run, "all lines are of one run");
        assert!(!what.trim().is_empty(), "{line}");
    }
}

/// What `PGOPTIONS` sets is in force, and what every session of a run pins is not up to it.
#[test]
fn options_from_the_environment_are_honoured() {
    let source = shop(16);
    let dir = TempDir::new().unwrap();
    let run = store_command(&["dump", "--source", &source.uri("shop")], &dir.path().join("store"));
    let options = "-c log_min_duration_statement=0 -c DateStyle=German -c bytea_output=escape";
    run.env("PGOPTIONS", options).run().assert_code(0);
    assert!(source.log().contains("duration: "), "the option was not sent");
    let target = empty(16);
    let restored = store_command(&["restore", "--target", &target.uri("shop")], &dir.path().join("store"));
    restored.run().assert_code(0);
    assert_eq!(source.sql_digest("shop"), target.sql_digest("shop"));
}
