//! Why no host let us in, in words.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use crate::error::{self, ErrorClass};
use crate::server_error::ServerError;
use crate::settings::ConnectSettings;
use crate::wire::WireError;

/// Bytes of a name that a server keeps.
const NAME_BYTES: usize = 63;

/// Why one host did not let us in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The name cannot be looked up.
    UnknownHost(String),
    /// Nothing listens there.
    Refused,
    /// The network does not lead there, or the socket cannot be used.
    Unreachable(String),
    /// No answer in time.
    Timeout(Duration),
    /// The server has no TLS although it was required.
    NoTls,
    /// The handshake failed; certificates are named with what is wrong with them.
    Tls(String),
    /// The server wants a password, and none was given.
    NoPassword,
    /// The server does not let this role in (28000, 28P01).
    Auth(Box<ServerError>),
    /// The authentication could not be done for another reason.
    AuthProtocol(String),
    /// There is no such database (3D000).
    NoDatabase(Box<ServerError>),
    /// Every connection slot is taken (53300).
    TooManyConnections(Box<ServerError>),
    /// The server is starting, stopping or recovering (57P03).
    NotReady(Box<ServerError>),
    /// The server, or a pooler before it, refused for another reason.
    Rejected(Box<ServerError>),
    /// The server is not of the kind that `target_session_attrs` asks for.
    WrongKind {
        /// The value of `target_session_attrs`.
        wanted: &'static str,
    },
    /// The server broke the protocol, or asked for what it may not have.
    Wire(WireError),
    /// The driver met something that it does not understand.
    Protocol(String),
}

impl ConnectFailure {
    fn class(&self) -> ErrorClass {
        match self {
            ConnectFailure::Refused
            | ConnectFailure::Unreachable(_)
            | ConnectFailure::Timeout(_)
            | ConnectFailure::TooManyConnections(_)
            | ConnectFailure::NotReady(_) => ErrorClass::Transient,
            ConnectFailure::NoPassword | ConnectFailure::Auth(_) | ConnectFailure::AuthProtocol(_) => {
                ErrorClass::Auth
            }
            ConnectFailure::Wire(error) if error.is_about_login() => ErrorClass::Auth,
            // the resolver itself was not reached
            ConnectFailure::UnknownHost(reason) if reason.contains("emporary failure") => {
                ErrorClass::Transient
            }
            ConnectFailure::Rejected(error) => error::class_of_sqlstate(&error.sqlstate),
            ConnectFailure::UnknownHost(_)
            | ConnectFailure::NoTls
            | ConnectFailure::Tls(_)
            | ConnectFailure::NoDatabase(_)
            | ConnectFailure::WrongKind { .. }
            | ConnectFailure::Wire(_)
            | ConnectFailure::Protocol(_) => ErrorClass::Permanent,
        }
    }

    pub(super) fn server_error(&self) -> Option<&ServerError> {
        match self {
            ConnectFailure::Auth(error)
            | ConnectFailure::NoDatabase(error)
            | ConnectFailure::TooManyConnections(error)
            | ConnectFailure::NotReady(error)
            | ConnectFailure::Rejected(error) => Some(error),
            _ => None,
        }
    }

    /// Takes from a server's refusal what [`ConnectSettings::shown_user`] hides; the server quotes of a long name its
    /// first 63 bytes.
    pub(super) fn hide_user(&mut self, settings: &ConnectSettings) {
        let shown = settings.shown_user();
        let Cow::Owned(shown) = shown else { return };
        let error = match self {
            ConnectFailure::Auth(error)
            | ConnectFailure::NoDatabase(error)
            | ConnectFailure::TooManyConnections(error)
            | ConnectFailure::NotReady(error)
            | ConnectFailure::Rejected(error) => error,
            _ => return,
        };
        let user = settings.user();
        let end = (0..=user.len().min(NAME_BYTES)).rev().find(|end| user.is_char_boundary(*end));
        let quoted = &user[..end.unwrap_or_default()];
        let hide = |text: &mut String| *text = text.replace(user, &shown).replace(quoted, &shown);
        hide(&mut error.message);
        [&mut error.detail, &mut error.hint, &mut error.where_].into_iter().flatten().for_each(hide);
    }

    /// What may help.
    fn hint(&self) -> Option<&'static str> {
        match self {
            ConnectFailure::UnknownHost(_) => Some("check the spelling of the host name"),
            ConnectFailure::Refused => Some("check host and port, and that the server is running"),
            ConnectFailure::NoTls => {
                Some("sslmode=prefer or disable connects without encryption, where that is acceptable")
            }
            ConnectFailure::NoPassword => {
                Some("put it into PGPASSWORD or a line of ~/.pgpass (with permissions 0600)")
            }
            ConnectFailure::TooManyConnections(_) => {
                Some("use fewer jobs, or wait for other sessions to end")
            }
            ConnectFailure::Rejected(error) if is_pooler_refusal(error) => {
                Some("this looks like a connection pooler: use the database's direct port")
            }
            _ => None,
        }
    }
}

/// Words of PgBouncer and its kind.
fn is_pooler_refusal(error: &ServerError) -> bool {
    let message = error.message.to_ascii_lowercase();
    message.contains("startup parameter") || message.contains("pgbouncer") || message.contains("pooler")
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectFailure::UnknownHost(reason) => write!(f, "the host name cannot be looked up ({reason})"),
            ConnectFailure::Refused => f.write_str("connection refused, nothing listens there"),
            ConnectFailure::Unreachable(reason) => write!(f, "{reason}"),
            ConnectFailure::Timeout(after) => write!(f, "no answer within {} s", after.as_secs()),
            ConnectFailure::NoTls => f.write_str("the server does not support TLS, but sslmode requires it"),
            ConnectFailure::Tls(reason) => write!(f, "TLS: {reason}"),
            ConnectFailure::NoPassword => f.write_str("the server wants a password, and none was given"),
            ConnectFailure::AuthProtocol(reason) => write!(f, "authentication: {reason}"),
            ConnectFailure::Auth(error)
            | ConnectFailure::NoDatabase(error)
            | ConnectFailure::TooManyConnections(error)
            | ConnectFailure::NotReady(error)
            | ConnectFailure::Rejected(error) => write!(f, "{error}"),
            ConnectFailure::WrongKind { wanted } => {
                write!(f, "the server is not of the kind that target_session_attrs={wanted} asks for")
            }
            ConnectFailure::Wire(error) => write!(f, "{error}"),
            ConnectFailure::Protocol(problem) => f.write_str(problem),
        }
    }
}

/// One host, or one address of it, that did not let us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFailure {
    /// `host:port`, with the address in parentheses where the name has several.
    pub host: String,
    /// Why.
    pub failure: ConnectFailure,
}

/// No host let us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// `host:port/database as user`.
    pub target: String,
    /// What happened at each host, in the order tried.
    pub failures: Vec<HostFailure>,
    /// What else a user should know, for example that a password file was ignored.
    pub warnings: Vec<String>,
}

impl ConnectError {
    /// What a caller should do: if any host might answer later, try again.
    pub fn class(&self) -> ErrorClass {
        let classes: Vec<ErrorClass> = self.failures.iter().map(|host| host.failure.class()).collect();
        if classes.contains(&ErrorClass::Transient) {
            return ErrorClass::Transient;
        }
        classes.last().copied().unwrap_or(ErrorClass::Permanent)
    }

    /// The last host's words, if any host gave some.
    pub fn server_error(&self) -> Option<&ServerError> {
        self.failures.iter().rev().find_map(|host| host.failure.server_error())
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.target)?;
        match self.failures.as_slice() {
            [only] => write!(f, ": {}", only.failure)?,
            many => {
                for host in many {
                    write!(f, "\n{}: {}", host.host, host.failure)?;
                }
            }
        }
        let mut hints: Vec<&str> = Vec::new();
        for hint in self.failures.iter().filter_map(|host| host.failure.hint()) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        hints.extend(self.warnings.iter().map(String::as_str));
        hints.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(failures: Vec<ConnectFailure>) -> ConnectError {
        let named = |(index, failure)| HostFailure { host: format!("h{index}:5432"), failure };
        let failures = failures.into_iter().enumerate().map(named).collect();
        ConnectError { target: "h:5432/d as u".to_owned(), failures, warnings: vec![] }
    }

    #[test]
    fn what_is_hidden_of_a_user_the_server_does_not_show_either() {
        for (tail, quoted) in
            [("", "u:s3cret".to_owned()), (&*"x".repeat(70), format!("u:s3cret{}", "x".repeat(55)))]
        {
            let uri = format!("postgres://u%3As3cret{tail}@h/d");
            let settings = ConnectSettings::resolve(Some(&uri), &|_| None).unwrap();
            let message = format!("role \"{quoted}\" does not exist");
            let error =
                ServerError { message: message.clone(), detail: Some(message), ..ServerError::default() };
            let mut failure = ConnectFailure::Auth(Box::new(error));
            failure.hide_user(&settings);
            let told = failure.server_error().unwrap();
            assert_eq!(told.message, "role \"u:***\" does not exist");
            assert_eq!(told.detail.as_ref(), Some(&told.message));
        }
    }

    #[test]
    fn one_failure_is_one_sentence_with_a_hint() {
        let text = error_of(vec![ConnectFailure::NoPassword]).to_string();
        assert_eq!(
            text,
            "cannot connect to h:5432/d as u: the server wants a password, and none was given\n\
             hint: put it into PGPASSWORD or a line of ~/.pgpass (with permissions 0600)"
        );
    }

    #[test]
    fn several_failures_are_listed_and_any_transient_one_decides() {
        let error = error_of(vec![ConnectFailure::Refused, ConnectFailure::NoTls]);
        assert_eq!(error.class(), ErrorClass::Transient);
        let text = error.to_string();
        assert!(text.contains("\nh0:5432: connection refused"), "{text}");
        assert!(text.contains("\nh1:5432: the server does not support TLS"), "{text}");
    }
}
