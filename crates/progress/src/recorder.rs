//! A sink for tests: keeps every event.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{Event, Sink};

/// Keeps every event it receives; clones share the same list.
#[derive(Debug, Clone, Default)]
pub struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Recorder {
    /// All events so far, in order of arrival.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sums of all advances so far: rows, bytes.
    pub fn copied(&self) -> (u64, u64) {
        self.events().iter().fold((0, 0), |(rows, bytes), event| match event {
            Event::TaskAdvanced { row_count, copied_bytes, .. } => (rows + row_count, bytes + copied_bytes),
            _ => (rows, bytes),
        })
    }
}

impl Sink for Recorder {
    fn emit(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Event, Phase, Progress, Recorder};

    #[test]
    fn a_dropped_task_is_a_failed_task() {
        let recorder = Recorder::default();
        drop(Progress::new(recorder.clone()).task("INDEX", "public.i", None));
        let failed =
            |event: &Event| matches!(event, Event::TaskFailed { message, .. } if message == "interrupted");
        assert_eq!(recorder.events().iter().filter(|e| failed(e)).count(), 1);
    }

    #[test]
    fn what_is_stopped_for_something_else_is_not_called_interrupted() {
        let recorder = Recorder::default();
        let progress = Progress::new(recorder.clone());
        let task = progress.task("INDEX", "public.i", None);
        progress.stopping("the server went away");
        drop(task);
        progress.phase_started(Phase::Verify, None, None);
        drop(progress.task("DIGEST", "public.t", None));
        let message = |event| match event {
            Event::TaskFailed { message, .. } => Some(message),
            _ => None,
        };
        let messages: Vec<_> = recorder.events().into_iter().filter_map(message).collect();
        assert_eq!(messages, ["stopped: the server went away", "interrupted"]);
    }

    #[test]
    fn tasks_have_ids_of_their_own() {
        let recorder = Recorder::default();
        let progress = Progress::new(recorder.clone());
        progress.task("TABLE DATA", "a", None).finish();
        progress.clone().task("TABLE DATA", "b", None).finish();
        let ids: Vec<_> = recorder
            .events()
            .into_iter()
            .filter_map(|event| match event {
                Event::TaskStarted { task, .. } => Some(task),
                _ => None,
            })
            .collect();
        assert_eq!(ids.len(), 2);
        assert_ne!(ids[0], ids[1]);
    }
}
