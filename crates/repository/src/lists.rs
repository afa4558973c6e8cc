//! Segment lists: where the rows of each segment of a table lie.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dbhaul_archive::{ChunkOpener, ChunkPlace, ListTotals, RowChunk, Segment, SegmentListReader, TableEntry};
use futures::stream::{BoxStream, StreamExt};
use tokio::sync::OnceCell;

use crate::chunks::{ChunkReader, RowReader};
use crate::repository::PIECES_AT_ONCE;
use crate::{Repository, RepositoryError};

/// Reads the rows of a backup by segments. Segment lists are read when their first segment is asked for. A short
/// one is kept while its table is in use; of a long one, only where each segment starts, and its piece is read
/// again for each.
#[derive(Debug)]
pub struct BackupRows {
    repository: Repository,
    /// The backup's tables by the TOC entry they fill on the target.
    tables: HashMap<u32, TableEntry>,
    lists: Mutex<Lists>,
    /// Whether rows that are longer than many chunks are handed out in pieces.
    in_pieces: bool,
}

/// Segment lists in memory: at most [`KEPT_LISTS`], the oldest goes first.
#[derive(Debug, Default)]
struct Lists {
    order: VecDeque<u32>,
    by_entry: HashMap<u32, Arc<OnceCell<KeptList>>>,
}

/// What is kept of a segment list.
#[derive(Debug)]
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

impl BackupRows {
    /// The rows of these tables, by the entries of a TOC that they fill.
    pub fn new(repository: Repository, tables: HashMap<u32, TableEntry>) -> Self {
        BackupRows { repository, tables, lists: Mutex::default(), in_pieces: false }
    }

    /// Lets long rows go in pieces that end anywhere, for a COPY that takes them so.
    pub fn in_pieces(self) -> Self {
        BackupRows { in_pieces: true, ..self }
    }

    /// The tables, by entry.
    pub fn tables(&self) -> &HashMap<u32, TableEntry> {
        &self.tables
    }

    /// A reader of the rows of one segment of an entry.
    ///
    /// # Errors
    /// If there is no such segment, or its table's list cannot be read or is damaged.
    pub async fn segment(&self, entry: u32, number: u32) -> Result<RowReader, RepositoryError> {
        let table = self.tables.get(&entry).ok_or_else(|| unknown(entry, number))?;
        if !table.parts.is_empty() {
            let part = table.parts.get(number as usize).ok_or_else(|| unknown(entry, number))?;
            return Ok(RowReader::Part(Box::new(self.repository.part_reader(table, part).await?)));
        }
        let chunks = self.chunks(table, entry, number).await?;
        let reader = ChunkReader::new(self.repository.clone(), table, chunks, self.in_pieces)?;
        Ok(RowReader::Chunks(Box::new(reader)))
    }

    async fn chunks(
        &self,
        table: &TableEntry,
        entry: u32,
        number: u32,
    ) -> Result<Vec<RowChunk>, RepositoryError> {
        let cell = self.lists.lock().unwrap_or_else(PoisonError::into_inner).cell(entry);
        let list = cell.get_or_try_init(|| keep_list(&self.repository, table)).await?;
        let place = number as usize;
        match list {
            KeptList::Whole(segments) => {
                segments.get(place).map(|found| found.chunks.clone()).ok_or_else(|| unknown(entry, number))
            }
            KeptList::Starts(starts) => {
                let start = *starts.get(place).ok_or_else(|| unknown(entry, number))?;
                read_segment(&self.repository, table, number, start).await
            }
        }
    }
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

fn unknown(entry: u32, segment: u32) -> RepositoryError {
    let reason = format!("the backup has no segment {segment} of TOC entry {entry}");
    RepositoryError::Worker { what: "reader of rows".into(), reason }
}

/// Reads and verifies a segment list, and keeps of it what there is room for.
async fn keep_list(repository: &Repository, table: &TableEntry) -> Result<KeptList, RepositoryError> {
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
) -> Result<Vec<RowChunk>, RepositoryError> {
    let mut opener = repository.codec().opener().map_err(|source| repository.error(source))?;
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
    Err(RepositoryError::Damaged { what: format!("table {}", table.qualified_name()), reason })
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
    stored: BoxStream<'a, Result<(usize, ChunkPlace, Bytes), RepositoryError>>,
    /// Those that end in the piece that was read last.
    segments: Vec<Segment>,
}

impl ListScan<'_> {
    /// The place of the next piece, and the segments that end in it.
    pub(crate) async fn next(&mut self) -> Result<Option<(PiecePlace, &mut Vec<Segment>)>, RepositoryError> {
        self.segments.clear();
        let Some((number, place, stored)) = self.stored.next().await.transpose()? else { return Ok(None) };
        let failed = |source| self.repository.error(source);
        let opener = match &mut self.opener {
            Some(opener) => opener,
            none => none.insert(self.repository.codec().opener().map_err(failed)?),
        };
        let piece = opener.open(&place, &stored).map_err(failed)?;
        self.reader.push(&piece, &mut self.segments).map_err(failed)?;
        let place = PiecePlace { number, ends_with_segment: self.reader.is_between_segments() };
        Ok(Some((place, &mut self.segments)))
    }

    /// Ends the list, behind its last piece; returns what it adds up to, which is what the manifest says.
    pub(crate) fn finish(self) -> Result<ListTotals, RepositoryError> {
        if !self.table.parts.is_empty() {
            // its rows are in parts, which the manifest itself names
            return Ok(ListTotals {
                segments: self.table.segments,
                digest: self.table.digest,
                ..ListTotals::default()
            });
        }
        let totals = self.reader.finish().map_err(|source| self.repository.error(source))?;
        if totals.digest != self.table.digest || totals.segments != self.table.segments {
            let what = format!("table {}", self.table.qualified_name());
            let reason = "its segment list does not add up to what the manifest says".to_owned();
            return Err(RepositoryError::Damaged { what, reason });
        }
        Ok(totals)
    }
}
