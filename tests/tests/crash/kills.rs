//! dbhaul itself is killed, as by `kill -9` or by Ctrl-C.

use dbhaul_tests::{Dbhaul, Fixture, Original};

use crate::scene::{Scene, line_count};

const SHOP: Fixture = Fixture::SampleShop { scale: 0.05 };

/// After this many kills a run is let go on to its end.
const KILLS: usize = 6;

/// Seeds of the points at which runs are killed; many more with `DBHAUL_LONG=1`.
fn seeds() -> std::ops::Range<u64> {
    if std::env::var_os("DBHAUL_LONG").is_some() { 0..60 } else { 0..4 }
}

#[test]
fn killed_restores_are_resumed_without_loss_or_duplicates() {
    let scene = Scene::with_backup(SHOP, 16, 18);
    let original = scene.original();
    scene.target.create_db("undisturbed");
    let lines = line_count(scene.restore("undisturbed").run().assert_code(0));
    assert!(lines > 100, "progress is too coarse to kill by: {lines} lines");
    for seed in seeds() {
        let db = format!("seed_{seed}");
        scene.target.create_db(&db);
        restore_under_kills(&scene, &original, &db, seed, lines);
        scene.target.drop_db(&db);
    }
}

/// Restores, killed at random points and resumed, until a run reaches its end.
fn restore_under_kills(scene: &Scene, original: &Original<'_>, db: &str, seed: u64, lines: usize) {
    let mut dice = fastrand::Rng::with_seed(seed);
    for kill in 0..=KILLS {
        let restore = scene.restore(db);
        let mut run = if kill == 0 { restore.spawn() } else { restore.arg("--resume").spawn() };
        let point = dice.usize(1..=lines);
        if kill == KILLS || !run.reaches_lines(point) {
            run.wait().assert_code(0);
            break;
        }
        let killed = run.kill();
        eprintln!("seed {seed}: killed after {} of {lines} lines", line_count(&killed));
        if killed.code.is_some() {
            killed.assert_code(0);
            break;
        }
        scene.wait_for_silence(db);
        if scene.has_ledger(db) {
            scene.restore(db).run().assert_refused();
        } else if !scene.is_empty(db) {
            // The ledger goes with the last commit: all was done, and the run was killed before it said so.
            break;
        }
    }
    assert!(!scene.has_ledger(db), "seed {seed}: the ledger was left behind");
    original.assert_equals(db);
    scene.verify_backup(db).run().assert_code(0);
}

trait Refused {
    fn assert_refused(&self);
}

impl Refused for dbhaul_tests::Finished {
    fn assert_refused(&self) {
        assert!(matches!(self.code, Some(1 | 5)), "a target that is not empty was not refused\n{self}");
        self.assert_stderr_has(&["--resume"]);
    }
}

#[test]
fn an_interrupted_restore_says_so_and_is_resumed() {
    let scene = Scene::with_backup(Fixture::TpcH { scale: 0.05 }, 17, 17);
    let original = scene.original();
    scene.target.create_db("undisturbed");
    let lines = line_count(scene.restore("undisturbed").run().assert_code(0));
    for (db, part) in [("early", 4), ("halfway", 2)] {
        scene.target.create_db(db);
        let mut run = scene.restore(db).spawn();
        assert!(run.reaches_lines(lines / part), "it ended before it was interrupted");
        run.interrupt();
        run.wait().assert_code(130).assert_stderr_has(&["--resume"]);
        assert!(scene.has_ledger(db));
        scene.restore(db).run().assert_refused();
        scene.restore(db).arg("--resume").run().assert_code(0);
        original.assert_equals(db);
    }
}

#[test]
fn a_restore_into_a_database_in_use_is_refused_and_changes_nothing() {
    let scene = Scene::with_backup(Fixture::Music, 18, 18);
    scene.target.create_db("used");
    scene.target.psql("used", "CREATE TABLE precious AS SELECT 1 AS i");
    let before = scene.target.pg_dump_schema("used");
    for arguments in [&[] as &[&str], &["--resume"]] {
        let refused = scene.restore("used").args(arguments).run();
        assert!(matches!(refused.code, Some(1 | 5)), "{refused}");
        refused.assert_stderr_has(&["precious"]);
        assert_eq!(scene.target.pg_dump_schema("used"), before);
        assert!(!scene.has_ledger("used"));
    }
}

#[test]
fn a_killed_dump_leaves_no_backup_and_the_next_one_works() {
    let scene = Scene::new(SHOP, 15, 15);
    let original = scene.original();
    let undisturbed = tempfile::TempDir::new().unwrap();
    let uri = scene.source.uri("shop");
    let whole = Dbhaul::new(["dump", "--progress", "json", "--jobs", "2", "--source", &uri, "--store"]);
    let lines = line_count(whole.arg(undisturbed.path()).run().assert_code(0));
    for seed in seeds() {
        let point = fastrand::Rng::with_seed(seed).usize(1..=lines);
        let mut run = scene.dump().spawn();
        let committed = scene.backups().len();
        if run.reaches_lines(point) {
            let killed = run.kill();
            eprintln!("seed {seed}: killed after {} of {lines} lines", line_count(&killed));
        }
        // Where the kill came too late there is one backup more, and it is whole.
        if scene.backups().len() == committed {
            assert_eq!(listed(&scene), committed);
            scene.dump().run().assert_code(0);
        }
        assert_eq!(listed(&scene), committed + 1);
        let db = format!("seed_{seed}");
        scene.target.create_db(&db);
        scene.restore(&db).run().assert_code(0);
        original.assert_equals(&db);
        scene.target.drop_db(&db);
    }
}

/// How many backups dbhaul sees in the store; none where not even the store's own file was written.
fn listed(scene: &Scene) -> usize {
    if !scene.store().join("repo.json").exists() {
        return 0;
    }
    let list = Dbhaul::new(["backup", "list", "--json", "--store"]).arg(scene.store()).run();
    let json = list.assert_code(0).json();
    let backups = json.get("backups").unwrap_or(&json);
    backups.as_array().unwrap_or_else(|| panic!("no list of backups\n{list}")).len()
}
