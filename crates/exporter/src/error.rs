//! What can go wrong while rows are read.

use dbhaul_postgres as postgres;
use dbhaul_rows::{CopyFormat, RowsError};
use thiserror::Error;

/// Reading rows failed; names the table and the segment.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The snapshot could not be exported or is gone.
    #[error("cannot hold a snapshot of the source")]
    Snapshot {
        /// What the server said.
        #[source]
        source: postgres::Error,
    },
    /// A session for reading could not be opened.
    #[error("cannot open a session to read {table}")]
    Session {
        /// The table it was for.
        table: String,
        /// What happened.
        #[source]
        source: postgres::Error,
    },
    /// The server ended a COPY with an error.
    #[error("reading {table}, segment {segment}")]
    Copy {
        /// The table.
        table: String,
        /// The segment, from 0.
        segment: u32,
        /// What the server said.
        #[source]
        source: postgres::Error,
    },
    /// The server cannot send a row, because a value of it, or all of it, would take more than 1 GiB.
    #[error("reading {table}, segment {segment}: {row} is too long to be sent {}{}", words(*.format), turning(*.is_turned))]
    RowTooLong {
        /// The table.
        table: String,
        /// The segment, from 0.
        segment: u32,
        /// Which row, in words.
        row: String,
        /// In which format it was asked for.
        format: CopyFormat,
        /// Whether the segment, read again, comes in binary, in which the row may fit.
        is_turned: bool,
        /// What the server said.
        #[source]
        source: postgres::Error,
    },
    /// The server sent rows that are not COPY of the columns asked for.
    #[error("reading {table}, segment {segment}: the rows are not what was asked for")]
    Rows {
        /// The table.
        table: String,
        /// The segment, from 0.
        segment: u32,
        /// What is wrong with them.
        #[source]
        source: RowsError,
    },
    /// The plan has no such entry or segment.
    #[error("no segment {segment} of TOC entry {entry} in the plan")]
    UnknownSegment {
        /// The TOC entry.
        entry: u32,
        /// The segment.
        segment: u32,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
}

fn words(format: CopyFormat) -> &'static str {
    match format {
        CopyFormat::Text => "as COPY text, of which PostgreSQL makes 1 GiB at most",
        CopyFormat::Binary => "even in binary COPY, of which PostgreSQL makes 1 GiB at most",
    }
}

fn turning(is_turned: bool) -> &'static str {
    if is_turned { "; going on in binary COPY" } else { "" }
}
