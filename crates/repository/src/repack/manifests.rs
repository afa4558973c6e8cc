//! Letting a backup refer to other packs: new segment lists, and a manifest in the place of the one that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{
    BackupKey, Document, MAX_MANIFEST_BYTES, Manifest, PackId, PackKind, PackSummary, Segment,
    SegmentListWriter, TableEntry,
};
use dbhaul_retry::RetryPolicy;
use dbhaul_store::{ErrorKind, Store, StoreExt};
use tokio_util::sync::CancellationToken;

use super::chunks::Moved;
use crate::access::blocking;
use crate::check::stop_if_cancelled;
use crate::lists::scan_list;
use crate::{
    MetadataSealer, PackWriter, PlacedChunk, Repository, RepositoryError, Sign, WrittenPacks, document,
    unnamed_pack,
};

/// zstd level of lists, as a dump has it.
const LIST_LEVEL: i32 = 9;

/// How often an old manifest is written, at most, until the store returns it.
const PUT_BACKS: usize = 6;

/// A backup as it is, and as it is to be.
struct Exchange {
    key: BackupKey,
    old: Bytes,
    new: Bytes,
}

impl Repository {
    /// Replaces the manifest of a backup by one that refers to the new packs; returns the packs of its new lists, or
    /// nothing if the backup was forgotten meanwhile or refers to none that was moved.
    pub(super) async fn move_backup(
        &self,
        key: &BackupKey,
        moved: &Moved,
        lease: &Sign,
        cancel: &CancellationToken,
    ) -> Result<Option<Vec<PackSummary>>, RepositoryError> {
        let Some(old) = self.store().get_optional_at_most(&key.to_string(), MAX_MANIFEST_BYTES).await? else {
            return Ok(None);
        };
        let manifest = self.whole_manifest(key, old.clone()).await?;
        let Some((next, lists)) = self.moved_manifest(&manifest, moved, cancel).await? else {
            return Ok(None);
        };
        // everything that it names, as whoever reads the backup compares it
        let reading = self.reading(&next)?;
        let checked = Box::pin(reading.check_parts(next.clone(), cancel)).await;
        self.metadata.clear();
        checked?;
        let (codec, store) = (reading.codec().clone(), self.describe());
        let seal = move || next.seal(&codec).map_err(|source| RepositoryError::Archive { store, source });
        let new = blocking("writer of a manifest", seal).await?;
        let exchange = Exchange { key: key.clone(), old, new };
        self.exchange(&exchange, lease, cancel).await?;
        Ok(Some(lists))
    }

    /// A manifest of which nothing is lost if it is written again.
    async fn whole_manifest(&self, key: &BackupKey, bytes: Bytes) -> Result<Manifest, RepositoryError> {
        let (key, keyring, store) = (key.to_string(), Arc::clone(&self.keyring), self.describe());
        let open = move || {
            let opened = Manifest::open_to_replace(&key, &bytes, &keyring);
            opened.map_err(|source| RepositoryError::Archive { store, source })
        };
        let manifest = blocking("reader of a manifest", open).await?;
        manifest.check_repo(self.config()).map_err(|source| self.error(source))?;
        Ok(manifest)
    }

    /// The manifest with new lists of the tables that refer to chunks that were moved, and the packs of these lists.
    async fn moved_manifest(
        &self,
        manifest: &Manifest,
        moved: &Moved,
        cancel: &CancellationToken,
    ) -> Result<Option<(Manifest, Vec<PackSummary>)>, RepositoryError> {
        let reading = self.reading(manifest)?;
        reading.read_metadata(manifest, cancel).await?;
        let writer = PackWriter::new(Arc::clone(self.store()), reading.codec(), PackKind::Meta, cancel);
        let sealer = MetadataSealer::new(&self.describe(), reading.codec(), LIST_LEVEL)?;
        let mut lists: Vec<(usize, Vec<PlacedChunk>)> = Vec::new();
        let mut packs = Packs::default();
        for (number, table) in manifest.tables.iter().enumerate() {
            stop_if_cancelled(cancel)?;
            if reading.refers_to_moved(table, moved).await? {
                let list = reading.write_list(table, moved, &mut packs, (&writer, &sealer)).await?;
                lists.push((number, list));
            } else {
                reading.note_packs(table, &mut packs).await?;
            }
        }
        let written = writer.finish().await?;
        if lists.is_empty() {
            return Ok(None);
        }
        let mut next = manifest.clone();
        for (number, pieces) in lists {
            next.tables[number].list = document(&pieces).ok_or_else(unnamed_pack)?;
        }
        next.packs = packs.of(&next, manifest, moved, &written);
        next.totals = next.computed_totals();
        Ok(Some((next, written.packs)))
    }

    async fn refers_to_moved(&self, table: &TableEntry, moved: &Moved) -> Result<bool, RepositoryError> {
        let mut list = scan_list(self, table);
        while let Some((_, segments)) = list.next().await? {
            let mut chunks = segments.iter().flat_map(|segment| &segment.chunks);
            if chunks.any(|chunk| moved.place(&chunk.place).is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn note_packs(&self, table: &TableEntry, packs: &mut Packs) -> Result<(), RepositoryError> {
        let mut list = scan_list(self, table);
        while let Some((_, segments)) = list.next().await? {
            packs.add(segments);
        }
        list.finish().map(|_| ())
    }

    /// Writes the list of a table with the new places, piece by piece.
    async fn write_list(
        &self,
        table: &TableEntry,
        moved: &Moved,
        packs: &mut Packs,
        (writer, sealer): (&PackWriter, &MetadataSealer),
    ) -> Result<Vec<PlacedChunk>, RepositoryError> {
        let failed = |source| self.error(source);
        let mut lines = SegmentListWriter::new(&table.qualified_name()).map_err(failed)?;
        let (mut pieces, mut placed) = (Vec::new(), Vec::new());
        let mut list = scan_list(self, table);
        while let Some((_, segments)) = list.next().await? {
            for segment in segments.iter_mut() {
                for chunk in &mut segment.chunks {
                    chunk.place = moved.place(&chunk.place).unwrap_or(chunk.place);
                }
                lines.write(segment, &mut pieces).map_err(failed)?;
            }
            packs.add(segments);
            placed.extend(writer.add_plain(sealer, std::mem::take(&mut pieces)).await?);
        }
        let before = list.finish()?;
        let after = lines.finish(&mut pieces).map_err(failed)?;
        placed.extend(writer.add_plain(sealer, pieces).await?);
        if before != after {
            let reason = "its new segment list does not add up to the one before".to_owned();
            return Err(RepositoryError::Damaged {
                what: format!("table {}", table.qualified_name()),
                reason,
            });
        }
        Ok(placed)
    }

    /// Writes a manifest in the place of another, which must still be there, and reads it back. The sign is renewed before
    /// each attempt. Where others may have taken this process for gone afterwards the old manifest is put back, whose
    /// packs were named all the time.
    async fn exchange(
        &self,
        exchange: &Exchange,
        lease: &Sign,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let store = self.single_attempt();
        let mut attempts = RetryPolicy::default().attempts();
        loop {
            lease.renew().await?;
            let error = match self.try_exchange(store.as_ref(), exchange).await {
                Err(RepositoryError::Store(error)) => error,
                Err(error @ RepositoryError::NotKept { .. }) => return self.put_back(exchange, error).await,
                Err(error) => return Err(error),
                Ok(()) => break,
            };
            if error.leaves_doubt() {
                lease.doubt();
            }
            let Some(pause) = attempts.failed(error.is_transient()) else { return Err(error.into()) };
            self.progress.warning(format!("{error}; {pause}"));
            pause.wait(cancel).await.map_err(|_| RepositoryError::Cancelled)?;
        }
        match lease.renew().await {
            Err(error) if error.counts_as_gone() => self.put_back(exchange, error).await,
            _ => Ok(()),
        }
    }

    async fn try_exchange(&self, store: &dyn Store, exchange: &Exchange) -> Result<(), RepositoryError> {
        let Exchange { key, old, new } = exchange;
        let key = key.to_string();
        let limit = old.len().max(new.len()) as u64;
        let is_ours = |found: &Option<Bytes>| found.as_ref() == Some(new);
        let found = store.get_optional_at_most(&key, limit).await;
        let changed = || RepositoryError::BackupChanged { store: self.describe(), key: key.clone() };
        match found {
            // an attempt before whose answer was lost
            Ok(found) if is_ours(&found) => return Ok(()),
            Ok(Some(found)) if found == *old || is_part(&found, new) => {}
            Ok(_) => return Err(changed()),
            Err(error) if error.kind() == ErrorKind::Damaged => return Err(changed()),
            Err(error) => return Err(error.into()),
        }
        store.overwrite(&key, new.clone()).await?;
        let found = store.get_optional_at_most(&key, limit).await?;
        match is_ours(&found) {
            true => Ok(()),
            false => {
                let found = "returns other bytes";
                Err(RepositoryError::NotKept { store: self.describe(), key, found })
            }
        }
    }

    /// Puts the old manifest back, until the store returns it; returns the error for which it must be.
    async fn put_back(&self, exchange: &Exchange, error: RepositoryError) -> Result<(), RepositoryError> {
        let (key, old) = (exchange.key.to_string(), &exchange.old);
        for _ in 0..PUT_BACKS {
            self.store().overwrite(&key, old.clone()).await?;
            let found = self.store().get_optional_at_most(&key, MAX_MANIFEST_BYTES).await?;
            if found.as_ref() == Some(old) {
                break;
            }
        }
        Err(error)
    }
}

/// Whether an attempt of ours before left a part of the bytes.
fn is_part(found: &Bytes, new: &Bytes) -> bool {
    found.len() < new.len() && new.starts_with(found)
}

/// Packs of rows that lists refer to.
#[derive(Debug, Default)]
struct Packs(BTreeSet<PackId>);

impl Packs {
    fn add(&mut self, segments: &[Segment]) {
        self.0.extend(segments.iter().flat_map(|segment| &segment.chunks).map(|chunk| chunk.place.pack));
    }

    /// The packs that something in the backup lies in.
    fn of(self, next: &Manifest, old: &Manifest, moved: &Moved, written: &WrittenPacks) -> Vec<PackSummary> {
        let documents = [&next.catalog, &next.toc].into_iter().chain(&next.roles).chain(&next.statistics);
        let pieces = |document: &Document| document.pieces.iter().map(|piece| piece.pack).collect::<Vec<_>>();
        let lists = next.tables.iter().map(|table| &table.list);
        let named: BTreeSet<PackId> = documents.chain(lists).flat_map(pieces).chain(self.0).collect();
        let known = old.packs.iter().chain(moved.packs.values()).chain(&written.packs);
        let known: BTreeMap<PackId, PackSummary> = known.map(|pack| (pack.id, *pack)).collect();
        named.iter().filter_map(|id| known.get(id)).copied().collect()
    }
}
