//! Another passphrase in the place of that of a store.

use bytes::Bytes;
use dbhaul_archive::{Generation, Holder, MAX_WRAPPED_BYTES, PASSPHRASE, Secret};
use dbhaul_store::StoreExt;

use crate::access::{blocking, wrapped_keys};
use crate::new_store::wrapped;
use crate::{KeyStore, RepositoryError};

impl KeyStore {
    /// Whether the store has a passphrase, and it was brought to open the store.
    pub fn is_opened_by_passphrase(&self) -> bool {
        let has_passphrase = self.holders().values().any(|holders| holders.contains(PASSPHRASE));
        has_passphrase && self.reader.open(PASSPHRASE)
    }

    /// Wraps all generations for another passphrase, in the place of the one that the store has and that was brought to
    /// open it; returns how many. Each object is replaced at once, so that one of the two always opens it. Stopped half-way, the
    /// same once more goes on, if [`ReaderKeys::set_next_passphrase`](dbhaul_archive::ReaderKeys::set_next_passphrase) has
    /// named the new one too.
    ///
    /// # Errors
    /// If not all generations can be opened, or the store fails or does not return what it took.
    pub async fn replace_passphrase(&self, new: Secret) -> Result<usize, RepositoryError> {
        self.require_readers()?;
        let generations = self.opened().to_vec();
        let count = generations.len();
        let place = self.describe();
        let wrap = move || {
            let holders = [Holder::Passphrase(new)];
            let wrap = |generation: &Generation| wrapped(generation, &holders);
            let objects: Result<Vec<_>, _> = generations.iter().map(wrap).collect();
            objects.map_err(|source| RepositoryError::Keys { store: place, source })
        };
        for (key, bytes) in blocking("wrapping of keys", wrap).await?.into_iter().flatten() {
            self.replace(&key, bytes).await?;
        }
        self.warn_of_generations_made_meanwhile().await?;
        Ok(count)
    }

    /// Replaces a wrapped key, and puts back what was there unless the store returns the new one.
    async fn replace(&self, key: &str, bytes: Bytes) -> Result<(), RepositoryError> {
        let before = self.store.get_optional_at_most(key, MAX_WRAPPED_BYTES).await?;
        self.store.overwrite(key, bytes.clone()).await?;
        if self.store.get_at_most(key, MAX_WRAPPED_BYTES).await? == bytes {
            return Ok(());
        }
        if let Some(before) = before {
            self.store.overwrite(key, before).await?;
        }
        let (store, key) = (self.describe(), key.to_owned());
        Err(RepositoryError::NotKept { store, key, found: "returns other bytes" })
    }

    /// A rotation at the same time has wrapped its generation for the old passphrase.
    async fn warn_of_generations_made_meanwhile(&self) -> Result<(), RepositoryError> {
        let wrapped = wrapped_keys(&self.store).await?;
        let mut others = wrapped.iter().filter(|(generation, _)| !self.holders().contains_key(generation));
        if let Some((generation, _)) = others.next() {
            self.progress.warning(format!(
                "key generation {generation} was put into {} meanwhile: change the passphrase once more in the same way",
                self.describe()
            ));
        }
        Ok(())
    }
}
