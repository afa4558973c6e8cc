//! A store of backups: the archive's objects in a store.

mod check;
mod chunks;
mod pack_writer;
mod segments;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{
    ArchiveError, BackupKey, ChunkOpener, Document, Manifest, PackId, RepoConfig, keys, read_document,
};
use dbhaul_store::{Access, ErrorKind, Store, StoreExt, StoreUrl};
use futures::TryStreamExt;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use ulid::Ulid;

pub(crate) use chunks::ChunkReader;
pub(crate) use pack_writer::{PackWriter, PlacedChunk, document, unnamed_pack};
pub(crate) use segments::{BackupSegments, tables_by_entry};

use crate::{BackupRef, Context, PipelineError};

/// An opened store with its configuration.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    store: Arc<dyn Store>,
    config: RepoConfig,
}

impl Repository {
    /// Opens a store that must hold backups already.
    pub(crate) async fn open(url: &StoreUrl, context: &Context) -> Result<Self, PipelineError> {
        let store = dbhaul_store::open(url, Access::Read, &context.cancel, &context.progress).await?;
        match store.get_optional(keys::REPO_CONFIG).await? {
            Some(bytes) => Self::with_config(store, &bytes),
            None => Err(PipelineError::NoRepository { store: store.describe() }),
        }
    }

    /// Opens a store to write to; an empty one becomes a repository.
    pub(crate) async fn open_or_create(url: &StoreUrl, context: &Context) -> Result<Self, PipelineError> {
        let store = dbhaul_store::open(url, Access::Write, &context.cancel, &context.progress).await?;
        if let Some(bytes) = store.get_optional(keys::REPO_CONFIG).await? {
            return Self::with_config(store, &bytes);
        }
        refuse_headless(&store).await?;
        let config = RepoConfig::new(Ulid::generate(), Timestamp::now());
        let bytes = config.to_bytes().map_err(|source| archive_error(&store, source))?;
        match store.create(keys::REPO_CONFIG, bytes).await {
            Ok(()) => Ok(Repository { store, config }),
            // Another writer was first; its configuration is the store's.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let bytes = store.get(keys::REPO_CONFIG).await?;
                Self::with_config(store, &bytes)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn with_config(store: Arc<dyn Store>, bytes: &[u8]) -> Result<Self, PipelineError> {
        let config = RepoConfig::from_bytes(bytes).map_err(|source| archive_error(&store, source))?;
        Ok(Repository { store, config })
    }

    /// What all backups in it have in common.
    pub(crate) fn config(&self) -> &RepoConfig {
        &self.config
    }

    /// The store below.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The store's name in messages.
    pub(crate) fn describe(&self) -> String {
        self.store.describe()
    }

    /// An archive error with the store's name.
    pub(crate) fn error(&self, source: ArchiveError) -> PipelineError {
        archive_error(&self.store, source)
    }

    /// The keys of all committed backups, oldest first within a database.
    pub(crate) async fn backup_keys(&self) -> Result<Vec<BackupKey>, PipelineError> {
        let objects = self.store.list(keys::BACKUPS).await?;
        objects.iter().map(|object| object.key.parse().map_err(|source| self.error(source))).collect()
    }

    /// The key of the backup that is meant.
    pub(crate) async fn find(
        &self,
        backup: &BackupRef,
        database: Option<&str>,
    ) -> Result<BackupKey, PipelineError> {
        let mut found = self.backup_keys().await?;
        found.retain(|key| database.is_none_or(|name| key.database == name));
        if found.is_empty() {
            let database = database.map(str::to_owned);
            return Err(PipelineError::NoBackup { store: self.describe(), database });
        }
        match backup {
            BackupRef::Latest => self.latest(found),
            BackupRef::Id(prefix) => self.by_id(found, prefix),
        }
    }

    fn latest(&self, found: Vec<BackupKey>) -> Result<BackupKey, PipelineError> {
        let mut databases: Vec<&str> = found.iter().map(|key| key.database.as_str()).collect();
        databases.dedup();
        if databases.len() > 1 {
            let databases = databases.into_iter().map(str::to_owned).collect();
            return Err(PipelineError::SeveralDatabases { store: self.describe(), databases });
        }
        let latest = found.into_iter().max_by_key(|key| (key.time, key.id));
        latest.ok_or_else(|| PipelineError::NoBackup { store: self.describe(), database: None })
    }

    fn by_id(&self, found: Vec<BackupKey>, prefix: &str) -> Result<BackupKey, PipelineError> {
        let wanted = prefix.to_ascii_uppercase();
        let mut matching: Vec<_> =
            found.into_iter().filter(|key| key.id.to_string().starts_with(&wanted)).collect();
        match matching.pop() {
            Some(key) if matching.is_empty() => Ok(key),
            more => Err(PipelineError::BackupId {
                store: self.describe(),
                id: prefix.to_owned(),
                matching_count: matching.len() + usize::from(more.is_some()),
            }),
        }
    }

    /// Reads and verifies a manifest, and that it belongs to this store.
    pub(crate) async fn manifest(&self, key: &BackupKey) -> Result<Manifest, PipelineError> {
        let key = key.to_string();
        let bytes = self.store.get(&key).await?;
        let manifest = Manifest::from_bytes(&key, &bytes).map_err(|source| self.error(source))?;
        manifest.check_repo(&self.config).map_err(|source| self.error(source))?;
        Ok(manifest)
    }

    /// Fails unless every pack of the manifest is in the store with its size.
    pub(crate) async fn check_packs(&self, manifest: &Manifest) -> Result<(), PipelineError> {
        let mut found: BTreeMap<PackId, u64> = BTreeMap::new();
        let mut objects = self.store.list_stream(keys::PACKS);
        while let Some(object) = objects.try_next().await? {
            // Whatever else lies there is not a pack, and no backup refers to it.
            if let Ok(id) = keys::parse_pack(&object.key) {
                found.insert(id, object.size_bytes);
            }
        }
        match manifest.compare_packs(&found).into_iter().next() {
            None => Ok(()),
            Some(source) => Err(self.error(source)),
        }
    }

    /// Writes the manifest, which commits the backup.
    pub(crate) async fn commit(&self, manifest: &Manifest) -> Result<BackupKey, PipelineError> {
        self.check_packs(manifest).await?;
        let key = manifest.key();
        let bytes = manifest.to_bytes().map_err(|source| self.error(source))?;
        self.store.create(&key.to_string(), bytes).await?;
        Ok(key)
    }

    /// Reads one piece of metadata or rows and verifies it.
    pub(crate) async fn piece(
        &self,
        opener: &mut ChunkOpener,
        place: &dbhaul_archive::ChunkPlace,
    ) -> Result<Bytes, PipelineError> {
        let stored = self.store.get_range(&keys::pack(place.pack), place.range()).await?;
        opener.open(place, &stored).map_err(|source| self.error(source))
    }

    /// Reads a document; `name` is what it is called in errors.
    pub(crate) async fn document<T: DeserializeOwned>(
        &self,
        name: &str,
        document: &Document,
    ) -> Result<T, PipelineError> {
        let mut stored = Vec::with_capacity(document.pieces.len());
        for place in &document.pieces {
            stored.push(self.store.get_range(&keys::pack(place.pack), place.range()).await?);
        }
        read_document(name, document, stored).map_err(|source| self.error(source))
    }
}

/// A place with backups and no `repo.json` has lost it: a new one, with another
/// identity, would make every backup there one of a foreign store.
async fn refuse_headless(store: &Arc<dyn Store>) -> Result<(), PipelineError> {
    let page = store.list_page(keys::BACKUPS, None).await?;
    match page.objects.first() {
        None => Ok(()),
        Some(backup) => Err(PipelineError::Damaged {
            what: store.describe(),
            reason: format!("it holds {} but no {}", backup.key, keys::REPO_CONFIG),
        }),
    }
}

fn archive_error(store: &Arc<dyn Store>, source: ArchiveError) -> PipelineError {
    PipelineError::Archive { store: store.describe(), source }
}
