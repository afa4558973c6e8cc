//! Making a store on purpose, encrypted or not.

use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{Fingerprint, Generation, Holder, Keyring, RepoConfig, WriterKey, keys};
use dbhaul_progress::Progress;
use dbhaul_store::{Access, Store, StoreUrl};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::RepositoryError;
use crate::access::blocking;
use crate::commit::create_surely;
use crate::repository::{config_bytes, refuse_occupied};

/// A store that is ready to be made: its place is empty, its keys exist in memory only.
#[derive(Debug)]
pub struct NewStore {
    store: Arc<dyn Store>,
    config: RepoConfig,
    keys: Option<NewKeys>,
}

#[derive(Debug)]
struct NewKeys {
    writer: WriterKey,
    fingerprint: Fingerprint,
    wrapped: Vec<(String, Bytes)>,
}

impl NewStore {
    /// Looks at the place, and makes keys for these holders; for none, the store is not encrypted.
    ///
    /// # Errors
    /// If something lies at the place already.
    pub async fn prepare(
        url: &StoreUrl,
        holders: Vec<Holder>,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, RepositoryError> {
        let store = dbhaul_store::open(url, Access::Write, cancel, progress).await?;
        if config_bytes(&store).await?.is_some() {
            return Err(RepositoryError::StoreExists { store: store.describe() });
        }
        refuse_occupied(&store).await?;
        let (id, now) = (Ulid::generate(), Timestamp::now());
        if holders.is_empty() {
            return Ok(NewStore { store, config: RepoConfig::new(id, now), keys: None });
        }
        let place = store.describe();
        let make = move || {
            let failed = |source| RepositoryError::Keys { store: place.clone(), source };
            let generation = Generation::generate(Ulid::generate(), id, None).map_err(failed)?;
            let wrapped = wrapped(&generation, &holders).map_err(failed)?;
            let keyring = Keyring::chained(id, vec![generation], None).map_err(failed)?;
            let writer = keyring.writer_key().map_err(failed)?;
            Ok(NewKeys { fingerprint: writer.fingerprint(), writer, wrapped })
        };
        let made = blocking("making of keys", make).await?;
        Ok(NewStore { store, config: RepoConfig::encrypted(id, now), keys: Some(made) })
    }

    /// What writers will hold; `None` if the store is not encrypted. Keep it before the store is made.
    pub fn writer_key(&self) -> Option<&WriterKey> {
        self.keys.as_ref().map(|keys| &keys.writer)
    }

    /// The fingerprint of its keys.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.keys.as_ref().map(|keys| keys.fingerprint)
    }

    /// Its identity.
    pub fn id(&self) -> Ulid {
        self.config.id
    }

    /// Its name in messages.
    pub fn describe(&self) -> String {
        self.store.describe()
    }

    /// Makes the store: the keys first, and `repo.json` last, which makes it one.
    ///
    /// # Errors
    /// If the store fails, or does not return what it took.
    pub async fn create(self) -> Result<(), RepositoryError> {
        for (key, bytes) in self.keys.into_iter().flat_map(|keys| keys.wrapped) {
            create_surely(&self.store, &key, bytes).await?;
        }
        let failed = |source| RepositoryError::Archive { store: self.store.describe(), source };
        let config = self.config.to_bytes().map_err(failed)?;
        create_surely(&self.store, keys::REPO_CONFIG, config).await
    }
}

/// The objects that hold a generation for each of these holders.
pub(crate) fn wrapped(
    generation: &Generation,
    holders: &[Holder],
) -> Result<Vec<(String, Bytes)>, dbhaul_archive::KeyError> {
    let wrap = |holder: &Holder| generation.wrap(holder).map(|(key, bytes)| (key, Bytes::from(bytes)));
    holders.iter().map(wrap).collect()
}
