//! Counts, digests, rows that differ, schema comparison and the report of a verification.
//!
//! A *side* is one of the two databases that are compared: a live one, or a
//! backup. Of a live side, [`digest_tables`] computes the **row digest** of every
//! table with one plain-SQL scan each, all under one snapshot; a backup carries
//! its digests with it. [`judge`] then gives every table a [`Verdict`]: *equal*,
//! *different*, or *not verified* with the reason, and nothing is left out; rows that
//! were only counted are never equal. Of tables that differ, [`locate_rows`] finds
//! which rows and columns do. Together with the difference of the two catalogs this
//! makes a [`Report`], which is what an auditor reads.
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

mod definitions;
mod differing_rows;
mod digest;
mod drill;
mod error;
mod mode;
mod report;
mod verdict;

pub use definitions::{Settler, settle_definitions};
pub use differing_rows::{
    DifferingColumn, DifferingRow, DifferingRows, NamedValue, RowDifference, SettledRows, ShowValues,
    ShownValue,
};
pub use digest::{DigestTask, Measure, Reading, digest_tables};
pub use drill::{
    DrillOptions, DrillSide, DrillTask, LiveRows, MatchingKey, PlainType, StoredRows, ValueStyle, locate_rows,
};
pub use error::VerifyError;
pub use mode::Mode;
pub use report::{
    Command, Conclusion, Document, LARGE_OBJECTS, ObjectDefinitions, PhaseTime, REPORT_FORMAT, Report,
    ReportError, RowsOfRight, RunRecord, SequenceResult, SideDescription, TableResult, TaskTime, Totals,
    Written, WrittenReason, html, junit, markdown,
};
pub use verdict::{Found, Verdict, judge};
