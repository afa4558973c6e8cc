//! Connections are cut while rows flow through them.

use dbhaul_tests::{Finished, Fixture, Running, Server, wait_until};

use crate::scene::{SOURCE, Scene, cut_a_copy};

const TPCH: Fixture = Fixture::TpcH { scale: 0.1 };

/// Cuts a connection that carries the largest table, and another one if it can still be caught.
fn cut_twice(run: &mut Running, server: &Server, db: &str) {
    assert!(cut_a_copy(run, server, db, "lineitem"), "it ended before it was cut:\n{}", run.stderr_so_far());
    cut_a_copy(run, server, db, "orders");
}

/// A run that was cut ends well, or ends with 1 and says what cut it.
fn assert_honest(finished: &Finished) -> bool {
    assert!(matches!(finished.code, Some(0 | 1)), "{finished}");
    if finished.code == Some(1) {
        finished.assert_says("terminating connection");
    }
    finished.code == Some(0)
}

#[test]
fn of_the_source_in_a_dump() {
    let scene = Scene::new(TPCH, 15, 18);
    let mut run = scene.dump().spawn();
    cut_twice(&mut run, &scene.source, SOURCE);
    if !assert_honest(&run.wait()) {
        assert!(scene.backups().is_empty(), "a failed dump was committed");
        scene.dump().run().assert_code(0);
    }
    scene.target.create_db("copy");
    scene.restore("copy").run().assert_code(0);
    scene.original().assert_equals("copy");
}

#[test]
fn of_the_snapshots_holder_in_a_dump() {
    let scene = Scene::new(TPCH, 18, 18);
    let mut run = scene.dump().spawn();
    wait_until("a table is copied", || {
        let copying = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'";
        let is_copying = scene.source.psql(SOURCE, copying) != "0";
        assert!(is_copying || !run.has_ended(), "{}", run.stderr_so_far());
        is_copying.then_some(())
    });
    // Everyone, the session that holds the snapshot among them: what is read next has no common past.
    assert!(scene.source.terminate_backends(SOURCE, "%") > 1);
    run.wait().assert_code(1).assert_stderr_has(&["snapshot"]);
    assert!(scene.backups().is_empty(), "a dump without its snapshot was committed");
}

#[test]
fn of_the_target_in_a_restore() {
    let scene = Scene::with_backup(TPCH, 17, 18);
    scene.target.create_db("copy");
    let mut run = scene.restore("copy").spawn();
    cut_twice(&mut run, &scene.target, "copy");
    if !assert_honest(&run.wait()) {
        scene.restore("copy").arg("--resume").run().assert_code(0);
    }
    scene.original().assert_equals("copy");
}

#[test]
fn of_either_side_in_a_migration() {
    let scene = Scene::new(TPCH, 13, 16);
    for (db, on_source) in [("cut_at_the_source", true), ("cut_at_the_target", false)] {
        scene.target.create_db(db);
        let (server, cut_db) = if on_source { (&scene.source, SOURCE) } else { (&scene.target, db) };
        let mut run = scene.migrate(db).spawn();
        cut_twice(&mut run, server, cut_db);
        if !assert_honest(&run.wait()) {
            scene.migrate(db).args(["--clean", "--if-exists"]).run().assert_code(0);
        }
        scene.original().assert_equals(db);
    }
}
