//! What a run did when, for its report.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dbhaul_pipeline::{PhaseTime, RunRecord, TaskTime};
use dbhaul_progress::{Event, TaskId};
use jiff::Timestamp;

/// Phases that are recorded. A run has fewer.
const MOST_PHASES: usize = 64;

/// Tasks that are recorded: the longest.
const MOST_TASKS: usize = 30;

/// Notes when phases and tasks begin and end.
pub(crate) struct Recorder {
    started: Instant,
    started_at: Timestamp,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    phases: Vec<PhaseTime>,
    /// Phases that have not ended, by their place in the list.
    open: Vec<usize>,
    running: HashMap<TaskId, TaskTime>,
    /// The longest first.
    longest: Vec<TaskTime>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        Recorder { started: Instant::now(), started_at: Timestamp::now(), state: Mutex::default() }
    }

    pub(super) fn take(&self, event: &Event) {
        let now = milliseconds(self.started.elapsed());
        self.state.lock().unwrap_or_else(PoisonError::into_inner).take(event, now);
    }

    /// The record of a run that was called so and ends now.
    pub(crate) fn record(&self, command_line: String) -> RunRecord {
        let elapsed_ms = milliseconds(self.started.elapsed());
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut phases = state.phases.clone();
        for open in &state.open {
            phases[*open].end_ms = elapsed_ms;
        }
        RunRecord {
            command_line,
            started_at: self.started_at.to_string(),
            finished_at: Timestamp::now().to_string(),
            elapsed_ms,
            phases,
            longest_tasks: state.longest.clone(),
        }
    }
}

impl State {
    fn take(&mut self, event: &Event, now: u64) {
        match event {
            Event::PhaseStarted { phase, .. } if self.phases.len() < MOST_PHASES => {
                self.open.push(self.phases.len());
                let phase = phase.name().to_owned();
                self.phases.push(PhaseTime { phase, start_ms: now, end_ms: now });
            }
            Event::PhaseFinished { phase } => {
                let is_it = |open: &usize| self.phases[*open].phase == phase.name();
                if let Some(place) = self.open.iter().rposition(is_it) {
                    let ended = self.open.remove(place);
                    self.phases[ended].end_ms = now;
                }
            }
            Event::TaskStarted { task, kind, name, total_bytes } => {
                let (kind, name, estimated_bytes) = (kind.clone(), name.clone(), *total_bytes);
                self.running
                    .insert(*task, TaskTime { kind, name, estimated_bytes, start_ms: now, end_ms: now });
            }
            Event::TaskFinished { task } => {
                if let Some(ended) = self.running.remove(task) {
                    self.keep(TaskTime { end_ms: now, ..ended });
                }
            }
            Event::TaskFailed { task, .. } => drop(self.running.remove(task)),
            _ => {}
        }
    }

    fn keep(&mut self, task: TaskTime) {
        let place = self.longest.partition_point(|other| other.elapsed_ms() >= task.elapsed_ms());
        if place < MOST_TASKS {
            self.longest.insert(place, task);
            self.longest.truncate(MOST_TASKS);
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use dbhaul_progress::{Event, Phase, TaskId};

    use super::{MOST_TASKS, State};

    #[test]
    fn phases_and_the_longest_tasks_are_kept() {
        let mut state = State::default();
        let begun = |phase| Event::PhaseStarted { phase, total_tasks: None, total_bytes: None };
        state.take(&begun(Phase::Data), 5);
        state.take(&begun(Phase::PostData), 7);
        state.take(&Event::PhaseFinished { phase: Phase::Data }, 9);
        let times = |state: &State| -> Vec<_> {
            state.phases.iter().map(|phase| (phase.phase.clone(), phase.start_ms, phase.end_ms)).collect()
        };
        assert_eq!(times(&state), [("data".to_owned(), 5, 9), ("post-data".to_owned(), 7, 7)]);
        for number in 0..100 {
            let (task, kind, name) = (TaskId(number), "DIGEST".to_owned(), number.to_string());
            state.take(&Event::TaskStarted { task, kind, name, total_bytes: Some(1) }, 10);
            match number {
                99 => state.take(&Event::TaskFailed { task, message: String::new() }, 1000),
                _ => state.take(&Event::TaskFinished { task }, 10 + number),
            }
        }
        assert_eq!(state.longest.len(), MOST_TASKS);
        assert_eq!((state.longest[0].name.as_str(), state.longest[0].elapsed_ms()), ("98", 98));
        assert!(state.running.is_empty());
    }
}
