//! What can happen during a run.

use serde::Serialize;

/// A stage of a run, in the order in which stages usually start. Stages overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Connecting, probing privileges, reading the catalogs.
    Introspect,
    /// Checks before anything is changed.
    Preflight,
    /// Schemas, types, functions, tables without indexes.
    PreData,
    /// Rows.
    Data,
    /// Indexes, constraints, triggers.
    PostData,
    /// Materialized views.
    Refresh,
    /// Planner statistics.
    Analyze,
    /// Digests and comparisons.
    Verify,
    /// Writing or reading a store's commit point.
    Commit,
}

impl Phase {
    /// The name shown to people and used in the JSON events.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Introspect => "introspect",
            Phase::Preflight => "preflight",
            Phase::PreData => "pre-data",
            Phase::Data => "data",
            Phase::PostData => "post-data",
            Phase::Refresh => "refresh",
            Phase::Analyze => "analyze",
            Phase::Verify => "verify",
            Phase::Commit => "commit",
        }
    }
}

/// Identifies a task within one [`Progress`](crate::Progress); never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct TaskId(pub u64);

/// One thing that happened. Byte counts are of COPY text, before compression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A phase began; totals are estimates and may be absent.
    PhaseStarted {
        /// Which phase.
        phase: Phase,
        /// How many tasks it will have.
        total_tasks: Option<u64>,
        /// How many bytes its tasks will move; of tasks that move none, what they are worth in moved bytes.
        total_bytes: Option<u64>,
    },
    /// A phase ended.
    PhaseFinished {
        /// Which phase.
        phase: Phase,
    },
    /// A task (one table, index, constraint, pack) began.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// What it works on, in the words of a TOC: `TABLE DATA`, `INDEX`.
        kind: String,
        /// The object's qualified name.
        name: String,
        /// Estimated bytes to move; of work that moves none, such as an index, what it is worth in moved
        /// bytes.
        total_bytes: Option<u64>,
    },
    /// A task moved rows and bytes since its last advance.
    TaskAdvanced {
        /// The task.
        task: TaskId,
        /// Rows moved since the last advance.
        row_count: u64,
        /// Bytes moved since the last advance.
        copied_bytes: u64,
    },
    /// What the server says of a task that it does by itself, an index build for instance.
    TaskProgressed {
        /// The task.
        task: TaskId,
        /// What the server is at, in its own words: `building index: scanning table`.
        stage: String,
        /// How much of this stage is done, in units of the server's: blocks, tuples.
        done: u64,
        /// Of how much; 0 where the server does not know.
        total: u64,
    },
    /// A task ended well.
    TaskFinished {
        /// The task.
        task: TaskId,
    },
    /// A task ended badly; the run's result carries the error itself.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// Why, in one line.
        message: String,
    },
    /// Something a person should read that is neither error nor warning.
    Notice {
        /// One line.
        message: String,
    },
    /// Something that may need action: an object skipped, a retry.
    Warning {
        /// One line.
        message: String,
    },
}
