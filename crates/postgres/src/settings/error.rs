//! What can be wrong with connection settings.

use std::path::PathBuf;

/// Connection settings that cannot be used.
///
/// No value is repeated, and no word that is not a known keyword: where a quote or an escape is
/// missing, a part of a password stands in the place of any of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The URI is not one.
    #[error("connection URI: {problem}")]
    Uri {
        /// What is wrong, without the URI's text, which may hold a password.
        problem: String,
    },
    /// The `key=value` string is not one.
    #[error("connection string: {problem}")]
    KeywordString {
        /// What is wrong, without values.
        problem: String,
    },
    /// A keyword that libpq does not know either.
    #[error("{place} is unknown{}", suggestion(.similar))]
    UnknownKeyword {
        /// Which, and where it was written: `connection keyword 2 of the connection string`.
        place: String,
        /// The known one that was meant.
        similar: Option<&'static str>,
    },
    /// A keyword that libpq knows and dbhaul cannot honour.
    #[error("connection keyword {keyword} ({origin}) is not supported: {reason}")]
    UnsupportedKeyword {
        /// The keyword.
        keyword: &'static str,
        /// Where it was written.
        origin: String,
        /// Why, or what to do instead.
        reason: &'static str,
    },
    /// A value that the keyword cannot have.
    #[error("connection keyword {keyword}: the value is not {expected}")]
    InvalidValue {
        /// The keyword.
        keyword: &'static str,
        /// What it may be.
        expected: String,
    },
    /// Lists of hosts, addresses and ports that do not match.
    #[error("{hosts} hosts cannot be matched with {others} values of {keyword}")]
    CountMismatch {
        /// `hostaddr` or `port`.
        keyword: &'static str,
        /// How many hosts.
        hosts: usize,
        /// How many others.
        others: usize,
    },
    /// The service is defined nowhere.
    #[error("service {service:?} is not defined in any of: {files}")]
    UnknownService {
        /// Its name.
        service: String,
        /// The files that were looked at, or that do not exist.
        files: String,
    },
    /// A service file with a line that cannot be read.
    #[error("service file {}, line {line}: {problem}", file.display())]
    ServiceFile {
        /// The file.
        file: PathBuf,
        /// 1-based line.
        line: usize,
        /// What is wrong, without the line's text.
        problem: &'static str,
    },
    /// A file that is named by the settings cannot be used.
    #[error("{keyword} file {}: {problem}", file.display())]
    File {
        /// The keyword that names it.
        keyword: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Verification was asked for without anything to verify against.
    #[error(
        "sslmode={mode} needs a root certificate: give sslrootcert=FILE, or sslrootcert=system for the \
         system's certificate authorities{looked_at}"
    )]
    NoRootCertificate {
        /// The mode.
        mode: &'static str,
        /// Where it was looked for, empty or in parentheses.
        looked_at: String,
    },
    /// Settings that contradict each other.
    #[error("{problem}")]
    Contradiction {
        /// Which, and why.
        problem: String,
    },
    /// No user was given and the system does not tell one.
    #[error("no user name: give one in the connection string or as PGUSER")]
    NoUser,
}

fn suggestion(similar: &Option<&'static str>) -> String {
    match similar {
        Some(keyword) => format!("; was {keyword} meant?"),
        None => "; write key=value with libpq's keywords, and values with spaces or quotes as libpq does"
            .to_owned(),
    }
}
