//! What can go wrong while rows are read.

use dbhaul_postgres as postgres;
use dbhaul_rows::RowsError;
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
    /// The server sent rows that are not COPY text of the columns asked for.
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
