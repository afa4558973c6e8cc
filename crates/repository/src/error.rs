//! What can go wrong between a store and the backups in it.

use dbhaul_archive::ArchiveError;
use dbhaul_progress::counted;
use dbhaul_store::{ErrorKind, StoreError};
use thiserror::Error;

/// A repository could not be read or written. Its sources carry the causes; each says its own part only.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepositoryError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What is in the store is damaged, or not for this version.
    #[error("{store}: the backup cannot be used")]
    Archive {
        /// The store.
        store: String,
        /// What is wrong.
        #[source]
        source: ArchiveError,
    },
    /// Parts of a backup contradict each other.
    #[error("the backup is damaged: {what}: {reason}")]
    Damaged {
        /// Which part.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A store that took a backup and does not return it.
    #[error("{store} answered that it had written {key}, but {found} when that is read back")]
    NotKept {
        /// The store.
        store: String,
        /// The object.
        key: String,
        /// What it returns.
        found: &'static str,
    },
    /// The store holds nothing of dbhaul's.
    #[error("{store} is not a store of backups: it has no repo.json")]
    NoRepository {
        /// The store.
        store: String,
    },
    /// A place to begin a store in holds something else.
    #[error("{place} is not a store of backups, and not empty: {found:?} lies there")]
    OccupiedPlace {
        /// The place.
        place: String,
        /// The first thing found there.
        found: String,
    },
    /// The store holds no backup (of that database).
    #[error("{store} holds no backup{}", database.as_ref().map(|name| format!(" of database {name:?}")).unwrap_or_default())]
    NoBackup {
        /// The store.
        store: String,
        /// The database asked for.
        database: Option<String>,
    },
    /// `latest` means nothing across databases.
    #[error("{store} holds backups of several databases: {}", databases.join(", "))]
    SeveralDatabases {
        /// The store.
        store: String,
        /// Their names.
        databases: Vec<String>,
    },
    /// No backup, or more than one, has an identity that starts so.
    #[error("{store} holds {} whose identity starts with {id:?}", counted(*matching_count, "backup"))]
    BackupId {
        /// The store.
        store: String,
        /// What was asked for.
        id: String,
        /// How many match.
        matching_count: usize,
    },
    /// A dump must not write while packs are removed.
    #[error("packs are being removed from {store}: {sign} says so")]
    CleanupAtWork {
        /// The store.
        store: String,
        /// The key of the cleanup's sign.
        sign: String,
    },
    /// Packs must not be removed while a dump writes.
    #[error("nothing was removed: a dump into {store} is at work, as {sign} says")]
    DumpAtWork {
        /// The store.
        store: String,
        /// The key of the dump's sign.
        sign: String,
    },
    /// Two removals would count each other's work.
    #[error("nothing was removed: another removal of packs from {store} is at work, as {sign} says")]
    RemovalAtWork {
        /// The store.
        store: String,
        /// The key of the other's sign.
        sign: String,
    },
    /// Others may have taken this process for gone.
    #[error("{sign} in {store} was not renewed for {minutes} minutes")]
    SignLapsed {
        /// The store.
        store: String,
        /// The key of our sign.
        sign: String,
        /// How long a sign counts.
        minutes: u64,
    },
    /// A backup came or went while packs were about to be removed.
    #[error("nothing was removed: a backup was made in {store}, or forgotten, meanwhile")]
    StoreChanged {
        /// The store.
        store: String,
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

impl RepositoryError {
    /// Whether the user ended it.
    pub fn is_cancelled(&self) -> bool {
        match self {
            RepositoryError::Cancelled => true,
            RepositoryError::Store(error) => error.kind() == ErrorKind::Interrupted,
            _ => false,
        }
    }

    /// Whether the same may succeed if it is tried again.
    pub fn is_transient(&self) -> bool {
        matches!(self, RepositoryError::Store(error) if error.is_transient())
    }

    /// What the person can do about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            RepositoryError::NotKept { .. } => {
                "there is no backup of this run that can be relied on: the store, or a proxy or cache before it, \
                 does not keep what it accepts; use another one"
            }
            RepositoryError::NoRepository { .. } => {
                "check the path or URL of --store; `dbhaul dump --store ...` makes a store of an empty place"
            }
            RepositoryError::OccupiedPlace { .. } => {
                "name an existing store, or an empty or new directory or prefix: packs are to lie among nothing \
                 that somebody else may move or delete"
            }
            RepositoryError::NoBackup { .. } => "`dbhaul backup list --store ...` shows what there is",
            RepositoryError::SeveralDatabases { .. } => "name one with --database",
            RepositoryError::BackupId { .. } => "`dbhaul backup list --store ...` shows the identities",
            RepositoryError::Archive { .. } | RepositoryError::Damaged { .. } => {
                "do not trust this backup; restore another one (`dbhaul backup list --store ...`), \
                 or get the damaged object back from a replica of the store"
            }
            RepositoryError::CleanupAtWork { .. } => {
                "run the dump again when the removal has ended; what it leaves behind if it is killed counts no \
                 more after 15 minutes"
            }
            RepositoryError::DumpAtWork { .. } => {
                "run it again when the dump has ended; what a dump leaves behind that is killed counts no more \
                 after an hour"
            }
            RepositoryError::RemovalAtWork { .. } => {
                "run it again when the other one has ended; what it leaves behind if it is killed counts no more \
                 after 15 minutes"
            }
            RepositoryError::SignLapsed { .. } => {
                "the machine slept, or the store did not answer, for so long that a removal of packs may have \
                 taken this run for gone; run it again"
            }
            RepositoryError::StoreChanged { .. } => "run it again",
            RepositoryError::Store(_) | RepositoryError::Worker { .. } | RepositoryError::Cancelled => {
                return None;
            }
        })
    }
}
