//! Packs and parts of them, decrypted where they are encrypted.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dbhaul_archive::{
    ArchiveError, FIRST_TAIL_BYTES, Manifest, PackId, PackIndex, PackKind, PackReader, PackSummary,
    check_name, keys,
};
use futures::future::try_join;

use crate::access::blocking;
use crate::{Repository, RepositoryError};

/// Beginnings of encrypted packs in memory, 1 KiB each.
const KEPT_HEADS: usize = 256;

/// Beginnings of encrypted packs, which say how the rest is decrypted; the oldest goes first.
#[derive(Debug, Default)]
pub(crate) struct Heads(Mutex<(HashMap<PackId, Bytes>, VecDeque<PackId>)>);

impl Heads {
    fn get(&self, pack: PackId) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0.get(&pack).cloned()
    }

    fn keep(&self, pack: PackId, head: &Bytes) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (heads, order) = &mut *kept;
        if heads.insert(pack, head.clone()).is_none() {
            order.push_back(pack);
        }
        if order.len() > KEPT_HEADS
            && let Some(oldest) = order.pop_front()
        {
            heads.remove(&oldest);
        }
    }
}

/// The packs of an encrypted backup by name: their sizes and kinds are needed to read parts of them.
pub(crate) type Packs = Option<Arc<BTreeMap<PackId, PackSummary>>>;

impl Repository {
    /// The repository to read the packs of this backup with: packs are decrypted with the keys of its generation.
    ///
    /// # Errors
    /// If these are not at hand.
    pub fn reading(&self, manifest: &Manifest) -> Result<Self, RepositoryError> {
        let generation = manifest.generation;
        let Some(codec) = self.keyring.codec(generation) else {
            let missing = ArchiveError::NoKey {
                object: format!("the manifest {}", manifest.key()),
                key: "metadata",
                generation: generation.unwrap_or_default(),
            };
            return Err(self.error(missing));
        };
        let packs = || Arc::new(manifest.packs.iter().map(|pack| (pack.id, *pack)).collect());
        let backup_packs = generation.map(|_| packs());
        let mut reading = self.clone();
        (reading.codec, reading.backup_packs) = (codec, backup_packs);
        reading.backup = Some(Arc::new(manifest.key()));
        Ok(reading)
    }

    /// Fails unless rows of the backup that is read can be opened with the keys at hand.
    ///
    /// # Errors
    /// [`RepositoryError::NoDataKey`].
    pub fn require_rows(&self) -> Result<(), RepositoryError> {
        match self.codec.opens(PackKind::Data) {
            true => Ok(()),
            false => Err(RepositoryError::NoDataKey { store: self.describe() }),
        }
    }

    /// A range of the plain bytes of a pack.
    pub(crate) async fn pack_range(&self, pack: PackId, range: Range<u64>) -> Result<Bytes, RepositoryError> {
        let key = keys::pack(pack);
        if self.codec.generation().is_none() {
            return Ok(self.store().get_range(&key, range).await?);
        }
        let packs = self.backup_packs.as_ref();
        let found = packs.and_then(|packs| packs.get(&pack)).copied();
        let summary = found.ok_or_else(|| self.error(ArchiveError::MissingPack { pack }))?;
        let stored = self.codec.stored_range(&summary, &range);
        let body = async { Ok(self.store().get_range(&key, stored).await?) };
        let (head, body) = try_join(self.head(&summary), body).await?;
        let (codec, store) = (self.codec.clone(), self.describe());
        blocking("reader of a pack", move || {
            let opened = codec.open_range(&summary, head, body, range);
            opened.map_err(|source| RepositoryError::Archive { store, source })
        })
        .await
    }

    async fn head(&self, pack: &PackSummary) -> Result<Bytes, RepositoryError> {
        if let Some(head) = self.heads.get(pack.id) {
            return Ok(head);
        }
        let Some(range) = self.codec.head(pack) else { return Ok(Bytes::new()) };
        let head = self.store().get_range(&keys::pack(pack.id), range).await?;
        self.heads.keep(pack.id, &head);
        Ok(head)
    }

    /// Reads a whole pack and compares every byte with its name, and its kind with what it is said to be.
    pub(crate) async fn read_pack(&self, pack: &PackSummary) -> Result<PackReader, RepositoryError> {
        let bytes = self.store().get_at_most(&keys::pack(pack.id), pack.bytes).await?;
        let (codec, store, pack) = (self.codec.clone(), self.describe(), *pack);
        blocking("reader of a pack", move || {
            codec.open_pack(&pack, bytes).map_err(|source| RepositoryError::Archive { store, source })
        })
        .await
    }

    /// Reads a whole pack as it is stored, and compares every byte with its name; needs no key.
    pub(crate) async fn hash_pack(&self, pack: &PackSummary) -> Result<(), RepositoryError> {
        let bytes = self.store().get_at_most(&keys::pack(pack.id), pack.bytes).await?;
        let (store, id) = (self.describe(), pack.id);
        blocking("reader of a pack", move || {
            check_name(id, &bytes).map_err(|source| RepositoryError::Archive { store, source })
        })
        .await
    }

    /// Reads the index of a pack, and compares its kind with what it is said to be.
    pub(crate) async fn pack_index(&self, pack: &PackSummary) -> Result<PackIndex, RepositoryError> {
        let mut tail_bytes = FIRST_TAIL_BYTES;
        // one that is longer says so, once
        for _ in 0..2 {
            match self.try_pack_index(pack, tail_bytes).await? {
                Ok(index) => return Ok(index),
                Err(longer) => tail_bytes = longer,
            }
        }
        let reason = "its index does not say how long it is".to_owned();
        Err(self.error(ArchiveError::DamagedPack { pack: pack.id, reason }))
    }

    async fn try_pack_index(
        &self,
        pack: &PackSummary,
        tail_bytes: u64,
    ) -> Result<Result<PackIndex, u64>, RepositoryError> {
        let key = keys::pack(pack.id);
        let [head, tail] = self.codec.ends(pack, tail_bytes);
        let (head, tail) =
            try_join(self.store().get_range(&key, head), self.store().get_range(&key, tail)).await?;
        let (codec, store, pack) = (self.codec.clone(), self.describe(), *pack);
        let open = move || {
            let index = codec.open_index(&pack, [head, tail], tail_bytes);
            index.map_err(|source| RepositoryError::Archive { store, source })
        };
        match self.codec.generation() {
            None => open(),
            Some(_) => blocking("reader of a pack", open).await,
        }
    }
}
