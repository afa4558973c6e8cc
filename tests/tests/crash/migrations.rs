//! Migrations that are stopped and go on: only ever from the state of the source that they began with.

use std::process::Command;

use dbhaul_tests::{Dbhaul, Finished, Fixture, Proxy, Running, Server, wait_until};

use crate::scene::{SOURCE, Scene, line_count};

const SHOP: Fixture = Fixture::SampleShop { scale: 0.05 };

/// How often a migration is begun to be killed while it is at work on its target. A small database arrives in
/// less than a second, and a busy machine may look away for as long.
const TRIES: usize = 6;

/// Begins a migration and kills it when this part of its lines is printed. One that had ended by then, or had
/// not begun to write, is taken back and begun again.
fn kill_halfway(scene: &Scene, db: &str, hold: bool, part: f64) -> Finished {
    scene.target.create_db("measured");
    let lines = line_count(scene.migrate("measured").run().assert_code(0));
    scene.target.drop_db("measured");
    let point = (lines as f64 * part) as usize;
    let mut missed = Vec::new();
    while missed.len() < TRIES {
        scene.target.create_db(db);
        let migrate = scene.migrate(db);
        let mut run = if hold { migrate.arg("--hold-snapshot").spawn() } else { migrate.spawn() };
        run.reaches_lines(point);
        let killed = run.kill();
        scene.wait_for_silence(db);
        if killed.code.is_none() && scene.has_ledger(db) {
            return killed;
        }
        assert!(matches!(killed.code, None | Some(0)), "it failed by itself\n{killed}");
        scene.target.drop_db(db);
        scene.let_go();
        missed.push(killed.to_string());
    }
    panic!("it was killed too early or too late, {TRIES} times:\n{}", missed.join("\n"));
}

/// Changes rows, a sequence and what is in the statistics of the source.
const WRITES: &str = "CREATE TABLE after_the_snapshot (i int);
    INSERT INTO after_the_snapshot VALUES (1);
    DELETE FROM after_the_snapshot;
    CREATE SEQUENCE later; SELECT nextval('later')";

#[test]
fn under_a_snapshot_that_was_held_they_go_on_whatever_was_written() {
    let scene = Scene::new(Fixture::TpcH { scale: 0.05 }, 16, 17);
    scene.source.psql(SOURCE, "CREATE SEQUENCE counter; SELECT setval('counter', 41)");
    let original = scene.original();
    kill_halfway(&scene, "copy", true, 0.5);
    assert_eq!(scene.holding_session_count(), 1);
    scene.source.psql(SOURCE, "DELETE FROM lineitem; UPDATE orders SET o_comment = 'gone'");
    scene.source.psql(SOURCE, "SELECT nextval('counter')");
    scene.source.psql(SOURCE, WRITES);
    scene.migrate("copy").run().assert_code(1).assert_says("--resume");
    // A refusal leaves everything as it was, the snapshot too.
    let refused = scene.migrate("copy").args(["--resume", "-T", "lineitem"]).run();
    refused.assert_code(1).assert_stderr_has(&["another selection or other options"]);
    assert_eq!(scene.holding_session_count(), 1);
    let resumed = scene.migrate("copy").arg("--resume").run();
    resumed.assert_code(0).assert_says("found done: ");
    assert!(!scene.has_ledger("copy"));
    original.assert_equals("copy");
    scene.wait_until_let_go();
}

#[test]
fn a_table_cannot_be_truncated_while_its_snapshot_is_held() {
    let scene = Scene::new(SHOP, 17, 17);
    let original = scene.original();
    kill_halfway(&scene, "copy", true, 0.3);
    let table = scene.source.psql(
        SOURCE,
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema') LIMIT 1",
    );
    let refused =
        scene.source.try_psql(SOURCE, &format!("SET lock_timeout = '10ms'; TRUNCATE {table} CASCADE"));
    assert!(refused.unwrap_err().contains("lock timeout"));
    scene.migrate("copy").arg("--resume").run().assert_code(0);
    original.assert_equals("copy");
}

#[test]
fn without_one_they_go_on_only_if_nothing_was_written() {
    let scene = Scene::still(SHOP, 15, 18);
    // Of an unlogged table nothing proves that a crash has not emptied it.
    scene.source.psql(SOURCE, "ALTER TABLE shop.session_cache SET LOGGED");
    let original = scene.original();
    kill_halfway(&scene, "still", false, 0.5);
    let resumed = scene.migrate("still").args(["--resume", "--hold-snapshot"]).run();
    resumed.assert_code(0).assert_says("--hold-snapshot is ignored: the run was begun without it");
    original.assert_equals("still");

    kill_halfway(&scene, "written", false, 0.5);
    scene.source.psql("postgres", "CREATE TABLE elsewhere (i int); DROP TABLE elsewhere");
    let schema = scene.target.pg_dump_schema("written");
    let refused = scene.migrate("written").arg("--resume").run();
    refused.assert_code(1).assert_stderr_has(&["written to its cluster since", "--hold-snapshot", "--clean"]);
    assert_eq!(scene.target.pg_dump_schema("written"), schema, "a refusal changes nothing");
    scene.migrate("written").args(["--clean", "--if-exists"]).run().assert_code(0);
    original.assert_equals("written");
}

#[test]
fn cleanup_lists_first_and_removes_what_was_left() {
    let scene = Scene::new(SHOP, 14, 16);
    kill_halfway(&scene, "copy", true, 0.4);
    let source = scene.source.uri(SOURCE);
    let listed = scene.cleanup("copy").args(["--source", &source]).run();
    listed.assert_code(0).assert_says("would be removed");
    listed.assert_says("1 session holding its snapshot");
    assert!(scene.has_ledger("copy"));
    assert_eq!(scene.holding_session_count(), 1);
    // Without the source its snapshot would be held on, and nothing would tell of it.
    let blind = scene.cleanup("copy").arg("--yes").run();
    blind.assert_code(1).assert_stderr_has(&[
        "only the source can tell",
        "--source",
        "DROP SCHEMA dbhaul CASCADE",
    ]);
    // Nor with another database for it, or one of that name elsewhere.
    scene.target.create_db(SOURCE);
    for (wrong, why) in [
        (scene.source.uri("postgres"), "it is database postgres, not shop"),
        (scene.target.uri(SOURCE), "it is of cluster"),
    ] {
        let refused = scene.cleanup("copy").args(["--yes", "--source", &wrong]).run();
        let right = format!("127.0.0.1:{}/shop", scene.source.port());
        refused.assert_code(1).assert_stderr_has(&["nothing was removed", why, &right]);
    }
    assert!(scene.has_ledger("copy"));
    assert_eq!(scene.holding_session_count(), 1);
    scene.target.create_db("elsewhere");
    let elsewhere = scene.cleanup("elsewhere").args(["--yes", "--source", &source]).run();
    elsewhere.assert_code(0).assert_says("the source holds a snapshot for run");
    assert_eq!(scene.holding_session_count(), 1);
    // What a run keeps for itself is no difference of the copy; what only looks like it is one.
    let verify = ["verify", "--source", &source, "--target", &scene.target.uri("copy")];
    let compared = Dbhaul::new(verify).run();
    compared.assert_code(4).assert_says("for information: schema dbhaul on the right is the ledger of run");
    assert!(!compared.stdout.contains("TABLE dbhaul.") && !compared.stdout.contains("EXTRA         dbhaul."));
    scene.target.psql("copy", "CREATE TABLE dbhaul.mine (i int)");
    Dbhaul::new(verify).run().assert_code(4).assert_says("TABLE dbhaul.mine: extra");
    scene.target.psql("copy", "DROP TABLE dbhaul.mine");
    scene.cleanup("copy").args(["--yes", "--source", &source]).run().assert_code(0).assert_says("removed");
    assert!(!scene.has_ledger("copy"));
    scene.wait_until_let_go();
    scene.cleanup("copy").run().assert_code(0).assert_says("nothing to remove");
}

#[test]
fn the_process_that_holds_a_snapshot_shows_no_password_and_ends_with_its_run() {
    let scene = Scene::new(Fixture::Music, 18, 18);
    scene.target.create_db("copy");
    let source = scene.source.uri_as("postgres:TELLTALE", SOURCE);
    let migrate = ["migrate", "--progress", "json", "--hold-snapshot", "--target", &scene.target.uri("copy")];
    let mut run = Dbhaul::new(migrate).env("DBHAUL_SOURCE", source).spawn();
    let (_, command_line) = wait_until("the snapshot is held", || {
        assert!(!run.has_ended(), "{}", run.stderr_so_far());
        holder(&run)
    });
    assert!(!command_line.contains("TELLTALE"), "{command_line}");
    run.wait().assert_code(0);
    scene.wait_until_let_go();
    scene.original().assert_equals("copy");
}

/// The process that holds the snapshot must not wait behind somebody who waits for the run.
#[test]
fn whoever_queues_for_a_table_does_not_hang_a_run_that_holds_its_snapshot() {
    let scene = Scene::between(Fixture::Music, Server::start(16), Server::start(17));
    scene.source.psql(SOURCE, "CREATE TABLE public.contended (i int)");
    scene.target.create_db("copy");
    let mut run = scene.migrate("copy").arg("--hold-snapshot").spawn();
    let since_it_is_shared = || {
        let log = scene.source.log();
        log.split_once("SET TRANSACTION SNAPSHOT").map(|(_, since)| since.to_owned())
    };
    wait_until("the run shares the snapshot", || {
        assert!(!run.has_ended(), "{}", run.stderr_so_far());
        since_it_is_shared()
    });
    // Nothing is asked of the process until it goes on: who locks before it does is seen now.
    let (process_id, _) = holder(&run).expect("it holds the snapshot");
    signal(&process_id, "STOP");
    wait_until("the catalogs are read", || {
        since_it_is_shared().filter(|log| log.contains("SELECT pg_catalog.version()"))
    });
    let mut alter = scene.source.client("psql");
    alter.args(["-Xq", "-d", SOURCE, "-c", "ALTER TABLE public.contended ADD COLUMN j int"]);
    let mut alter = alter.spawn().unwrap();
    wait_until("the table is altered, or somebody waits to", || {
        let log = scene.source.log();
        log.contains("ALTER TABLE public.contended").then_some(())
    });
    signal(&process_id, "CONT");
    run.wait().assert_code(0);
    assert!(alter.wait().unwrap().success());
    scene.wait_until_let_go();
}

fn signal(process_id: &str, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), process_id]).status();
    assert!(status.is_ok_and(|status| status.success()), "no process {process_id} to send {name}");
}

/// The process that a run has started, if it has: its id and its command line.
fn holder(run: &Running) -> Option<(String, String)> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut children = processes.filter_map(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).ok()?;
        let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.to_owned();
        (parent == run.pid().to_string()).then_some(())?;
        let command_line = std::fs::read_to_string(process.path().join("cmdline")).ok()?;
        Some((process.file_name().into_string().ok()?, command_line))
    });
    children.find(|(_, command_line)| command_line.contains("hold-snapshot"))
}

/// Waits until a run reads rows of the source.
fn wait_for_copying(scene: &Scene, run: &mut Running) {
    wait_until("rows are copied", || {
        assert!(!run.has_ended(), "{}", run.stderr_so_far());
        let copying = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'";
        (scene.source.psql("postgres", copying) != "0").then_some(())
    });
}

#[test]
fn ctrl_c_ends_all_sessions_and_leaves_what_can_be_resumed() {
    let scene = Scene::new(Fixture::TpcH { scale: 0.05 }, 17, 18);
    let original = scene.original();
    scene.target.create_db("copy");
    let mut run = scene.migrate("copy").arg("--hold-snapshot").spawn();
    wait_for_copying(&scene, &mut run);
    run.interrupt();
    run.wait().assert_code(130).assert_stderr_has(&["--resume", "stays held by process", "for 24 hours"]);
    scene.wait_for_silence("copy");
    let preflight = Dbhaul::new(["preflight", "--source", &scene.source.uri(SOURCE)]).run();
    preflight.assert_code(0).assert_says("a snapshot is held for run");
    let others = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'dbhaul%' \
                  AND application_name NOT LIKE 'dbhaul hold %'";
    wait_until("no session is left", || (scene.source.psql("postgres", others) == "0").then_some(()));
    let resumed = scene.migrate("copy").arg("--resume").run();
    resumed.assert_code(0).assert_says("its snapshot is still held, for 24 hours after");
    resumed.assert_says(", at least until 2").assert_says("--resume does not make that longer");
    original.assert_equals("copy");
    scene.wait_until_let_go();
    let preflight = Dbhaul::new(["preflight", "--source", &scene.source.uri(SOURCE)]).run();
    assert!(!preflight.stdout.contains("a snapshot is held"), "{preflight}");
}

#[test]
fn a_snapshot_that_nobody_holds_any_more_is_not_said_to_be_held() {
    let scene = Scene::new(Fixture::TpcH { scale: 0.05 }, 18, 18);
    scene.target.create_db("copy");
    let mut run = scene.migrate("copy").arg("--hold-snapshot").spawn();
    wait_for_copying(&scene, &mut run);
    let (process_id, _) = holder(&run).expect("it holds the snapshot");
    signal(&process_id, "KILL");
    run.interrupt();
    let stopped = run.wait();
    stopped.assert_code(130).assert_stderr_has(&["is not held any more"]);
    assert!(!stopped.stderr.contains("stays held"), "{stopped}");
}

/// The ledger is in the database that was created, and a second `--create` is refused.
#[test]
fn a_run_that_has_created_its_database_says_how_to_give_it_up() {
    let scene = Scene::new(Fixture::TpcH { scale: 0.05 }, 16, 18);
    let (source, copy) = (scene.source.uri(SOURCE), scene.target.uri(SOURCE));
    let create = ["--create", "--hold-snapshot"];
    let mut run = scene.migrate("postgres").args(create).spawn();
    wait_for_copying(&scene, &mut run);
    run.interrupt();
    let place = format!("with --target at 127.0.0.1:{}/shop", scene.target.port());
    let stopped = run.wait();
    stopped.assert_code(130);
    stopped.assert_stderr_has(&[
        "stays held by process",
        &place,
        "that was created, shop:",
        "in place of --create",
    ]);
    scene.wait_for_silence(SOURCE);

    let elsewhere = scene.cleanup("postgres").args(["--yes", "--source", &source]).run();
    elsewhere.assert_code(0).assert_says("the database that it created");
    assert_eq!(scene.holding_session_count(), 1);
    // Of the snapshot of a run that began nothing there is nothing to say.
    let again = scene.migrate("postgres").args(create).run();
    again.assert_code(1).assert_stderr_has(&["exists already"]);
    assert!(!again.stderr.contains("stays held"), "{again}");
    wait_until("it is let go", || (scene.holding_session_count() == 1).then_some(()));

    Dbhaul::new(["cleanup", "--yes", "--source", &source, "--target", &copy]).run().assert_code(0);
    scene.wait_until_let_go();
    scene.migrate(SOURCE).args(["--clean", "--if-exists"]).run().assert_code(0);
    scene.original().assert_equals(SOURCE);
}

/// Where nobody knows any more which databases were written, the source alone tells what it holds.
#[test]
fn the_source_alone_is_cleaned_up() {
    let scene = Scene::new(Fixture::Cinema, 16, 17);
    let source = scene.source.uri(SOURCE);
    let cleanup = |words: &[&str]| Dbhaul::new(["cleanup", "--source", &source]).args(words).run();
    cleanup(&["--yes"]).assert_code(0).assert_says("no snapshot is held, nothing to remove");
    kill_halfway(&scene, "copy", true, 0.4);
    scene.wait_until_no_session_of_a_run_is_left();
    let listed = cleanup(&[]);
    listed.assert_code(0).assert_says("held on").assert_says("nothing was removed: --yes");
    assert_eq!(listed.stdout.matches("the snapshot of run").count(), 1, "{listed}");
    assert_eq!(scene.holding_session_count(), 1);

    // What a run is at work on is not taken from it.
    let mut at_work = scene.source.client("psql");
    at_work.env("PGAPPNAME", "dbhaul").args(["-Xq", "-d", SOURCE, "-c", "SELECT pg_catalog.pg_sleep(600)"]);
    let mut at_work = at_work.stdout(std::process::Stdio::null()).spawn().unwrap();
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dbhaul'";
    wait_until("somebody is at work", || (scene.source.psql("postgres", sessions) == "1").then_some(()));
    cleanup(&["--yes"]).assert_code(1).assert_stderr_has(&["nothing was removed", "1 session of dbhaul is"]);
    assert_eq!(scene.holding_session_count(), 1);
    scene.source.terminate_backends(SOURCE, "SELECT pg_catalog.pg_sleep%");
    at_work.wait().unwrap();
    wait_until("nobody is at work", || (scene.source.psql("postgres", sessions) == "0").then_some(()));

    cleanup(&["--yes"]).assert_code(0).assert_says("let go on");
    scene.wait_until_let_go();
    assert!(scene.has_ledger("copy"), "the target was not named, and is left alone");
}

/// A server that does not answer keeps a run from stopping gracefully.
#[test]
fn a_second_ctrl_c_ends_a_run_at_once() {
    let scene = Scene::new(SHOP, 16, 16);
    scene.target.create_db("copy");
    let proxy = Proxy::before(scene.target.port());
    let migrate = ["migrate", "--progress", "json", "--source", &scene.source.uri(SOURCE), "--target"];
    let mut run = Dbhaul::new(migrate).arg(proxy.uri("copy")).spawn();
    wait_until("rows are written", || {
        assert!(!run.has_ended(), "{}", run.stderr_so_far());
        (proxy.passed_bytes() > 1_000_000).then_some(())
    });
    proxy.stall();
    run.interrupt();
    wait_until("it has heard", || run.stderr_so_far().contains("again to stop immediately").then_some(()));
    run.interrupt();
    let ended = run.wait();
    ended.assert_code(130);
    assert!(!ended.stderr.contains("stopped before it was finished"), "it stopped gracefully\n{ended}");
}
