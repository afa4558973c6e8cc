//! The commit of a backup: its manifest, written last.

use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{BackupKey, Manifest};
use dbhaul_progress::one_line;
use dbhaul_retry::RetryPolicy;
use dbhaul_store::{ErrorKind, Operation, Store, StoreExt};
use tokio_util::sync::CancellationToken;

use crate::access::blocking;
use crate::{Repository, RepositoryError, Sign};

impl Repository {
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
        if let Err(error) = self.store().delete(&key.to_string()).await {
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
