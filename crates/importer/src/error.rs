//! Why an import did not take place, or could not go on.

use dbhaul_catalog::StatementProblem;

use crate::SourceError;
use crate::target::Blocker;

/// An import that could not be planned, started or finished.
///
/// Objects that fail while the others go on are not errors: see
/// [`ImportOutcome::failed`](crate::ImportOutcome::failed).
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// TOC and segments do not fit together.
    #[error(transparent)]
    Plan(#[from] PlanProblem),
    /// The target cannot take the import; nothing was changed.
    #[error("the target {target} cannot take the import:{}", list(.blockers))]
    Blocked {
        /// `host:port/database as user`.
        target: String,
        /// Every reason found.
        blockers: Vec<Blocker>,
    },
    /// Another import holds the target.
    #[error("another dbhaul run ({run}) is active on {target}; wait for it or stop it first")]
    Busy {
        /// `host:port/database as user`.
        target: String,
        /// Its run, or `unknown`.
        run: String,
    },
    /// A drop of `--clean` failed; nothing was created yet.
    #[error("dropping {object} before the import: {source}")]
    Clean {
        /// What was to be dropped.
        object: String,
        /// What the server said.
        source: dbhaul_postgres::Error,
    },
    /// A crash of the target emptied an unlogged table that cannot be filled again.
    #[error(
        "a crash of {target} emptied the unlogged table {table}, and its triggers are in place already; \
         start over with --clean --if-exists, or with an empty database"
    )]
    Emptied {
        /// `host:port/database as user`.
        target: String,
        /// The table, quoted.
        table: String,
    },
    /// A step of the import's own failed: sessions, ledger, checks.
    #[error("{doing}: {source}")]
    Server {
        /// What was being done.
        doing: String,
        /// What went wrong.
        source: dbhaul_postgres::Error,
    },
    /// The source of rows stayed away longer than retries last.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The caller's token was cancelled. The target is left so that the run can be resumed.
    #[error("cancelled; loaded rows stay, and the run can be resumed")]
    Cancelled,
    /// A task of the import ended in a way it never should.
    #[error("internal error: {0}")]
    Internal(String),
}

impl ImportError {
    /// Wraps an error of the server; a cancellation stays one.
    pub(crate) fn server(doing: impl Into<String>, source: dbhaul_postgres::Error) -> Self {
        if source.is_cancelled() {
            return ImportError::Cancelled;
        }
        ImportError::Server { doing: doing.into(), source }
    }

    /// The SQLSTATE with which a server refused, if one did.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            ImportError::Server { source, .. } | ImportError::Clean { source, .. } => source.sqlstate(),
            _ => None,
        }
    }

    /// Whether the target is as it was before: the import was refused.
    pub fn has_changed_nothing(&self) -> bool {
        matches!(self, ImportError::Plan(_) | ImportError::Blocked { .. } | ImportError::Busy { .. })
    }

    /// Whether the caller's token ended it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, ImportError::Cancelled)
    }
}

/// TOC and segments do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanProblem {
    /// An entry that holds rows has no list of segments: its rows would be lost.
    #[error("{description} has no segments: its rows would be missing on the target")]
    MissingSegments {
        /// The entry, as `pg_restore -l` names it.
        description: String,
    },
    /// Segments of an entry that holds no rows, or of none at all.
    #[error("segments are given for TOC entry {entry}, which holds no rows")]
    UnknownSegments {
        /// The entry's id.
        entry: u32,
    },
    /// Two lists of segments for one entry.
    #[error("segments of TOC entry {entry} are given twice")]
    DuplicateSegments {
        /// The entry's id.
        entry: u32,
    },
    /// An entry is not where its id says.
    #[error("TOC entry {entry} stands at position {position}")]
    MisplacedEntry {
        /// The entry's id.
        entry: u32,
        /// Its position, from 1.
        position: usize,
    },
    /// An entry depends on one that does not stand before it.
    #[error("{description} depends on TOC entry {on}, which does not stand before it")]
    BadDependency {
        /// The entry, as `pg_restore -l` names it.
        description: String,
        /// The entry it depends on.
        on: u32,
    },
    /// An entry holds something else than the statements that make its object.
    #[error("{description} is refused: {problem}; whoever wrote this catalog is not to be trusted")]
    ForbiddenStatement {
        /// The entry, as `pg_restore -l` names it.
        description: String,
        /// What is wrong with it.
        problem: StatementProblem,
    },
    /// No sessions to work with.
    #[error("the number of jobs must be at least 1")]
    NoJobs,
}

fn list(blockers: &[Blocker]) -> String {
    blockers.iter().map(|blocker| format!("\n- {blocker}")).collect()
}
