//! A store whose key generations have forked: two of them follow the same one, as after two rotations at the same time
//! by an older dbhaul.

use std::sync::Arc;

use dbhaul_archive::{BackupKey, Generation, Manifest, keys};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::{KeyStore, Repository, RepositoryError};

impl KeyStore {
    /// Removes a generation of a fork that no backup uses and no other generation follows; returns how many wrapped
    /// keys that were. A dump cannot begin meanwhile: as long as the store has both, no writer key knows all of its
    /// generations.
    ///
    /// # Errors
    /// If the store has no fork, the generation is used, or that cannot be told: not all generations or manifests can
    /// be opened, or a dump is at work.
    pub async fn remove_generation(
        &self,
        generation: &str,
        cancel: &CancellationToken,
    ) -> Result<usize, RepositoryError> {
        self.require_readers()?;
        if self.forks().is_empty() {
            return Err(RepositoryError::NoFork { store: self.describe() });
        }
        let id = self.opened_named(generation)?;
        if self.keyring.is_followed(id) {
            return Err(RepositoryError::FollowedGeneration { store: self.describe(), generation: id });
        }
        Box::pin(self.require_unused(id, cancel)).await?;
        let holders = self.holders().get(&id).into_iter().flatten();
        let objects: Vec<String> = holders.map(|holder| keys::wrapped_key(id, holder)).collect();
        self.store.delete_many(&objects).await?;
        Ok(objects.len())
    }

    /// The generation of this name.
    fn opened_named(&self, name: &str) -> Result<Ulid, RepositoryError> {
        let ids: Vec<Ulid> = self.opened().iter().map(Generation::id).collect();
        let found = ids.iter().copied().find(|id| id.to_string() == name);
        found.ok_or_else(|| RepositoryError::NoGeneration {
            store: self.describe(),
            generation: name.to_owned(),
            generations: ids.iter().map(Ulid::to_string).collect(),
        })
    }

    /// Fails if a backup is encrypted to a generation, or one may be made now that is.
    async fn require_unused(&self, id: Ulid, cancel: &CancellationToken) -> Result<(), RepositoryError> {
        let keyring = self.keyring.clone();
        let repository =
            Repository::new(Arc::clone(&self.store), self.config.clone(), keyring, &self.progress);
        let at_work = repository.signs(keys::SESSIONS, repository.clock.now()).await?;
        if let Some(sign) = at_work.into_iter().next() {
            return Err(RepositoryError::DumpAtWork { store: self.describe(), sign: sign.key });
        }
        let backups = repository.backup_keys_to_remove().await?;
        let generation = |key: &BackupKey, manifest: Result<Manifest, RepositoryError>| {
            manifest.map(|manifest| (manifest.generation == Some(id)).then(|| key.to_string()))
        };
        for used_by in repository.each_manifest(&backups, cancel, generation).await? {
            if let Some(backup) = used_by? {
                let (store, generation) = (self.describe(), id);
                return Err(RepositoryError::UsedGeneration { store, generation, backup });
            }
        }
        Ok(())
    }
}
