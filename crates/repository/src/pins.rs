//! Backups that somebody wants to keep whatever the policy says, and forgetting the others.

use std::collections::BTreeSet;

use bytes::Bytes;
use dbhaul_archive::{BackupKey, Manifest, keys};
use dbhaul_store::StoreExt;
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::{Repository, RepositoryError};

/// Manifests that are read at a time.
const MANIFESTS_AT_ONCE: usize = 8;

impl Repository {
    /// The manifests of these backups in the same order, or why one cannot be read: that is for the caller to judge.
    ///
    /// # Errors
    /// If the store fails, or the user stops it.
    pub async fn manifests(
        &self,
        backups: &[BackupKey],
        cancel: &CancellationToken,
    ) -> Result<Vec<(BackupKey, Result<Manifest, RepositoryError>)>, RepositoryError> {
        let read = iter(backups.iter().cloned()).map(async |key| {
            if cancel.is_cancelled() {
                return Err(RepositoryError::Cancelled);
            }
            match self.manifest(&key).await {
                Err(error @ RepositoryError::Store(_)) => Err(error),
                manifest => Ok((key, manifest)),
            }
        });
        read.buffered(MANIFESTS_AT_ONCE).try_collect().await
    }

    /// The backups that are pinned.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn pinned(&self) -> Result<BTreeSet<Ulid>, RepositoryError> {
        let mut pinned = BTreeSet::new();
        let mut objects = self.store().list_stream(keys::PINS);
        while let Some(object) = objects.try_next().await? {
            pinned.extend(object.key.strip_prefix(keys::PINS).and_then(|id| Ulid::from_string(id).ok()));
        }
        Ok(pinned)
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
