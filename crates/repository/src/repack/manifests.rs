//! Letting a backup refer to other packs: new segment lists, and a manifest in the place of the one that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_archive::{
    BackupKey, Document, MAX_MANIFEST_BYTES, Manifest, PackId, PackKind, PackSummary, Segment,
    SegmentListWriter, TableEntry,
};
use dbhaul_retry::RetryPolicy;
use dbhaul_store::{ErrorKind, Replaced, Store, StoreExt};
use tokio_util::sync::CancellationToken;

use super::ByPlace;
use super::chunks::Moved;
use super::survey::SparsePack;
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
#[derive(Debug)]
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
        let is_there = self.exchange(&exchange, lease, cancel).await?;
        Ok(is_there.then_some(lists))
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

    /// The manifest with new lists of the tables that refer to chunks that were moved, and the packs of these lists. What
    /// else lies in packs of metadata is copied beside them: nothing of the old ones is needed any more.
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
        let mut lists: BTreeMap<usize, Vec<PlacedChunk>> = BTreeMap::new();
        let mut packs = Packs::default();
        for (number, table) in manifest.tables.iter().enumerate() {
            stop_if_cancelled(cancel)?;
            if reading.refers_to_moved(table, moved).await? {
                let list = reading.write_list(table, moved, &mut packs, (&writer, &sealer)).await?;
                lists.insert(number, list);
            } else {
                reading.note_packs(table, &mut packs).await?;
            }
        }
        if lists.is_empty() {
            return Ok(None);
        }
        let mut next = manifest.clone();
        let copied = reading.copy_metadata(&mut next, &lists, &writer, cancel).await?;
        let written = writer.finish().await?;
        for document in documents(&mut next) {
            copied.apply(document)?;
        }
        for (number, pieces) in lists {
            next.tables[number].list = document(&pieces).ok_or_else(unnamed_pack)?;
        }
        next.packs = packs.of(&next, manifest, moved, &written);
        next.totals = next.computed_totals();
        Ok(Some((next, written.packs)))
    }

    /// Copies what a manifest needs of its packs of metadata, but for the lists that are written anew, as it is stored.
    async fn copy_metadata(
        &self,
        manifest: &mut Manifest,
        lists: &BTreeMap<usize, Vec<PlacedChunk>>,
        writer: &PackWriter,
        cancel: &CancellationToken,
    ) -> Result<Copies, RepositoryError> {
        let is_metadata = |pack: &PackSummary| pack.kind == PackKind::Meta;
        let mut live: BTreeMap<PackId, SparsePack> = manifest
            .packs
            .iter()
            .filter(|pack| is_metadata(pack))
            .map(|pack| (pack.id, SparsePack::new(*pack, manifest.generation)))
            .collect();
        for number in lists.keys() {
            // their places are about to be others
            manifest.tables[*number].list = Document::default();
        }
        for place in documents(manifest).flat_map(|document| &document.pieces) {
            if let Some(pack) = live.get_mut(&place.pack) {
                pack.live.insert(place.offset, *place);
            }
        }
        let mut copies = Copies::default();
        for (id, pack) in live.iter().filter(|(_, pack)| !pack.live.is_empty()) {
            stop_if_cancelled(cancel)?;
            let placed = writer.add(&self.live_chunks(pack).await?).await?;
            copies.0.extend(pack.live.keys().map(|offset| (*id, *offset)).zip(placed));
        }
        Ok(copies)
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

    /// Writes a manifest in the place of another, which must still be there, and reads it back; returns whether there is
    /// one, and not where the backup was forgotten meanwhile. The sign is renewed before each attempt. Where others may have
    /// taken this process for gone afterwards the old manifest is put back, whose packs were named all the time.
    async fn exchange(
        &self,
        exchange: &Exchange,
        lease: &Sign,
        cancel: &CancellationToken,
    ) -> Result<bool, RepositoryError> {
        let store = self.single_attempt();
        let mut attempts = RetryPolicy::default().attempts();
        let is_there = loop {
            lease.renew().await?;
            let error = match self.try_exchange(store.as_ref(), exchange).await {
                Err(RepositoryError::Store(error)) => error,
                Err(error @ RepositoryError::NotKept { .. }) => return self.put_back(exchange, error).await,
                Err(error) => return Err(error),
                Ok(is_there) => break is_there,
            };
            if error.leaves_doubt() {
                lease.doubt();
            }
            let Some(pause) = attempts.failed(error.is_transient()) else { return Err(error.into()) };
            self.progress.warning(format!("{error}; {pause}"));
            pause.wait(cancel).await.map_err(|_| RepositoryError::Cancelled)?;
        };
        match lease.renew().await {
            Err(error) if error.counts_as_gone() => self.put_back(exchange, error).await,
            _ => Ok(is_there),
        }
    }

    async fn try_exchange(&self, store: &dyn Store, exchange: &Exchange) -> Result<bool, RepositoryError> {
        let Exchange { key, old, new } = exchange;
        let key = key.to_string();
        let changed = || RepositoryError::BackupChanged { store: self.describe(), key: key.clone() };
        let replaced = match store.replace(&key, old, new.clone()).await {
            // what an attempt of ours before left of it
            Ok(Replaced::Found(Some(part))) if is_part(&part, new) => {
                store.replace(&key, &part, new.clone()).await
            }
            replaced => replaced,
        };
        match replaced {
            Ok(Replaced::Done) => {}
            Ok(Replaced::Found(None)) => return Ok(false),
            // an attempt before whose answer was lost
            Ok(Replaced::Found(Some(found))) if found == *new => return Ok(true),
            Ok(Replaced::Found(Some(_))) => return Err(changed()),
            Err(error) if error.kind() == ErrorKind::Damaged => return Err(changed()),
            Err(error) => return Err(error.into()),
        }
        match store.get_optional_at_most(&key, old.len().max(new.len()) as u64).await? {
            Some(found) if found == *new => Ok(true),
            None => Ok(false),
            Some(_) => {
                let found = "returns other bytes";
                Err(RepositoryError::NotKept { store: self.describe(), key, found })
            }
        }
    }

    /// Puts the old manifest back, until the store returns it; returns the error for which it must be. What was forgotten
    /// meanwhile does not come back.
    async fn put_back<T>(&self, exchange: &Exchange, error: RepositoryError) -> Result<T, RepositoryError> {
        let (key, old) = (exchange.key.to_string(), &exchange.old);
        for _ in 0..PUT_BACKS {
            match self.store().get_optional_at_most(&key, MAX_MANIFEST_BYTES).await? {
                Some(found) if found != *old => {
                    self.store().replace(&key, &found, old.clone()).await?;
                }
                _ => break,
            }
        }
        Err(error)
    }
}

/// Whether an attempt of ours before left a part of the bytes.
fn is_part(found: &Bytes, new: &Bytes) -> bool {
    found.len() < new.len() && new.starts_with(found)
}

/// Where copies of metadata lie, by where they lay.
#[derive(Debug, Default)]
struct Copies(ByPlace<PlacedChunk>);

impl Copies {
    /// Lets a document refer to its copies.
    fn apply(&self, document: &mut Document) -> Result<(), RepositoryError> {
        for place in &mut document.pieces {
            if let Some(copy) = self.0.get(&(place.pack, place.offset)) {
                *place = copy.place().ok_or_else(unnamed_pack)?;
            }
        }
        Ok(())
    }
}

/// Everything of a backup that lies in pieces and is not rows.
fn documents(manifest: &mut Manifest) -> impl Iterator<Item = &mut Document> {
    let Manifest { catalog, toc, roles, statistics, tables, .. } = manifest;
    let lists = tables.iter_mut().map(|table| &mut table.list);
    [catalog, toc].into_iter().chain(roles).chain(statistics).chain(lists)
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
