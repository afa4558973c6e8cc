//! How a run ended, in the terms of the documented exit codes.

use serde::Serialize;

/// How a run ended. The command line turns it into an exit code; errors have
/// statuses too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Everything asked for was done.
    Done,
    /// Done, but some objects were skipped, each named in the report.
    Skipped,
    /// A verification found differences, or could not verify something.
    Different,
    /// A preflight found a blocker.
    Blocked,
    /// What was asked for makes no sense; nothing was touched.
    Misused,
    /// Something failed.
    Failed,
    /// The user stopped it.
    Interrupted,
}

impl Status {
    /// The process exit code: documented, and never changed.
    pub fn exit_code(self) -> u8 {
        match self {
            Status::Done => 0,
            Status::Failed => 1,
            Status::Misused => 2,
            Status::Skipped => 3,
            Status::Different => 4,
            Status::Blocked => 5,
            Status::Interrupted => 130,
        }
    }
}
