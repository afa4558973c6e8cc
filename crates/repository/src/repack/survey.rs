//! Which packs are sparse: the segment lists of all backups say what is needed of each.

use std::collections::BTreeMap;

use dbhaul_archive::{BackupKey, ChunkPlace, Manifest, PackId, PackKind, PackSummary, Segment};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use super::Repacked;
use crate::check::stop_if_cancelled;
use crate::lists::scan_list;
use crate::{PackTotals, Repository, RepositoryError};

/// Most chunks of sparse packs in one run, about 200 bytes each. What is left is for the next run.
const MAX_CHUNKS: usize = 256 << 10;

/// A pack is sparse if its live part is at most one of so many.
const SPARSE_PART: u64 = 3;

/// Bytes of a pack beside its chunks, and for each chunk, as the format has them. A pack of one short chunk would be
/// sparse for ever without these.
const FRAME_BYTES: u64 = 24 + 56;
const ENTRY_BYTES: u64 = 56;

/// A pack to be emptied.
#[derive(Debug, Clone)]
pub(super) struct SparsePack {
    pub(super) summary: PackSummary,
    /// The keys that it is encrypted to.
    pub(super) generation: Option<Ulid>,
    /// The chunks that backups need, by their offsets.
    pub(super) live: BTreeMap<u64, ChunkPlace>,
}

impl SparsePack {
    /// A pack of which nothing is needed, as far as is known.
    pub(super) fn new(summary: PackSummary, generation: Option<Ulid>) -> Self {
        Self { summary, generation, live: BTreeMap::new() }
    }

    /// About the bytes of a pack with nothing but what is needed.
    fn live_bytes(&self) -> u64 {
        let chunks = self.live.values().map(|place| place.stored_bytes.saturating_add(ENTRY_BYTES));
        chunks.fold(FRAME_BYTES, u64::saturating_add)
    }

    fn is_sparse(&self) -> bool {
        self.live_bytes().saturating_mul(SPARSE_PART) <= self.summary.bytes
    }
}

/// The sparse packs of a store, and the backups that refer to them.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) sparse: BTreeMap<PackId, SparsePack>,
    pub(super) backups: Vec<BackupKey>,
}

impl Survey {
    pub(super) fn report(&self) -> Repacked {
        let mut sparse = PackTotals::default();
        self.sparse.values().for_each(|pack| sparse.add(pack.summary.bytes));
        let live_bytes = self.sparse.values().map(SparsePack::live_bytes).sum();
        Repacked {
            sparse,
            live_bytes,
            freed_bytes: sparse.bytes.saturating_sub(live_bytes),
            backup_count: self.backups.len() as u64,
            written: PackTotals::default(),
        }
    }
}

impl Repository {
    /// Reads the segment lists of all backups, the newest first.
    pub(super) async fn survey_packs(&self, cancel: &CancellationToken) -> Result<Survey, RepositoryError> {
        let mut backups = self.backup_keys_to_remove().await?;
        backups.sort_by_key(|key| std::cmp::Reverse(key.id));
        let mut scan = Scan::default();
        let mut named: Vec<(BackupKey, Vec<PackId>)> = Vec::new();
        for key in backups {
            stop_if_cancelled(cancel)?;
            let manifest = match self.manifest(&key).await {
                // forgotten meanwhile
                Err(RepositoryError::Store(error)) if error.is_not_found() => continue,
                manifest => manifest?,
            };
            self.survey_backup(&manifest, &mut scan, cancel).await?;
            named.push((key, rows_of(&manifest).map(|pack| pack.id).collect()));
        }
        let sparse = scan.sparse();
        let refers = |packs: &[PackId]| packs.iter().any(|id| sparse.contains_key(id));
        named.retain(|(_, packs)| refers(packs));
        Ok(Survey { backups: named.into_iter().map(|(key, _)| key).collect(), sparse })
    }

    async fn survey_backup(
        &self,
        manifest: &Manifest,
        scan: &mut Scan,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let reading = self.reading(manifest)?;
        reading.require_rows()?;
        scan.begin(manifest);
        reading.read_metadata(manifest, cancel).await?;
        for table in &manifest.tables {
            stop_if_cancelled(cancel)?;
            let mut list = scan_list(&reading, table);
            while let Some((_, segments)) = list.next().await? {
                scan.take(segments);
            }
            list.finish()?;
        }
        self.metadata.clear();
        Ok(())
    }

    /// Reads the packs that lists lie in, and compares them with their names; they are kept as far as there is room.
    pub(super) async fn read_metadata(
        &self,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        for pack in manifest.packs.iter().filter(|pack| pack.kind == PackKind::Meta) {
            self.check_pack(pack, cancel).await?;
        }
        Ok(())
    }
}

fn rows_of(manifest: &Manifest) -> impl Iterator<Item = &PackSummary> {
    manifest.packs.iter().filter(|pack| pack.kind == PackKind::Data)
}

/// What is known of a pack so far.
#[derive(Debug)]
enum Known {
    /// Too much of it is needed, or it is not looked at in this run.
    Stays,
    MaySparse(SparsePack),
}

/// What the lists that were read so far need of each pack of rows.
#[derive(Debug, Default)]
struct Scan {
    packs: BTreeMap<PackId, Known>,
    /// Chunks of packs that may be sparse.
    chunk_count: usize,
}

impl Scan {
    /// Packs of a backup. Those with planner statistics, which are each backup's own, stay as they are.
    fn begin(&mut self, manifest: &Manifest) {
        for summary in rows_of(manifest) {
            let pack = SparsePack::new(*summary, manifest.generation);
            self.packs.entry(summary.id).or_insert(Known::MaySparse(pack));
        }
        for place in manifest.statistics.iter().flat_map(|document| &document.pieces) {
            self.stays(place.pack);
        }
    }

    fn take(&mut self, segments: &[Segment]) {
        for chunk in segments.iter().flat_map(|segment| &segment.chunks) {
            let place = chunk.place;
            let Some(Known::MaySparse(pack)) = self.packs.get_mut(&place.pack) else { continue };
            if pack.live.insert(place.offset, place).is_none() {
                self.chunk_count += 1;
            }
            if !pack.is_sparse() || self.chunk_count > MAX_CHUNKS {
                self.stays(place.pack);
            }
        }
    }

    fn stays(&mut self, pack: PackId) {
        if let Some(Known::MaySparse(pack)) = self.packs.insert(pack, Known::Stays) {
            self.chunk_count -= pack.live.len();
        }
    }

    /// The sparse packs. One that no list refers to although a manifest names it is not ours to judge.
    fn sparse(self) -> BTreeMap<PackId, SparsePack> {
        let sparse = self.packs.into_iter().filter_map(|(id, known)| match known {
            Known::MaySparse(pack) if !pack.live.is_empty() => Some((id, pack)),
            Known::MaySparse(_) | Known::Stays => None,
        });
        sparse.collect()
    }
}
