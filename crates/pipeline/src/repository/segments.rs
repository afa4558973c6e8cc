//! The segments of a backup as a source of rows for the importer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use dbhaul_archive::{
    ChunkOpener, ChunkPlace, ListTotals, Manifest, RowChunk, Segment, SegmentListReader, TableEntry,
};
use dbhaul_catalog::ServerVersion;
use dbhaul_importer::{
    Again, EntrySegments, SegmentRef, SegmentRows, SegmentSource, SourceError, StatisticsStream,
    StatisticsWave,
};
use futures::stream::{BoxStream, StreamExt, try_unfold};
use tokio::sync::OnceCell;

use super::{ChunkReader, PIECES_AT_ONCE, Repository};
use crate::PipelineError;
use crate::statistics::BackupStatistics;

/// Hands out the segments of a backup. Segment lists are read when their first
/// segment is asked for. A short one is kept while its table is in use; of a long
/// one, only where each segment starts, and its piece is read again for each.
pub(crate) struct BackupSegments {
    repository: Repository,
    /// The backup's tables by the TOC entry they fill on the target.
    tables: HashMap<u32, TableEntry>,
    statistics: Option<Box<BackupStatistics>>,
    lists: Mutex<Lists>,
    /// Whether rows that are longer than many chunks are handed out in pieces.
    in_pieces: bool,
}

/// Segment lists in memory: at most [`KEPT_LISTS`], the oldest goes first.
#[derive(Default)]
struct Lists {
    order: VecDeque<u32>,
    by_entry: HashMap<u32, Arc<OnceCell<KeptList>>>,
}

/// What is kept of a segment list.
enum KeptList {
    /// All of it.
    Whole(Vec<Segment>),
    /// For each segment, the number of the piece in which its lines begin.
    Starts(Vec<usize>),
}

/// A list of more chunks is not kept, which would be about a hundred bytes for each.
const KEPT_CHUNKS: u64 = 4096;

/// More than the tables that are loaded at the same time.
const KEPT_LISTS: usize = 64;

impl BackupSegments {
    pub(crate) fn new(
        repository: Repository,
        tables: HashMap<u32, TableEntry>,
        statistics: Option<BackupStatistics>,
    ) -> Self {
        let (statistics, lists) = (statistics.map(Box::new), Mutex::default());
        BackupSegments { repository, tables, statistics, lists, in_pieces: false }
    }

    /// Lets long rows go in pieces that end anywhere, for a COPY that takes them so.
    pub(crate) fn in_pieces(self) -> Self {
        BackupSegments { in_pieces: true, ..self }
    }

    /// Estimated bytes of each segment of each entry: equal shares, which is near enough for order.
    pub(crate) fn entry_segments(&self) -> Vec<EntrySegments> {
        let mut entries: Vec<_> = self
            .tables
            .iter()
            .map(|(entry, table)| EntrySegments {
                entry: *entry,
                segment_bytes: vec![table.plain_bytes / table.segments.max(1); table.segments as usize],
            })
            .collect();
        entries.sort_by_key(|segments| segments.entry);
        entries
    }

    async fn chunks(&self, segment: SegmentRef) -> Result<Vec<RowChunk>, PipelineError> {
        let table = self.tables.get(&segment.entry).ok_or_else(|| unknown(segment))?;
        let cell = self.lists.lock().unwrap_or_else(PoisonError::into_inner).cell(segment.entry);
        let list = cell.get_or_try_init(|| keep_list(&self.repository, table)).await?;
        let number = segment.segment as usize;
        match list {
            KeptList::Whole(segments) => {
                segments.get(number).map(|found| found.chunks.clone()).ok_or_else(|| unknown(segment))
            }
            KeptList::Starts(starts) => {
                let start = *starts.get(number).ok_or_else(|| unknown(segment))?;
                read_segment(&self.repository, table, segment.segment, start).await
            }
        }
    }

    fn source_error(&self, segment: SegmentRef, error: PipelineError) -> SourceError {
        let table = self.tables.get(&segment.entry).map(TableEntry::qualified_name).unwrap_or_default();
        SourceError {
            segment,
            table,
            again: again(&error),
            message: "cannot read its rows from the backup".to_owned(),
            source: Some(Box::new(error)),
        }
    }
}

fn again(error: &PipelineError) -> Again {
    if error.is_transient() { Again::Later } else { Again::Never }
}

impl Lists {
    /// The place of an entry's list; empty until somebody has read it.
    fn cell(&mut self, entry: u32) -> Arc<OnceCell<KeptList>> {
        if let Some(cell) = self.by_entry.get(&entry) {
            return Arc::clone(cell);
        }
        if self.order.len() >= KEPT_LISTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_entry.remove(&oldest);
        }
        self.order.push_back(entry);
        Arc::clone(self.by_entry.entry(entry).or_default())
    }
}

fn unknown(segment: SegmentRef) -> PipelineError {
    PipelineError::Worker { what: "restore".into(), reason: format!("the backup has no {segment}") }
}

/// Reads and verifies a segment list, and keeps of it what there is room for.
async fn keep_list(repository: &Repository, table: &TableEntry) -> Result<KeptList, PipelineError> {
    let is_short = table.chunks <= KEPT_CHUNKS;
    let (mut whole, mut starts, mut next_start) = (Vec::new(), Vec::new(), 0);
    let mut list = scan_list(repository, table);
    while let Some((place, segments)) = list.next().await? {
        for segment in segments.drain(..) {
            starts.push(next_start);
            next_start = place.number;
            if is_short {
                whole.push(segment);
            }
        }
        next_start = if place.ends_with_segment { place.number + 1 } else { next_start };
    }
    list.finish()?;
    Ok(if is_short { KeptList::Whole(whole) } else { KeptList::Starts(starts) })
}

/// The chunks of one segment, whose lines begin in the piece `start`.
async fn read_segment(
    repository: &Repository,
    table: &TableEntry,
    index: u32,
    start: usize,
) -> Result<Vec<RowChunk>, PipelineError> {
    let mut opener = ChunkOpener::new().map_err(|source| repository.error(source))?;
    let mut reader = SegmentListReader::from_segment(&table.qualified_name(), index);
    let mut segments = Vec::new();
    for place in table.list.pieces.iter().skip(start) {
        let piece = repository.piece(&mut opener, place).await?;
        reader.push(&piece, &mut segments).map_err(|source| repository.error(source))?;
        if let Some(found) = segments.drain(..).find(|segment| segment.index == index) {
            return Ok(found.chunks);
        }
    }
    let reason = format!("its segment list has no segment {index} any more");
    Err(PipelineError::Damaged { what: format!("table {}", table.qualified_name()), reason })
}

/// A piece of a list, in a scan.
#[derive(Clone, Copy)]
pub(crate) struct PiecePlace {
    /// Its number, from 0.
    number: usize,
    /// Whether its last line is the last of a segment.
    ends_with_segment: bool,
}

/// Reads and verifies the segment list of one table, piece by piece.
pub(crate) fn scan_list<'a>(repository: &'a Repository, table: &'a TableEntry) -> ListScan<'a> {
    let pieces = futures::stream::iter(table.list.pieces.iter().enumerate());
    let stored = pieces.map(move |(number, place)| async move {
        Ok((number, *place, repository.stored_piece(place).await?))
    });
    ListScan {
        repository,
        table,
        opener: None,
        reader: SegmentListReader::new(&table.qualified_name()),
        stored: stored.buffered(PIECES_AT_ONCE).boxed(),
        segments: Vec::new(),
    }
}

/// The pieces of a segment list, one after the other; a few are read ahead.
pub(crate) struct ListScan<'a> {
    repository: &'a Repository,
    table: &'a TableEntry,
    opener: Option<ChunkOpener>,
    reader: SegmentListReader,
    stored: BoxStream<'a, Result<(usize, ChunkPlace, Bytes), PipelineError>>,
    /// Those that end in the piece that was read last.
    segments: Vec<Segment>,
}

impl ListScan<'_> {
    /// The place of the next piece, and the segments that end in it.
    pub(crate) async fn next(&mut self) -> Result<Option<(PiecePlace, &mut Vec<Segment>)>, PipelineError> {
        self.segments.clear();
        let Some((number, place, stored)) = self.stored.next().await.transpose()? else { return Ok(None) };
        let failed = |source| self.repository.error(source);
        let opener = match &mut self.opener {
            Some(opener) => opener,
            none => none.insert(ChunkOpener::new().map_err(failed)?),
        };
        let piece = opener.open(&place, &stored).map_err(failed)?;
        self.reader.push(&piece, &mut self.segments).map_err(failed)?;
        let place = PiecePlace { number, ends_with_segment: self.reader.is_between_segments() };
        Ok(Some((place, &mut self.segments)))
    }

    /// Ends the list, behind its last piece; returns what it adds up to, which is what the manifest says.
    pub(crate) fn finish(self) -> Result<ListTotals, PipelineError> {
        let totals = self.reader.finish().map_err(|source| self.repository.error(source))?;
        if totals.digest != self.table.digest || totals.segments != self.table.segments {
            let what = format!("table {}", self.table.qualified_name());
            let reason = "its segment list does not add up to what the manifest says".to_owned();
            return Err(PipelineError::Damaged { what, reason });
        }
        Ok(totals)
    }
}

#[async_trait]
impl SegmentSource for BackupSegments {
    async fn open(&self, segment: SegmentRef) -> Result<SegmentRows, SourceError> {
        let chunks = self.chunks(segment).await.map_err(|error| self.source_error(segment, error))?;
        let found = self.tables.get(&segment.entry).ok_or_else(|| unknown(segment));
        let found = found.map_err(|error| self.source_error(segment, error))?;
        let table = found.qualified_name();
        let reader = ChunkReader::new(self.repository.clone(), found, chunks, self.in_pieces)
            .map_err(|error| self.source_error(segment, error))?;
        let stream = try_unfold(reader, move |mut reader| {
            let table = table.clone();
            async move {
                match reader.next().await {
                    Ok(chunk) => Ok(chunk.map(|chunk| (chunk, reader))),
                    Err(error) => Err(SourceError {
                        segment,
                        table,
                        again: again(&error),
                        message: "cannot read its rows from the backup".to_owned(),
                        source: Some(Box::new(error)),
                    }),
                }
            }
        });
        Ok(SegmentRows::text(stream.boxed()))
    }

    async fn statistics(&self, wave: StatisticsWave) -> StatisticsStream {
        match &self.statistics {
            Some(statistics) => statistics.stream(wave),
            None => futures::stream::empty().boxed(),
        }
    }

    fn server_version(&self) -> ServerVersion {
        let statistics = self.statistics.as_ref();
        statistics.map_or(ServerVersion::NEWEST_TESTED, |statistics| statistics.server_version())
    }
}

/// The backup's tables by the entries of a TOC that was rendered from its catalog.
pub(crate) fn tables_by_entry(
    manifest: &Manifest,
    entry_of: impl Fn(&TableEntry) -> Option<u32>,
) -> HashMap<u32, TableEntry> {
    manifest.tables.iter().filter_map(|table| Some((entry_of(table)?, table.clone()))).collect()
}
