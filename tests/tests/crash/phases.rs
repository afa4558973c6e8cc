//! What goes wrong while a server is long at one thing, phase by phase.

use dbhaul_tests::{Dbhaul, Running, Server, wait_until};

use crate::scene::{Lurker, OnSight, SOURCE, Scene};

/// Every phase takes its time: a table, an index and a materialized view that a slow function fills, tables
/// large enough for foreign keys to be validated apart, and long enough to be seen on a machine that is busy, and digests that have something to do.
const SLOW: &str = "
    CREATE FUNCTION slowly(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN PERFORM pg_catalog.pg_sleep(0.03); RETURN i; END';
    CREATE TABLE few (i int CONSTRAINT is_slow CHECK (slowly(i) > 0));
    INSERT INTO few SELECT generate_series(1, 10);
    CREATE INDEX few_slowly ON few (slowly(i));
    CREATE TABLE many (i int PRIMARY KEY, filling text);
    INSERT INTO many SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, 100000) i;
    CREATE TABLE referring (i int REFERENCES many, filling text);
    INSERT INTO referring SELECT 1 + i % 100000, md5(i::text) FROM generate_series(1, 400000) i;
    CREATE MATERIALIZED VIEW seen AS SELECT slowly(i) AS i FROM few;
    ANALYZE";

fn scene() -> Scene {
    let source = Server::builder(16).config("autovacuum", "off").start();
    Scene::made_by(SLOW, source, Server::start(18))
}

/// Statements of the target, one for each phase that takes long.
const PHASES: [&str; 7] = [
    "%COPY public.many %FROM STDIN%",
    "%ADD CONSTRAINT is_slow %",
    "%CREATE INDEX few_slowly %",
    "%VALIDATE CONSTRAINT%",
    "%ANALYZE public.few%",
    "%REFRESH MATERIALIZED VIEW%",
    "%hashtextextended%",
];

#[test]
fn a_session_of_the_target_that_is_terminated_in_any_phase_is_made_up_for() {
    let scene = scene();
    let original = scene.original();
    for phase in PHASES {
        scene.target.create_db("copy");
        let lurker = Lurker::before(&scene.target, "copy", phase, OnSight::Terminate);
        let mut run = scene.migrate("copy").spawn();
        lurker.wait(&mut run);
        run.wait().assert_code(0).assert_stderr_has(&["trying again"]);
        assert!(!scene.has_ledger("copy"), "{phase}");
        original.assert_equals("copy");
        scene.wait_until_no_session_of_a_run_is_left();
        scene.target.drop_db("copy");
    }
}

#[test]
fn a_restore_that_is_killed_in_any_phase_goes_on() {
    let scene = scene();
    let original = scene.original();
    scene.dump().run().assert_code(0);
    for phase in PHASES.iter().filter(|phase| !phase.contains("hash")) {
        scene.target.create_db("copy");
        let lurker = Lurker::before(&scene.target, "copy", phase, OnSight::LeaveAlone);
        let mut run = scene.restore("copy").spawn();
        lurker.wait(&mut run);
        run.kill();
        scene.wait_for_silence("copy");
        assert!(scene.has_ledger("copy"), "{phase}");
        scene.restore("copy").arg("--resume").run().assert_code(0);
        original.assert_equals("copy");
        scene.target.drop_db("copy");
    }
}

/// Two segments, so that its rows are not loaded frozen, and a foreign key, so that it is vacuumed before its
/// statistics are gathered.
const LARGE: &str = "
    CREATE TABLE large (i int PRIMARY KEY, filling text) WITH (fillfactor = 10);
    CREATE TABLE linked (i int REFERENCES large);
    ALTER TABLE large ALTER filling SET STORAGE PLAIN;
    INSERT INTO large SELECT i, repeat('x', 4000) FROM generate_series(1, 9000) i;
    CREATE INDEX ON large (i);
    ANALYZE";

#[test]
fn a_vacuum_that_is_terminated_is_made_up_for() {
    if std::env::var_os("DBHAUL_LONG").is_some() {
        terminate_at(LARGE, "%VACUUM public.large%", &[]);
    } else {
        // ANALYZE goes the same way, and needs no table of 64 MiB
        terminate_at(
            "CREATE TABLE t AS SELECT i FROM generate_series(1, 50000) i",
            "%ANALYZE public.t%",
            &[],
        );
    }
}

/// So many columns that their statistics take a moment to set.
const WIDE: &str = "
    DO $$ BEGIN
        EXECUTE 'CREATE TABLE wide AS SELECT '
            || (SELECT string_agg(format('i %% %s AS c%s', 100 + n, n), ', ') FROM generate_series(1, 300) n)
            || ' FROM generate_series(1, 2000) i';
    END $$;
    ANALYZE";

#[test]
fn a_session_that_is_terminated_while_it_sets_statistics_is_made_up_for() {
    terminate_at(WIDE, "%pg_restore_%_stats%", &["--statistics", "copy"]);
}

/// Migrates what some statements make, and terminates the session of the target that is at a statement.
fn terminate_at(sql: &str, pattern: &str, arguments: &[&str]) {
    let scene = Scene::made_by(sql, Server::start(18), Server::start(18));
    scene.target.create_db("copy");
    let lurker = Lurker::before(&scene.target, "copy", pattern, OnSight::Terminate);
    let mut run = scene.migrate("copy").args(arguments).spawn();
    lurker.wait(&mut run);
    run.wait().assert_code(0).assert_stderr_has(&["trying again"]);
    scene.original().assert_equals("copy");
}

/// A session that keeps the end of a run from dropping the ledger.
fn hold_back_the_end(scene: &Scene, run: &mut Running) -> std::process::Child {
    wait_until("the ledger is there", || {
        assert!(!run.has_ended(), "{}", run.stderr_so_far());
        scene.has_ledger("copy").then_some(())
    });
    let lock = "SET application_name = 'holds back'; BEGIN; LOCK TABLE dbhaul.run IN ACCESS SHARE MODE; \
                SELECT pg_sleep(600)";
    let mut psql = scene.target.client("psql");
    psql.args(["-Xq", "-d", "copy", "-c", lock]).stderr(std::process::Stdio::null());
    psql.spawn().unwrap()
}

fn let_it_end(scene: &Scene, mut psql: std::process::Child) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holds back'";
    scene.target.psql("postgres", sql);
    psql.wait().unwrap();
}

#[test]
fn the_last_step_is_done_once_whatever_happens_to_it() {
    const LAST_STEP: &str = "%DROP TABLE IF EXISTS%";
    let scene = scene();
    let original = scene.original();
    scene.dump().run().assert_code(0);
    for on_sight in [OnSight::Terminate, OnSight::LeaveAlone] {
        scene.target.create_db("copy");
        let lurker = Lurker::before(&scene.target, "copy", LAST_STEP, on_sight);
        let mut run = scene.restore("copy").spawn();
        let psql = hold_back_the_end(&scene, &mut run);
        lurker.wait(&mut run);
        if on_sight == OnSight::Terminate {
            let_it_end(&scene, psql);
            run.wait().assert_code(0);
        } else {
            run.kill();
            let_it_end(&scene, psql);
            scene.wait_for_silence("copy");
            if scene.has_ledger("copy") {
                scene.restore("copy").arg("--resume").run().assert_code(0);
            }
        }
        assert!(!scene.has_ledger("copy"));
        original.assert_equals("copy");
        scene.target.drop_db("copy");
    }
}

/// What a person sees: lines of progress, and the error at their end.
fn migrate_plainly(scene: &Scene) -> Dbhaul {
    let (from, to) = (scene.source.uri(SOURCE), scene.target.uri("copy"));
    Dbhaul::new(["migrate", "--jobs", "1", "--source", &from, "--target", &to])
}

#[test]
fn a_snapshot_that_is_gone_ends_a_migration_with_one_error() {
    let mut scene = scene();
    scene.target.create_db("copy");
    let lurker = Lurker::before(&scene.target, "copy", "%COPY public.many %", OnSight::LeaveAlone);
    let mut run = migrate_plainly(&scene).spawn();
    lurker.wait(&mut run);
    scene.source.restart();
    let ended = run.wait();
    ended.assert_code(1).assert_stderr_has(&["snapshot", "is gone", "--resume", "--clean --if-exists"]);
    assert_eq!(ended.stdout, "", "there is nothing to report\n{ended}");
    let (_, error) = ended.stderr.rsplit_once("error: ").unwrap();
    assert_eq!(error.matches("segment").count(), 1, "{error}");
    assert_eq!(error.matches("public.").count(), 1, "{error}");
    scene.wait_until_no_session_of_a_run_is_left();
    let refused = migrate_plainly(&scene).arg("--resume").run();
    refused.assert_code(1).assert_stderr_has(&["it was started again since", "--clean --if-exists"]);
    migrate_plainly(&scene).args(["--clean", "--if-exists"]).run().assert_code(0);
    scene.original().assert_equals("copy");
}

#[test]
fn a_comparison_that_loses_a_side_is_no_difference() {
    let scene = scene();
    scene.target.create_db("copy");
    scene.migrate("copy").run().assert_code(0);
    let (from, to) = (scene.source.uri(SOURCE), scene.target.uri("copy"));
    let verify = || Dbhaul::new(["verify", "--jobs", "2", "--source", &from, "--target", &to]);
    // one session, and another reads its table
    let lurker = Lurker::before(&scene.source, SOURCE, "%hashtextextended%", OnSight::Terminate);
    let mut run = verify().spawn();
    lurker.wait(&mut run);
    run.wait().assert_code(0).assert_stderr_has(&["trying again"]);
    // all of them, and the snapshot with them
    let end_all = || {
        let lurker = Lurker::before(&scene.source, SOURCE, "%hashtextextended%", OnSight::LeaveAlone);
        let mut run = verify().spawn();
        lurker.wait(&mut run);
        let ended_count = scene.source.terminate_backends(SOURCE, "%");
        let ended = run.wait();
        // the readers may be done by the time that somebody comes to end them
        (ended_count > 1).then_some(ended)
    };
    let ended = (0..20).find_map(|_| end_all()).expect("a verification is caught while it reads");
    ended.assert_code(1).assert_stderr_has(&["cannot go on reading", "snapshot", "compare them again"]);
    assert_eq!(ended.stdout, "", "{ended}");
    scene.wait_until_no_session_of_a_run_is_left();
}

/// Runs that fail for reasons of their own, with other sessions at work.
#[test]
fn no_session_outlives_a_run_that_fails() {
    let scene = scene();
    scene.target.create_db("copy");
    // the store is full
    scene.dump().file_limit_kib(600).run().assert_code(1);
    scene.wait_until_no_session_of_a_run_is_left();
    assert!(scene.backups().is_empty());
    // the target is not empty
    scene.target.psql("copy", "CREATE TABLE mine (i int)");
    let refused = scene.migrate("copy").run();
    assert!(matches!(refused.code, Some(1 | 5)), "{refused}");
    scene.wait_until_no_session_of_a_run_is_left();
    // the target is not there
    let verify = ["verify", "--source", &scene.source.uri(SOURCE), "--target", &scene.target.uri("none")];
    Dbhaul::new(verify).run().assert_code(1).assert_stderr_has(&["none"]);
    scene.wait_until_no_session_of_a_run_is_left();
}

/// Who holds the snapshot for later, for a run or for none.
fn terminate_holders(scene: &Scene) {
    let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE application_name LIKE 'dbhaul hold %'";
    assert_eq!(scene.source.psql("postgres", sql), "1");
    scene.wait_until_let_go();
}

/// Kills a migration at a statement of the target.
fn kill_at(scene: &Scene, migrate: Dbhaul, pattern: &str) {
    let lurker = Lurker::before(&scene.target, "copy", pattern, OnSight::LeaveAlone);
    let mut run = migrate.spawn();
    lurker.wait(&mut run);
    run.kill();
    scene.wait_for_silence("copy");
    assert!(scene.has_ledger("copy"), "{pattern}");
}

#[test]
fn a_run_that_is_resumed_under_a_held_snapshot_and_killed_again_is_resumed_again() {
    let scene = scene();
    let original = scene.original();
    scene.target.create_db("copy");
    let hold = || scene.migrate("copy").arg("--hold-snapshot");
    kill_at(&scene, hold(), "%COPY public.many %");
    scene.source.psql(SOURCE, "DELETE FROM few; UPDATE many SET filling = '' WHERE i < 50");
    kill_at(&scene, hold().arg("--resume"), "%CREATE INDEX few_slowly %");
    assert_eq!(scene.holding_session_count(), 1);
    hold().arg("--resume").run().assert_code(0).assert_says("its snapshot is still held");
    original.assert_equals("copy");
    scene.wait_until_let_go();
}

#[test]
fn who_holds_the_snapshot_for_later_is_needed_later_only() {
    let scene = scene();
    let original = scene.original();
    scene.target.create_db("copy");
    let hold = || scene.migrate("copy").arg("--hold-snapshot");
    let lurker = Lurker::before(&scene.target, "copy", "%COPY public.many %", OnSight::LeaveAlone);
    let mut run = hold().spawn();
    lurker.wait(&mut run);
    terminate_holders(&scene);
    run.wait().assert_code(0);
    original.assert_equals("copy");
    scene.target.drop_db("copy");
    scene.target.create_db("copy");
    kill_at(&scene, hold(), "%COPY public.many %");
    terminate_holders(&scene);
    scene.source.psql(SOURCE, "CREATE TABLE later (i int); DROP TABLE later");
    let refused = scene.migrate("copy").arg("--resume").run();
    refused.assert_code(1).assert_stderr_has(&[
        "written to its cluster since",
        "that held its snapshot",
        "--clean",
    ]);
}
