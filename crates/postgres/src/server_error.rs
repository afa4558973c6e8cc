//! What a server says when it refuses.

use std::fmt;

use tokio_postgres::error::{DbError, ErrorPosition};

/// An error response of the server with every field that helps a reader.
///
/// Fields are as in "Error and Notice Message Fields" of PostgreSQL's protocol
/// documentation. The statement is not kept: callers know what they sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

    /// The same if its texts are not longer than this together, or the beginning of its message alone.
    pub(crate) fn within(mut self, limit_bytes: usize) -> Self {
        let texts = [&self.detail, &self.hint, &self.internal_query, &self.where_];
        let bytes = self.message.len() + texts.into_iter().flatten().map(String::len).sum::<usize>();
        if bytes <= limit_bytes {
            return self;
        }
        if self.message.len() > limit_bytes {
            let end = (0..=limit_bytes).rev().find(|end| self.message.is_char_boundary(*end));
            self.message.truncate(end.unwrap_or(0));
            self.message.push_str(" ...");
            self.message.shrink_to_fit();
        }
        ServerError { detail: None, hint: None, internal_query: None, where_: None, ..self }
    }

    /// Whether the SQLSTATE begins with this class, for example `08`.
    pub fn is_in_class(&self, class: &str) -> bool {
        self.sqlstate.starts_with(class)
    }
}

impl fmt::Display for ServerError {
    /// A text of several lines has the further ones indented: they may be of a name, and must not pass for ours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indented = |text: &str| text.replace('\n', "\n    ");
        write!(f, "{}: {} (SQLSTATE {})", self.severity, indented(&self.message), self.sqlstate)?;
        let extras = [("detail", &self.detail), ("hint", &self.hint), ("where", &self.where_)];
        for (label, text) in extras {
            if let Some(text) = text {
                write!(f, "\n{label}: {}", indented(text))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ServerError {}
