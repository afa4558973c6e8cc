//! The run that a report is about: its command line, and what it did when.

use serde::{Deserialize, Serialize};

/// How a run was called, and how long its parts took.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RunRecord {
    /// The command line, with everything masked that may be a password.
    pub command_line: String,
    /// When it began, ISO 8601 in UTC.
    pub started_at: String,
    /// When it ended.
    pub finished_at: String,
    /// Milliseconds in between, by a clock that nobody sets.
    pub elapsed_ms: u64,
    /// Its phases, in the order in which they began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseTime>,
    /// Its longest tasks, the longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub longest_tasks: Vec<TaskTime>,
}

/// When a phase was at work, in milliseconds since the start of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseTime {
    /// `introspect`, `data`, `verify`, ...
    pub phase: String,
    /// Its start.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
}

/// When a task was at work, in milliseconds since the start of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTime {
    /// What was done: `DIGEST`, `TABLE DATA`, `INDEX`, ...
    pub kind: String,
    /// To which object.
    pub name: String,
    /// An estimate of its size in bytes, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_bytes: Option<u64>,
    /// Its start.
    pub start_ms: u64,
    /// Its end.
    pub end_ms: u64,
}

impl TaskTime {
    /// How long it took.
    pub fn elapsed_ms(&self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}
