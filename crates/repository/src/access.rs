//! The keys of an encrypted store: which of them a command brings, and what they open.

use std::collections::BTreeSet;
use std::sync::Arc;

use dbhaul_archive::{
    Fingerprint, Generation, KeyError, Keyring, MAX_WRAPPED_BYTES, ReaderKeys, RepoConfig, WriterKey, keys,
};
use dbhaul_progress::Progress;
use dbhaul_store::{Store, StoreExt};
use futures::stream::{StreamExt, TryStreamExt, iter};
use ulid::Ulid;

use crate::RepositoryError;

/// Wrapped keys that are read at the same time.
const KEYS_AT_ONCE: usize = 1;
/// The most wrapped keys of a store.
const MAX_KEYS: usize = 10_000;

/// What a command brings to open an encrypted store.
#[derive(Debug, Clone, Default)]
pub struct StoreKeys {
    /// Private keys and a passphrase.
    pub reader: ReaderKeys,
    /// A writer key file.
    pub writer: Option<WriterKey>,
    /// What the fingerprint of the store must be.
    pub fingerprint: Option<Fingerprint>,
}

impl StoreKeys {
    /// Whether nothing was brought.
    pub fn is_empty(&self) -> bool {
        self.reader.is_empty() && self.writer.is_none() && self.fingerprint.is_none()
    }

    fn expected(&self) -> Option<Fingerprint> {
        self.fingerprint.or_else(|| self.writer.as_ref().map(WriterKey::fingerprint))
    }
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Backups are read, or removed.
    Read,
    /// A backup is written: only a writer key says whom it may be encrypted to.
    Dump,
}

/// Opens what the keys open, of a store with this configuration.
pub(crate) async fn open_keyring(
    store: &Arc<dyn Store>,
    config: &RepoConfig,
    keys: &StoreKeys,
    purpose: Purpose,
    progress: &Progress,
) -> Result<Keyring, RepositoryError> {
    let place = || store.describe();
    if !config.is_encrypted() {
        if !keys.is_empty() {
            return Err(RepositoryError::NotEncrypted { store: place() });
        }
        // rows must not go in plain into a store whose configuration somebody has replaced
        if purpose == Purpose::Dump && !wrapped_keys(store).await?.is_empty() {
            return Err(RepositoryError::KeysWithoutEncryption { store: place() });
        }
        return Ok(Keyring::plain());
    }
    if let Some(writer) = &keys.writer {
        check_writer(store, config, writer, keys.fingerprint)?;
    }
    if purpose == Purpose::Dump {
        let writer = keys.writer.as_ref().ok_or_else(|| RepositoryError::NoWriterKey { store: place() })?;
        check_wrapped(store, writer).await?;
        return Ok(Keyring::of_writer(writer));
    }
    match (&keys.writer, keys.reader.is_empty()) {
        (_, false) => open_wrapped(store, config, keys, progress).await,
        (Some(writer), true) => Ok(Keyring::of_writer(writer)),
        (None, true) => Err(RepositoryError::NoKeys { store: place() }),
    }
}

fn check_writer(
    store: &Arc<dyn Store>,
    config: &RepoConfig,
    writer: &WriterKey,
    expected: Option<Fingerprint>,
) -> Result<(), RepositoryError> {
    if writer.store() != config.id {
        let (found, wanted) = (writer.store(), config.id);
        return Err(RepositoryError::ForeignWriterKey { store: store.describe(), found, wanted });
    }
    match expected {
        Some(expected) if expected != writer.fingerprint() => {
            let source = KeyError::WrongFingerprint { expected, found: writer.fingerprint() };
            Err(RepositoryError::Keys { store: store.describe(), source })
        }
        _ => Ok(()),
    }
}

/// The generations and holders of all wrapped keys of a store.
pub(crate) async fn wrapped_keys(
    store: &Arc<dyn Store>,
) -> Result<BTreeSet<(Ulid, String)>, RepositoryError> {
    let mut found = BTreeSet::new();
    let mut objects = store.list_stream(keys::KEYS);
    while let Some(object) = objects.try_next().await? {
        // whatever else lies there opens nothing
        found.extend(keys::parse_wrapped_key(&object.key));
        if found.len() > MAX_KEYS {
            let reason = format!("it lists more than {MAX_KEYS} wrapped keys");
            return Err(RepositoryError::Damaged { what: store.describe(), reason });
        }
    }
    Ok(found)
}

/// A backup is only worth writing if somebody can read it, and only with the newest keys.
async fn check_wrapped(store: &Arc<dyn Store>, writer: &WriterKey) -> Result<(), RepositoryError> {
    let keyring = Keyring::of_writer(writer);
    let known: BTreeSet<Ulid> = keyring.generations().iter().map(Generation::id).collect();
    let objects = wrapped_keys(store).await?;
    let wrapped: BTreeSet<Ulid> = objects.iter().map(|(generation, _)| *generation).collect();
    if let Some(generation) = wrapped.difference(&known).next().copied() {
        return Err(RepositoryError::StaleWriterKey { store: store.describe(), generation });
    }
    if let Some(generation) = known.difference(&wrapped).next().copied() {
        return Err(RepositoryError::LostKeys { store: store.describe(), generation });
    }
    // a rotation that was stopped half-way has wrapped the newest keys for some only
    let holders = |of: Option<&Ulid>| -> BTreeSet<&String> {
        objects.iter().filter(|(generation, _)| Some(generation) == of).map(|(_, holder)| holder).collect()
    };
    let mut newest_first = wrapped.iter().rev();
    let (newest, before) = (newest_first.next(), newest_first.next());
    let missing: Vec<String> =
        holders(before).difference(&holders(newest)).map(|holder| (*holder).clone()).collect();
    match newest {
        Some(generation) if !missing.is_empty() => {
            let (store, generation) = (store.describe(), *generation);
            Err(RepositoryError::UnfinishedRotation { store, generation, missing })
        }
        _ => Ok(()),
    }
}

/// The generations that a reader's keys open.
async fn open_wrapped(
    store: &Arc<dyn Store>,
    config: &RepoConfig,
    keys: &StoreKeys,
    progress: &Progress,
) -> Result<Keyring, RepositoryError> {
    let wrapped = wrapped_keys(store).await?;
    let ours = wrapped.iter().filter(|(_, holder)| keys.reader.open(holder));
    let opened = iter(ours).map(|(generation, holder)| unwrap(store, (*generation, holder), &keys.reader));
    let generations: Vec<Generation> = opened.buffered(KEYS_AT_ONCE).try_collect().await?;
    if generations.is_empty() {
        let holders: BTreeSet<String> = wrapped.into_iter().map(|(_, holder)| holder).collect();
        let holders = holders.into_iter().collect();
        return Err(RepositoryError::NoMatchingKey { store: store.describe(), holders });
    }
    let expected = keys.expected();
    let chained = Keyring::chained(config.id, generations, expected);
    let keyring = chained.map_err(|source| RepositoryError::Keys { store: store.describe(), source })?;
    if let Err(fork) = keyring.require_no_fork() {
        progress.warning(format!(
            "{}: {fork}: nothing new can be backed up there until `dbhaul store key remove-generation` has removed the \
             one that no backup uses",
            store.describe()
        ));
    }
    if let (None, Some(found)) = (expected, keyring.fingerprint()) {
        progress.notice(format!(
            "the keys of {} have the fingerprint {found}; compare it with the recovery kit, or let \
             --store-fingerprint do so",
            store.describe()
        ));
    }
    Ok(keyring)
}

/// Opens what is wrapped for a holder.
pub(crate) async fn unwrap(
    store: &Arc<dyn Store>,
    (generation, holder): (Ulid, &str),
    reader: &ReaderKeys,
) -> Result<Generation, RepositoryError> {
    let bytes = store.get_at_most(&keys::wrapped_key(generation, holder), MAX_WRAPPED_BYTES).await?;
    let (holder, reader) = (holder.to_owned(), reader.clone());
    let opened =
        blocking("opening of a key", move || Ok(Generation::unwrap((generation, &holder), &bytes, &reader)));
    opened.await?.map_err(|source| RepositoryError::Keys { store: store.describe(), source })
}

/// Runs work that takes a processor on a thread of its own: heartbeats and Ctrl-C go on meanwhile.
pub(crate) async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T, RepositoryError> + Send + 'static,
) -> Result<T, RepositoryError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(RepositoryError::Worker { what: what.to_owned(), reason: error.to_string() })
    })
}
