//! Shows what happens during a run.
//!
//! Work emits events into an [`Inbox`], which costs it a lock and nothing else.
//! One thread empties the inbox and hands each event to a [`Painter`]: bars, plain
//! lines, JSON, or warnings only. Painters share nothing with the work, so a
//! terminal that stalls stops the painting and not the copying.

mod bars;
mod inbox;
mod json;
mod plain;
mod record;
mod tally;
mod words;

use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dbhaul_pipeline::Status;
use dbhaul_progress::{Event, Progress, Sink};

use crate::args::{OutputArgs, ProgressMode};
use crate::errors::Shown;
use inbox::Inbox;
pub(crate) use record::Recorder;

/// How often painters get to draw.
const TICK: Duration = Duration::from_millis(100);

/// Draws events. Times are since the start of the run.
trait Painter: Send {
    /// Something happened.
    fn take(&mut self, event: &Event, at: Duration);
    /// Time has passed.
    fn tick(&mut self, at: Duration);
    /// Nothing more will happen: leaves the terminal clean.
    fn finish(&mut self);
}

/// The display of one run.
pub(crate) struct Display {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    mode: ProgressMode,
    recorder: Arc<Recorder>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    inbox: Inbox,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct InboxSink(Arc<Shared>, Arc<Recorder>);

impl Sink for InboxSink {
    fn emit(&self, event: Event) {
        self.1.take(&event);
        let is_urgent = matches!(event, Event::Notice { .. } | Event::Warning { .. });
        self.0.lock().inbox.push(event);
        if is_urgent {
            self.0.wake.notify_one();
        }
    }
}

impl Display {
    /// Starts the display that was asked for.
    pub(crate) fn start(output: &OutputArgs) -> Self {
        let mode = choose(output, std::io::stderr().is_terminal());
        let mut painter: Box<dyn Painter> = match mode {
            ProgressMode::Bar => Box::new(bars::Bars::new(!output.quiet)),
            ProgressMode::Json => Box::new(json::Json),
            ProgressMode::Plain => Box::new(plain::Plain::new(!output.quiet)),
            ProgressMode::Auto | ProgressMode::None => Box::new(plain::WarningsOnly::new()),
        };
        let shared = Arc::new(Shared::default());
        let painted = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("progress".to_owned());
        // Without a thread there is no display; the run itself needs none.
        let thread = thread.spawn(move || paint(&painted, painter.as_mut())).ok();
        Display { shared, thread, mode, recorder: Arc::new(Recorder::start()) }
    }

    /// The handle that work reports through.
    pub(crate) fn progress(&self) -> Progress {
        Progress::new(InboxSink(Arc::clone(&self.shared), Arc::clone(&self.recorder)))
    }

    /// What notes when the run does what.
    pub(crate) fn recorder(&self) -> Arc<Recorder> {
        Arc::clone(&self.recorder)
    }

    /// Whether standard error is meant for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.mode == ProgressMode::Json
    }

    /// Shows what is left and leaves the terminal clean.
    pub(crate) fn finish(mut self) {
        self.stop();
    }

    /// As [`finish`](Self::finish), and then the error that ended the run.
    pub(crate) fn finish_with(mut self, error: &Shown, status: Status) {
        self.stop();
        if self.is_json() { json::print_error(error, status) } else { error.print_of_run() }
    }

    fn stop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A painter that panicked has nothing left to show.
            let _ = thread.join();
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What `auto` means here. Logs and bars would write over each other, so `-v` gets lines.
fn choose(output: &OutputArgs, is_terminal: bool) -> ProgressMode {
    match output.progress {
        ProgressMode::Auto if output.quiet => ProgressMode::None,
        ProgressMode::Auto if is_terminal && output.verbose == 0 => ProgressMode::Bar,
        ProgressMode::Auto => ProgressMode::Plain,
        mode => mode,
    }
}

/// Empties the inbox until the run has ended.
fn paint(shared: &Shared, painter: &mut dyn Painter) {
    let started = Instant::now();
    loop {
        let (events, ended) = {
            let state = shared.lock();
            let waiting = |state: &mut State| !state.ended && !state.inbox.has_messages();
            let (mut state, _) =
                shared.wake.wait_timeout_while(state, TICK, waiting).unwrap_or_else(PoisonError::into_inner);
            (state.inbox.drain(), state.ended)
        };
        let at = started.elapsed();
        for event in &events {
            painter.take(event, at);
        }
        if ended {
            return painter.finish();
        }
        painter.tick(at);
    }
}

#[cfg(test)]
mod tests {
    use super::choose;
    use crate::args::{OutputArgs, ProgressMode};

    #[test]
    fn auto_means_what_suits_the_place() {
        let auto = |quiet, verbose, is_terminal| {
            let output = OutputArgs { json: false, progress: ProgressMode::Auto, quiet, verbose };
            choose(&output, is_terminal)
        };
        assert_eq!(auto(false, 0, true), ProgressMode::Bar);
        assert_eq!(auto(false, 1, true), ProgressMode::Plain);
        assert_eq!(auto(false, 0, false), ProgressMode::Plain);
        assert_eq!(auto(true, 0, true), ProgressMode::None);
        let asked = OutputArgs { json: true, progress: ProgressMode::Json, quiet: true, verbose: 0 };
        assert_eq!(choose(&asked, true), ProgressMode::Json);
    }
}
