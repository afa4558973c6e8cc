//! What goes wrong, and when: at a line of progress, after some bytes, or at some part of the time.

use std::time::{Duration, Instant};

use dbhaul_tests::{Cut, Dbhaul, Finished, Proxy, Running, wait_until};

use crate::scene::{SOURCE, Scene, line_count};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Upset {
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

/// How far an undisturbed run goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Whole {
    lines: usize,
    passed_bytes: u64,
    duration: Duration,
}

/// When it goes wrong. Lines of progress are many where little happens, and there is none in a long `COPY`,
/// index build or scan; bytes and time meet these.
#[derive(Debug, Clone, Copy)]
enum Point {
    Line(usize),
    Bytes(u64),
    Time(Duration),
}

impl Point {
    fn any(dice: &mut fastrand::Rng, whole: &Whole) -> Self {
        match dice.u32(0..4) {
            0 | 1 => Self::Line(dice.usize(1..=whole.lines)),
            2 => Self::Bytes(dice.u64(1..whole.passed_bytes)),
            _ => Self::Time(whole.duration.mul_f64(dice.f64())),
        }
    }
}

/// How a run was upset, and how it ended.
pub(crate) struct Upsetting {
    pub(crate) upset: Upset,
    /// Whether the run got there.
    pub(crate) is_reached: bool,
    pub(crate) finished: Finished,
}

/// Servers behind proxies.
pub(crate) struct Network {
    pub(crate) scene: Scene,
    source: Proxy,
    target: Proxy,
}

impl Network {
    pub(crate) fn new(scene: Scene) -> Self {
        let (source, target) = (Proxy::before(scene.source.port()), Proxy::before(scene.target.port()));
        Network { scene, source, target }
    }

    pub(crate) fn dump(&self) -> Dbhaul {
        let dump = ["dump", "--progress", "json", "--jobs", "2", "--source"];
        Dbhaul::new(dump).args([&self.source.uri(SOURCE), "--store"]).arg(self.scene.store())
    }

    pub(crate) fn restore(&self, db: &str) -> Dbhaul {
        let restore = ["restore", "--progress", "json", "--jobs", "2", "--target"];
        Dbhaul::new(restore).args([&self.target.uri(db), "--store"]).arg(self.scene.store())
    }

    pub(crate) fn migrate(&self, db: &str) -> Dbhaul {
        let migrate = ["migrate", "--progress", "json", "--jobs", "2", "--source"];
        Dbhaul::new(migrate).args([&self.source.uri(SOURCE), "--target", &self.target.uri(db)])
    }

    /// Runs a command undisturbed.
    pub(crate) fn measure(&self, command: Dbhaul) -> Whole {
        let (passed_bytes, started) = (self.passed_bytes(), Instant::now());
        let finished = command.run();
        finished.assert_code(0);
        Whole {
            lines: line_count(&finished),
            passed_bytes: self.passed_bytes() - passed_bytes,
            duration: started.elapsed(),
        }
    }

    fn passed_bytes(&self) -> u64 {
        self.source.passed_bytes() + self.target.passed_bytes()
    }

    /// Runs a command, lets something go wrong at a random point of it, and returns how it ended.
    pub(crate) fn upset(&mut self, command: Dbhaul, whole: &Whole, dice: &mut fastrand::Rng) -> Upsetting {
        let (upset, point) = (Upset::any(dice), Point::any(dice, whole));
        let begun_bytes = self.passed_bytes();
        let mut run = command.spawn();
        let is_reached = self.reaches(&mut run, point, begun_bytes);
        eprintln!(
            "{upset:?} at {point:?} of {whole:?}: {}",
            if is_reached { "reached" } else { "it had ended" }
        );
        if upset == Upset::Kill && is_reached {
            return Upsetting { upset, is_reached, finished: run.kill() };
        }
        if is_reached {
            self.carry_out(upset, &mut run);
        }
        let finished = run.wait();
        assert!(matches!(finished.code, Some(0 | 1)), "{finished}");
        if finished.code == Some(1) {
            assert!(finished.stderr.contains("error"), "it failed and does not say why\n{finished}");
        }
        self.scene.wait_until_no_session_of_a_run_is_left();
        Upsetting { upset, is_reached, finished }
    }

    /// Waits until a run is at a point; false if it ends before.
    fn reaches(&self, run: &mut Running, point: Point, begun_bytes: u64) -> bool {
        let started = Instant::now();
        let is_there = || match point {
            Point::Line(_) => true,
            Point::Bytes(bytes) => self.passed_bytes() >= begun_bytes + bytes,
            Point::Time(duration) => started.elapsed() >= duration,
        };
        if let Point::Line(line) = point {
            return run.reaches_lines(line);
        }
        wait_until("the run is at the point", || match run.has_ended() {
            true => Some(false),
            false => is_there().then_some(true),
        })
    }

    fn carry_out(&mut self, upset: Upset, run: &mut Running) {
        match upset {
            Upset::Kill => {}
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
                wait_for_cut(run, &self.source);
                self.source.flow();
            }
        }
    }
}

/// Waits until the bytes that a proxy lets pass have passed, or the run has ended.
fn wait_for_cut(run: &mut Running, proxy: &Proxy) {
    let connections = proxy.connection_count();
    let (mut last, mut same) = (0, 0);
    wait_until("the connections are cut", || {
        let passed = proxy.passed_bytes();
        (last, same) = if passed == last { (last, same + 1) } else { (passed, 0) };
        let is_over = run.has_ended() || proxy.connection_count() > connections || same > 100;
        is_over.then_some(())
    });
}
