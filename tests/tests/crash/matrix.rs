//! Everything that can go wrong, at random points of a dump, a restore and a migration. Afterwards the copy
//! is equal, or the run says why it is not; and a run that says it is done has made an equal copy.

use dbhaul_tests::{Cut, Dbhaul, Finished, Fixture, Original, Proxy};

use crate::scene::{SOURCE, Scene, line_count};

const SHOP: Fixture = Fixture::SampleShop { scale: 0.05 };

/// Points for each command; many more with `DBHAUL_LONG=1`.
fn seeds() -> std::ops::Range<u64> {
    if std::env::var_os("DBHAUL_LONG").is_some() { 0..50 } else { 0..3 }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Upset {
    Kill,
    TerminateSource,
    TerminateTarget,
    RestartSource,
    RestartTarget,
    CutSource(Cut),
    CutTarget(Cut),
    /// Nothing passes any more, until all connections are reset.
    StallTarget,
    /// Bytes trickle, and after so many the connections are reset.
    SlowSource(u64),
}

impl Upset {
    fn any(dice: &mut fastrand::Rng) -> Self {
        match dice.u32(0..11) {
            0 | 1 => Self::Kill,
            2 => Self::TerminateSource,
            3 => Self::TerminateTarget,
            4 => Self::RestartSource,
            5 => Self::RestartTarget,
            6 => Self::CutSource(Cut::Fin),
            7 => Self::CutSource(Cut::Rst),
            8 => Self::CutTarget(if dice.bool() { Cut::Fin } else { Cut::Rst }),
            9 => Self::StallTarget,
            _ => Self::SlowSource(dice.u64(1..200_000)),
        }
    }
}

/// Servers behind proxies.
struct Network {
    scene: Scene,
    source: Proxy,
    target: Proxy,
}

impl Network {
    fn new(scene: Scene) -> Self {
        let (source, target) = (Proxy::before(scene.source.port()), Proxy::before(scene.target.port()));
        Network { scene, source, target }
    }

    fn dump(&self) -> Dbhaul {
        let dump = ["dump", "--progress", "json", "--jobs", "2", "--source"];
        Dbhaul::new(dump).args([&self.source.uri(SOURCE), "--store"]).arg(self.scene.store())
    }

    fn restore(&self, db: &str) -> Dbhaul {
        let restore = ["restore", "--progress", "json", "--jobs", "2", "--target"];
        Dbhaul::new(restore).args([&self.target.uri(db), "--store"]).arg(self.scene.store())
    }

    fn migrate(&self, db: &str) -> Dbhaul {
        let migrate = ["migrate", "--progress", "json", "--jobs", "2", "--source"];
        Dbhaul::new(migrate).args([&self.source.uri(SOURCE), "--target", &self.target.uri(db)])
    }

    /// Runs a command, lets something go wrong at a random line of it, and returns how it ended.
    fn upset(&mut self, command: Dbhaul, lines: usize, dice: &mut fastrand::Rng) -> Finished {
        let upset = Upset::any(dice);
        let point = dice.usize(1..=lines);
        let mut run = command.spawn();
        let reached = run.reaches_lines(point);
        eprintln!(
            "{upset:?} at line {point} of {lines}: {}",
            if reached { "reached" } else { "it had ended" }
        );
        let is_killed = matches!(upset, Upset::Kill) && reached;
        match upset {
            _ if !reached => {}
            Upset::Kill => return run.kill(),
            Upset::TerminateSource => drop(self.scene.source.terminate_backends(SOURCE, "%")),
            Upset::TerminateTarget => drop(self.scene.target.terminate_backends("copy", "%")),
            Upset::RestartSource => self.scene.source.restart(),
            Upset::RestartTarget => self.scene.target.restart(),
            Upset::CutSource(how) => self.source.cut(how),
            Upset::CutTarget(how) => self.target.cut(how),
            Upset::StallTarget => {
                self.target.stall();
                self.target.cut(Cut::Rst);
                self.target.flow();
            }
            Upset::SlowSource(bytes) => {
                self.source.slow(256);
                self.source.cut_after(bytes);
                wait_for_cut(&mut run, &self.source);
                self.source.flow();
            }
        }
        let finished = run.wait();
        assert!(is_killed || matches!(finished.code, Some(0 | 1)), "{finished}");
        if finished.code == Some(1) {
            assert!(finished.stderr.contains("error"), "it failed and does not say why\n{finished}");
        }
        finished
    }
}

/// Waits until the bytes that a proxy lets pass have passed, or the run has ended.
fn wait_for_cut(run: &mut dbhaul_tests::Running, proxy: &Proxy) {
    let connections = proxy.connection_count();
    let (mut last, mut same) = (0, 0);
    dbhaul_tests::wait_until("the connections are cut", || {
        let passed = proxy.passed_bytes();
        (last, same) = if passed == last { (last, same + 1) } else { (passed, 0) };
        let is_over = run.has_ended() || proxy.connection_count() > connections || same > 100;
        is_over.then_some(())
    });
}

/// Goes on with a run until it is done, starting over where it says that it cannot.
fn bring_to_an_end(network: &Network, first: Finished, command: impl Fn() -> Dbhaul) {
    if first.code == Some(0) {
        return;
    }
    network.scene.wait_for_silence("copy");
    let resumed = command().arg("--resume").run();
    if resumed.code == Some(0) {
        return;
    }
    assert!(matches!(resumed.code, Some(1 | 5)), "{resumed}");
    resumed.assert_stderr_has(&["--clean"]);
    command().args(["--clean", "--if-exists"]).run().assert_code(0);
}

fn assert_equal(network: &Network, original: &Original<'_>) {
    assert!(!network.scene.has_ledger("copy"), "the ledger was left behind");
    original.assert_equals("copy");
}

#[test]
fn restores() {
    let mut network = Network::new(Scene::with_backup(SHOP, 14, 16));
    network.scene.target.create_db("copy");
    let lines = line_count(network.restore("copy").run().assert_code(0));
    let reference = network.scene.source.sql_digest(SOURCE);
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(seed);
        network.scene.target.drop_db("copy");
        network.scene.target.create_db("copy");
        let first = network.upset(network.restore("copy"), lines, &mut dice);
        bring_to_an_end(&network, first, || network.restore("copy"));
        assert_eq!(network.scene.target.sql_digest("copy"), reference, "seed {seed}");
        assert_equal(&network, &network.scene.original());
    }
}

#[test]
fn migrations() {
    let mut network = Network::new(Scene::new(SHOP, 15, 17));
    network.scene.target.create_db("copy");
    let lines = line_count(network.migrate("copy").run().assert_code(0));
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(1000 + seed);
        network.scene.target.drop_db("copy");
        network.scene.target.create_db("copy");
        let hold = dice.bool();
        let migrate = network.migrate("copy");
        let migrate = if hold { migrate.arg("--hold-snapshot") } else { migrate };
        let first = network.upset(migrate, lines, &mut dice);
        bring_to_an_end(&network, first, || network.migrate("copy"));
        assert_equal(&network, &network.scene.original());
    }
}

#[test]
fn dumps() {
    let mut network = Network::new(Scene::new(SHOP, 13, 16));
    let lines = line_count(network.dump().run().assert_code(0));
    for seed in seeds() {
        let mut dice = fastrand::Rng::with_seed(2000 + seed);
        let before = network.scene.backups().len();
        let finished = network.upset(network.dump(), lines, &mut dice);
        let committed = network.scene.backups().len() - before;
        match finished.code {
            Some(0) => assert_eq!(committed, 1, "seed {seed}\n{finished}"),
            Some(_) => assert_eq!(committed, 0, "seed {seed}: a failed dump was committed\n{finished}"),
            None => assert!(committed <= 1),
        }
        if committed == 0 {
            network.dump().run().assert_code(0);
        }
        network.scene.target.create_db("copy");
        network.restore("copy").run().assert_code(0);
        assert_equal(&network, &network.scene.original());
        network.scene.target.drop_db("copy");
    }
}
