//! Segment lists, written while rows are still being read: what is held in memory are the chunks
//! that lie in packs which are not finished yet, never those of a whole table.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use dbhaul_archive::{
    ChunkSealer, ListTotals, PackId, PackKind, PackSummary, RowChunk, Segment, SegmentListWriter,
    SegmentRange, sealed_json,
};
use dbhaul_exporter::{ExportPlan, TablePlan};
use dbhaul_rows::RowDigest;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::PipelineError;
use crate::statistics::LiveStatistics;
use dbhaul_repository::{
    MetadataSealer, PackWriter, Parent, PlacedChunk, Repository, WrittenPacks, unnamed_pack,
};

/// zstd level of metadata: small, and read often.
const METADATA_LEVEL: i32 = 9;

/// Chunks after which a segment goes on as another one of the list: about 256 MiB of rows.
pub(crate) const MAX_PART_CHUNKS: usize = 4096;

/// Some of the chunks of one planned segment, in the order of its rows.
pub(crate) struct StoredPart {
    pub(crate) entry: u32,
    /// The planned segment.
    pub(crate) segment: u32,
    pub(crate) chunks: Vec<(PlacedChunk, RowDigest)>,
    /// Whether the planned segment ends with it.
    pub(crate) is_last: bool,
}

/// The segment list of one table, stored.
pub(crate) struct StoredList {
    pub(crate) totals: ListTotals,
    /// The pieces of its document.
    pub(crate) pieces: Vec<PlacedChunk>,
}

/// Writes the segment lists of all tables, each part as soon as its packs have names.
pub(crate) struct ListStore {
    repository: Repository,
    parent: Option<Arc<Parent>>,
    writer: PackWriter,
    /// Of planner statistics, which hold values of columns: where packs are encrypted, they are kept as rows are.
    statistics: Option<PackWriter>,
    sealer: MetadataSealer,
    state: Mutex<State>,
}

/// What lies in packs of the parent.
#[derive(Debug, Default)]
pub(crate) struct Reused {
    /// The packs.
    pub(crate) packs: BTreeMap<PackId, PackSummary>,
    /// Stored bytes of the chunks of rows in them.
    pub(crate) bytes: u64,
}

struct State {
    /// In the order in which they came.
    waiting: VecDeque<StoredPart>,
    waiting_chunks: usize,
    reused: Reused,
    lists: HashMap<u32, OpenList>,
    stored: HashMap<u32, StoredList>,
}

/// What writes statistics into other packs than lists, where that must be.
fn statistics_writer(repository: &Repository, cancel: &CancellationToken) -> Option<PackWriter> {
    let (store, codec) = (repository.store(), repository.codec());
    let kind = codec.statistics_kind();
    (kind != PackKind::Meta).then(|| PackWriter::new(Arc::clone(store), codec, kind, cancel))
}

/// A list that is being written.
struct OpenList {
    writer: SegmentListWriter,
    ranges: Vec<SegmentRange>,
    /// The planned segment whose parts are written now.
    current: u32,
    /// The number of the next segment of the list.
    index: u32,
    /// Parts of later segments that were faster.
    early: BTreeMap<u32, Vec<(Vec<RowChunk>, bool)>>,
    pieces: Vec<PlacedChunk>,
}

impl ListStore {
    /// For the tables of a plan; metadata goes into packs of their own.
    pub(crate) fn new(
        repository: &Repository,
        parent: Option<Arc<Parent>>,
        plan: &ExportPlan,
        cancel: &CancellationToken,
    ) -> Result<Self, PipelineError> {
        let store = repository.store().describe();
        let sealer = MetadataSealer::new(&store, repository.codec(), METADATA_LEVEL)?;
        let state = State {
            waiting: VecDeque::new(),
            waiting_chunks: 0,
            reused: Reused::default(),
            lists: HashMap::with_capacity(plan.tables.len()),
            stored: HashMap::with_capacity(plan.tables.len()),
        };
        Ok(ListStore {
            writer: PackWriter::new(
                Arc::clone(repository.store()),
                repository.codec(),
                PackKind::Meta,
                cancel,
            ),
            statistics: statistics_writer(repository, cancel),
            repository: repository.clone(),
            parent,
            sealer,
            state: Mutex::new(state),
        })
    }

    /// Stores another document; returns it and its pieces.
    pub(crate) async fn add_document<T: Serialize + Send + 'static>(
        &self,
        name: &'static str,
        value: T,
    ) -> Result<(T, Vec<PlacedChunk>), PipelineError> {
        let work = move |sealer: &mut ChunkSealer| Ok((sealed_json(name, &value, sealer)?, value));
        let (sealed, value) = self.sealer.seal(work).await?;
        Ok((value, self.writer.add(&sealed).await?))
    }

    /// Stores planner statistics; returns their pieces.
    pub(crate) async fn add_statistics(
        &self,
        statistics: &LiveStatistics,
    ) -> Result<Vec<PlacedChunk>, PipelineError> {
        let writer = self.statistics.as_ref().unwrap_or(&self.writer);
        statistics.store(writer, &self.sealer).await
    }

    /// Takes a part; the parts of one planned segment come in order. Returns how many chunks wait until their pack,
    /// or that of a chunk before them, has a name.
    pub(crate) async fn add(&self, table: &TablePlan, part: StoredPart) -> Result<usize, PipelineError> {
        let mut state = self.state.lock().await;
        if let Entry::Vacant(place) = state.lists.entry(part.entry) {
            place.insert(OpenList::new(table).map_err(|source| self.repository.error(source))?);
        }
        state.waiting_chunks += part.chunks.len();
        state.waiting.push_back(part);
        self.write_named(&mut state).await?;
        Ok(state.waiting_chunks)
    }

    /// Writes the parts whose packs have names by now.
    pub(crate) async fn write_due(&self) -> Result<(), PipelineError> {
        let mut state = self.state.lock().await;
        self.write_named(&mut state).await
    }

    /// Writes the rest, when all packs of rows are finished; returns the lists by TOC entry, and what lies in packs of
    /// the parent.
    pub(crate) async fn finish_lists(&self) -> Result<(HashMap<u32, StoredList>, Reused), PipelineError> {
        let mut state = self.state.lock().await;
        self.write_named(&mut state).await?;
        if !state.waiting.is_empty() {
            return Err(unnamed_pack().into());
        }
        if let Some(entry) = state.lists.keys().min() {
            return Err(PipelineError::Worker {
                what: "dump".to_owned(),
                reason: format!("not every segment of TOC entry {entry} was stored"),
            });
        }
        Ok((std::mem::take(&mut state.stored), std::mem::take(&mut state.reused)))
    }

    /// Uploads the last pack of metadata, and returns all.
    pub(crate) async fn finish(self) -> Result<WrittenPacks, PipelineError> {
        let written = self.writer.finish().await?;
        Ok(match self.statistics {
            Some(statistics) => statistics.finish().await?.and(written),
            None => written,
        })
    }

    /// Stops uploads and waits for their ends.
    pub(crate) async fn abort(&self) {
        self.writer.abort().await;
        if let Some(statistics) = &self.statistics {
            statistics.abort().await;
        }
    }

    /// Writes the parts at the front whose packs all have names.
    async fn write_named(&self, state: &mut State) -> Result<(), PipelineError> {
        while let Some(part) = state.waiting.front() {
            let Some(chunks) = named(&part.chunks) else { return Ok(()) };
            let (entry, segment, is_last) = (part.entry, part.segment, part.is_last);
            state.waiting.pop_front();
            state.waiting_chunks -= chunks.len();
            if let Some(parent) = &self.parent {
                state.reused.add(parent, &chunks);
            }
            let Some(list) = state.lists.get_mut(&entry) else { continue };
            list.early.entry(segment).or_default().push((chunks, is_last));
            let mut pieces = Vec::new();
            list.write_due(&mut pieces).map_err(|source| self.repository.error(source))?;
            let is_complete = list.is_complete();
            let totals = match is_complete {
                true => state.lists.remove(&entry).map(|list| list.finish(&mut pieces)),
                false => None,
            };
            let placed = self.writer.add_plain(&self.sealer, pieces).await?;
            match (totals, state.lists.get_mut(&entry)) {
                (Some(finished), _) => {
                    let (totals, mut pieces) = finished.map_err(|source| self.repository.error(source))?;
                    pieces.extend(placed);
                    state.stored.insert(entry, StoredList { totals, pieces });
                }
                (None, Some(list)) => list.pieces.extend(placed),
                (None, None) => {}
            }
        }
        Ok(())
    }
}

impl Reused {
    fn add(&mut self, parent: &Parent, chunks: &[RowChunk]) {
        for place in chunks.iter().map(|chunk| &chunk.place) {
            if let Some(pack) = parent.pack(place.pack) {
                self.packs.insert(pack.id, pack);
                self.bytes += place.stored_bytes;
            }
        }
    }
}

impl OpenList {
    fn new(table: &TablePlan) -> Result<Self, dbhaul_archive::ArchiveError> {
        Ok(OpenList {
            writer: SegmentListWriter::new(&crate::command::dump::tables::list_name(table))?,
            ranges: (0..)
                .zip(&table.segments)
                .map(|(n, planned)| {
                    crate::command::dump::tables::range(&planned.range, (n, table.segments.len()))
                })
                .collect(),
            current: 0,
            index: 0,
            early: BTreeMap::new(),
            pieces: Vec::new(),
        })
    }

    /// Writes what is due, in the order of the segments.
    fn write_due(&mut self, pieces: &mut Vec<bytes::Bytes>) -> Result<(), dbhaul_archive::ArchiveError> {
        while let Some(parts) = self.early.remove(&self.current) {
            let mut has_ended = false;
            for (chunks, is_last) in parts {
                // a segment in several parts has no range of pages that would be true of each
                let planned = self.ranges.get(self.current as usize).copied();
                let range = planned.filter(|_| is_last && self.index == self.current);
                let range = range.unwrap_or(SegmentRange::Part(self.index));
                self.writer.write(&Segment { index: self.index, range, chunks }, pieces)?;
                self.index += 1;
                has_ended |= is_last;
            }
            if !has_ended {
                return Ok(());
            }
            self.current += 1;
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.current as usize >= self.ranges.len()
    }

    fn finish(
        self,
        pieces: &mut Vec<bytes::Bytes>,
    ) -> Result<(ListTotals, Vec<PlacedChunk>), dbhaul_archive::ArchiveError> {
        let totals = self.writer.finish(pieces)?;
        Ok((totals, self.pieces))
    }
}

/// The chunks with their places, if all their packs have names.
fn named(chunks: &[(PlacedChunk, RowDigest)]) -> Option<Vec<RowChunk>> {
    let chunk = |(placed, digest): &(PlacedChunk, RowDigest)| {
        Some(RowChunk { place: placed.place()?, digest: *digest })
    };
    chunks.iter().map(chunk).collect()
}
