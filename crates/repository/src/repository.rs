//! A store of backups: the archive's objects in a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dbhaul_archive::{
    ArchiveError, BackupKey, ChunkCodec, ChunkOpener, Document, Keyring, MAX_CONFIG_BYTES,
    MAX_MANIFEST_BYTES, Manifest, PackId, RepoConfig, keys, read_document,
};
use dbhaul_progress::{Progress, one_line};
use dbhaul_retry::RetryPolicy;
use dbhaul_store::{
    Access, CountingStore, ErrorKind, ObjectMeta, Operation, Store, StoreError, StoreExt, StoreUrl,
};
use futures::stream::{StreamExt, TryStreamExt, iter};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::access::{Purpose, blocking, open_keyring};
use crate::clock::Clock;
use crate::metadata::Metadata;
use crate::pack_reads::{Heads, Packs};
use crate::{RepositoryError, Sign, StoreKeys};

/// Which backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupRef {
    /// The newest of the store (of one database, if the store holds several).
    Latest,
    /// The backup whose ULID is, or starts with, this.
    Id(String),
}

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

    /// Opens a store that could be written to, and makes none of an empty place.
    pub async fn open_to_try(
        url: &StoreUrl,
        keys: &StoreKeys,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Arc<dyn Store>, RepositoryError> {
        let store = dbhaul_store::open(url, Access::Write, cancel, progress).await?;
        match config_of_writable(&store).await? {
            Some(bytes) => {
                drop(Self::with_config(Arc::clone(&store), &bytes, keys, Purpose::Dump, progress).await?);
            }
            None => refuse_keys(&store, keys)?,
        }
        Ok(store)
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

    /// The keys of all committed backups, oldest first within a database. Whatever else lies among them, such as
    /// what file managers leave behind, is told and passed over.
    pub async fn backup_keys(&self) -> Result<Vec<BackupKey>, RepositoryError> {
        Ok(self.listed_backups().await?.into_iter().map(|listed| listed.key).collect())
    }

    /// As [`Self::backup_keys`], and does not tell again what else lies among them.
    pub(crate) async fn listed_quietly(&self) -> Result<Vec<BackupKey>, RepositoryError> {
        let (backups, _) = self.list_at_most(MAX_BACKUPS).await?;
        Ok(backups.into_iter().map(|listed| listed.key).collect())
    }

    /// As [`Self::backup_keys`], each with whether its identity is to be believed.
    ///
    /// # Errors
    /// If the store cannot be listed, or lists backups without end.
    pub async fn listed_backups(&self) -> Result<Vec<ListedBackup>, RepositoryError> {
        let (backups, strays) = self.list_at_most(MAX_BACKUPS).await?;
        strays.tell(&self.progress, "the manifest of a backup", "manifests of backups");
        Ok(backups)
    }

    /// As [`Self::backup_keys`], and the key of the first object among them that may be a backup under another name or, as
    /// a symbolic link in a directory, lead to some.
    ///
    /// # Errors
    /// If the store cannot be listed, or lists backups without end.
    pub async fn backup_keys_to_check(&self) -> Result<(Vec<BackupKey>, Option<String>), RepositoryError> {
        let (backups, strays) = self.list_at_most(MAX_BACKUPS).await?;
        strays.tell(&self.progress, "the manifest of a backup", "manifests of backups");
        Ok((backups.into_iter().map(|listed| listed.key).collect(), strays.suspect))
    }

    /// As [`Self::backup_keys`], for a command that removes what no backup names.
    ///
    /// # Errors
    /// [`RepositoryError::Stray`] if something lies among the backups that may be one under another name.
    pub async fn backup_keys_to_remove(&self) -> Result<Vec<BackupKey>, RepositoryError> {
        let (backups, strays) = self.list_at_most(MAX_BACKUPS).await?;
        if let Some(object) = strays.suspect {
            return Err(RepositoryError::Stray { store: self.describe(), object });
        }
        strays.tell(&self.progress, "the manifest of a backup", "manifests of backups");
        Ok(backups.into_iter().map(|listed| listed.key).collect())
    }

    async fn list_at_most(&self, max: usize) -> Result<(Vec<ListedBackup>, Strays), RepositoryError> {
        let now = self.clock.now();
        let (mut backups, mut strays) = (Vec::new(), Strays::default());
        let mut objects = self.store.list_stream(keys::BACKUPS);
        while let Some(object) = objects.try_next().await? {
            match object.key.parse() {
                Ok(_) if backups.len() == max => {
                    let error = StoreError::new(ErrorKind::Damaged, Operation::List, self.describe());
                    let detail = format!("the store lists more than {max} backups");
                    return Err(error.with_key(keys::BACKUPS).with_detail(detail).into());
                }
                Ok(key) => backups.push(ListedBackup::new(key, object.modified, now)),
                Err(_) => strays.add(object.key),
            }
        }
        Ok((backups, strays))
    }

    /// Shows `take` every pack of the store. Whatever else lies among them, such as a link to somewhere else, is not ours
    /// to remove: it is told and passed over.
    ///
    /// # Errors
    /// If the store cannot be listed.
    pub async fn each_pack(
        &self,
        mut take: impl FnMut(PackId, ObjectMeta) + Send,
    ) -> Result<(), RepositoryError> {
        let mut strays = Strays::default();
        let mut objects = self.store.list_stream(keys::PACKS);
        while let Some(object) = objects.try_next().await? {
            match keys::parse_pack(&object.key) {
                Ok(id) => take(id, object),
                Err(_) => strays.add(object.key),
            }
        }
        strays.tell(&self.progress, "a pack", "packs");
        Ok(())
    }

    /// The key of the backup that is meant.
    pub async fn find(
        &self,
        backup: &BackupRef,
        database: Option<&str>,
    ) -> Result<BackupKey, RepositoryError> {
        let mut found = self.listed_backups().await?;
        found.retain(|listed| database.is_none_or(|name| listed.key.database == name));
        if found.is_empty() {
            let database = database.map(str::to_owned);
            return Err(RepositoryError::NoBackup { store: self.describe(), database });
        }
        match backup {
            BackupRef::Latest => self.latest(found),
            BackupRef::Id(prefix) => self.by_id(found, prefix),
        }
    }

    fn latest(&self, found: Vec<ListedBackup>) -> Result<BackupKey, RepositoryError> {
        let mut databases: Vec<&str> = found.iter().map(|listed| listed.key.database.as_str()).collect();
        databases.dedup();
        if databases.len() > 1 {
            let databases = databases.into_iter().map(str::to_owned).collect();
            return Err(RepositoryError::SeveralDatabases { store: self.describe(), databases });
        }
        // the clock of a server may have been wrong for a night
        let latest = found.iter().filter(|listed| !listed.is_ahead).max_by_key(|listed| listed.key.id);
        for listed in found.iter().filter(|listed| listed.is_ahead) {
            self.progress.warning(format!("backup {} {AHEAD}; name it to use it", listed.key.id));
        }
        let latest = match latest {
            None if !found.is_empty() => return Err(RepositoryError::AllAhead { store: self.describe() }),
            latest => latest.map(|listed| listed.key.clone()),
        };
        latest.ok_or_else(|| RepositoryError::NoBackup { store: self.describe(), database: None })
    }

    fn by_id(&self, found: Vec<ListedBackup>, prefix: &str) -> Result<BackupKey, RepositoryError> {
        let wanted = prefix.to_ascii_uppercase();
        let found = found.into_iter().map(|listed| listed.key);
        let mut matching: Vec<_> = found.filter(|key| key.id.to_string().starts_with(&wanted)).collect();
        match matching.pop() {
            Some(key) if matching.is_empty() => Ok(key),
            more => Err(RepositoryError::BackupId {
                store: self.describe(),
                id: prefix.to_owned(),
                matching_count: matching.len() + usize::from(more.is_some()),
            }),
        }
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

    /// Fails unless every pack of the manifest is in the store with its size.
    pub async fn check_packs(&self, manifest: &Manifest) -> Result<(), RepositoryError> {
        match self.compare_packs(manifest).await?.into_iter().next() {
            None => Ok(()),
            Some(source) => Err(self.error(source)),
        }
    }

    /// Every pack of the manifest that is not in the store, or has another size there.
    pub(crate) async fn compare_packs(
        &self,
        manifest: &Manifest,
    ) -> Result<Vec<ArchiveError>, RepositoryError> {
        let wanted: BTreeSet<PackId> = manifest.packs.iter().map(|pack| pack.id).collect();
        let mut found: BTreeMap<PackId, u64> = BTreeMap::new();
        let mut objects = self.store.list_stream(keys::PACKS);
        while let Some(object) = objects.try_next().await? {
            // Whatever else lies there is another backup's, or not a pack: no memory is taken for it.
            if let Some(id) = keys::parse_pack(&object.key).ok().filter(|id| wanted.contains(id)) {
                found.insert(id, object.size_bytes);
            }
        }
        Ok(manifest.compare_packs(&found))
    }

    /// Writes the manifest, which commits the backup, and reads it back: a backup is committed when the
    /// store returns its manifest, not when it says that it has it. The dump's sign must have stood all the time.
    pub async fn commit(
        &self,
        manifest: &Manifest,
        lease: &Sign,
        cancel: &CancellationToken,
    ) -> Result<BackupKey, RepositoryError> {
        self.check_packs(manifest).await?;
        let key = manifest.key();
        let (sealed, codec, store) = (manifest.clone(), self.codec.clone(), self.describe());
        let seal = move || sealed.seal(&codec).map_err(|source| RepositoryError::Archive { store, source });
        let bytes = blocking("writer of a manifest", seal).await?;
        let created = self.create_under(lease, &key.to_string(), bytes, cancel).await;
        if let Err(error) = &created
            && (matches!(error, RepositoryError::NotKept { .. }) || error.counts_as_gone())
        {
            // damaged, it would be in the way of whoever reads all manifests, and one that was written although the
            // answer was lost may lack packs by now; nobody else writes this key
            self.take_back(&key).await;
        }
        created?;
        // a machine that slept since may have been taken for gone, and packs of the backup for nobody's
        if let Err(error) = lease.renew().await
            && error.counts_as_gone()
        {
            self.take_back(&key).await;
            return Err(error);
        }
        Ok(key)
    }

    /// Removes a manifest that must not count. Why it must not is told by who calls this; that it could not be removed,
    /// as where a writer may delete nothing, is told here.
    async fn take_back(&self, key: &BackupKey) {
        if let Err(error) = self.store.delete(&key.to_string()).await {
            let error = one_line(&error);
            self.progress.warning(format!(
                "{key} could not be removed, and its packs may be gone: remove it ({error})"
            ));
        }
    }

    /// Writes an object that must not exist yet. The sign is renewed before each attempt, by the store's clock: one
    /// that comes after a sleep of the machine would come too late. Where it is not known what became of an attempt
    /// the sign is in doubt from then on.
    async fn create_under(
        &self,
        lease: &Sign,
        key: &str,
        bytes: Bytes,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let store = self.single_attempt();
        let mut attempts = RetryPolicy::default().attempts();
        let mut is_doubtful = false;
        let given_up = loop {
            if let Err(error) = lease.renew().await {
                break error;
            }
            let error = match create_surely(&store, key, bytes.clone()).await {
                Err(RepositoryError::Store(error)) => error,
                ended => return ended,
            };
            is_doubtful |= match error.operation() {
                Operation::Put => error.leaves_doubt(),
                // it looked whether the object was there, and has not begun to write
                Operation::Head => false,
                // it was written, and cannot be read back
                _ => true,
            };
            let Some(pause) = attempts.failed(error.is_transient()) else { break error.into() };
            self.progress.warning(format!("{error}; {pause}"));
            if pause.wait(cancel).await.is_err() {
                break error.into();
            }
        };
        if !is_doubtful {
            return Err(given_up);
        }
        lease.doubt();
        let RepositoryError::Store(source) = given_up else { return Err(given_up) };
        // the last answer may have been lost
        match store.get_optional_at_most(key, bytes.len() as u64).await {
            Ok(Some(found)) if found == bytes => Ok(()),
            _ => Err(RepositoryError::CommitInDoubt { store: self.describe(), key: key.to_owned(), source }),
        }
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

/// Writes an object that must not exist yet, and believes the store once it returns the same bytes. One that is said to
/// exist and has these bytes is ours: what stands between us and the store has sent the request twice.
pub(crate) async fn create_surely(
    store: &Arc<dyn Store>,
    key: &str,
    bytes: Bytes,
) -> Result<(), RepositoryError> {
    let refused = match store.create(key, bytes.clone()).await {
        Ok(()) => None,
        Err(error) if error.is_already_exists() => Some(error),
        Err(error) => return Err(error.into()),
    };
    let found = match store.get_optional_at_most(key, bytes.len() as u64).await {
        Ok(Some(stored)) if stored == bytes => return Ok(()),
        Ok(Some(stored)) if refused.is_none() && bytes.starts_with(&stored) => {
            // a part of ours would only be in the way
            store.delete(key).await?;
            "returns only a part of the bytes"
        }
        Ok(Some(_)) => "returns other bytes",
        Ok(None) => "has no such object",
        // it would return more than was written
        Err(error) if error.kind() == ErrorKind::Damaged => "returns other bytes",
        Err(error) => return Err(error.into()),
    };
    Err(match refused {
        Some(refused) => refused.into(),
        None => RepositoryError::NotKept { store: store.describe(), key: key.to_owned(), found },
    })
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

/// The most backups of a store: one each minute makes so many in two years.
const MAX_BACKUPS: usize = 1_000_000;

/// What file managers leave in a directory that somebody has looked at.
const LITTER: [&str; 4] = [".DS_Store", ".directory", "Thumbs.db", "desktop.ini"];

/// Strays that are told by name.
const TOLD_STRAYS: usize = 5;

/// A committed backup, as a listing of the store shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedBackup {
    /// Its key.
    pub key: BackupKey,
    /// Whether its identity lies in the future, by our clock and by the store's. It says nothing about the order of
    /// backups then: for years none would be newer.
    pub is_ahead: bool,
}

/// How far the identity of a backup may lie ahead: clocks differ, and time zones are mistaken for UTC.
const MOST_AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// What is the matter with such a backup.
pub const AHEAD: &str =
    "is dated in the future: the clock of the machine that made it was wrong, or it is forged";

impl ListedBackup {
    fn new(key: BackupKey, modified: Option<SystemTime>, now: SystemTime) -> Self {
        let made = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(key.id.timestamp_ms()));
        let is_after = |time: SystemTime| match (made, time.checked_add(MOST_AHEAD)) {
            (Some(made), Some(latest)) => made > latest,
            (made, _) => made.is_none(),
        };
        // with our clock set back the store's is right, and a file that was touched says nothing about ours
        let is_ahead = is_after(now) && modified.is_none_or(is_after);
        ListedBackup { key, is_ahead }
    }
}

/// Objects where backups or packs lie that are none.
#[derive(Debug, Default)]
struct Strays {
    first: Vec<String>,
    count: usize,
    /// The first that is not what file managers leave behind.
    suspect: Option<String>,
}

/// Whether systems and file managers leave such files in directories.
fn is_litter(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    name.starts_with('.') || ["Thumbs.db", "desktop.ini"].contains(&name)
}

impl Strays {
    fn add(&mut self, key: String) {
        self.count += 1;
        if self.suspect.is_none() && !is_litter(&key) {
            self.suspect = Some(key.clone());
        }
        if self.first.len() < TOLD_STRAYS {
            self.first.push(key);
        }
    }

    fn tell(&self, progress: &Progress, one: &str, many: &str) {
        for key in &self.first {
            progress.warning(format!("{key:?} in the store is not {one}; passed over"));
        }
        match self.count - self.first.len() {
            0 => {}
            1 => progress.warning(format!("1 more object in the store is not {one}")),
            more => progress.warning(format!("{more} more objects in the store are not {many}")),
        }
    }
}

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

    use std::time::{Duration, SystemTime};

    use dbhaul_archive::{BackupKey, Keyring, RepoConfig};
    use dbhaul_progress::Progress;
    use dbhaul_store::{ErrorKind, Fault, FaultRule, FaultStore, MemoryStore, Operation, Store, StoreExt};
    use jiff::Timestamp;
    use ulid::Ulid;

    use super::{ListedBackup, Repository};
    use crate::{RepositoryError, StoreKeys};

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

    #[test]
    fn a_backup_is_ahead_only_by_all_clocks() {
        let at = |hours: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 3600);
        let key = |hours: u64| BackupKey {
            database: "shop".to_owned(),
            time: Timestamp::UNIX_EPOCH,
            id: Ulid::from_parts(hours * 3_600_000, 1),
        };
        let is_ahead = |made, modified: Option<u64>, now| {
            ListedBackup::new(key(made), modified.map(at), at(now)).is_ahead
        };
        assert!(is_ahead(1000, Some(100), 100) && is_ahead(1000, None, 100));
        assert!(!is_ahead(1000, Some(1000), 100), "our clock was set back");
        assert!(!is_ahead(1000, Some(100), 1000), "the file was touched");
        assert!(!is_ahead(110, Some(100), 100), "clocks differ");
        assert!(
            ListedBackup::new(BackupKey { id: Ulid::from_parts(u64::MAX >> 16, 1), ..key(1) }, None, at(1))
                .is_ahead
        );
    }

    #[tokio::test]
    async fn no_memory_is_taken_for_backups_without_end() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        for id in 0..3 {
            let key = format!("backups/shop/20260131T020304Z-{}", Ulid::from_parts(1_769_824_984_567, id));
            store.create(&key, "".into()).await.unwrap();
        }
        let config = RepoConfig::new(Ulid(3), Timestamp::UNIX_EPOCH);
        let repository = Repository::new(store, config, Keyring::plain(), &Progress::silent());
        assert_eq!(repository.list_at_most(3).await.unwrap().0.len(), 3);
        let refused = repository.list_at_most(2).await.unwrap_err();
        assert!(
            matches!(&refused, RepositoryError::Store(error) if error.to_string().contains("more than 2 backups")),
            "{refused:?}"
        );
    }
}
