//! A store of backups: the archive's objects in a store.

use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{
    ArchiveError, BackupKey, ChunkCodec, ChunkOpener, Document, Keyring, MAX_CONFIG_BYTES,
    MAX_MANIFEST_BYTES, Manifest, RepoConfig, keys, read_document,
};
use dbhaul_progress::Progress;
use dbhaul_store::{Access, CountingStore, ErrorKind, Store, StoreExt, StoreUrl};
use futures::stream::{StreamExt, TryStreamExt, iter};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::access::{Purpose, blocking, open_keyring};
use crate::clock::Clock;
use crate::commit::create_surely;
use crate::metadata::Metadata;
use crate::pack_reads::{Heads, Packs};
use crate::{RepositoryError, StoreKeys};

/// An opened store with its configuration.
#[derive(Debug, Clone)]
pub struct Repository {
    store: Arc<dyn Store>,
    requests: CountingStore,
    config: RepoConfig,
    pub(crate) progress: Progress,
    pub(crate) clock: Clock,
    /// Packs of metadata that were read whole, as long as they are few.
    pub(crate) metadata: Arc<Metadata>,
    /// The keys at hand.
    pub(crate) keyring: Arc<Keyring>,
    /// How packs are written, or those of the backup that is read.
    pub(crate) codec: ChunkCodec,
    /// Those of the backup that is read, where it is encrypted.
    pub(crate) backup_packs: Packs,
    pub(crate) heads: Arc<Heads>,
    /// The backup that is read.
    pub(crate) backup: Option<Arc<BackupKey>>,
}

impl Repository {
    /// Opens a store that must hold backups already.
    pub async fn open(
        url: &StoreUrl,
        keys: &StoreKeys,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, RepositoryError> {
        Self::open_for(url, keys, Access::Read, progress, cancel).await
    }

    /// Opens a store that must hold backups already, to remove something.
    pub async fn open_to_write(
        url: &StoreUrl,
        keys: &StoreKeys,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, RepositoryError> {
        Self::open_for(url, keys, Access::Write, progress, cancel).await
    }

    async fn open_for(
        url: &StoreUrl,
        keys: &StoreKeys,
        access: Access,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, RepositoryError> {
        let store = dbhaul_store::open(url, access, cancel, progress).await?;
        Self::at(store, keys, progress).await
    }

    /// Opens what lies in a store.
    pub(crate) async fn at(
        store: Arc<dyn Store>,
        keys: &StoreKeys,
        progress: &Progress,
    ) -> Result<Self, RepositoryError> {
        match config_bytes(&store).await? {
            Some(bytes) => Self::with_config(store, &bytes, keys, Purpose::Read, progress).await,
            None => Err(RepositoryError::NoRepository { store: store.describe() }),
        }
    }

    /// Opens a store to write a backup to; an empty place becomes one that is not encrypted.
    ///
    /// # Errors
    /// With a writer key, if the store is not the encrypted one that it belongs to: nothing is written in plain then.
    pub async fn open_or_create(
        url: &StoreUrl,
        keys: &StoreKeys,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, RepositoryError> {
        let store = dbhaul_store::open(url, Access::Write, cancel, progress).await?;
        Self::at_or_create(store, keys, progress).await
    }

    /// Opens what lies in a store to write to it, or makes it of an empty one.
    pub(crate) async fn at_or_create(
        store: Arc<dyn Store>,
        keys: &StoreKeys,
        progress: &Progress,
    ) -> Result<Self, RepositoryError> {
        if let Some(bytes) = config_of_writable(&store).await? {
            return Self::with_config(store, &bytes, keys, Purpose::Dump, progress).await;
        }
        refuse_keys(&store, keys)?;
        let config = RepoConfig::new(Ulid::generate(), Timestamp::now());
        let bytes = config.to_bytes().map_err(|source| archive_error(&store, source))?;
        match create_surely(&store, keys::REPO_CONFIG, bytes).await {
            Ok(()) => {
                progress.notice(format!("created a new store in {}; it is not encrypted", store.describe()));
                Ok(Self::new(store, config, Keyring::plain(), progress))
            }
            // Another writer was first; its configuration is the store's.
            Err(RepositoryError::Store(error)) if error.kind() == ErrorKind::AlreadyExists => {
                let bytes = store.get_at_most(keys::REPO_CONFIG, MAX_CONFIG_BYTES).await?;
                Self::with_config(store, &bytes, keys, Purpose::Dump, progress).await
            }
            Err(error) => Err(error),
        }
    }

    /// Opens a store that could be written to, and makes none of an empty place: there is no repository there then.
    pub async fn open_to_try(
        url: &StoreUrl,
        keys: &StoreKeys,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<(Arc<dyn Store>, Option<Self>), RepositoryError> {
        let store = dbhaul_store::open(url, Access::Write, cancel, progress).await?;
        let Some(bytes) = config_of_writable(&store).await? else {
            refuse_keys(&store, keys)?;
            return Ok((store, None));
        };
        let opened = Self::with_config(Arc::clone(&store), &bytes, keys, Purpose::Dump, progress).await?;
        Ok((store, Some(opened)))
    }

    /// Keys of objects that are none, in every place where a dump writes.
    pub fn trial_keys() -> Vec<String> {
        let id = Ulid::generate();
        let beside = |prefix: &str| format!("{prefix}{id}");
        vec![keys::session(id), beside(keys::PACKS), beside(keys::BACKUPS)]
    }

    async fn with_config(
        store: Arc<dyn Store>,
        bytes: &[u8],
        keys: &StoreKeys,
        purpose: Purpose,
        progress: &Progress,
    ) -> Result<Self, RepositoryError> {
        let config = RepoConfig::from_bytes(bytes).map_err(|source| archive_error(&store, source))?;
        let keyring = open_keyring(&store, &config, keys, purpose, progress).await?;
        Ok(Self::new(store, config, keyring, progress))
    }

    pub(crate) fn new(
        store: Arc<dyn Store>,
        config: RepoConfig,
        keyring: Keyring,
        progress: &Progress,
    ) -> Self {
        let requests = CountingStore::new(store);
        let store: Arc<dyn Store> = Arc::new(requests.clone());
        Repository {
            store,
            requests,
            config,
            progress: progress.clone(),
            clock: Clock::default(),
            metadata: Arc::default(),
            codec: keyring.current().map_or_else(ChunkCodec::plain, ChunkCodec::of),
            keyring: Arc::new(keyring),
            backup_packs: None,
            heads: Arc::default(),
            backup: None,
        }
    }

    /// How chunks are named and packs are stored: of what is written, or of the backup that is
    /// [read](Self::reading).
    pub fn codec(&self) -> &ChunkCodec {
        &self.codec
    }

    /// What all backups in it have in common.
    pub fn config(&self) -> &RepoConfig {
        &self.config
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Requests to the store since it was opened; retries are not counted.
    pub fn request_count(&self) -> u64 {
        self.requests.request_count()
    }

    /// The store's name in messages.
    pub fn describe(&self) -> String {
        self.store.describe()
    }

    /// An archive error with the store's name.
    pub fn error(&self, source: ArchiveError) -> RepositoryError {
        archive_error(&self.store, source)
    }

    /// Reads and verifies a manifest, and that it belongs to this store.
    pub async fn manifest(&self, key: &BackupKey) -> Result<Manifest, RepositoryError> {
        let key = key.to_string();
        let bytes = self.store.get_at_most(&key, MAX_MANIFEST_BYTES).await?;
        let (keyring, store) = (Arc::clone(&self.keyring), self.describe());
        let open = move || {
            let opened = Manifest::open(&key, &bytes, &keyring);
            opened.map_err(|source| RepositoryError::Archive { store, source })
        };
        let manifest = blocking("reader of a manifest", open).await?;
        manifest.check_repo(&self.config).map_err(|source| self.error(source))?;
        Ok(manifest)
    }

    /// The store without retries.
    pub(crate) fn single_attempt(&self) -> Arc<dyn Store> {
        self.store.single_attempt().unwrap_or_else(|| Arc::clone(&self.store))
    }

    /// Reads one piece of metadata and verifies it.
    pub async fn piece(
        &self,
        opener: &mut ChunkOpener,
        place: &dbhaul_archive::ChunkPlace,
    ) -> Result<Bytes, RepositoryError> {
        let stored = self.stored_piece(place).await?;
        opener.open(place, &stored).map_err(|source| self.error(source))
    }

    /// The stored bytes of a piece of metadata.
    pub(crate) async fn stored_piece(
        &self,
        place: &dbhaul_archive::ChunkPlace,
    ) -> Result<Bytes, RepositoryError> {
        match self.metadata.pack(place.pack) {
            Some(pack) => pack.stored(place).map_err(|source| self.error(source)),
            None => self.pack_range(place.pack, place.range()).await,
        }
    }

    /// Reads a document, a few pieces at a time; `name` is what it is called in errors.
    pub async fn document<T: DeserializeOwned>(
        &self,
        name: &str,
        document: &Document,
    ) -> Result<T, RepositoryError> {
        let pieces = iter(&document.pieces).map(|place| self.stored_piece(place));
        let stored = pieces.buffered(PIECES_AT_ONCE).try_collect().await?;
        read_document(&self.codec, name, document, stored).map_err(|source| self.error(source))
    }
}

/// Pieces of a document or list that are asked for together.
pub(crate) const PIECES_AT_ONCE: usize = 4;

pub(crate) async fn config_bytes(store: &Arc<dyn Store>) -> Result<Option<Bytes>, RepositoryError> {
    Ok(store.get_optional_at_most(keys::REPO_CONFIG, MAX_CONFIG_BYTES).await?)
}

/// The configuration of a store that is to be written to; `None` if its place is empty, and may become one.
async fn config_of_writable(store: &Arc<dyn Store>) -> Result<Option<Bytes>, RepositoryError> {
    if let Some(bytes) = config_bytes(store).await? {
        return Ok(Some(bytes));
    }
    let Err(occupied) = refuse_occupied(store).await else { return Ok(None) };
    // what was found may be of another writer, who has made a store there since
    match config_bytes(store).await? {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(occupied),
    }
}

/// Who brings a key means an encrypted store, and no backup in plain.
fn refuse_keys(store: &Arc<dyn Store>, keys: &StoreKeys) -> Result<(), RepositoryError> {
    match keys.is_empty() {
        true => Ok(()),
        false => Err(RepositoryError::NotEncrypted { store: store.describe() }),
    }
}

/// A place with backups and no `repo.json` has lost it: a new one, with another
/// identity, would make every backup there one of a foreign store. And a place
/// that holds something else is somebody else's.
pub(crate) async fn refuse_occupied(store: &Arc<dyn Store>) -> Result<(), RepositoryError> {
    let page = store.list_page(keys::BACKUPS, None).await?;
    if let Some(backup) = page.objects.first() {
        return Err(RepositoryError::Damaged {
            what: store.describe(),
            reason: format!("it holds {} but no {}", backup.key, keys::REPO_CONFIG),
        });
    }
    let mut objects = store.list_stream("");
    while let Some(object) = objects.try_next().await? {
        if !LITTER.contains(&object.key.as_str()) {
            return Err(RepositoryError::OccupiedPlace { place: store.describe(), found: object.key });
        }
    }
    Ok(())
}

/// What file managers leave in a directory that somebody has looked at.
const LITTER: [&str; 4] = [".DS_Store", ".directory", "Thumbs.db", "desktop.ini"];

/// The error of rows of a table that are not what was written.
pub(crate) fn rows_fault(table: &str, reason: String) -> RepositoryError {
    RepositoryError::Damaged { what: format!("table {table}"), reason }
}

fn archive_error(store: &Arc<dyn Store>, source: ArchiveError) -> RepositoryError {
    RepositoryError::Archive { store: store.describe(), source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dbhaul_progress::Progress;
    use dbhaul_store::{ErrorKind, Fault, FaultRule, FaultStore, MemoryStore, Operation};

    use super::Repository;
    use crate::StoreKeys;

    #[tokio::test]
    async fn a_store_that_another_writer_makes_meanwhile_is_the_store() {
        let (memory, progress) = (Arc::new(MemoryStore::default()), Progress::silent());
        let keys = StoreKeys::default();
        let first = Repository::at_or_create(memory.clone(), &keys, &progress).await.unwrap();
        let store = FaultStore::new(memory);
        // it was not there yet when we looked
        store.add(FaultRule::new(Fault::Fail(ErrorKind::NotFound)).on(Operation::Get));
        let second = Repository::at_or_create(Arc::new(store), &keys, &progress).await.unwrap();
        assert_eq!(second.config().id, first.config().id);
    }
}
