//! Lines for logs: what began and ended, and in between one line every few seconds. In a log each begins with
//! date and time and the id of the run, for several may write into one log; on a terminal with the seconds since the start.

use std::io::IsTerminal;
use std::time::Duration;

use dbhaul_progress::Event;
use jiff::Timestamp;

use super::tally::Tally;
use super::{Painter, words};
use crate::log::{dated, run_id};
use crate::output::{indented, to_stderr};

/// Between two lines of progress.
const INTERVAL: Duration = Duration::from_secs(5);

/// Progress as plain lines.
pub(super) struct Plain {
    tally: Tally,
    last_line: Duration,
    now: Duration,
    notices: bool,
    is_log: bool,
}

impl Plain {
    pub(super) fn new(notices: bool) -> Self {
        let is_log = is_log();
        Plain { tally: Tally::default(), last_line: Duration::ZERO, now: Duration::ZERO, notices, is_log }
    }

    fn print(&mut self, at: Duration, text: &str) {
        match self.is_log {
            true => to_stderr(&dated(Timestamp::now(), run_id(), &indented(text))),
            false => to_stderr(&format!("[{:>7.1}s] {}", at.as_secs_f64(), indented(text))),
        }
    }
}

/// Whether what is printed on standard error is read later, if at all.
fn is_log() -> bool {
    !std::io::stderr().is_terminal()
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
pub(super) struct WarningsOnly {
    is_log: bool,
}

impl WarningsOnly {
    pub(super) fn new() -> Self {
        WarningsOnly { is_log: is_log() }
    }
}

impl Painter for WarningsOnly {
    fn take(&mut self, event: &Event, _at: Duration) {
        if let Some(text) = message(event, false) {
            let text = indented(&text);
            to_stderr(&if self.is_log { dated(Timestamp::now(), run_id(), &text) } else { text });
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

#[cfg(test)]
mod tests {
    use super::{dated, run_id};

    #[test]
    fn a_line_of_a_log_says_when() {
        let line = dated("2026-11-29T14:05:00.123Z".parse().unwrap(), "4f2a91c0", "data started");
        assert_eq!(line, "2026-11-29T14:05:00Z 4f2a91c0 data started");
        assert_eq!((run_id().len(), run_id()), (8, run_id()), "it is one for the whole run");
    }
}
