//! Events and counters that long work emits; no I/O.
//!
//! Every long operation of dbhaul takes a [`Progress`] handle and reports what
//! it does as [`Event`]s: a *phase* of the run starts and ends (reading the
//! catalog, copying data, building indexes), a *task* inside a phase (one
//! table, one index) starts, advances by rows and bytes, and ends; *notices*
//! tell a person something that is not an error. A [`Sink`] receives the events:
//! a terminal, a log, or a recorder in a test. This crate does not know which,
//! and does no I/O of its own.
//!
//! ```
//! use dbhaul_progress::{Event, Phase, Progress, Recorder};
//!
//! let recorder = Recorder::default();
//! let progress = Progress::new(recorder.clone());
//! progress.phase_started(Phase::Data, Some(1), Some(128));
//! let task = progress.task("TABLE DATA", "public.film", Some(128));
//! task.advance(2, 128);
//! task.finish();
//! progress.phase_finished(Phase::Data);
//! assert_eq!(recorder.copied(), (2, 128));
//! assert!(matches!(recorder.events().last(), Some(Event::PhaseFinished { .. })));
//! ```

mod counted;
mod event;
mod handle;
mod one_line;
mod recorder;

pub use counted::{Count, counted};
pub use event::{Event, Phase, TaskId};
pub use handle::{Progress, Sink, Task};
pub use one_line::one_line;
pub use recorder::Recorder;
