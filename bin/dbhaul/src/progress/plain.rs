//! Lines for logs: what began and ended, and in between one line every few seconds.

use std::time::Duration;

use dbhaul_progress::Event;

use super::tally::Tally;
use super::{Painter, words};
use crate::output::to_stderr;

/// Between two lines of progress.
const INTERVAL: Duration = Duration::from_secs(5);

/// Progress as plain lines.
pub(super) struct Plain {
    tally: Tally,
    last_line: Duration,
    now: Duration,
    notices: bool,
}

impl Plain {
    pub(super) fn new(notices: bool) -> Self {
        Plain { tally: Tally::default(), last_line: Duration::ZERO, now: Duration::ZERO, notices }
    }

    fn print(&mut self, at: Duration, text: &str) {
        to_stderr(&format!("[{:>7.1}s] {text}", at.as_secs_f64()));
    }
}

impl Painter for Plain {
    fn take(&mut self, event: &Event, at: Duration) {
        let failure = self.tally.failure(event);
        self.tally.apply(event, at);
        self.now = at;
        match event {
            Event::PhaseStarted { phase, .. } => self.print(at, &format!("{} started", phase.name())),
            Event::PhaseFinished { phase } => self.print(at, &format!("{} finished", phase.name())),
            _ => {}
        }
        if let Some(text) = failure.or_else(|| message(event, self.notices)) {
            self.print(at, &text);
        }
    }

    fn tick(&mut self, at: Duration) {
        self.now = at;
        if at.saturating_sub(self.last_line) >= INTERVAL && !self.tally.phases.is_empty() {
            self.last_line = at;
            self.print(at, &words::line(&self.tally, at));
        }
    }

    fn finish(&mut self) {
        if self.notices {
            for line in words::table(&self.tally, self.now) {
                self.print(self.now, &line);
            }
        }
    }
}

/// No progress, but what a person must read.
pub(super) struct WarningsOnly;

impl Painter for WarningsOnly {
    fn take(&mut self, event: &Event, _at: Duration) {
        if let Some(text) = message(event, false) {
            to_stderr(&text);
        }
    }

    fn tick(&mut self, _at: Duration) {}

    fn finish(&mut self) {}
}

/// The words of an event that is a message.
pub(super) fn message(event: &Event, notices: bool) -> Option<String> {
    match event {
        Event::Warning { message } => Some(format!("warning: {message}")),
        Event::Notice { message } if notices => Some(message.clone()),
        _ => None,
    }
}
