//! Everything that can go wrong, at random points of a dump, a restore and a migration. Afterwards the copy
//! is equal, or the run says why it is not; and a run that says it is done has made an equal copy.
//!
//! A restore that has begun can always go on: it needs the backup and the ledger, and nothing else. A
//! migration can unless its snapshot is gone and the source is not proven to be what it was.

use std::collections::BTreeMap;

use dbhaul_tests::Fixture;

use crate::scene::{SOURCE, Scene};
use crate::upsets::{Network, Upset, Upsetting};

const SHOP: Fixture = Fixture::SampleShop { scale: 0.05 };

/// Points for each command; many more with `DBHAUL_LONG=1`.
fn seeds() -> std::ops::Range<u64> {
    if std::env::var_os("DBHAUL_LONG").is_some() { 0..50 } else { 0..3 }
}

/// How the runs of a test ended; printed at its end, however that comes.
struct Tally {
    command: &'static str,
    reached: usize,
    ends: BTreeMap<String, usize>,
}

impl Tally {
    fn of(command: &'static str) -> Self {
        Tally { command, reached: 0, ends: BTreeMap::new() }
    }

    fn count(&mut self, upsetting: &Upsetting, end: impl Into<String>) {
        self.reached += usize::from(upsetting.is_reached);
        *self.ends.entry(end.into()).or_default() += 1;
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let all: usize = self.ends.values().sum();
        eprintln!("{}: {all} points, {} reached before the run ended", self.command, self.reached);
        for (end, count) in &self.ends {
            eprintln!("  {count:>3} {end}");
        }
    }
}

/// Goes on with an import until it is done; returns how, and whether that took to start over.
fn bring_to_an_end(
    network: &Network,
    first: &Upsetting,
    command: impl Fn() -> dbhaul_tests::Dbhaul,
) -> (String, bool) {
    if first.finished.code == Some(0) {
        return ("ended well by themselves".to_owned(), false);
    }
    network.scene.wait_for_silence("copy");
    if !network.scene.has_ledger("copy") {
        if network.scene.is_empty("copy") {
            command().run().assert_code(0);
            return ("had not begun to write".to_owned(), false);
        }
        // The ledger goes with the last commit. What is there is compared with the source by the caller.
        let refused = command().arg("--resume").run();
        assert!(matches!(refused.code, Some(1 | 5)), "{refused}");
        refused.assert_stderr_has(&["they are complete"]);
        return ("had written everything".to_owned(), false);
    }
    let resumed = command().arg("--resume").run();
    if resumed.code == Some(0) {
        return ("were resumed".to_owned(), false);
    }
    resumed.assert_code(1).assert_stderr_has(&["that state is gone: ", "--clean"]);
    command().args(["--clean", "--if-exists"]).run().assert_code(0);
    let words = resumed.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason = words.split("that state is gone: ").nth(1).unwrap_or_default();
    let reason =
        reason.split([';', '(', '"']).next().unwrap_or_default().split(" help:").next().unwrap_or_default();
    (format!("were refused and started over: {}", reason.trim()), true)
}

fn assert_equal(network: &Network) {
    assert!(!network.scene.has_ledger("copy"), "the ledger was left behind");
    network.scene.original().assert_equals("copy");
}

#[test]
fn restores() {
    let mut network = Network::new(Scene::with_backup(SHOP, 14, 16));
    network.scene.target.create_db("copy");
    let whole = network.measure(network.restore("copy"));
    let reference = network.scene.source.sql_digest(SOURCE);
    let mut tally = Tally::of("restore");
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        network.scene.target.drop_db("copy");
        network.scene.target.create_db("copy");
        let first = network.upset(network.restore("copy"), &whole, &mut dice);
        let (end, is_refused) = bring_to_an_end(&network, &first, || network.restore("copy"));
        tally.count(&first, end);
        assert!(!is_refused, "seed {seed}: a restore was not resumed\n{}", first.finished);
        assert_eq!(network.scene.target.sql_digest("copy"), reference, "seed {seed}");
        assert_equal(&network);
    }
}

#[test]
fn migrations() {
    let scene = Scene::still(SHOP, 15, 17);
    // Of an unlogged table nothing proves that a crash has not emptied it.
    scene.source.psql(SOURCE, "ALTER TABLE shop.session_cache SET LOGGED");
    let mut network = Network::new(scene);
    network.scene.target.create_db("copy");
    let whole = network.measure(network.migrate("copy"));
    let mut tally = Tally::of("migrate");
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(1000 + seed);
        network.scene.target.drop_db("copy");
        network.scene.target.create_db("copy");
        let hold = dice.bool();
        let migrate = network.migrate("copy");
        let migrate = if hold { migrate.arg("--hold-snapshot") } else { migrate };
        let first = network.upset(migrate, &whole, &mut dice);
        let (end, is_refused) = bring_to_an_end(&network, &first, || network.migrate("copy"));
        tally.count(&first, end);
        // Nothing is written to the source, so only its restart takes the proof away that it is the same.
        assert!(!is_refused || first.upset == Upset::RestartSource, "seed {seed}\n{}", first.finished);
        assert_equal(&network);
    }
}

#[test]
fn dumps() {
    let mut network = Network::new(Scene::new(SHOP, 13, 16));
    let whole = network.measure(network.dump());
    let mut tally = Tally::of("dump");
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(2000 + seed);
        let before = network.scene.backups().len();
        let first = network.upset(network.dump(), &whole, &mut dice);
        let finished = &first.finished;
        let committed = network.scene.backups().len() - before;
        match finished.code {
            Some(0) => assert_eq!(committed, 1, "seed {seed}\n{finished}"),
            Some(_) => assert_eq!(committed, 0, "seed {seed}: a failed dump was committed\n{finished}"),
            None => assert!(committed <= 1),
        }
        tally.count(
            &first,
            ["were done again", "ended well by themselves, or were killed after their end"][committed],
        );
        if committed == 0 {
            network.dump().run().assert_code(0);
        }
        network.scene.target.create_db("copy");
        network.restore("copy").run().assert_code(0);
        assert_equal(&network);
        network.scene.target.drop_db("copy");
    }
}
