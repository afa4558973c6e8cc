//! The backup that a new one is deduplicated against.
//!
//! All of its segment lists are read and checked before anything in it is referred to: as long as the whole backup is
//! not known to be sound, none of it is used. What they name is kept in a temporary file; see [`KnownChunks`].

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use dbhaul_archive::{BackupKey, Manifest, PackId, PackSummary, Segment, TableEntry, TableKind};
use dbhaul_progress::{Progress, counted, one_line};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::known_chunks::{ParentPack, RecordWriter, Records};
use crate::{BackupRef, CheckState, KnownChunks, Repository, RepositoryError};

/// Most chunks of a parent: those of 8 TiB of rows, in 7 GiB of temporary file.
const MAX_CHUNKS: u64 = 128 << 20;

/// Most chunks of the tables in hand, those of 512 GiB of rows, in 96 MiB of memory.
const MAX_CHUNKS_IN_HAND: u64 = 8 << 20;

/// Manifests that are read to find a backup with chunks: those of a week of nights.
const MAX_TRIED: usize = 7;

/// A pack is referred to while at least this part of it is in use.
const LEAST_LIVE_PART: u64 = 3;

/// Which backup a new one is deduplicated against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ParentRef {
    /// The newest of the same database; one with rows in packs, where one is among the newest.
    #[default]
    Newest,
    /// The backup whose ULID is, or starts with, this.
    Id(String),
    /// None: every row is stored.
    None,
}

/// A table or all large objects: kind, schema and name.
type TableKey = (TableKind, String, String);

/// A parent whose parts fit together.
#[derive(Debug)]
pub struct Parent {
    id: Ulid,
    summaries: HashMap<PackId, PackSummary>,
    packs: Arc<[ParentPack]>,
    records: Arc<Records>,
    tables: HashMap<TableKey, Extent>,
    in_hand: Mutex<InHand>,
    progress: Progress,
}

/// The records of one table.
#[derive(Debug, Clone, Copy)]
struct Extent {
    first: u64,
    count: u64,
}

/// Tables whose chunks are in memory, the one that was asked for last at the end.
#[derive(Debug, Default)]
struct InHand {
    tables: VecDeque<(TableKey, Arc<KnownChunks>)>,
    chunk_count: u64,
    /// Tables that there is no room for.
    told: HashSet<TableKey>,
}

impl Repository {
    /// The backup that a new one of `database` is deduplicated against, if there is one. One that is damaged or
    /// cannot be read is told, and none is returned: everything is stored anew then.
    ///
    /// # Errors
    /// If the store has no backup of the identity that was asked for, or the user stops the command.
    pub async fn parent(
        &self,
        wanted: &ParentRef,
        database: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<Parent>, RepositoryError> {
        let key = match wanted {
            ParentRef::None => return Ok(None),
            ParentRef::Id(id) => self.find(&BackupRef::Id(id.clone()), None).await?,
            ParentRef::Newest => match self.find(&BackupRef::Latest, Some(database)).await {
                Err(RepositoryError::NoBackup { .. }) => return Ok(None),
                found => found?,
            },
        };
        let others_of = (*wanted == ParentRef::Newest).then_some(database);
        match Box::pin(self.read_parent(&key, others_of, cancel)).await {
            Err(error) if !error.is_cancelled() => {
                let reason = one_line(&error);
                self.progress.warning(format!(
                    "backup {} cannot be deduplicated against, so all rows are stored anew: {reason}",
                    key.id
                ));
                Ok(None)
            }
            read => read,
        }
    }

    async fn read_parent(
        &self,
        key: &BackupKey,
        others_of: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Option<Parent>, RepositoryError> {
        let mut manifest = self.manifest(key).await?;
        if let Some(database) = others_of.filter(|_| manifest.parts().next().is_some()) {
            manifest = self.newest_with_chunks(database, manifest.id).await?.unwrap_or(manifest);
        }
        let key = &manifest.key();
        let states = self.check_states(std::slice::from_ref(key), cancel).await?;
        if let Some(report) = states.get(&key.id).and_then(CheckState::damage) {
            let what = format!("a check of {}", report.scope());
            let reason = format!("ended at {:.0} and found damage", report.finished);
            return Err(RepositoryError::Damaged { what, reason });
        }
        if manifest.generation != self.codec.generation() {
            self.progress.notice(format!(
                "all rows are stored anew: the keys were rotated since backup {}, and rows are not shared across keys",
                key.id
            ));
            return Ok(None);
        }
        let repository = self.reading(&manifest)?;
        let mut scan = Scan::new(&manifest)?;
        let packs = repository.checked_metadata(&manifest, cancel).await?;
        // whether its own rows are there twice is no matter of ours
        let none = HashSet::new();
        let mut take = |table: &TableEntry, segments: &[Segment]| scan.take(table, segments);
        repository.check_lists(&manifest, &none, &packs, cancel, &mut take).await?;
        self.metadata.clear();
        let temporary = |source| RepositoryError::TemporaryFile { source };
        Ok(Some(Parent {
            id: manifest.id,
            packs: scan.packs(),
            records: Arc::new(scan.records.finish().map_err(temporary)?),
            tables: scan.tables,
            summaries: manifest.packs.iter().map(|pack| (pack.id, *pack)).collect(),
            in_hand: Mutex::default(),
            progress: self.progress.clone(),
        }))
    }
}

impl Repository {
    /// The newest backup with chunks of those before `newest`, which is in files of Parquet and has none.
    async fn newest_with_chunks(
        &self,
        database: &str,
        newest: Ulid,
    ) -> Result<Option<Manifest>, RepositoryError> {
        let mut older = self.listed_backups().await?;
        older.retain(|listed| listed.key.database == database && listed.key.id < newest);
        older.sort_by_key(|listed| std::cmp::Reverse(listed.key.id));
        for listed in older.iter().take(MAX_TRIED) {
            let manifest = self.manifest(&listed.key).await?;
            if manifest.parts().next().is_none() {
                return Ok(Some(manifest));
            }
        }
        Ok(None)
    }
}

/// Collects what the lists of a parent name.
struct Scan {
    records: RecordWriter,
    count: u64,
    tables: HashMap<TableKey, Extent>,
    numbers: BTreeMap<PackId, u32>,
    /// Size of each pack, and how much of it is in use.
    sizes: Vec<(PackId, u64, u64)>,
}

impl Scan {
    fn new(manifest: &Manifest) -> Result<Self, RepositoryError> {
        let chunk_count = manifest.tables.iter().fold(0_u64, |sum, table| sum.saturating_add(table.chunks));
        if chunk_count > MAX_CHUNKS {
            return Err(RepositoryError::LargeParent { chunk_count, max: MAX_CHUNKS });
        }
        Ok(Scan {
            records: RecordWriter::new().map_err(|source| RepositoryError::TemporaryFile { source })?,
            count: 0,
            tables: HashMap::new(),
            numbers: (0..).zip(&manifest.packs).map(|(number, pack)| (pack.id, number)).collect(),
            sizes: manifest.packs.iter().map(|pack| (pack.id, pack.bytes, 0)).collect(),
        })
    }

    fn take(&mut self, table: &TableEntry, segments: &[Segment]) -> Result<(), RepositoryError> {
        let key = (table.kind, table.schema.clone(), table.name.clone());
        let extent = self.tables.entry(key).or_insert(Extent { first: self.count, count: 0 });
        for chunk in segments.iter().flat_map(|segment| &segment.chunks) {
            // a pack that is not listed is found by the check that follows
            let Some(number) = self.numbers.get(&chunk.place.pack) else { continue };
            let size = &mut self.sizes[*number as usize];
            size.2 = size.2.saturating_add(chunk.place.stored_bytes);
            let added = self.records.add(&chunk.place, *number);
            added.map_err(|source| RepositoryError::TemporaryFile { source })?;
            extent.count += 1;
            self.count += 1;
        }
        Ok(())
    }

    /// The packs by their numbers. What little is in use of a sparse one goes into new packs, so that the rest of it
    /// can be removed once the backups before are.
    fn packs(&self) -> Arc<[ParentPack]> {
        let pack = |(id, bytes, live): &(PackId, u64, u64)| ParentPack {
            id: *id,
            is_live: live.saturating_mul(LEAST_LIVE_PART) >= *bytes,
        };
        self.sizes.iter().map(pack).collect()
    }
}

impl Parent {
    /// Its identity.
    pub fn id(&self) -> Ulid {
        self.id
    }

    /// What its manifest says of a pack.
    pub fn pack(&self, id: PackId) -> Option<PackSummary> {
        self.summaries.get(&id).copied()
    }

    /// The chunks that a table has in it; nothing, if it has none, or there is no memory for so many.
    ///
    /// # Errors
    /// If the temporary file cannot be read.
    pub async fn table(
        &self,
        kind: TableKind,
        schema: &str,
        name: &str,
    ) -> Result<Option<Arc<KnownChunks>>, RepositoryError> {
        let key = (kind, schema.to_owned(), name.to_owned());
        let Some(Extent { first, count }) = self.tables.get(&key).copied().filter(|extent| extent.count > 0)
        else {
            return Ok(None);
        };
        let mut in_hand = self.in_hand.lock().await;
        if let Some(known) = in_hand.take_up(&key) {
            return Ok(Some(known));
        }
        let count = match in_hand.make_room(count) {
            true => u32::try_from(count.min(KnownChunks::MAX_CHUNKS)).unwrap_or(u32::MAX),
            false => {
                if in_hand.told.insert(key) {
                    self.progress.warning(format!(
                        "all rows of {schema}.{name} are stored anew: there is no memory for its {} in backup {}",
                        counted(count, "chunk"),
                        self.id
                    ));
                }
                return Ok(None);
            }
        };
        let (records, packs) = (Arc::clone(&self.records), Arc::clone(&self.packs));
        let building = tokio::task::spawn_blocking(move || KnownChunks::build(records, packs, first, count));
        let known = building.await.map_err(|error| RepositoryError::Worker {
            what: "reader of the parent's chunks".into(),
            reason: error.to_string(),
        })?;
        let known = Arc::new(known.map_err(|source| RepositoryError::TemporaryFile { source })?);
        in_hand.chunk_count += known.chunk_count();
        in_hand.tables.push_back((key, Arc::clone(&known)));
        Ok(Some(known))
    }
}

impl InHand {
    /// The table, if it is here.
    fn take_up(&mut self, key: &TableKey) -> Option<Arc<KnownChunks>> {
        let at = self.tables.iter().position(|(found, _)| found == key)?;
        let table = self.tables.remove(at)?;
        let known = Arc::clone(&table.1);
        self.tables.push_back(table);
        Some(known)
    }

    /// Forgets tables that nobody reads now, until there is room for so many chunks.
    fn make_room(&mut self, count: u64) -> bool {
        let mut at = 0;
        while self.chunk_count.saturating_add(count) > MAX_CHUNKS_IN_HAND && at < self.tables.len() {
            let is_idle = Arc::strong_count(&self.tables[at].1) == 1;
            match is_idle.then(|| self.tables.remove(at)).flatten() {
                Some((_, known)) => self.chunk_count -= known.chunk_count(),
                None => at += 1,
            }
        }
        self.chunk_count.saturating_add(count) <= MAX_CHUNKS_IN_HAND
    }
}
