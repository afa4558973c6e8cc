//! Counts, digests, rows that differ, schema comparison and the report of a verification.
//!
//! A *side* is one of the two databases that are compared: a live one, or a
//! backup. Of a live side, [`digest_tables`] computes the **row digest** of every
//! table with one plain-SQL scan each, all under one snapshot; a backup carries
//! its digests with it. [`judge`] then gives every table a [`Verdict`]: *equal*,
//! *different*, or *not verified* with the reason, and nothing is left out; rows that
//! were only counted are never equal. Of tables that differ, [`locate_rows`] finds
//! which rows and columns do. [`run_checks`] asks both sides queries of the user's own. Together with the difference of the two catalogs this
//! makes a [`Report`], which is what an auditor reads; an [`AcceptList`] says which differences do not count.
//!
//! This crate does not know how the rows got where they are.
//!
//! ```
//! use dbhaul_verifier::{Found, Verdict, judge};
//!
//! let left = Found::Digest("3:17".parse()?);
//! let right = Found::Digest("3:18".parse()?);
//! assert!(matches!(judge(Some(&left), Some(&right)), Verdict::Different { .. }));
//! # Ok::<(), dbhaul_rows::RowsError>(())
//! ```

mod accept;
mod checks;
mod definitions;
mod differing_rows;
mod digest;
mod drill;
mod error;
mod limit;
mod mode;
mod report;
mod upkeep;
mod verdict;

pub use accept::{AcceptError, AcceptList, Accepted, AcceptedFinding, UnusedLine};
pub use checks::{
    AnswerRow, Check, CheckResult, CheckSide, CheckVerdict, Checks, DifferentAnswers, MAX_ANSWER_BYTES,
    MAX_ANSWER_ROWS, run_checks,
};
pub use definitions::{Settler, settle_definitions};
pub use differing_rows::{
    DifferingColumn, DifferingRow, DifferingRows, NamedValue, RowDifference, SettledRows, ShowValues,
    ShownValue,
};
pub use digest::{DigestTask, Digested, Measure, Reading, digest_tables};
pub use drill::{
    DrillOptions, DrillSide, DrillTask, Groups, LiveRows, LocatedRows, MatchingKey, PlainType, RepairColumn,
    RepairTable, StoredRows, TableRepair, ValueStyle, locate_rows,
};
pub use error::VerifyError;
pub use limit::{TimeLimit, TimedToken};
pub use mode::Mode;
pub use report::{
    BehindColumn, Command, Conclusion, Document, LARGE_OBJECTS, ObjectDefinitions, PhaseTime, REPORT_FORMAT,
    Report, ReportError, RowsOfRight, RunRecord, SequenceResult, SideDescription, TableResult, TaskTime,
    Totals, Written, WrittenReason, html, junit, markdown,
};
pub use upkeep::{FilledColumn, Furthest, Upkeep, look_at_upkeep};
pub use verdict::{Found, Verdict, judge};
