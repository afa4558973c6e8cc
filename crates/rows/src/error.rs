//! What can be wrong with rows.

/// An error in COPY text rows, or in the text form of a digest.
///
/// Row numbers count from 1 within one cutter (that is, within one COPY); columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// A row has more or fewer fields than the COPY has columns.
    #[error("row {row} has {} where {} expected", counted(*.found, "field"), columns(*.expected))]
    ColumnCount {
        /// The row's number.
        row: u64,
        /// Columns of the COPY.
        expected: usize,
        /// Fields found.
        found: usize,
    },
    /// The stream ended inside a row: the COPY was cut off.
    #[error("the stream of rows ends inside row {row}, {} after its start", counted(*.pending_bytes, "byte"))]
    UnterminatedRow {
        /// The row's number.
        row: u64,
        /// Bytes seen of that row.
        pending_bytes: usize,
    },
    /// A field is not valid COPY text, e.g. ends in a bare backslash.
    #[error("row {row}, column {column}: invalid COPY text escape")]
    BadEscape {
        /// The row's number; 0 where the row is not known.
        row: u64,
        /// The column's number; 0 where the column is not known.
        column: usize,
    },
    /// The rows hold a byte sequence that a server never writes in COPY text and reads otherwise than it stands.
    #[error("the rows hold {found}, which COPY never writes and reads otherwise")]
    NotCopyText {
        /// What that is, in words.
        found: &'static str,
    },
    /// The bytes are not binary COPY of the columns asked for.
    #[error("row {row}, column {column}: invalid binary COPY: {problem}")]
    BadBinary {
        /// The row's number.
        row: u64,
        /// The column's number; 0 where it is none's.
        column: usize,
        /// What is wrong.
        problem: String,
    },
    /// A digest's text is not `count:sum`.
    #[error("{text:?} is not a row digest of the form count:sum")]
    BadDigest {
        /// The text.
        text: String,
    },
    /// A parameter of cutting that cannot work.
    #[error("cut parameters: {reason}")]
    BadCutParameters {
        /// What is wrong.
        reason: String,
    },
}

/// A number with its noun.
fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

fn columns(count: usize) -> String {
    format!("{} {}", counted(count, "column"), if count == 1 { "is" } else { "are" })
}
