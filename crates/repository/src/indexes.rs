//! The beginnings and indexes of packs of rows, read as lists name them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use dbhaul_archive::{PackId, PackIndex, PackSummary};
use futures::stream::{StreamExt, TryStreamExt, iter};

use crate::{Repository, RepositoryError};

/// Indexes that are read at the same time.
pub(crate) const INDEXES_AT_ONCE: usize = 8;

/// Chunks whose places are kept, 56 bytes each: those of 16 GiB of rows.
const KEPT_CHUNKS: usize = 256 << 10;

/// Indexes in memory; those that were read first go first. Neighbours in a table are neighbours in packs, so that
/// few are read twice.
pub(crate) struct Indexes<'a> {
    repository: &'a Repository,
    packs: &'a BTreeMap<PackId, PackSummary>,
    kept: HashMap<PackId, PackIndex>,
    order: VecDeque<PackId>,
    chunk_count: usize,
}

impl<'a> Indexes<'a> {
    /// None yet, of these packs.
    pub(crate) fn new(repository: &'a Repository, packs: &'a BTreeMap<PackId, PackSummary>) -> Self {
        let (kept, order) = (HashMap::new(), VecDeque::new());
        Indexes { repository, packs, kept, order, chunk_count: 0 }
    }

    /// The index of a pack that was read.
    pub(crate) fn get(&self, pack: PackId) -> Option<&PackIndex> {
        self.kept.get(&pack)
    }

    /// Reads those of these packs that are not here, and forgets others.
    pub(crate) async fn read(&mut self, wanted: &BTreeSet<PackId>) -> Result<(), RepositoryError> {
        let missing = wanted.iter().filter(|pack| !self.kept.contains_key(pack));
        let missing: Vec<&PackSummary> = missing.filter_map(|pack| self.packs.get(pack)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let repository = self.repository;
        let reads = iter(&missing).map(|pack| repository.pack_index(pack));
        let read: Vec<PackIndex> = reads.buffered(INDEXES_AT_ONCE).try_collect().await?;
        for (pack, index) in missing.iter().map(|pack| pack.id).zip(read) {
            self.chunk_count += index.entries().len();
            self.kept.insert(pack, index);
            self.order.push_back(pack);
        }
        // what is wanted now stays, however much it is
        for _ in 0..self.order.len() {
            if self.chunk_count <= KEPT_CHUNKS {
                break;
            }
            match self.order.pop_front() {
                Some(pack) if wanted.contains(&pack) => self.order.push_back(pack),
                Some(pack) => {
                    let index = self.kept.remove(&pack);
                    self.chunk_count -= index.map_or(0, |index| index.entries().len());
                }
                None => break,
            }
        }
        Ok(())
    }
}
