//! Events as NDJSON on standard error, for programs.

use std::time::Duration;

use dbhaul_pipeline::Status;
use dbhaul_progress::Event;
use serde::Serialize;

use super::Painter;
use crate::errors::Shown;
use crate::output::{plain_json, to_stderr};

/// Each event as one line, with the seconds since the start.
pub(super) struct Json;

#[derive(Serialize)]
struct Line<'a> {
    elapsed_seconds: f64,
    #[serde(flatten)]
    event: &'a Event,
}

impl Painter for Json {
    fn take(&mut self, event: &Event, at: Duration) {
        let elapsed_seconds = (at.as_secs_f64() * 1000.0).round() / 1000.0;
        print(&Line { elapsed_seconds, event });
    }

    fn tick(&mut self, _at: Duration) {}

    fn finish(&mut self) {}
}

/// The error that ended the run, as the last line.
pub(super) fn print_error(error: &Shown, status: Status) {
    #[derive(Serialize)]
    struct ErrorLine<'a> {
        event: &'static str,
        exit_code: u8,
        #[serde(flatten)]
        error: &'a Shown,
    }
    print(&ErrorLine { event: "error", exit_code: status.exit_code(), error });
}

fn print(line: &impl Serialize) {
    match serde_json::to_string(line) {
        Ok(text) => to_stderr(&plain_json(&text)),
        Err(error) => tracing::warn!(%error, "an event was not shown"),
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_progress::{Event, Phase};

    use super::Line;

    #[test]
    fn an_event_is_one_flat_line() {
        let event = Event::PhaseStarted { phase: Phase::Data, total_tasks: Some(2), total_bytes: None };
        assert_eq!(
            serde_json::to_string(&Line { elapsed_seconds: 1.5, event: &event }).unwrap(),
            r#"{"elapsed_seconds":1.5,"event":"phase-started","phase":"data","total_tasks":2,"total_bytes":null}"#
        );
    }
}
