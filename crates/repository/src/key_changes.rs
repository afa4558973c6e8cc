//! Who can open an encrypted store, and new keys for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{
    Fingerprint, Generation, Holder, KeyError, Keyring, MAX_WRAPPED_BYTES, ReaderKeys, RepoConfig, Secret,
    WriterKey, keys,
};
use dbhaul_progress::Progress;
use dbhaul_store::{Access, Store, StoreExt, StoreUrl};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::access::{Purpose, blocking, open_keyring, unwrap, wrapped_keys};
use crate::commit::create_surely;
use crate::new_store::wrapped;
use crate::repository::config_bytes;
use crate::{RepositoryError, StoreKeys};

/// The keys of an encrypted store: which there are, and what of them the keys at hand open.
#[derive(Debug)]
pub struct KeyStore {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) config: RepoConfig,
    /// The holders of each generation.
    holders: BTreeMap<Ulid, BTreeSet<String>>,
    pub(crate) keyring: Keyring,
    /// What was brought to open them.
    pub(crate) reader: ReaderKeys,
    pub(crate) progress: Progress,
}

/// A generation that is ready to be stored.
#[derive(Debug)]
pub struct Rotation {
    store: Arc<dyn Store>,
    /// The generations that the store had when this one was made.
    before: BTreeSet<Ulid>,
    generation: Ulid,
    writer: WriterKey,
    wrapped: Vec<(String, Bytes)>,
}

impl KeyStore {
    /// Opens the keys of a store; without keys of one's own, only to see which there are.
    ///
    /// # Errors
    /// If there is no encrypted store, or its keys are not as they must be.
    pub async fn open(
        url: &StoreUrl,
        keys: &StoreKeys,
        writes: bool,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<Self, RepositoryError> {
        let access = if writes { Access::Write } else { Access::Read };
        let store = dbhaul_store::open(url, access, cancel, progress).await?;
        let place = store.describe();
        let bytes = config_bytes(&store).await?;
        let bytes = bytes.ok_or_else(|| RepositoryError::NoRepository { store: place.clone() })?;
        let config = RepoConfig::from_bytes(&bytes)
            .map_err(|source| RepositoryError::Archive { store: place.clone(), source })?;
        if !config.is_encrypted() {
            return Err(RepositoryError::NotEncrypted { store: place });
        }
        let keyring = match keys.reader.is_empty() && keys.writer.is_none() {
            true => Keyring::plain(),
            false => open_keyring(&store, &config, keys, Purpose::Read, progress).await?,
        };
        let mut holders: BTreeMap<Ulid, BTreeSet<String>> = BTreeMap::new();
        for (generation, holder) in wrapped_keys(&store).await? {
            holders.entry(generation).or_default().insert(holder);
        }
        let (reader, progress) = (keys.reader.clone(), progress.clone());
        Ok(KeyStore { store, config, holders, keyring, reader, progress })
    }

    /// Its name in messages.
    pub fn describe(&self) -> String {
        self.store.describe()
    }

    /// The identity of the store.
    pub fn id(&self) -> Ulid {
        self.config.id
    }

    /// The fingerprint of the keys at hand; `None` without any.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.keyring.fingerprint()
    }

    /// The generations that the keys at hand open, in order.
    pub fn opened(&self) -> &[Generation] {
        self.keyring.generations()
    }

    /// The generations that follow the same one as another does, of those that the keys at hand open.
    pub fn forks(&self) -> &BTreeSet<Ulid> {
        self.keyring.forks()
    }

    /// The holders of each generation, as the names of the objects say.
    pub fn holders(&self) -> &BTreeMap<Ulid, BTreeSet<String>> {
        &self.holders
    }

    /// What writers hold of the keys at hand.
    ///
    /// # Errors
    /// Without keys.
    pub fn writer_key(&self) -> Result<WriterKey, RepositoryError> {
        self.require_all()?;
        self.keyring.writer_key().map_err(|source| self.failed(source))
    }

    /// The wrapped keys, as they are stored.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn wrapped(&self) -> Result<Vec<(String, Bytes)>, RepositoryError> {
        let mut objects = Vec::new();
        for (generation, holders) in &self.holders {
            for holder in holders {
                let key = keys::wrapped_key(*generation, holder);
                let bytes = self.store.get_at_most(&key, MAX_WRAPPED_BYTES).await?;
                objects.push((key, bytes));
            }
        }
        Ok(objects)
    }

    /// Wraps all generations for another holder; returns how many were not wrapped for it before.
    ///
    /// # Errors
    /// If not all generations can be opened.
    pub async fn add(&self, holder: Holder) -> Result<usize, RepositoryError> {
        self.require_readers()?;
        let name = holder.name();
        let is_missing = |generation: &&Generation| {
            !self.holders.get(&generation.id()).is_some_and(|of| of.contains(&name))
        };
        let is_there = self.holders.values().any(|holders| holders.contains(&name));
        if is_there && matches!(holder, Holder::Passphrase(_)) {
            // it may be another one
            return Err(RepositoryError::PassphraseIsSet { store: self.describe() });
        }
        let missing: Vec<Generation> = self.opened().iter().filter(is_missing).cloned().collect();
        let count = missing.len();
        let place = self.describe();
        let wrap = move || {
            let wrap = |generation: &Generation| wrapped(generation, std::slice::from_ref(&holder));
            let objects: Result<Vec<_>, KeyError> = missing.iter().map(wrap).collect();
            objects.map_err(|source| RepositoryError::Keys { store: place, source })
        };
        for (key, bytes) in blocking("wrapping of keys", wrap).await?.into_iter().flatten() {
            create_surely(&self.store, &key, bytes).await?;
        }
        Ok(count)
    }

    /// Removes what is wrapped for a holder; returns how many generations that were. Unless `unverified`, somebody
    /// else must have shown that they open these: what lies beside the holder's keys may open nothing.
    ///
    /// # Errors
    /// If nothing is wrapped for it, or nobody else could open a generation then.
    pub async fn remove(&self, holder: &str, unverified: bool) -> Result<usize, RepositoryError> {
        let theirs = self.holders.iter().filter(|(_, holders)| holders.contains(holder));
        let theirs: Vec<(&Ulid, &BTreeSet<String>)> = theirs.collect();
        if theirs.is_empty() {
            let mut known: BTreeSet<String> = BTreeSet::new();
            known.extend(self.holders.values().flatten().cloned());
            let (store, holders) = (self.describe(), known.into_iter().collect());
            return Err(RepositoryError::NoHolder { store, holder: holder.to_owned(), holders });
        }
        for (generation, holders) in &theirs {
            if !self.is_wrapped_for_others(**generation, holders, holder).await? {
                let (store, holder) = (self.describe(), holder.to_owned());
                return Err(RepositoryError::LastHolder { store, holder, generation: **generation });
            }
            if !unverified && !self.opens_without(**generation, holders, holder) {
                let (store, holder) = (self.describe(), holder.to_owned());
                return Err(RepositoryError::Unproven { store, holder, generation: **generation });
            }
        }
        let objects: Vec<String> =
            theirs.iter().map(|(generation, _)| keys::wrapped_key(**generation, holder)).collect();
        self.store.delete_many(&objects).await?;
        Ok(objects.len())
    }

    /// Whether the keys at hand have opened what is wrapped for another holder.
    fn opens_without(&self, generation: Ulid, holders: &BTreeSet<String>, but: &str) -> bool {
        let is_open = self.opened().iter().any(|opened| opened.id() == generation);
        is_open && holders.iter().any(|holder| holder != but && self.reader.open(holder))
    }

    /// Whether somebody else has a wrapped key of the generation: an object of that name which is an age file. What else
    /// lies there opens nothing.
    async fn is_wrapped_for_others(
        &self,
        generation: Ulid,
        holders: &BTreeSet<String>,
        but: &str,
    ) -> Result<bool, RepositoryError> {
        for holder in holders.iter().filter(|holder| *holder != but) {
            let key = keys::wrapped_key(generation, holder);
            let bytes = self.store.get_optional_at_most(&key, MAX_WRAPPED_BYTES).await?;
            if bytes.is_some_and(|bytes| is_age_file(&bytes)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes the next generation for these holders, who must be those of the newest one: the store is not asked whom
    /// to encrypt to.
    ///
    /// # Errors
    /// If not all generations can be opened, two of them follow the same one, or the holders are others.
    pub async fn rotate(self, holders: Vec<Holder>) -> Result<Rotation, RepositoryError> {
        self.require_readers()?;
        self.keyring.require_no_fork().map_err(|source| self.failed(source))?;
        let newest = self.keyring.current().cloned();
        let newest = newest.ok_or_else(|| RepositoryError::NoKeys { store: self.describe() })?;
        let named: BTreeSet<String> = holders.iter().map(Holder::name).collect();
        let of_newest = self.holders.get(&newest.id()).cloned().unwrap_or_default();
        if named != of_newest {
            return Err(RepositoryError::OtherHolders {
                store: self.describe(),
                missing: of_newest.difference(&named).cloned().collect(),
                unknown: named.difference(&of_newest).cloned().collect(),
            });
        }
        for holder in &holders {
            if let Holder::Passphrase(passphrase) = holder {
                self.require_same_passphrase(passphrase, &holder.name()).await?;
            }
        }
        let (place, id) = (self.describe(), self.config.id);
        let before = self.holders.keys().copied().collect();
        let mut generations = self.keyring.generations().to_vec();
        let make = move || {
            let failed = |source| RepositoryError::Keys { store: place.clone(), source };
            let next = Generation::generate(Ulid::generate(), id, Some(&newest)).map_err(failed)?;
            let objects = wrapped(&next, &holders).map_err(failed)?;
            let generation = next.id();
            generations.push(next);
            let keyring = Keyring::chained(id, generations, None).map_err(failed)?;
            Ok((generation, keyring.writer_key().map_err(failed)?, objects))
        };
        let (generation, writer, wrapped) = blocking("making of keys", make).await?;
        Ok(Rotation { store: self.store, before, generation, writer, wrapped })
    }

    /// Fails unless a passphrase opens whatever is wrapped for one: a reader has one key for all generations.
    async fn require_same_passphrase(&self, passphrase: &Secret, name: &str) -> Result<(), RepositoryError> {
        let mut reader = ReaderKeys::default();
        reader.set_passphrase(passphrase.clone());
        for (generation, _) in self.holders.iter().filter(|(_, holders)| holders.contains(name)) {
            let other =
                |_| RepositoryError::OtherPassphrase { store: self.describe(), generation: *generation };
            unwrap(&self.store, (*generation, name), &reader).await.map_err(|error| match error {
                RepositoryError::Store(_) => error,
                error => other(error),
            })?;
        }
        Ok(())
    }

    /// Fails unless every generation is open with its data key: a writer key opens none.
    pub(crate) fn require_readers(&self) -> Result<(), RepositoryError> {
        if self.opened().iter().any(|generation| !generation.reads_rows()) {
            return Err(RepositoryError::NoReaderKey { store: self.describe() });
        }
        self.require_all()
    }

    /// Fails unless every generation of the store is open: who does not see all would leave some behind.
    fn require_all(&self) -> Result<(), RepositoryError> {
        if self.opened().is_empty() {
            return Err(RepositoryError::NoKeys { store: self.describe() });
        }
        let opened: BTreeSet<Ulid> = self.opened().iter().map(Generation::id).collect();
        match self.holders.keys().find(|generation| !opened.contains(generation)) {
            None => Ok(()),
            Some(generation) => {
                Err(RepositoryError::ClosedGeneration { store: self.describe(), generation: *generation })
            }
        }
    }

    fn failed(&self, source: KeyError) -> RepositoryError {
        RepositoryError::Keys { store: self.describe(), source }
    }
}

impl Rotation {
    /// What writers hold from now on. Keep it before the generation is stored.
    pub fn writer_key(&self) -> &WriterKey {
        &self.writer
    }

    /// The new generation.
    pub fn generation(&self) -> Ulid {
        self.generation
    }

    /// Stores the generation: from then on a dump with an older writer key is refused.
    ///
    /// Of two rotations at the same time at most one stores its own: each looks for the other's keys after it has
    /// written its own, so at least one sees the other, and whoever does takes its own back.
    ///
    /// # Errors
    /// [`RepositoryError::RotationAtWork`] if there was another rotation meanwhile: nothing of this one is left;
    /// [`RepositoryError::RotationLeft`] if it could not be taken back. If the store fails: what was stored until then
    /// is named by `store key list`.
    pub async fn commit(self) -> Result<(), RepositoryError> {
        if let Some(other) = self.other_generation().await? {
            return Err(RepositoryError::RotationAtWork { store: self.store.describe(), other });
        }
        self.write_and_look().await
    }

    async fn write_and_look(self) -> Result<(), RepositoryError> {
        for (key, bytes) in &self.wrapped {
            create_surely(&self.store, key, bytes.clone()).await?;
        }
        let Some(other) = self.other_generation().await? else { return Ok(()) };
        let written: Vec<String> = self.wrapped.into_iter().map(|(key, _)| key).collect();
        let (store, generation) = (self.store.describe(), self.generation);
        Err(match self.store.delete_many(&written).await {
            Ok(()) => RepositoryError::RotationAtWork { store, other },
            Err(source) => RepositoryError::RotationLeft { store, generation, other, source },
        })
    }

    /// A generation in the store that is neither this one nor was there when this one was made.
    async fn other_generation(&self) -> Result<Option<Ulid>, RepositoryError> {
        let wrapped = wrapped_keys(&self.store).await?;
        let mut generations = wrapped.into_iter().map(|(generation, _)| generation);
        Ok(generations.find(|id| *id != self.generation && !self.before.contains(id)))
    }
}

/// Whether bytes begin as an age file does, with a stanza for somebody.
fn is_age_file(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/v1\n-> ")
}

#[cfg(test)]
mod tests;
