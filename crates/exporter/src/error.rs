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

impl ExportError {
    /// Whether the segment comes in another format when it is read again, as it has to.
    pub fn is_turned(&self) -> bool {
        matches!(self, ExportError::RowTooLong { is_turned: true, .. })
    }

    /// What went wrong without the table and the segment, for whoever names them, and its cause.
    pub fn without_place(self) -> (String, Option<postgres::Error>) {
        match self {
            ExportError::Snapshot { source } => {
                ("cannot hold a snapshot of the source".to_owned(), Some(source))
            }
            ExportError::Session { source, .. } => {
                ("cannot open a session to read it".to_owned(), Some(source))
            }
            ExportError::Copy { source, .. } => {
                ("cannot read its rows from the source".to_owned(), Some(source))
            }
            ExportError::RowTooLong { row, format, is_turned, source, .. } => {
                let message = format!("{row} is too long to be sent {}{}", words(format), turning(is_turned));
                (message, Some(source))
            }
            ExportError::Rows { source, .. } => {
                (format!("the rows are not what was asked for: {source}"), None)
            }
            ExportError::UnknownSegment { .. } => ("it is not in the plan".to_owned(), None),
            ExportError::Cancelled => ("cancelled".to_owned(), None),
        }
    }
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
