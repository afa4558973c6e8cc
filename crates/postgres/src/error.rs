//! What can go wrong when speaking to a server, and whether trying again helps.

use std::error::Error as _;
use std::io;

use crate::connect::ConnectError;
use crate::server_error::ServerError;
use crate::settings::SettingsError;
use crate::wire::WireError;

/// The result of everything in this crate that speaks to a server.
pub type Result<T> = std::result::Result<T, Error>;

/// What a caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The same work may succeed on a new session: lost connections, restarts,
    /// deadlocks, serialization failures, full connection slots, lock timeouts.
    Transient,
    /// The same work will fail the same way.
    Permanent,
    /// The caller's token was cancelled.
    Cancelled,
    /// The server does not let this role in.
    Auth,
    /// The role is in, but may not do this (SQLSTATE 42501).
    Privilege,
    /// The settings cannot be used as they are.
    Settings,
}

/// An error while speaking to a server. Passwords never appear in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No host let us in.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refused a statement.
    #[error(transparent)]
    Server(Box<ServerError>),
    /// The connection ended before the answer came.
    #[error("connection to {server} was lost: {reason}")]
    ConnectionLost {
        /// `host:port/database as user`.
        server: String,
        /// What ended it, as far as is known.
        reason: String,
        /// The server's last words, for example `57P01` when it was shut down.
        last_words: Option<Box<ServerError>>,
    },
    /// A setting did not take the value that dbhaul needs.
    #[error("{server} did not keep the setting {setting}: wanted {wanted:?}, found {found:?}{advice}")]
    Pin {
        /// `host:port/database as user`.
        server: String,
        /// Name of the setting.
        setting: String,
        /// The value that was set.
        wanted: String,
        /// The value that was read back.
        found: String,
        /// What may help, empty or beginning with `; `.
        advice: &'static str,
    },
    /// The role that was asked for cannot be taken on.
    #[error("cannot act as role {role:?} on {server}: {cause}")]
    Role {
        /// `host:port/database as user`.
        server: String,
        /// The role.
        role: String,
        /// What the server said.
        cause: Box<ServerError>,
    },
    /// A transaction pooler stands between us and the server.
    #[error(
        "{server} is behind a connection pooler in transaction or statement mode ({evidence}); \
         connect to the database's direct port, or to the pooler in session mode"
    )]
    Pooler {
        /// `host:port/database as user`.
        server: String,
        /// What gave it away.
        evidence: String,
    },
    /// The caller's token was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A row could not be read as the type that the caller asked for.
    #[error("unexpected answer from {server}: {problem} (query: {query})")]
    Answer {
        /// `host:port/database as user`.
        server: String,
        /// What was wrong with it.
        problem: String,
        /// The first line or so of the query.
        query: String,
    },
    /// Text of the server is not UTF-8 (only possible where its encoding is SQL_ASCII).
    #[error(
        "{server} sent text that is not valid UTF-8 (query: {query}); its encoding is SQL_ASCII, \
         so object names and catalog texts may hold bytes of any encoding: rename or repair them first"
    )]
    NotUtf8 {
        /// `host:port/database as user`.
        server: String,
        /// The first line or so of the query.
        query: String,
    },
    /// A COPY FROM was begun outside a transaction.
    #[error(
        "COPY FROM STDIN needs an open transaction on {server}: outside one the server reports \
         the end of the command before it commits, so a failure to commit would go unnoticed"
    )]
    NotInTransaction {
        /// `host:port/database as user`.
        server: String,
    },
    /// Statements that must be undone together were to run outside a transaction.
    #[error("statements that must take effect together need an open transaction on {server}")]
    NoTransaction {
        /// `host:port/database as user`.
        server: String,
    },
    /// A snapshot could not be imported.
    #[error("snapshot {snapshot} of {server} is gone: the session that exported it has ended ({cause})")]
    SnapshotGone {
        /// The identifier that `pg_export_snapshot` gave.
        snapshot: String,
        /// `host:port/database as user`.
        server: String,
        /// What the server said.
        cause: Box<ServerError>,
    },
    /// The server was started again after a crash in the middle of what is done there.
    #[error(
        "{server} crashed and was started again: what it had committed last may be gone, and nothing more is \
         written until that is known"
    )]
    Crashed {
        /// `host:port/database as user`.
        server: String,
    },
    /// A table that was read under a snapshot is not what the snapshot saw.
    #[error(
        "{table} on {server} was truncated, rewritten, renamed or dropped after the snapshot was taken: \
         its rows as of the snapshot are gone; start again"
    )]
    TableChanged {
        /// `host:port/database as user`.
        server: String,
        /// The table, quoted.
        table: String,
    },
    /// The server broke the protocol.
    #[error("connection to {server} was ended: {problem}")]
    Wire {
        /// `host:port/database as user`.
        server: String,
        /// How.
        problem: WireError,
    },
    /// The driver met something that it does not understand.
    #[error("protocol error while speaking to {server}: {problem}")]
    Protocol {
        /// `host:port/database as user`.
        server: String,
        /// The driver's words.
        problem: String,
    },
}

impl Error {
    /// Turns a driver error into ours. `server` is a description without secrets.
    pub(crate) fn from_driver(server: &str, error: &tokio_postgres::Error) -> Self {
        if let Some(db_error) = error.as_db_error() {
            let refusal = ServerError::from_driver(db_error);
            return if ends_connection(&refusal) {
                Error::lost(server, refusal.message.clone(), Some(refusal))
            } else {
                Error::Server(Box::new(refusal))
            };
        }
        if error.is_closed() {
            return Error::lost(server, "the connection is closed".to_owned(), None);
        }
        if let Some(problem) = io_source(error).and_then(WireError::find) {
            return Error::Wire { server: server.to_owned(), problem: problem.clone() };
        }
        match io_source(error) {
            Some(io) if io.kind() == io::ErrorKind::UnexpectedEof => {
                Error::lost(server, "the server closed the connection unexpectedly".to_owned(), None)
            }
            Some(io) if is_connection_io(io) => Error::lost(server, io.to_string(), None),
            Some(io) => Error::Protocol { server: server.to_owned(), problem: format!("{error}: {io}") },
            None => Error::Protocol { server: server.to_owned(), problem: describe_chain(error) },
        }
    }

    pub(crate) fn lost(server: &str, reason: String, last_words: Option<ServerError>) -> Self {
        Error::ConnectionLost { server: server.to_owned(), reason, last_words: last_words.map(Box::new) }
    }

    /// The server's own words, if it gave any.
    pub fn server_error(&self) -> Option<&ServerError> {
        match self {
            Error::Server(error) | Error::SnapshotGone { cause: error, .. } => Some(error),
            Error::Role { cause, .. } => Some(cause),
            Error::ConnectionLost { last_words, .. } => last_words.as_deref(),
            Error::Connect(error) => error.server_error(),
            _ => None,
        }
    }

    /// The SQLSTATE, if the server gave one.
    pub fn sqlstate(&self) -> Option<&str> {
        self.server_error().map(|error| error.sqlstate.as_str())
    }

    /// What a caller should do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Error::Settings(_) => ErrorClass::Settings,
            Error::Connect(error) => error.class(),
            // The server lives on: it is a foreign server, which it tried for a statement, that is gone.
            Error::Server(error) if error.is_in_class("08") => ErrorClass::Permanent,
            Error::Server(error) => class_of_sqlstate(&error.sqlstate),
            Error::ConnectionLost { .. } => ErrorClass::Transient,
            Error::Cancelled => ErrorClass::Cancelled,
            Error::Pin { .. }
            | Error::Role { .. }
            | Error::Pooler { .. }
            | Error::Answer { .. }
            | Error::NotUtf8 { .. }
            | Error::NotInTransaction { .. }
            | Error::NoTransaction { .. }
            | Error::SnapshotGone { .. }
            | Error::Crashed { .. }
            | Error::TableChanged { .. }
            | Error::Wire { .. }
            | Error::Protocol { .. } => ErrorClass::Permanent,
        }
    }

    /// Whether trying the same work on a new session may succeed.
    pub fn is_transient(&self) -> bool {
        self.class() == ErrorClass::Transient
    }

    /// Whether the session that gave this error is dead.
    pub fn is_connection_lost(&self) -> bool {
        matches!(self, Error::ConnectionLost { .. })
    }

    /// Whether the caller's token was cancelled.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Error::Cancelled)
    }
}

/// Whether a refusal is also the end of its connection. Poolers say 08P01 of a
/// server that they lost; a server says the other states of class 08, as mere
/// errors, of foreign servers.
fn ends_connection(error: &ServerError) -> bool {
    matches!(error.severity.as_str(), "FATAL" | "PANIC")
        || matches!(error.sqlstate.as_str(), "08P01" | "57P01" | "57P02" | "57P03" | "57P05")
}

/// The class of a statement's failure. The states are listed in PostgreSQL's
/// appendix "PostgreSQL Error Codes".
pub(crate) fn class_of_sqlstate(sqlstate: &str) -> ErrorClass {
    match sqlstate {
        // deadlock, serialization, lock not available, admin shutdown, crash, starting up, idle timeouts
        "40001" | "40P01" | "55P03" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04" => {
            ErrorClass::Transient
        }
        // too many connections, out of memory (may be passing), disk full is permanent
        "53300" | "53200" => ErrorClass::Transient,
        // a cancel that we did not send: another administrator, or a recovery conflict
        "57014" => ErrorClass::Transient,
        "28000" | "28P01" => ErrorClass::Auth,
        "42501" => ErrorClass::Privilege,
        state if state.starts_with("08") => ErrorClass::Transient,
        _ => ErrorClass::Permanent,
    }
}

/// The I/O error somewhere below a driver error.
pub(crate) fn io_source(error: &tokio_postgres::Error) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io);
        }
        next = cause.source();
    }
    None
}

fn is_connection_io(io: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkDown,
        NetworkUnreachable, NotConnected, TimedOut,
    };
    matches!(
        io.kind(),
        BrokenPipe
            | ConnectionAborted
            | ConnectionRefused
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | TimedOut
    )
}

/// A driver error with its causes on one line.
pub(crate) fn describe_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// The beginning of a query, short enough for a message.
pub(crate) fn excerpt(sql: &str) -> String {
    const LIMIT_CHARS: usize = 120;
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LIMIT_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(severity: &str, sqlstate: &str) -> ServerError {
        ServerError {
            sqlstate: sqlstate.to_owned(),
            severity: severity.to_owned(),
            message: "no".to_owned(),
            detail: None,
            hint: Some("try".to_owned()),
            position: None,
            internal_query: None,
            where_: None,
            schema: None,
            table: None,
            column: None,
            data_type: None,
            constraint: None,
        }
    }

    #[test]
    fn states_have_their_class() {
        let table = [
            ("40001", ErrorClass::Transient),
            ("40P01", ErrorClass::Transient),
            ("55P03", ErrorClass::Transient),
            ("57P01", ErrorClass::Transient),
            ("53300", ErrorClass::Transient),
            ("08006", ErrorClass::Transient),
            ("28P01", ErrorClass::Auth),
            ("42501", ErrorClass::Privilege),
            ("42P01", ErrorClass::Permanent),
            ("53100", ErrorClass::Permanent),
            ("23505", ErrorClass::Permanent),
        ];
        for (state, class) in table {
            assert_eq!(class_of_sqlstate(state), class, "{state}");
        }
    }

    #[test]
    fn fatal_errors_end_the_connection() {
        assert!(ends_connection(&refusal("FATAL", "57P01")));
        assert!(ends_connection(&refusal("ERROR", "08P01")));
        assert!(!ends_connection(&refusal("ERROR", "57014")));
        assert!(ends_connection(&refusal("FATAL", "08006")));
        assert!(!ends_connection(&refusal("ERROR", "08001")));
    }

    #[test]
    fn a_server_error_prints_its_hint_once() {
        assert_eq!(refusal("ERROR", "42P01").to_string(), "ERROR: no (SQLSTATE 42P01)\nhint: try");
    }

    #[test]
    fn excerpts_are_short_and_on_one_line() {
        assert_eq!(excerpt("SELECT\n   1"), "SELECT 1");
        assert_eq!(excerpt(&"é".repeat(500)).chars().count(), 123);
    }
}
