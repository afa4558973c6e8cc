//! A server falls over while it is written to.

use dbhaul_tests::{Fixture, wait_until};

use crate::scene::{SOURCE, Scene, line_count};

/// How many steps of a run the ledger has as done.
const STEPS_DONE: &str = "SELECT count(*) FROM dbhaul.step";

/// Kills the target's processes when a restore is at some part of its way, and brings the server back.
fn restore_across(upset: fn(&mut dbhaul_tests::Server)) {
    let mut scene = Scene::with_backup(Fixture::SampleShop { scale: 0.05 }, 14, 17);
    scene.target.create_db("undisturbed");
    let lines = line_count(scene.restore("undisturbed").run().assert_code(0));
    for (db, part) in [("early", 6), ("halfway", 2)] {
        scene.target.create_db(db);
        let mut run = scene.restore(db).spawn();
        assert!(run.reaches_lines(lines / part), "it ended before the server did");
        upset(&mut scene.target);
        let finished = run.wait();
        assert!(matches!(finished.code, Some(0 | 1)), "{finished}");
        if finished.code == Some(1) {
            finished.assert_says("--resume");
            scene.restore(db).arg("--resume").run().assert_code(0);
        }
        scene.original().assert_equals(db);
        scene.verify_backup(db).run().assert_code(0);
    }
}

#[test]
fn crash_of_the_target_in_a_restore() {
    restore_across(dbhaul_tests::Server::crash);
}

#[test]
fn restart_of_the_target_in_a_restore() {
    restore_across(dbhaul_tests::Server::restart);
}

#[test]
fn target_that_stays_away_ends_the_restore_and_resume_goes_on() {
    let mut scene = Scene::with_backup(Fixture::SampleShop { scale: 0.05 }, 18, 18);
    scene.target.create_db("copy");
    let mut run = scene.restore("copy").spawn();
    assert!(run.reaches_lines(60), "it ended before the server did");
    scene.target.stop();
    let ended = run.wait();
    ended.assert_code(1).assert_says("--resume");
    assert!(!ended.stderr.contains("interrupted"), "nobody has interrupted it\n{ended}");
    scene.target.launch();
    scene.restore("copy").arg("--resume").run().assert_code(0);
    scene.original().assert_equals("copy");
}

/// Loading commits do not wait for the disk, so a crash takes the last of them back. A run that went on would
/// make triggers of a table whose rows are gone, and they would fire when the rows are loaded again.
#[test]
fn nothing_more_is_written_to_a_target_that_crashed() {
    let mut scene = Scene::with_backup(Fixture::SampleShop { scale: 0.05 }, 15, 17);
    scene.target.create_db("copy");
    let mut run = scene.restore("copy").spawn();
    assert!(run.reaches_lines(60), "it ended before the server did");
    run.signal("STOP");
    assert!(scene.has_ledger("copy"), "the restore was too quick to be caught");
    scene.target.crash();
    let left = scene.target.psql("copy", STEPS_DONE);
    run.signal("CONT");
    run.wait().assert_code(1).assert_says("crashed and was started again").assert_says("--resume");
    assert_eq!(scene.target.psql("copy", STEPS_DONE), left);
    scene.restore("copy").arg("--resume").run().assert_code(0);
    scene.original().assert_equals("copy");
    scene.verify_backup("copy").run().assert_code(0);
}

/// A crash empties unlogged tables and sequences, and nothing else tells of it: that their rows had
/// been committed stays written in tables that are logged.
#[test]
fn unlogged_tables_that_a_crash_emptied_are_filled_again() {
    let mut scene = Scene::new(Fixture::TpcH { scale: 0.05 }, 16, 18);
    // The largest, so that it is loaded first and much is still to be done.
    scene.source.psql(
        SOURCE,
        "CREATE UNLOGGED TABLE cache AS
             SELECT i, repeat(md5(i::text), 5) AS v FROM generate_series(1, 300000) i;
         CREATE UNLOGGED SEQUENCE counter;
         SELECT setval('counter', 4711)",
    );
    scene.dump().run().assert_code(0);
    scene.target.create_db("copy");
    let run = scene.restore("copy").spawn();
    wait_until("the unlogged table has rows", || {
        scene
            .target
            .try_psql("copy", "SELECT 'yes' FROM cache LIMIT 1")
            .is_ok_and(|row| row == "yes")
            .then_some(())
    });
    run.signal("STOP");
    assert!(scene.has_ledger("copy"), "the restore was too quick to be caught");
    scene.target.crash();
    run.kill();
    assert_eq!(scene.target.psql("copy", "SELECT count(*) FROM cache"), "0");
    scene.restore("copy").arg("--resume").run().assert_code(0);
    scene.original().assert_equals("copy");
    scene.verify_backup("copy").run().assert_code(0);
}
