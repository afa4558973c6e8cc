//! Whether the packs that a backup names are in the store.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_archive::{ArchiveError, Manifest, PackId, keys};
use dbhaul_store::StoreExt;
use futures::stream::TryStreamExt;

use crate::{Repository, RepositoryError};

impl Repository {
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
        let mut objects = self.store().list_stream(keys::PACKS);
        while let Some(object) = objects.try_next().await? {
            // Whatever else lies there is another backup's, or not a pack: no memory is taken for it.
            if let Some(id) = keys::parse_pack(&object.key).ok().filter(|id| wanted.contains(id)) {
                found.insert(id, object.size_bytes);
            }
        }
        Ok(manifest.compare_packs(&found))
    }
}
