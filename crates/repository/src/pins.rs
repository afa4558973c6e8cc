//! Backups that somebody wants to keep whatever the policy says, and forgetting the others.

use std::collections::BTreeSet;

use bytes::Bytes;
use dbhaul_archive::{BackupKey, Manifest, keys};
use dbhaul_store::{ErrorKind, StoreExt};
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::{Repository, RepositoryError};

/// Manifests that are read at a time.
const MANIFESTS_AT_ONCE: usize = 4;

impl Repository {
    /// What `of` makes of the manifest of each of these backups, in the same order; one that cannot be read is for it to
    /// judge, and one that was forgotten meanwhile is left out. Only a few manifests are in memory at a time.
    ///
    /// # Errors
    /// If the store fails, or the user stops it.
    pub async fn each_manifest<T>(
        &self,
        backups: &[BackupKey],
        cancel: &CancellationToken,
        of: impl Fn(&BackupKey, Result<Manifest, RepositoryError>) -> T,
    ) -> Result<Vec<T>, RepositoryError> {
        let of = &of;
        let read = iter(backups).map(async |key| {
            if cancel.is_cancelled() {
                return Err(RepositoryError::Cancelled);
            }
            match self.manifest(key).await {
                Err(RepositoryError::Store(error)) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error @ RepositoryError::Store(_)) => Err(error),
                manifest => Ok(Some(of(key, manifest))),
            }
        });
        let made: Vec<Option<T>> = read.buffered(MANIFESTS_AT_ONCE).try_collect().await?;
        Ok(made.into_iter().flatten().collect())
    }

    /// The backups that are pinned.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pinned(&self) -> Result<BTreeSet<Ulid>, RepositoryError> {
        self.named_below(keys::PINS).await
    }

    /// The backups of which somebody has accepted that they hold far fewer rows than older ones.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn accepted(&self) -> Result<BTreeSet<Ulid>, RepositoryError> {
        self.named_below(keys::ACCEPTED).await
    }

    /// Notes that a backup with far fewer rows than older ones is what the database is like now.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn accept(&self, backup: Ulid) -> Result<(), RepositoryError> {
        let text = Bytes::from_static(b"older backups with more rows may be forgotten\n");
        Ok(self.store().overwrite(&keys::accepted(backup), text).await?)
    }

    async fn named_below(&self, prefix: &str) -> Result<BTreeSet<Ulid>, RepositoryError> {
        let mut named = BTreeSet::new();
        let mut objects = self.store().list_stream(prefix);
        while let Some(object) = objects.try_next().await? {
            named.extend(object.key.strip_prefix(prefix).and_then(|id| Ulid::from_string(id).ok()));
        }
        Ok(named)
    }

    /// Keeps a backup until it is unpinned; pinning it twice is the same as once.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pin(&self, backup: &BackupKey) -> Result<(), RepositoryError> {
        let text = Bytes::from_static(b"this backup is kept whatever a policy says\n");
        Ok(self.store().overwrite(&keys::pin(backup.id), text).await?)
    }

    /// Leaves a backup to the policy again.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn unpin(&self, backup: &BackupKey) -> Result<(), RepositoryError> {
        Ok(self.store().delete(&keys::pin(backup.id)).await?)
    }

    /// Removes the manifests of backups, the oldest first: each is gone at once, or still there. Their packs stay until
    /// a [prune](Self::prune).
    ///
    /// # Errors
    /// If the store fails, or the user stops it.
    pub async fn forget(
        &self,
        backups: &[BackupKey],
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        for backup in backups {
            if cancel.is_cancelled() {
                return Err(RepositoryError::Cancelled);
            }
            self.store().delete(&backup.to_string()).await?;
        }
        Ok(())
    }
}
