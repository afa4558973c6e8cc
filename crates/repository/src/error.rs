//! What can go wrong between a store and the backups in it.

use dbhaul_archive::{ArchiveError, KeyError};
use dbhaul_progress::counted;
use dbhaul_store::{ErrorKind, StoreError};
use thiserror::Error;
use ulid::Ulid;

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
    /// A store that does not say whether it has the manifest, which commits a backup.
    #[error("it is not known whether the backup was committed: {store} did not confirm that it has {key}")]
    CommitInDoubt {
        /// The store.
        store: String,
        /// The manifest.
        key: String,
        /// How the last attempt failed.
        #[source]
        source: StoreError,
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
    /// A store is to be made where there is one.
    #[error("{store} is a store of backups already")]
    StoreExists {
        /// The store.
        store: String,
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
    #[error("packs are being removed from {store} ({sign})")]
    CleanupAtWork {
        /// The store.
        store: String,
        /// The key of the cleanup's sign.
        sign: String,
    },
    /// Packs must not be removed while a dump writes.
    #[error("nothing was removed: a dump into {store} is active ({sign})")]
    DumpAtWork {
        /// The store.
        store: String,
        /// The key of the dump's sign.
        sign: String,
    },
    /// Two removals would count each other's work.
    #[error("nothing was removed: another run is removing packs from {store} ({sign})")]
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
    /// Others have taken this process for gone, or the store was emptied.
    #[error("{sign} is no longer in {store}")]
    SignRemoved {
        /// The store.
        store: String,
        /// The key of our sign.
        sign: String,
    },
    /// No backup is believed to be the newest.
    #[error("all backups in {store} are dated in the future by the clock of this machine")]
    AllAhead {
        /// The store.
        store: String,
    },
    /// Something lies among the backups that is none, and may be one under another name.
    #[error(
        "nothing was removed: {object:?} in {store} is not the manifest of a backup, and may be one under another name"
    )]
    Stray {
        /// The store.
        store: String,
        /// Its key.
        object: String,
    },
    /// All packs of a store would be removed.
    #[error("nothing was removed: {store} holds packs and no backup, so that all packs would be removed")]
    NoBackupLeft {
        /// The store.
        store: String,
    },
    /// Nobody has shown that others can open a store whose keys are about to be removed.
    #[error(
        "nothing was removed: no key was given that opens key generation {generation} of {store} for anybody but {holder}"
    )]
    Unproven {
        /// The store.
        store: String,
        /// Who is to go.
        holder: String,
        /// The generation.
        generation: Ulid,
    },
    /// A manifest is not the one that was read any more.
    #[error("{key} in {store} was changed by another process, so nothing of the backup was moved")]
    BackupChanged {
        /// The store.
        store: String,
        /// The manifest.
        key: String,
    },
    /// A backup came or went while packs were about to be removed.
    #[error("nothing was removed: a backup was made in {store}, or forgotten, meanwhile")]
    StoreChanged {
        /// The store.
        store: String,
    },
    /// An encrypted store, and no key.
    #[error("{store} is encrypted, and no key was given")]
    NoKeys {
        /// The store.
        store: String,
    },
    /// An encrypted store, and no writer key to write with.
    #[error("{store} is encrypted, and no writer key was given to write a backup with")]
    NoWriterKey {
        /// The store.
        store: String,
    },
    /// None of the keys opens anything.
    #[error("none of the keys that were given opens {store}: its keys are wrapped for {}", listed(holders))]
    NoMatchingKey {
        /// The store.
        store: String,
        /// Whom the store's keys are wrapped for.
        holders: Vec<String>,
    },
    /// Rows are needed, and only a writer key is there.
    #[error("the rows in {store} cannot be read with a writer key")]
    NoDataKey {
        /// The store.
        store: String,
    },
    /// Keys are to be wrapped, and only a writer key is there.
    #[error(
        "nothing was changed: the data keys of {store} are needed, which a writer key does not open; a private key or \
         the passphrase does"
    )]
    NoReaderKey {
        /// The store.
        store: String,
    },
    /// A key is given for, or asked of, a store that is not encrypted.
    #[error("{store} is not an encrypted store, and has no keys")]
    NotEncrypted {
        /// The store.
        store: String,
    },
    /// Only an encrypted store has wrapped keys.
    #[error("{store} says that it is not encrypted, but it holds wrapped keys")]
    KeysWithoutEncryption {
        /// The store.
        store: String,
    },
    /// A writer key of another store.
    #[error("the writer key belongs to the store {found}, and {store} is the store {wanted}")]
    ForeignWriterKey {
        /// The place of the store.
        store: String,
        /// The store that the key belongs to.
        found: Ulid,
        /// The store that lies there.
        wanted: Ulid,
    },
    /// A writer key from before a rotation.
    #[error("{store} has the key generation {generation}, which the writer key does not know")]
    StaleWriterKey {
        /// The store.
        store: String,
        /// The generation.
        generation: Ulid,
    },
    /// Nobody could read what is written.
    #[error("{store} has no wrapped keys of generation {generation} any more: nobody could read a backup")]
    LostKeys {
        /// The store.
        store: String,
        /// The generation.
        generation: Ulid,
    },
    /// Somebody who can read the older backups could not read the new one.
    #[error(
        "the newest keys of {store}, generation {generation}, are not wrapped for {}, who can open the ones before",
        listed(missing)
    )]
    UnfinishedRotation {
        /// The store.
        store: String,
        /// The generation.
        generation: Ulid,
        /// Whom it is not wrapped for.
        missing: Vec<String>,
    },
    /// Nothing is wrapped for somebody.
    #[error("{store} has no keys that are wrapped for {holder:?}, only for {}", listed(holders))]
    NoHolder {
        /// The store.
        store: String,
        /// Who was named.
        holder: String,
        /// Whom keys are wrapped for.
        holders: Vec<String>,
    },
    /// Nobody could open a generation any more.
    #[error("nothing was removed: nobody but {holder} can open key generation {generation} of {store}")]
    LastHolder {
        /// The store.
        store: String,
        /// Who was named.
        holder: String,
        /// The generation.
        generation: Ulid,
    },
    /// A second passphrase.
    #[error("{store} has a passphrase already")]
    PassphraseIsSet {
        /// The store.
        store: String,
    },
    /// New keys for another passphrase than that of the older ones.
    #[error(
        "nothing was changed: the new keys of {store} would have another passphrase than key generation {generation}, \
         and nobody could open both with one"
    )]
    OtherPassphrase {
        /// The store.
        store: String,
        /// A generation that the passphrase does not open.
        generation: Ulid,
    },
    /// New keys for others than those of now.
    #[error("nothing was changed: the newest keys of {store} {}", other_holders(missing, unknown))]
    OtherHolders {
        /// The store.
        store: String,
        /// Whom the newest generation is wrapped for, and who was not named.
        missing: Vec<String>,
        /// Who was named, and whom it is not wrapped for.
        unknown: Vec<String>,
    },
    /// The keys of a store were rotated twice at the same time.
    #[error("nothing was changed: another rotation has put key generation {other} into {store} meanwhile")]
    RotationAtWork {
        /// The store.
        store: String,
        /// The generation of the other one.
        other: Ulid,
    },
    /// The keys of a store were rotated twice at the same time, and both generations are there.
    #[error(
        "another rotation has put key generation {other} into {store} meanwhile, and generation {generation} of this \
         one could not be taken back"
    )]
    RotationLeft {
        /// The store.
        store: String,
        /// The generation that is to go.
        generation: Ulid,
        /// The generation of the other one.
        other: Ulid,
        /// Why it could not be taken back.
        #[source]
        source: StoreError,
    },
    /// A generation is removed of a fork alone.
    #[error("nothing was removed: no two key generations of {store} follow the same one")]
    NoFork {
        /// The store.
        store: String,
    },
    /// There is no such generation.
    #[error("{store} has no key generation {generation:?}, only {}", generations.join(", "))]
    NoGeneration {
        /// The store.
        store: String,
        /// What was named.
        generation: String,
        /// Those that there are.
        generations: Vec<String>,
    },
    /// The generation that another one follows cannot go before that one.
    #[error("nothing was removed: another key generation of {store} follows {generation}")]
    FollowedGeneration {
        /// The store.
        store: String,
        /// The generation.
        generation: Ulid,
    },
    /// Without the generation a backup could not be read.
    #[error("nothing was removed: {backup} in {store} is encrypted to key generation {generation}")]
    UsedGeneration {
        /// The store.
        store: String,
        /// The generation.
        generation: Ulid,
        /// The key of its manifest.
        backup: String,
    },
    /// A generation that the keys at hand do not open.
    #[error("the keys that were given do not open key generation {generation} of {store}")]
    ClosedGeneration {
        /// The store.
        store: String,
        /// The generation.
        generation: Ulid,
    },
    /// The keys of the store are not as they must be.
    #[error("{store}: the keys cannot be used")]
    Keys {
        /// The store.
        store: String,
        /// What is wrong.
        #[source]
        source: KeyError,
    },
    /// What is known of the parent cannot be kept.
    #[error("a temporary file in {} failed", std::env::temp_dir().display())]
    TemporaryFile {
        /// How.
        #[source]
        source: std::io::Error,
    },
    /// A parent of which too much would have to be kept.
    #[error("it has {}, where {max} is the most", counted(*chunk_count, "chunk"))]
    LargeParent {
        /// Its chunks.
        chunk_count: u64,
        /// The most that are kept.
        max: u64,
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

/// Names in a message; there may be none.
fn listed(names: &[String]) -> String {
    if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
}

/// How the holders that were named differ from those that there are.
fn other_holders(missing: &[String], unknown: &[String]) -> String {
    match (missing, unknown) {
        (missing, []) => format!("are also wrapped for {}", listed(missing)),
        ([], unknown) => format!("are not wrapped for {}", listed(unknown)),
        (missing, unknown) => {
            format!("are also wrapped for {}, and not for {}", listed(missing), listed(unknown))
        }
    }
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

    /// Whether it says that something in the store is not what was written, and not that it could not be read.
    pub fn is_damage(&self) -> bool {
        match self {
            RepositoryError::Archive { source, .. } => !matches!(
                source,
                ArchiveError::NoKey { .. }
                    | ArchiveError::UnsupportedVersion { .. }
                    | ArchiveError::UnknownFeature { .. }
                    | ArchiveError::Encode { .. }
                    | ArchiveError::Seal { .. }
            ),
            RepositoryError::Damaged { .. } => true,
            RepositoryError::Store(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Damaged),
            _ => false,
        }
    }

    /// Whether others may have taken this process for gone, and removed packs that it relies on.
    pub fn counts_as_gone(&self) -> bool {
        matches!(self, RepositoryError::SignLapsed { .. } | RepositoryError::SignRemoved { .. })
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
            RepositoryError::CommitInDoubt { .. } => {
                "`dbhaul backup list --store ...` shows whether the backup is there; if it is not, run the dump again"
            }
            RepositoryError::NoRepository { .. } => {
                "check the path or URL of --store; `dbhaul dump --store ...` makes a store of an empty place"
            }
            RepositoryError::OccupiedPlace { .. } => {
                "name an existing store, or an empty or new directory or prefix: packs are to lie among nothing \
                 that somebody else may move or delete"
            }
            RepositoryError::StoreExists { .. } => {
                "a store stays as it was made: make another one in an empty place"
            }
            RepositoryError::AllAhead { .. } => "set the clock, or name a backup by its ID",
            RepositoryError::Stray { .. } => {
                "look what it is: rename it back if it is a manifest, move it out of the store if it is not"
            }
            RepositoryError::NoBackupLeft { .. } => {
                "look whether the backups were moved or their directory is not mounted; `dbhaul backup prune \
                 --allow-no-backup` removes the packs all the same"
            }
            RepositoryError::Unproven { .. } => {
                "give the private key or the passphrase of a reader who stays, with --identity-file or \
                 --passphrase-file, or use --unverified"
            }
            RepositoryError::NoBackup { .. } => "`dbhaul backup list --store ...` shows what there is",
            RepositoryError::SeveralDatabases { .. } => "name one with --database",
            RepositoryError::BackupId { .. } => "`dbhaul backup list --store ...` shows the identities",
            RepositoryError::NoKeys { .. } => {
                "name the file of a private key with --identity-file, or of a passphrase with --passphrase-file; \
                 a writer key (--writer-key) is enough to list and show backups"
            }
            RepositoryError::NoWriterKey { .. } => {
                "name the file that `dbhaul store init --writer-key-out` has written with --writer-key"
            }
            RepositoryError::NoMatchingKey { .. } => {
                "`dbhaul store key list` shows whom the keys of the store are wrapped for"
            }
            RepositoryError::NoDataKey { .. } | RepositoryError::NoReaderKey { .. } => {
                "name the file of a private key with --identity-file, or of a passphrase with --passphrase-file"
            }
            RepositoryError::RotationAtWork { .. } => {
                "`dbhaul store key list` shows the keys that the store has now; rotate them again if that is still needed"
            }
            RepositoryError::RotationLeft { .. } => {
                "remove it with `dbhaul store key remove-generation`: as long as the store has both, nothing can be \
                 backed up there"
            }
            RepositoryError::NoFork { .. } => {
                "a generation goes only if two follow the same one, as after two rotations at the same time: backups \
                 need all others"
            }
            RepositoryError::NoGeneration { .. } => "`dbhaul store key list` shows them",
            RepositoryError::FollowedGeneration { .. } => "remove that one first, if no backup uses it",
            RepositoryError::UsedGeneration { .. } => {
                "remove the other one of the two if no backup uses that; otherwise forget the backups of one of them \
                 first, by `dbhaul backup forget`"
            }
            RepositoryError::NotEncrypted { .. } => {
                "give no key if the store is not meant to be encrypted, and make an encrypted one in an empty \
                 place with `dbhaul store init`; if it was encrypted before, somebody has changed it: do not use it"
            }
            RepositoryError::KeysWithoutEncryption { .. } => {
                "somebody has replaced its repo.json: bring that back from a replica of the store, and give the \
                 writer key; nothing was written"
            }
            RepositoryError::ForeignWriterKey { .. } => "name the writer key of this store",
            RepositoryError::StaleWriterKey { .. } => {
                "take the writer key file that `dbhaul store key rotate` has written; if nobody has rotated the \
                 keys, somebody has put others into the store: compare them by `dbhaul store key list`, which also \
                 tells if they were rotated twice at the same time"
            }
            RepositoryError::LostKeys { .. } => {
                "bring the objects under keys/ back from a replica of the store or from the recovery kit; without \
                 them no backup in the store can be restored"
            }
            RepositoryError::UnfinishedRotation { .. } => {
                "a rotation was stopped half-way: let them open the newest keys too, by `dbhaul store key add` with \
                 their recipient and a key that opens all generations; or take the older keys from them, by \
                 `dbhaul store key remove`"
            }
            RepositoryError::NoHolder { .. } => "`dbhaul store key list` shows them, by generation",
            RepositoryError::LastHolder { .. } => {
                "let somebody else open the store first, by `store key add`"
            }
            RepositoryError::PassphraseIsSet { .. } => {
                "give it with --passphrase-file to replace it, or remove it by `dbhaul store key remove passphrase` \
                 first; a store has one"
            }
            RepositoryError::OtherPassphrase { .. } => {
                "give the passphrase that the store has, and change it by `dbhaul store key add \
                 --new-passphrase-file`, which wraps the older keys anew as well"
            }
            RepositoryError::OtherHolders { .. } => {
                "name everybody who can open the store: nobody is taken from the store itself, where others may \
                 have put something; `store key add` and `store key remove` change who that is"
            }
            RepositoryError::ClosedGeneration { .. } => {
                "use a key of somebody who opens all of them: `dbhaul store key list` shows who does"
            }
            RepositoryError::Keys { source: KeyError::Unwrap { .. }, .. } => {
                "check the passphrase or the private key; if it is the right one, the object is damaged: bring it \
                 back from a replica of the store or from the recovery kit"
            }
            RepositoryError::Keys { source: KeyError::Forked { .. }, .. } => {
                "remove the one that no backup uses by `dbhaul store key remove-generation`; `dbhaul store key list` \
                 with a key marks them"
            }
            RepositoryError::Keys { .. } => {
                "do not trust what the store holds until it is known who has changed its keys; \
                 `dbhaul store key list`, without a key, shows them"
            }
            RepositoryError::Archive { source: ArchiveError::NoKey { .. }, .. } => {
                "name the file of a private key that opens this generation with --identity-file; a writer key \
                 opens only those that were there when it was written"
            }
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
            RepositoryError::SignRemoved { .. } => {
                "somebody has emptied the store, or a removal of packs took this run for gone after the machine had \
                 slept; look at the store, and run it again"
            }
            RepositoryError::StoreChanged { .. } | RepositoryError::BackupChanged { .. } => "run it again",
            RepositoryError::TemporaryFile { .. } => {
                "make room there, or name another directory with TMPDIR; --full needs none"
            }
            RepositoryError::Store(_)
            | RepositoryError::LargeParent { .. }
            | RepositoryError::Worker { .. }
            | RepositoryError::Cancelled => {
                return None;
            }
        })
    }
}
