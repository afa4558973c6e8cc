//! Whether a backup fits together: before anything is done with it, everything is compared that can be without
//! its rows.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dbhaul_archive::{
    ArchiveError, BackupKey, ChunkPlace, ListCheck, Manifest, PackId, PackKind, PackSummary, Segment,
    TableEntry, TableKind, TocOutline, tables_with_primary_key,
};
use dbhaul_catalog::Catalog;
use dbhaul_progress::one_line;
use futures::stream::{StreamExt, TryStreamExt, iter};
use tokio_util::sync::CancellationToken;

use crate::indexes::{INDEXES_AT_ONCE, Indexes};
use crate::lists::scan_list;
use crate::{Repository, RepositoryError};

/// Packs of metadata that are read at the same time; each is about 32 MiB.
pub(crate) const PACKS_AT_ONCE: usize = 2;

/// Takes the segments of a table, which come in order and not between those of another.
pub(crate) type Taken<'a> = dyn FnMut(&TableEntry, &[Segment]) -> Result<(), RepositoryError> + Send + 'a;

/// A backup whose parts fit together.
#[derive(Debug)]
pub struct CheckedBackup {
    /// Its manifest.
    pub manifest: Manifest,
    /// All of its catalog.
    pub catalog: Catalog,
    /// What its packs are read with.
    pub repository: Repository,
}

impl Repository {
    /// Reads a backup but for its rows, and compares its parts: manifest, catalog, table of contents, segment lists,
    /// and the packs with their indexes and sizes.
    pub async fn checked_backup(
        &self,
        key: &BackupKey,
        cancel: &CancellationToken,
    ) -> Result<CheckedBackup, RepositoryError> {
        let manifest = self.manifest(key).await?;
        let repository = self.reading(&manifest)?;
        if !repository.codec().opens(PackKind::Data) {
            self.progress.notice(
                "the places of rows are not compared with the indexes of their packs: a writer key does not \
                 open these",
            );
        }
        let (manifest, catalog) = Box::pin(repository.check_parts(manifest, cancel)).await?;
        Ok(CheckedBackup { manifest, catalog, repository })
    }

    /// Compares all parts of a backup but its rows with each other and with its packs.
    pub(crate) async fn check_parts(
        &self,
        manifest: Manifest,
        cancel: &CancellationToken,
    ) -> Result<(Manifest, Catalog), RepositoryError> {
        let packs = self.checked_metadata(&manifest, cancel).await?;
        let catalog = self.checked_contents(&manifest).await?;
        let keyed = tables_with_primary_key(&catalog);
        self.check_lists(&manifest, &keyed, &packs, cancel, &mut |_, _| Ok(())).await?;
        Ok((manifest, catalog))
    }

    /// Compares catalog, table of contents and manifest; returns the catalog.
    pub(crate) async fn checked_contents(&self, manifest: &Manifest) -> Result<Catalog, RepositoryError> {
        let catalog: Catalog = self.document("catalog", &manifest.catalog).await?;
        let toc: TocOutline = self.document("table of contents", &manifest.toc).await?;
        manifest.check_contents(&catalog, &toc).map_err(|source| self.error(source))?;
        Ok(catalog)
    }

    /// Compares all packs with their sizes, and those of metadata with their names; returns the packs.
    pub(crate) async fn checked_metadata(
        &self,
        manifest: &Manifest,
        cancel: &CancellationToken,
    ) -> Result<BTreeMap<PackId, PackSummary>, RepositoryError> {
        self.check_packs(manifest).await?;
        let packs: BTreeMap<PackId, PackSummary> =
            manifest.packs.iter().map(|pack| (pack.id, *pack)).collect();
        let meta: Vec<&PackSummary> = packs.values().filter(|pack| pack.kind == PackKind::Meta).collect();
        // Those that are kept come first, all together; the others are read again when their lists are.
        let checks = iter(&meta).map(|pack| self.check_pack(pack, cancel));
        checks.buffer_unordered(PACKS_AT_ONCE).try_collect::<()>().await?;
        Ok(packs)
    }

    /// Compares a pack of metadata with its name, and keeps it if there is room.
    pub(crate) async fn check_pack(
        &self,
        pack: &PackSummary,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        stop_if_cancelled(cancel)?;
        let task = self.progress.task("PACK", &pack.id.to_string(), Some(pack.bytes));
        match self.read_pack(pack).await {
            Ok(read) => {
                self.metadata.add(pack.id, pack.bytes, read);
                task.advance(0, pack.bytes);
                task.finish();
                Ok(())
            }
            Err(error) => {
                task.fail(one_line(&error));
                Err(error)
            }
        }
    }

    /// Compares the places of all pieces and rows with the indexes of their packs. Tables are taken in the order of
    /// the packs that their lists begin in, so that each of these is read once. `taken` is shown all segments once,
    /// before they are compared.
    pub(crate) async fn check_lists(
        &self,
        manifest: &Manifest,
        keyed: &HashSet<(String, String)>,
        packs: &BTreeMap<PackId, PackSummary>,
        cancel: &CancellationToken,
        taken: &mut Taken<'_>,
    ) -> Result<(), RepositoryError> {
        let mut tables: Vec<&TableEntry> =
            manifest.tables.iter().filter(|table| table.parts.is_empty()).collect();
        let first_pack =
            |table: &&TableEntry| table.list.pieces.first().map(|piece| (piece.pack, piece.offset));
        tables.sort_by_key(first_pack);
        let documents = [&manifest.catalog, &manifest.toc].into_iter().chain(&manifest.roles);
        let pieces = documents.chain(&manifest.statistics).flat_map(|document| &document.pieces);
        self.check_pieces(pieces, packs).await?;
        let mut indexes = Indexes::new(self, packs);
        let mut current = None;
        for table in tables {
            stop_if_cancelled(cancel)?;
            let pack = table.list.pieces.first().map(|piece| piece.pack);
            if let Some(summary) =
                pack.filter(|pack| current != Some(*pack)).and_then(|pack| packs.get(&pack))
                && self.metadata.pack(summary.id).is_none()
            {
                self.metadata.add(summary.id, summary.bytes, self.read_pack(summary).await?);
            }
            current = pack;
            let check = ListCheck::new(table, packs, has_no_row_twice(table, keyed));
            self.check_list(table, check, &mut indexes, cancel, taken).await?;
        }
        self.metadata.end();
        Ok(())
    }

    /// Compares the places of a document's pieces with their packs.
    async fn check_pieces(
        &self,
        pieces: impl Iterator<Item = &ChunkPlace>,
        packs: &BTreeMap<PackId, PackSummary>,
    ) -> Result<(), RepositoryError> {
        let mut by_pack: BTreeMap<PackId, Vec<&ChunkPlace>> = BTreeMap::new();
        for piece in pieces {
            by_pack.entry(piece.pack).or_default().push(piece);
        }
        for (pack, pieces) in by_pack {
            if packs.get(&pack).is_some_and(|summary| !self.codec.opens(summary.kind)) {
                continue;
            }
            let read = match (self.metadata.pack(pack), packs.get(&pack)) {
                (Some(read), _) => read,
                (None, Some(summary)) => self.read_pack(summary).await?,
                (None, None) => return Err(self.error(ArchiveError::MissingPack { pack })),
            };
            for piece in pieces {
                read.index().number_of(piece).map_err(|source| self.error(source))?;
            }
        }
        Ok(())
    }

    async fn check_list(
        &self,
        table: &TableEntry,
        mut check: ListCheck<'_>,
        indexes: &mut Indexes<'_>,
        cancel: &CancellationToken,
        taken: &mut Taken<'_>,
    ) -> Result<(), RepositoryError> {
        let has_indexes = self.codec.opens(PackKind::Data);
        if !has_indexes {
            check = check.without_places();
        }
        for pass in 0..check.passes() {
            let mut lists = scan_list(self, table);
            while let Some((_, segments)) = lists.next().await? {
                stop_if_cancelled(cancel)?;
                let named = check.packs(segments).map_err(|source| self.error(source))?;
                if pass > 0 {
                    take(self, &mut check, segments, &named, indexes)?;
                    continue;
                }
                taken(table, segments)?;
                let named: Vec<PackId> = named.into_iter().collect();
                for some in named.chunks(INDEXES_AT_ONCE) {
                    let some: BTreeSet<PackId> = some.iter().copied().collect();
                    if has_indexes {
                        indexes.read(&some).await?;
                    }
                    take(self, &mut check, segments, &some, indexes)?;
                }
            }
            let totals = lists.finish()?;
            check.end_pass(&totals).map_err(|source| self.error(source))?;
        }
        Ok(())
    }
}

fn take(
    repository: &Repository,
    check: &mut ListCheck<'_>,
    segments: &[Segment],
    packs: &BTreeSet<PackId>,
    indexes: &Indexes<'_>,
) -> Result<(), RepositoryError> {
    for segment in segments {
        let taken = check.take(segment, packs, |pack| indexes.get(pack));
        taken.map_err(|source| repository.error(source))?;
    }
    Ok(())
}

/// Large objects are pieces of which each has a place of its own.
fn has_no_row_twice(table: &TableEntry, keyed: &HashSet<(String, String)>) -> bool {
    match table.kind {
        TableKind::LargeObjects => true,
        TableKind::Table => keyed.contains(&(table.schema.clone(), table.name.clone())),
    }
}

pub(crate) fn stop_if_cancelled(cancel: &CancellationToken) -> Result<(), RepositoryError> {
    if cancel.is_cancelled() { Err(RepositoryError::Cancelled) } else { Ok(()) }
}
