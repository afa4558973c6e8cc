//! What can stop a command, in words for the person who gave it.

use dbhaul_catalog::{SelectionError, TocError};
use dbhaul_columns::ColumnsError;
use dbhaul_exporter::ExportError;
use dbhaul_importer::{ImportError, SourceError};
use dbhaul_introspect::Error as IntrospectError;
use dbhaul_postgres::{self as postgres, ErrorClass};
use dbhaul_progress::{Progress, counted};
use dbhaul_repository::RepositoryError;
use dbhaul_store::StoreError;
use dbhaul_verifier::VerifyError;
use thiserror::Error;

use crate::Status;

/// A command failed. Its sources carry the causes; each says its own part only.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// Speaking to a server failed.
    #[error("{action}")]
    Server {
        /// What was being done: `cannot connect to the source`.
        action: String,
        /// What happened.
        #[source]
        source: postgres::Error,
    },
    /// The catalogs of the source could not be read.
    #[error("cannot read the catalogs of {server}")]
    Introspect {
        /// The server.
        server: String,
        /// What happened.
        #[source]
        source: IntrospectError,
    },
    /// The source holds objects that dbhaul does not know, so a copy would not be whole.
    #[error(
        "{database} holds {} that dbhaul does not know how to carry: {}",
        counted(objects.len(), "object"),
        objects.join("; ")
    )]
    Uncovered {
        /// The database.
        database: String,
        /// Each object, as `pg_describe_object` calls it.
        objects: Vec<String>,
    },
    /// The role may not read everything that is asked for.
    #[error("permission denied on {server}: {}", objects.join("; "))]
    Unreadable {
        /// The server.
        server: String,
        /// Each object with the way out.
        objects: Vec<String>,
    },
    /// Tables were truncated, rewritten or dropped each time a snapshot was taken.
    #[error("{server}: tables changed while the snapshot was taken: {}", tables.join(", "))]
    Unsteady {
        /// The server.
        server: String,
        /// The tables, quoted.
        tables: Vec<String>,
    },
    /// The selection cannot be used.
    #[error("the selection of objects cannot be used")]
    Selection(#[from] SelectionError),
    /// The objects cannot be brought into an order.
    #[error("cannot order the objects of {database}")]
    Toc {
        /// The database.
        database: String,
        /// Why.
        #[source]
        source: TocError,
    },
    /// Reading rows failed.
    #[error("the copy of rows stopped")]
    Export(#[from] ExportError),
    /// Reading rows of a backup failed.
    #[error("the copy of rows stopped")]
    Rows(#[from] SourceError),
    /// Rows cannot become columns of a file, or columns rows.
    #[error("{action}")]
    Columns {
        /// What was being done.
        action: String,
        /// What happened.
        #[source]
        source: ColumnsError,
    },
    /// A file cannot be read.
    #[error("cannot read {place}")]
    Input {
        /// The file.
        place: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// A file or stream cannot be written.
    #[error("cannot write {place}")]
    Output {
        /// The file, or what the stream is called.
        place: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// Writing the target failed.
    #[error("writing {target} stopped")]
    Import {
        /// The target.
        target: String,
        /// What happened.
        #[source]
        source: ImportError,
    },
    /// A comparison could not be carried out.
    #[error("the verification stopped")]
    Verify(#[from] VerifyError),
    /// A migration has copied everything, and could not compare the copy.
    #[error("everything was copied into {target}, but the copy was not compared with the source")]
    Unverified {
        /// The target.
        target: String,
        /// Why not.
        #[source]
        source: Box<PipelineError>,
    },
    /// The store or a backup in it cannot be read or written.
    #[error(transparent)]
    Repository(RepositoryError),
    /// The request contradicts itself or the servers.
    #[error("{problem}")]
    Request {
        /// What is wrong.
        problem: String,
        /// What to do.
        help: String,
    },
    /// Both sides of a command are one database.
    #[error("{one} and {other} are the same database")]
    SameDatabase {
        /// The first side and how it was reached.
        one: String,
        /// The second.
        other: String,
    },
    /// The process that was to hold the snapshot does not.
    #[error("the process that was to hold the snapshot of the source failed: {reason}")]
    Hold {
        /// Its own words, or what happened to it.
        reason: String,
    },
    /// A task of ours ended abnormally.
    #[error("{what} ended abnormally: {reason}")]
    Worker {
        /// Which task.
        what: String,
        /// How.
        reason: String,
    },
    /// The user stopped it.
    #[error("stopped before it was finished")]
    Cancelled,
}

impl PipelineError {
    /// Joins what was being done with what the server said; a cancellation stays one.
    pub(crate) fn server(action: impl Into<String>, source: postgres::Error) -> Self {
        match source {
            postgres::Error::Cancelled => PipelineError::Cancelled,
            source => PipelineError::Server { action: action.into(), source },
        }
    }

    /// Parts of a backup contradict each other.
    pub(crate) fn damaged(what: impl Into<String>, reason: impl Into<String>) -> Self {
        PipelineError::Repository(RepositoryError::Damaged { what: what.into(), reason: reason.into() })
    }

    /// How a command that ended with this error ended.
    pub fn status(&self) -> Status {
        match self {
            PipelineError::Cancelled
            | PipelineError::Export(ExportError::Cancelled)
            | PipelineError::Verify(VerifyError::Cancelled) => Status::Interrupted,
            PipelineError::Import { source, .. } if source.is_cancelled() => Status::Interrupted,
            PipelineError::Repository(error) if error.is_cancelled() => Status::Interrupted,
            PipelineError::Server { source, .. } if source.class() == ErrorClass::Cancelled => {
                Status::Interrupted
            }
            PipelineError::Unverified { source, .. } => source.status(),
            PipelineError::SameDatabase { .. } => Status::Misused,
            _ => Status::Failed,
        }
    }

    /// Whether it says itself what stands of what was done, which of a command that the user has stopped is said otherwise.
    pub fn tells_what_stands(&self) -> bool {
        matches!(
            self,
            PipelineError::Unverified { .. }
                | PipelineError::Repository(RepositoryError::CommitInDoubt { .. })
        )
    }

    /// Tells whoever watches that this is why tasks end that have not failed themselves, unless the user
    /// ended them.
    pub(crate) fn stop(&self, progress: &Progress) {
        if self.status() != Status::Interrupted {
            progress.stopping(crate::one_line(self));
        }
    }

    /// Whether the same may succeed if it is tried again.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            PipelineError::Repository(error) => error.is_transient(),
            PipelineError::Server { source, .. } => source.class() == ErrorClass::Transient,
            // with a new snapshot, for whoever can do with one
            PipelineError::Verify(VerifyError::Side { source, .. }) => {
                source.is_transient() || matches!(source, postgres::Error::SnapshotGone { .. })
            }
            PipelineError::Introspect { source: dbhaul_introspect::Error::Query { source, .. }, .. } => {
                source.class() == ErrorClass::Transient
            }
            PipelineError::Export(ExportError::Copy { source, .. } | ExportError::Session { source, .. }) => {
                source.class() == ErrorClass::Transient
            }
            _ => false,
        }
    }

    /// Whether a server did not grant a lock in time.
    pub(crate) fn is_lock_timeout(&self) -> bool {
        match self {
            PipelineError::Server { source, .. }
            | PipelineError::Introspect { source: dbhaul_introspect::Error::Query { source, .. }, .. } => {
                source.sqlstate() == Some("55P03")
            }
            _ => false,
        }
    }

    /// What the person can do about it.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            PipelineError::Uncovered { .. } => {
                "drop these objects on the source, or leave them out by asking for tables (-t) or schemas (-n) \
                 that they are no part of; dbhaul never leaves an object out in silence"
            }
            PipelineError::Unreadable { .. } => {
                "give the role what it lacks, connect as another, or leave the objects out: -T leaves out a \
                 table, --exclude-table-data its rows, -B large objects"
            }
            PipelineError::Unsteady { .. } => {
                "run it again while nobody truncates, rewrites or drops these tables, or exclude them"
            }
            error if error.is_lock_timeout() => {
                "somebody holds or waits for a lock on a table, such as an ALTER TABLE or TRUNCATE \
                 (pg_stat_activity and pg_locks say who); run it again when that is over"
            }
            PipelineError::SameDatabase { .. } => "give two different databases",
            PipelineError::Repository(error) => error.help()?,
            PipelineError::Import { source: ImportError::Clean { source, .. }, .. }
                if source.sqlstate() == Some("55P03") =>
            {
                "another session holds or waits for a lock on it, or on what refers to it (pg_stat_activity and \
                 pg_locks say who); start over with --clean --if-exists when that is over, or with a longer \
                 --lock-wait-timeout"
            }
            PipelineError::Import { source: ImportError::Clean { .. }, .. } => {
                "what stands before it in the plan was dropped, and nothing was created yet; remove the cause, then start \
                 over with --clean --if-exists"
            }
            PipelineError::Import { source: ImportError::Server { .. } | ImportError::Source(_), .. } => {
                "what was loaded stays on the target; with the cause out of the way, go on with --resume: a \
                 migration can if its snapshot was held (--hold-snapshot) or the source was neither written to nor \
                 restarted since, else start over with --clean --if-exists"
            }
            PipelineError::Verify(VerifyError::Side { .. }) => {
                "the comparison did not finish, and neither side was changed: when the server is back, compare them \
                 again"
            }
            PipelineError::Unverified { .. } => {
                "the copy is complete, and there is nothing to resume: compare it with `dbhaul verify` before you \
                 rely on it; what the source has been written since will be found different"
            }
            PipelineError::Export(ExportError::RowTooLong { .. }) => {
                "no COPY text, which is what backups and scripts hold, can be made of that row: shorten its \
                 values, or leave the table's rows out with --exclude-table-data; `dbhaul migrate` copies a \
                 bytea of up to 1 GB in binary"
            }
            PipelineError::Request { help, .. } => help,
            _ => return None,
        };
        Some(help.to_owned())
    }
}

impl From<RepositoryError> for PipelineError {
    fn from(error: RepositoryError) -> Self {
        match error {
            RepositoryError::Worker { what, reason } => PipelineError::Worker { what, reason },
            RepositoryError::Cancelled => PipelineError::Cancelled,
            error => PipelineError::Repository(error),
        }
    }
}

impl From<StoreError> for PipelineError {
    fn from(error: StoreError) -> Self {
        PipelineError::Repository(error.into())
    }
}
