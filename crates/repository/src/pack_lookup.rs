//! Whether the packs that a backup names are in the store, with few requests: of a backup among many others by asking
//! for each, else by listing.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_archive::{ArchiveError, Manifest, PackId, keys};
use dbhaul_store::{ListPage, StoreExt};
use futures::stream::{StreamExt, TryStreamExt, iter};

use crate::{Repository, RepositoryError};

/// Packs that are asked for at a time.
const HEADS_AT_ONCE: usize = 8;

impl Repository {
    /// Fails unless every pack of the manifest is in the store with its size.
    pub async fn check_packs(&self, manifest: &Manifest) -> Result<(), RepositoryError> {
        match self.compare_packs(manifest).await?.into_iter().next() {
            None => Ok(()),
            Some(source) => Err(self.error(source)),
        }
    }

    /// Every pack or part of the manifest that is not in the store, or has another size there.
    pub(crate) async fn compare_packs(
        &self,
        manifest: &Manifest,
    ) -> Result<Vec<ArchiveError>, RepositoryError> {
        let wanted = manifest.packs.iter().map(|pack| pack.id).collect();
        let mut errors = manifest.compare_packs(&self.sizes_of(wanted).await?);
        errors.extend(self.compare_parts(manifest).await?);
        Ok(errors)
    }

    /// The sizes of those of these packs that are in the store. It is listed, unless what was listed so far tells that to
    /// ask for each of the rest takes fewer requests.
    async fn sizes_of(&self, wanted: BTreeSet<PackId>) -> Result<BTreeMap<PackId, u64>, RepositoryError> {
        let mut lookup = Lookup { rest: wanted, found: BTreeMap::new() };
        let (mut token, mut page_count) = (None, 0);
        while !lookup.rest.is_empty() {
            let page = self.store().list_page(keys::PACKS, token.as_deref()).await?;
            page_count += 1;
            let last = lookup.take(&page);
            let Some(next) = page.next else { return Ok(lookup.found) };
            let is_better = last.is_some_and(|last| {
                let rest_count = lookup.rest.range(last..).count();
                is_better_asked(rest_count, page_count, part_before(last))
            });
            if is_better || token.as_ref() == Some(&next) {
                break;
            }
            token = Some(next);
        }
        let heads = iter(lookup.rest).map(|id| async move {
            let head = self.store().head_optional(&keys::pack(id)).await?;
            Ok::<_, RepositoryError>(head.map(|object| (id, object.size_bytes)))
        });
        let asked: Vec<_> = heads.buffer_unordered(HEADS_AT_ONCE).try_collect().await?;
        lookup.found.extend(asked.into_iter().flatten());
        Ok(lookup.found)
    }
}

struct Lookup {
    /// Not found yet.
    rest: BTreeSet<PackId>,
    found: BTreeMap<PackId, u64>,
}

impl Lookup {
    /// Takes a page of the listing; returns the last pack on it. Whatever else lies there is another backup's, or not a
    /// pack: no memory is taken for it.
    fn take(&mut self, page: &ListPage) -> Option<PackId> {
        let mut last = None;
        for object in &page.objects {
            let Ok(id) = keys::parse_pack(&object.key) else { continue };
            if self.rest.remove(&id) {
                self.found.insert(id, object.size_bytes);
            }
            last = Some(id);
        }
        last
    }
}

/// Names are hashes: this part of them is smaller.
fn part_before(id: PackId) -> f64 {
    let [a, b, c, d, ..] = id.0;
    f64::from(u32::from_be_bytes([a, b, c, d])) / 2_f64.powi(32)
}

/// Whether to ask for each of so many packs takes fewer requests than to list on, as far as can be told when so many pages
/// were this part of the listing.
fn is_better_asked(pack_count: usize, page_count: usize, listed_part: f64) -> bool {
    let pages_left = page_count as f64 * (1.0 - listed_part) / listed_part;
    listed_part > 0.0 && (pack_count as f64) < pages_left
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dbhaul_archive::{Keyring, PackId, RepoConfig, keys};
    use dbhaul_progress::Progress;
    use dbhaul_store::{MemoryStore, Store, StoreExt};
    use jiff::Timestamp;
    use ulid::Ulid;

    use super::is_better_asked;
    use crate::Repository;

    #[test]
    fn few_packs_of_a_large_store_are_asked_for() {
        assert!(is_better_asked(3, 1, 0.1), "nine pages are left");
        assert!(!is_better_asked(9, 1, 0.1));
        assert!(!is_better_asked(1, 1, 0.9), "so is one page");
        assert!(!is_better_asked(0, 1, 0.0), "nothing is known");
        assert!(is_better_asked(50, 2, 0.02));
    }

    /// A store of so many packs, each of the size of its number; returns them.
    async fn packs(count: u32) -> (Repository, Vec<PackId>) {
        let store = MemoryStore::default();
        let mut ids = Vec::new();
        for number in 0..count {
            let id = PackId::of(&number.to_le_bytes());
            store.create(&keys::pack(id), vec![0; number as usize % 100].into()).await.unwrap();
            ids.push(id);
        }
        let config = RepoConfig::new(Ulid(3), Timestamp::UNIX_EPOCH);
        let store: Arc<dyn Store> = Arc::new(store);
        (Repository::new(store, config, Keyring::plain(), &Progress::silent()), ids)
    }

    #[tokio::test]
    async fn packs_are_found_however_many_lie_there() {
        for count in [1, 500, 45_000] {
            let (repository, ids) = packs(count).await;
            for step in [1, 7, 4_000] {
                let there: Vec<u32> = (0..count).step_by(step).collect();
                let mut wanted: std::collections::BTreeSet<PackId> =
                    there.iter().map(|number| ids[*number as usize]).collect();
                let expected = there.iter().map(|number| (ids[*number as usize], u64::from(number % 100)));
                let expected = expected.collect();
                wanted.extend((0..3_u8).map(|number| PackId::of(&[number; 9])));
                let before = repository.request_count();
                assert_eq!(repository.sizes_of(wanted.clone()).await.unwrap(), expected);
                let asked = repository.request_count() - before;
                assert!(asked <= wanted.len() as u64 + 1, "{asked} requests for {} packs", wanted.len());
            }
        }
    }
}
