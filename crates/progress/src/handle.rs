//! The handle that work holds, and the trait that shows what it reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Event, Phase, TaskId};

/// Receives events, in the order in which each thread emitted them.
///
/// Called from the working tasks themselves, so an implementation must be quick
/// and must not block on I/O that can stall.
pub trait Sink: Send + Sync {
    /// Takes one event.
    fn emit(&self, event: Event);
}

/// A cheap, cloneable handle through which work reports what it does.
#[derive(Clone)]
pub struct Progress {
    sink: Option<Arc<dyn Sink>>,
    next_task: Arc<AtomicU64>,
    /// Why work is being stopped that has not failed itself.
    stopping: Arc<Mutex<Option<String>>>,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress").field("silent", &self.sink.is_none()).finish()
    }
}

impl Progress {
    /// A handle whose events go to `sink`.
    pub fn new(sink: impl Sink + 'static) -> Self {
        Progress { sink: Some(Arc::new(sink)), next_task: Arc::default(), stopping: Arc::default() }
    }

    /// A handle that drops every event.
    pub fn silent() -> Self {
        Progress { sink: None, next_task: Arc::default(), stopping: Arc::default() }
    }

    /// Sends one event.
    pub fn emit(&self, event: Event) {
        if let Some(sink) = &self.sink {
            sink.emit(event);
        }
    }

    /// Reports that a phase began; totals are estimates in tasks and bytes.
    pub fn phase_started(&self, phase: Phase, total_tasks: Option<u64>, total_bytes: Option<u64>) {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.emit(Event::PhaseStarted { phase, total_tasks, total_bytes });
    }

    /// Reports that a phase ended.
    pub fn phase_finished(&self, phase: Phase) {
        self.emit(Event::PhaseFinished { phase });
    }

    /// Reports something a person should read.
    pub fn notice(&self, message: impl Into<String>) {
        self.emit(Event::Notice { message: message.into() });
    }

    /// Reports something that may need action.
    pub fn warning(&self, message: impl Into<String>) {
        self.emit(Event::Warning { message: message.into() });
    }

    /// Says why work is being stopped, in one line, before the rest of it is dropped: tasks that have
    /// not ended are reported with this reason, until another phase begins. Without one they were
    /// interrupted.
    pub fn stopping(&self, reason: impl Into<String>) {
        *self.stopping.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
    }

    /// Starts a task. Dropping the returned [`Task`] without [`Task::finish`]
    /// reports it as failed.
    pub fn task(&self, kind: &str, name: &str, total_bytes: Option<u64>) -> Task {
        let id = TaskId(self.next_task.fetch_add(1, Ordering::Relaxed));
        self.emit(Event::TaskStarted { task: id, kind: kind.to_owned(), name: name.to_owned(), total_bytes });
        Task { id, progress: self.clone(), ended: false }
    }
}

/// A running task; see [`Progress::task`].
#[derive(Debug)]
pub struct Task {
    id: TaskId,
    progress: Progress,
    ended: bool,
}

impl Task {
    /// Reports rows and bytes moved since the last call.
    pub fn advance(&self, row_count: u64, copied_bytes: u64) {
        self.progress.emit(Event::TaskAdvanced { task: self.id, row_count, copied_bytes });
    }

    /// Reports what the server says of it: the stage, and how much of that is done.
    pub fn progressed(&self, stage: &str, done: u64, total: u64) {
        self.progress.emit(Event::TaskProgressed { task: self.id, stage: stage.to_owned(), done, total });
    }

    /// Ends the task well.
    pub fn finish(mut self) {
        self.ended = true;
        self.progress.emit(Event::TaskFinished { task: self.id });
    }

    /// Ends the task badly.
    pub fn fail(mut self, message: impl Into<String>) {
        self.ended = true;
        self.progress.emit(Event::TaskFailed { task: self.id, message: message.into() });
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if !self.ended {
            let reason = self.progress.stopping.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let message = match reason {
                Some(reason) => format!("stopped: {reason}"),
                None => "interrupted".to_owned(),
            };
            self.progress.emit(Event::TaskFailed { task: self.id, message });
        }
    }
}
