//! Adds events up: how far a run is, how fast, how long it will take. No terminal here.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dbhaul_progress::{Event, Phase, TaskId};

/// Rates are taken over this long.
const RATE_WINDOW: Duration = Duration::from_secs(15);
/// Samples of the rate are at least this far apart, which bounds their number.
const SAMPLE_DISTANCE: Duration = Duration::from_millis(250);

/// A byte of a table costs about so much less to index, or to be checked against a key, than to copy.
const DEFINITION_DIVISOR: u64 = 3;
/// What of a running index is taken for done, at most, however long it has been running.
const BELIEVED_PART: f64 = 0.8;

/// What work of a phase is worth beside copying so many bytes.
fn worth(phase: Phase, bytes: u64) -> u64 {
    if phase == Phase::PostData { bytes / DEFINITION_DIVISOR } else { bytes }
}

/// The state of a run after some events. Times are since its start, sizes are
/// of COPY text; expected sizes are estimates from the size on disk.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Phases that run, in the order in which they began.
    pub(super) phases: Vec<Phase>,
    /// Tasks that run, in the order in which they began.
    pub(super) running: BTreeMap<TaskId, RunningTask>,
    /// Tasks that ended well.
    pub(super) finished_tasks: u64,
    /// Tasks that ended badly.
    pub(super) failed_tasks: u64,
    /// Rows that moved.
    pub(super) row_count: u64,
    /// Bytes that moved.
    pub(super) copied_bytes: u64,
    /// Phases that began, in that order.
    pub(super) spans: Vec<Span>,
    /// When the first of the phases began whose end can be foreseen.
    work_started: Duration,
    /// Those phases: the copy of rows, and the indexes and constraints made meanwhile.
    work: BTreeMap<Phase, WorkPhase>,
    /// The most tasks of those phases that ran side by side.
    most_running: usize,
    samples: VecDeque<(Duration, u64)>,
}

/// How long a phase took, with what moved meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Which.
    pub(super) phase: Phase,
    /// When it began.
    pub(super) started: Duration,
    /// When it ended, if it has.
    pub(super) ended: Option<Duration>,
    /// Bytes that its tasks moved: copied, or scanned to be compared.
    pub(super) moved_bytes: u64,
    /// Tasks of its that ended.
    pub(super) ended_tasks: u64,
}

/// A task that runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RunningTask {
    /// `TABLE DATA`, `INDEX`, ...
    pub(super) kind: String,
    /// The object.
    pub(super) name: String,
    /// Rows so far.
    pub(super) row_count: u64,
    /// Bytes so far.
    pub(super) copied_bytes: u64,
    /// Expected bytes.
    pub(super) total_bytes: Option<u64>,
    /// When it began.
    pub(super) started: Duration,
    /// What the server says it is at, and how much of that is done, 0 to 1.
    pub(super) stage: Option<(String, Option<f64>)>,
    /// The phase it counts for.
    phase: Option<Phase>,
}

impl RunningTask {
    /// How much of it is done, 0 to 1, as far as that can be told: of an index what the server says of the
    /// stage that it is at.
    pub(super) fn fraction(&self) -> f64 {
        match (self.copied_bytes, self.total_bytes) {
            (copied @ 1.., Some(total @ 1..)) => copied.min(total) as f64 / total as f64,
            _ => self.stage.as_ref().and_then(|(_, fraction)| *fraction).unwrap_or_default(),
        }
    }
}

/// A phase whose end can be foreseen.
#[derive(Debug, Clone, Copy)]
struct WorkPhase {
    /// Bytes that its tasks move, or are worth beside moving rows.
    expected_bytes: u64,
    /// Expected bytes of the tasks that ended.
    ended_bytes: u64,
    is_over: bool,
}

impl Tally {
    /// Takes one event into account.
    pub(super) fn apply(&mut self, event: &Event, at: Duration) {
        match event {
            Event::PhaseStarted { phase, total_bytes, .. } => self.start_phase(*phase, *total_bytes, at),
            Event::PhaseFinished { phase } => {
                self.phases.retain(|running| running != phase);
                if let Some(span) = self.open_span(*phase) {
                    span.ended = Some(at);
                }
                if let Some(work) = self.work.get_mut(phase) {
                    work.is_over = true;
                }
            }
            Event::TaskStarted { task, kind, name, total_bytes } => {
                let running = RunningTask {
                    kind: kind.clone(),
                    name: dbhaul_pipeline::in_one_line(name),
                    row_count: 0,
                    copied_bytes: 0,
                    total_bytes: *total_bytes,
                    started: at,
                    stage: None,
                    phase: self.phase_of(kind),
                };
                self.running.insert(*task, running);
                let counts =
                    |task: &&RunningTask| task.phase.is_some_and(|phase| self.work.contains_key(&phase));
                let running_count = self.running.values().filter(counts).count();
                self.most_running = self.most_running.max(running_count);
            }
            Event::TaskAdvanced { task, row_count, copied_bytes } => {
                self.advance(*task, *row_count, *copied_bytes, at);
            }
            Event::TaskProgressed { task, stage, done, total } => {
                if let Some(running) = self.running.get_mut(task) {
                    let fraction = (*total > 0).then(|| (*done as f64 / *total as f64).min(1.0));
                    running.stage = Some((stage.clone(), fraction));
                }
            }
            Event::TaskFinished { task } => self.end_task(*task, true),
            Event::TaskFailed { task, .. } => self.end_task(*task, false),
            Event::Notice { .. } | Event::Warning { .. } => {}
        }
    }

    /// What a running task failed at, if the event says that one did; to be asked before the event is applied.
    pub(super) fn failure(&self, event: &Event) -> Option<String> {
        let Event::TaskFailed { task, message } = event else { return None };
        let RunningTask { kind, name, .. } = self.running.get(task)?;
        Some(format!("failed: {kind} {name}: {message}"))
    }

    /// How much is done of copying rows and of the indexes and constraints that are made meanwhile, 0 to 1;
    /// `None` where the whole is not known.
    pub(super) fn fraction(&self, at: Duration) -> Option<f64> {
        let expected_bytes: u64 = self.work.values().map(|work| work.expected_bytes).sum();
        if expected_bytes == 0 {
            return None;
        }
        if !self.is_working() {
            return Some(1.0);
        }
        let done_bytes: u64 = self.work.iter().map(|(phase, work)| self.done_bytes(*phase, work)).sum();
        let done_bytes = done_bytes as f64 + self.believed_bytes(done_bytes, at);
        // Estimates may be low: nothing is over before it says so.
        Some((done_bytes / expected_bytes as f64).min(0.99))
    }

    /// What running tasks of which nothing is measured have done, if they are as fast as all were so far.
    fn believed_bytes(&self, done_bytes: u64, at: Duration) -> f64 {
        let elapsed = at.saturating_sub(self.work_started).as_secs_f64();
        if elapsed <= 0.0 || self.work.get(&Phase::PostData).is_none_or(|work| work.is_over) {
            return 0.0;
        }
        let rate = done_bytes as f64 / elapsed / self.most_running.max(1) as f64;
        let running = self.running.values().filter(|task| task.phase == Some(Phase::PostData));
        let believed = |task: &RunningTask| {
            let bytes = worth(Phase::PostData, task.total_bytes.unwrap_or_default()) as f64;
            (at.saturating_sub(task.started).as_secs_f64() * rate).min(bytes * BELIEVED_PART)
        };
        running.map(believed).sum()
    }

    fn done_bytes(&self, phase: Phase, work: &WorkPhase) -> u64 {
        if work.is_over {
            return work.expected_bytes;
        }
        let running = self.running.values().filter(|task| task.phase == Some(phase));
        let begun =
            |task: &RunningTask| worth(phase, task.copied_bytes.min(task.total_bytes.unwrap_or_default()));
        (work.ended_bytes + running.map(begun).sum::<u64>()).min(work.expected_bytes)
    }

    /// Bytes expected in the copy of rows.
    pub(super) fn expected_bytes(&self) -> Option<u64> {
        self.work.get(&Phase::Data).map(|data| data.expected_bytes)
    }

    /// Whether rows are being copied.
    pub(super) fn copies_rows(&self) -> bool {
        self.work.get(&Phase::Data).is_some_and(|data| !data.is_over)
    }

    /// Whether a phase runs whose end can be foreseen.
    pub(super) fn is_working(&self) -> bool {
        self.work.values().any(|work| !work.is_over)
    }

    /// Bytes per second lately.
    pub(super) fn rate(&self, at: Duration) -> f64 {
        let Some((since, bytes)) = self.samples.front().copied() else { return 0.0 };
        let seconds = at.saturating_sub(since).as_secs_f64();
        if seconds < SAMPLE_DISTANCE.as_secs_f64() {
            return 0.0;
        }
        self.copied_bytes.saturating_sub(bytes) as f64 / seconds
    }

    /// Time left until rows, indexes and constraints are there; `None` before there is enough to judge by.
    pub(super) fn time_left(&self, at: Duration) -> Option<Duration> {
        let fraction = self.fraction(at).filter(|fraction| *fraction >= 0.01 && self.is_working())?;
        let elapsed = at.saturating_sub(self.work_started).as_secs_f64();
        (elapsed >= 1.0).then(|| Duration::from_secs_f64(elapsed * (1.0 - fraction) / fraction))
    }

    fn open_span(&mut self, phase: Phase) -> Option<&mut Span> {
        self.spans.iter_mut().rev().find(|span| span.phase == phase && span.ended.is_none())
    }

    /// The phase that a task of a kind counts for, of those that run.
    fn phase_of(&self, kind: &str) -> Option<Phase> {
        let wanted = match kind {
            "TABLE DATA" | "BLOBS" => &[Phase::Verify, Phase::Data] as &[Phase],
            "ANALYZE" => &[Phase::Refresh, Phase::Analyze],
            _ => &[Phase::Verify, Phase::Refresh, Phase::PostData],
        };
        let runs = |phase: &&Phase| self.phases.contains(phase);
        wanted.iter().find(runs).or(self.phases.last()).copied()
    }

    fn start_phase(&mut self, phase: Phase, total_bytes: Option<u64>, at: Duration) {
        if !self.phases.contains(&phase) {
            self.phases.push(phase);
            self.spans.push(Span { phase, started: at, ended: None, moved_bytes: 0, ended_tasks: 0 });
        }
        if matches!(phase, Phase::Data | Phase::PostData) {
            if !self.is_working() {
                self.work_started = at;
            }
            let expected_bytes = worth(phase, total_bytes.unwrap_or_default());
            self.work.insert(phase, WorkPhase { expected_bytes, ended_bytes: 0, is_over: false });
        }
        if phase == Phase::Data {
            self.samples.clear();
            self.samples.push_back((at, self.copied_bytes));
        }
    }

    fn advance(&mut self, task: TaskId, row_count: u64, copied_bytes: u64, at: Duration) {
        let Some(running) = self.running.get_mut(&task) else { return };
        running.row_count += row_count;
        running.copied_bytes += copied_bytes;
        let phase = running.phase;
        if let Some(span) = phase.and_then(|phase| self.open_span(phase)) {
            span.moved_bytes += copied_bytes;
        }
        // What is scanned to be compared is not copied a second time.
        if phase != Some(Phase::Data) {
            return;
        }
        self.row_count += row_count;
        self.copied_bytes += copied_bytes;
        let is_due = |(last, _): &(Duration, u64)| at.saturating_sub(*last) >= SAMPLE_DISTANCE;
        if self.samples.back().is_none_or(is_due) {
            self.samples.push_back((at, self.copied_bytes));
        }
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|(first, _)| at.saturating_sub(*first) > RATE_WINDOW)
        {
            self.samples.pop_front();
        }
    }

    fn end_task(&mut self, task: TaskId, is_well: bool) {
        let Some(ended) = self.running.remove(&task) else { return };
        if let Some(span) = ended.phase.and_then(|phase| self.open_span(phase)) {
            span.ended_tasks += 1;
        }
        if let (true, Some(phase)) = (is_well, ended.phase)
            && let Some(work) = self.work.get_mut(&phase)
        {
            work.ended_bytes += worth(phase, ended.total_bytes.unwrap_or_default());
        }
        if is_well { self.finished_tasks += 1 } else { self.failed_tasks += 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use dbhaul_progress::{Event, Phase, TaskId};

    use super::Tally;

    const MIB: u64 = 1 << 20;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn started(task: u64, total_bytes: Option<u64>) -> Event {
        Event::TaskStarted {
            task: TaskId(task),
            kind: "TABLE DATA".into(),
            name: format!("t{task}"),
            total_bytes,
        }
    }

    fn advanced(task: u64, copied_bytes: u64) -> Event {
        Event::TaskAdvanced { task: TaskId(task), row_count: 1, copied_bytes }
    }

    /// A copy of 100 MiB in two tasks, the first of which moves 1 MiB a second for 40 seconds.
    fn copying() -> Tally {
        let mut tally = Tally::default();
        let start =
            Event::PhaseStarted { phase: Phase::Data, total_tasks: Some(2), total_bytes: Some(100 * MIB) };
        tally.apply(&start, seconds(10));
        tally.apply(&started(1, Some(80 * MIB)), seconds(10));
        tally.apply(&started(2, Some(20 * MIB)), seconds(10));
        for second in 1..=40 {
            tally.apply(&advanced(1, MIB), seconds(10 + second));
        }
        tally
    }

    #[test]
    fn fraction_rate_and_time_left_follow_the_copy() {
        let tally = copying();
        assert_eq!((tally.row_count, tally.copied_bytes), (40, 40 * MIB));
        assert!((tally.fraction(seconds(50)).unwrap() - 0.4).abs() < 1e-9);
        assert!((tally.rate(seconds(50)) - MIB as f64).abs() < 1.0);
        assert_eq!(tally.time_left(seconds(50)), Some(seconds(60)));
    }

    #[test]
    fn a_rate_forgets_what_is_long_ago() {
        let mut tally = copying();
        for second in 51..=80 {
            tally.apply(&advanced(1, 3 * MIB), seconds(second));
        }
        assert!((tally.rate(seconds(80)) / (3.0 * MIB as f64) - 1.0).abs() < 0.01);
    }

    #[test]
    fn estimates_that_are_wrong_never_claim_the_end() {
        let mut tally = copying();
        tally.apply(&advanced(1, 500 * MIB), seconds(51));
        assert_eq!(tally.fraction(seconds(51)), Some(0.8));
        tally.apply(&Event::TaskFinished { task: TaskId(1) }, seconds(52));
        tally.apply(&Event::TaskFinished { task: TaskId(2) }, seconds(52));
        assert_eq!(tally.fraction(seconds(52)), Some(0.99));
        tally.apply(&Event::PhaseFinished { phase: Phase::Data }, seconds(53));
        assert_eq!((tally.fraction(seconds(53)), tally.time_left(seconds(53))), (Some(1.0), None));
        assert_eq!((tally.finished_tasks, tally.failed_tasks), (2, 0));
    }

    #[test]
    fn a_comparison_copies_nothing() {
        let mut tally = copying();
        tally.apply(&Event::PhaseFinished { phase: Phase::Data }, seconds(51));
        tally.apply(
            &Event::PhaseStarted { phase: Phase::Verify, total_tasks: None, total_bytes: None },
            seconds(51),
        );
        tally.apply(&started(3, Some(80 * MIB)), seconds(52));
        tally.apply(&advanced(3, 80 * MIB), seconds(53));
        assert_eq!(tally.copied_bytes, 40 * MIB);
        assert_eq!(tally.phases, [Phase::Verify]);
    }

    #[test]
    fn each_phase_has_its_time_and_its_bytes() {
        let mut tally = copying();
        tally.apply(&Event::TaskFinished { task: TaskId(1) }, seconds(50));
        tally.apply(&Event::PhaseFinished { phase: Phase::Data }, seconds(51));
        let start = |phase| Event::PhaseStarted { phase, total_tasks: None, total_bytes: None };
        tally.apply(&start(Phase::Verify), seconds(51));
        tally.apply(&started(3, Some(80 * MIB)), seconds(52));
        tally.apply(&advanced(3, 80 * MIB), seconds(53));
        let spans: Vec<_> = tally
            .spans
            .iter()
            .map(|span| (span.phase, span.ended, span.moved_bytes / MIB, span.ended_tasks))
            .collect();
        assert_eq!(spans, [(Phase::Data, Some(seconds(51)), 40, 1), (Phase::Verify, None, 80, 0)]);
    }

    #[test]
    fn indexes_count_for_the_time_left() {
        let mut tally = copying();
        let start =
            Event::PhaseStarted { phase: Phase::PostData, total_tasks: Some(1), total_bytes: Some(75 * MIB) };
        tally.apply(&start, seconds(10));
        let (task, kind, name) = (TaskId(3), "INDEX".to_owned(), "i".to_owned());
        tally.apply(&Event::TaskStarted { task, kind, name, total_bytes: Some(75 * MIB) }, seconds(40));
        // three run, 40 MiB took 30 s: in another 9 s an index is as far as 4 MiB of rows, if nobody tells
        assert_eq!(tally.fraction(seconds(40)), Some(40.0 / 125.0));
        let later = tally.fraction(seconds(49)).unwrap();
        assert!((later - (40.0 + 9.0 * 40.0 / 39.0 / 3.0) / 125.0).abs() < 1e-9, "{later}");
        tally.apply(&Event::TaskFinished { task: TaskId(1) }, seconds(60));
        tally.apply(&Event::TaskFinished { task: TaskId(2) }, seconds(90));
        tally.apply(&Event::PhaseFinished { phase: Phase::Data }, seconds(90));
        // however long it runs, a fifth of it is left
        let fraction = tally.fraction(seconds(90)).unwrap();
        assert!((fraction - (100.0 + 20.0) / 125.0).abs() < 1e-9 && !tally.copies_rows(), "{fraction}");
        assert_eq!(tally.time_left(seconds(90)).unwrap().as_secs(), 3);
        tally.apply(&Event::TaskFinished { task }, seconds(95));
        tally.apply(&Event::PhaseFinished { phase: Phase::PostData }, seconds(95));
        assert_eq!((tally.fraction(seconds(95)), tally.time_left(seconds(95))), (Some(1.0), None));
    }

    #[test]
    fn what_a_server_says_of_a_task_is_kept() {
        let mut tally = copying();
        let stage = "building index".to_owned();
        tally.apply(&Event::TaskProgressed { task: TaskId(2), stage, done: 3, total: 4 }, seconds(51));
        assert_eq!(tally.running[&TaskId(2)].stage, Some(("building index".to_owned(), Some(0.75))));
    }

    #[test]
    fn nothing_is_claimed_of_what_is_not_known() {
        let mut tally = Tally::default();
        tally.apply(
            &Event::PhaseStarted { phase: Phase::Verify, total_tasks: None, total_bytes: None },
            seconds(0),
        );
        tally.apply(&started(1, None), seconds(0));
        let failed = Event::TaskFailed { task: TaskId(1), message: "no".into() };
        assert_eq!(tally.failure(&failed).unwrap(), "failed: TABLE DATA t1: no");
        tally.apply(&failed, seconds(1));
        assert_eq!((tally.fraction(seconds(9)), tally.time_left(seconds(9))), (None, None));
        assert_eq!(tally.rate(seconds(9)), 0.0);
        assert_eq!((tally.finished_tasks, tally.failed_tasks, tally.running.len()), (0, 1, 0));
    }
}
