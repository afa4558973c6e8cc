//! What a server says when it refuses.

use std::fmt;

use tokio_postgres::error::{DbError, ErrorPosition};

/// An error response of the server with every field that helps a reader.
///
/// Fields are as in "Error and Notice Message Fields" of PostgreSQL's protocol
/// documentation. The statement is not kept: callers know what they sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerError {
    /// Five characters, for example `42P01`.
    pub sqlstate: String,
    /// `ERROR`, `FATAL` or `PANIC`, not localised where the server says so.
    pub severity: String,
    /// The primary message, one line as a rule.
    pub message: String,
    /// A secondary message.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// 1-based position in the statement that was sent, in characters.
    pub position: Option<u32>,
    /// For an error inside a query that the server generated: that query.
    pub internal_query: Option<String>,
    /// The call stack, or the line of a COPY (`COPY t, line 3, column c`).
    pub where_: Option<String>,
    /// Schema of the object at fault.
    pub schema: Option<String>,
    /// Table at fault.
    pub table: Option<String>,
    /// Column at fault.
    pub column: Option<String>,
    /// Data type at fault.
    pub data_type: Option<String>,
    /// Constraint at fault.
    pub constraint: Option<String>,
}

impl ServerError {
    pub(crate) fn from_driver(error: &DbError) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (position, internal_query) = match error.position() {
            Some(ErrorPosition::Original(position)) => (Some(*position), None),
            Some(ErrorPosition::Internal { query, .. }) => (None, Some(query.clone())),
            None => (None, None),
        };
        ServerError {
            sqlstate: error.code().code().to_owned(),
            severity: match error.parsed_severity() {
                Some(severity) => severity.to_string(),
                None => error.severity().to_owned(),
            },
            message: error.message().to_owned(),
            detail: owned(error.detail()),
            hint: owned(error.hint()),
            position,
            internal_query,
            where_: owned(error.where_()),
            schema: owned(error.schema()),
            table: owned(error.table()),
            column: owned(error.column()),
            data_type: owned(error.datatype()),
            constraint: owned(error.constraint()),
        }
    }

    /// Whether the SQLSTATE begins with this class, for example `08`.
    pub fn is_in_class(&self, class: &str) -> bool {
        self.sqlstate.starts_with(class)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (SQLSTATE {})", self.severity, self.message, self.sqlstate)?;
        let extras = [("detail", &self.detail), ("hint", &self.hint), ("where", &self.where_)];
        for (label, text) in extras {
            if let Some(text) = text {
                write!(f, "\n{label}: {text}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ServerError {}
