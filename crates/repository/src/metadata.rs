//! Packs of metadata in memory: their pieces are small and many, and a store may be far away.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dbhaul_archive::{PackId, PackReader};

/// All that is kept for as long as the store is open.
const KEPT_BYTES: u64 = 16 << 20;

/// Packs that were read whole and compared with their names.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    packs: Mutex<Packs>,
}

#[derive(Debug, Default)]
struct Packs {
    kept: HashMap<PackId, PackReader>,
    kept_bytes: u64,
    /// One more, however large, while the lists in it are read.
    current: Option<(PackId, PackReader)>,
}

impl Metadata {
    fn packs(&self) -> MutexGuard<'_, Packs> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pack, if it is here.
    pub(crate) fn pack(&self, id: PackId) -> Option<PackReader> {
        let packs = self.packs();
        let current = packs.current.as_ref().filter(|(current, _)| *current == id).map(|(_, pack)| pack);
        packs.kept.get(&id).or(current).cloned()
    }

    /// Keeps a pack if there is room for it, or else until the next comes.
    pub(crate) fn add(&self, id: PackId, bytes: u64, pack: PackReader) {
        let mut packs = self.packs();
        if packs.kept_bytes.saturating_add(bytes) <= KEPT_BYTES {
            if packs.kept.insert(id, pack).is_none() {
                packs.kept_bytes += bytes;
            }
        } else {
            packs.current = Some((id, pack));
        }
    }

    /// Forgets all packs.
    pub(crate) fn clear(&self) {
        *self.packs() = Packs::default();
    }

    /// Forgets the pack that there was no room for.
    pub(crate) fn end(&self) {
        self.packs().current = None;
    }
}
