//! Parallel COPY importer: a table of contents and segments of rows become a database.
//!
//! A [`Toc`](dbhaul_catalog::Toc) says what to create; a [`SegmentSource`] hands out the rows, one
//! *segment* at a time, each as a stream of chunks. [`plan()`] turns both into an [`ImportPlan`]: data
//! that can be printed and that nothing has acted on yet. [`check_target`] looks whether the target can
//! take it, [`import`] carries it out, and the [`ImportOutcome`] names every table loaded with its row
//! digest, everything skipped and everything that failed. An outcome is a success only if
//! [`ImportOutcome::is_complete`] says so.
//!
//! Work runs in stages. Pre-data goes serially over one session. Then rows, indexes, constraints and
//! all that follows are *steps* of one scheduler over N sessions: a table's indexes start when its last
//! segment has committed, whatever the other tables do. Grants, refreshes of materialized views,
//! publications and event triggers come last, as in `pg_restore`.
//!
//! Every step that changes the target commits together with a row in the *ledger*, a table in a schema
//! of its own on the target. So a run that is killed at any instant can be resumed without loss or
//! duplicates, and an answer to `COMMIT` that was lost is found out by looking. The ledger is dropped
//! with the last step of a run in which nothing failed.
//!
//! This crate does not know where segments come from: an archive, another server, a test.
//!
//! ```
//! use dbhaul_catalog::Toc;
//! use dbhaul_importer::{ImportOptions, plan};
//!
//! let options = ImportOptions::new("01J0000000000000000000000", "backup shop/2026-01-01");
//! let plan = plan(Toc::default(), &[], options)?;
//! println!("{plan}");
//! # Ok::<(), dbhaul_importer::ImportError>(())
//! ```

mod cause;
mod error;
mod ledger;
mod options;
mod outcome;
mod plan;
mod run;
mod schedule;
mod source;
mod subject;
mod target;
#[cfg(test)]
mod testing;

pub use cause::Cause;
pub use error::{ImportError, PlanProblem};
pub use ledger::leftover::{LeftoverLedger, leftover_ledgers};
pub use ledger::unfinished::{UnfinishedRun, UnfinishedRuns, remove_ledger, unfinished_runs};
pub use options::{ExtensionMember, ExtensionMembers, ImportOptions, Sections, StatisticsMode};
pub use outcome::{Failed, ImportOutcome, LoadedTable, Skipped, tell};
pub use plan::{ImportPlan, plan};
pub use run::import;
pub use schedule::{Lock, LockMode, Node, NodeId, Scheduler};
pub use source::{
    Again, ChunkStream, EntrySegments, SegmentRef, SegmentRows, SegmentSource, SourceError, StatisticsError,
    StatisticsStream, StatisticsWave,
};
pub use subject::{EntrySubject, Part, Subject};
pub use target::{Blocker, ImportingRole, TargetReport, check_target, tablespaces};
