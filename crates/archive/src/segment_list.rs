//! Segment lists as lines of JSON, written and read as streams.

use std::collections::HashMap;

use bytes::Bytes;
use dbhaul_rows::RowDigest;
use serde::{Deserialize, Serialize};

use crate::{ArchiveError, ChunkId, ChunkPlace, PackId, RowChunk, Segment, SegmentRange};

/// Version of the format of lists.
const LIST_VERSION: u32 = 1;
/// A piece ends with the segment that brings it to this size: unchanged segments then form unchanged pieces.
const PIECE_BYTES: usize = 64 << 10;
/// A piece ends inside a segment, after a line, when it reaches this size.
const MAX_PIECE_BYTES: usize = 4 << 20;
/// No line is longer. The longest are segments, which name each pack they use in 67 bytes.
const MAX_LINE_BYTES: usize = 16 << 20;
/// No segment has more chunks. Writers begin another one after 4,096.
const MAX_SEGMENT_CHUNKS: u64 = 1 << 16;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    List(ListLine),
    Segment(SegmentLine),
    Chunk(ChunkLine),
    End(ListTotals),
}

#[derive(Debug, Serialize, Deserialize)]
struct ListLine {
    version: u32,
    table: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct SegmentLine {
    index: u32,
    range: SegmentRange,
    /// How many chunk lines follow.
    chunks: u64,
    /// The packs that they refer to by number.
    packs: Vec<PackId>,
    digest: RowDigest,
}

#[derive(Debug, Serialize, Deserialize)]
struct ChunkLine {
    id: ChunkId,
    /// Number of the pack in the segment's line.
    pack: usize,
    offset: u64,
    stored: u64,
    plain: u64,
    digest: RowDigest,
}

/// What a segment list adds up to; its last line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListTotals {
    /// Number of segments.
    pub segments: u64,
    /// Number of chunks.
    pub chunks: u64,
    /// Bytes of the rows.
    pub plain_bytes: u64,
    /// Bytes of the chunks in packs.
    pub stored_bytes: u64,
    /// Count and digest of the rows.
    pub digest: RowDigest,
}

impl ListTotals {
    /// Adds a segment; `None` if it is larger than can be counted.
    fn add(&mut self, segment: &Segment) -> Option<()> {
        let mut sum = *self;
        sum.segments += 1;
        for RowChunk { place, digest } in &segment.chunks {
            sum.chunks += 1;
            sum.plain_bytes = sum.plain_bytes.checked_add(place.plain_bytes)?;
            sum.stored_bytes = sum.stored_bytes.checked_add(place.stored_bytes)?;
            sum.digest = sum.digest.checked_merged(*digest)?;
        }
        *self = sum;
        Some(())
    }
}

impl std::fmt::Display for ListTotals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { segments, chunks, plain_bytes, stored_bytes, digest } = self;
        write!(
            f,
            "segments {segments}, chunks {chunks}, bytes of rows {plain_bytes} in {stored_bytes}, digest {digest}"
        )
    }
}

/// Writes the segment list of one table, segment by segment.
#[derive(Debug)]
pub struct SegmentListWriter {
    table: String,
    open: Vec<u8>,
    totals: ListTotals,
}

impl SegmentListWriter {
    /// A list for the table of this (qualified) name.
    ///
    /// # Errors
    /// [`ArchiveError::Encode`].
    pub fn new(table: &str) -> Result<Self, ArchiveError> {
        let mut writer = Self { table: table.to_owned(), open: Vec::new(), totals: ListTotals::default() };
        writer.line(&Line::List(ListLine { version: LIST_VERSION, table: table.to_owned() }))?;
        Ok(writer)
    }

    /// Writes a segment; appends the pieces it completes, to be sealed as metadata chunks.
    ///
    /// Segments come in the order of their indexes, from 0.
    ///
    /// # Errors
    /// [`ArchiveError::Encode`].
    pub fn write(&mut self, segment: &Segment, pieces: &mut Vec<Bytes>) -> Result<(), ArchiveError> {
        if u64::from(segment.index) != self.totals.segments {
            let reason = format!("segment {} where {} is due", segment.index, self.totals.segments);
            return Err(self.failed(reason));
        }
        let mut packs = Vec::new();
        let mut numbers = HashMap::new();
        for chunk in &segment.chunks {
            numbers.entry(chunk.place.pack).or_insert_with(|| {
                packs.push(chunk.place.pack);
                packs.len() - 1
            });
        }
        self.line(&Line::Segment(SegmentLine {
            index: segment.index,
            range: segment.range,
            chunks: segment.chunks.len() as u64,
            packs,
            digest: segment.digest(),
        }))?;
        for RowChunk { place, digest } in &segment.chunks {
            let pack = numbers.get(&place.pack).copied().unwrap_or_default();
            let ChunkPlace { id, offset, stored_bytes: stored, plain_bytes: plain, .. } = *place;
            self.line(&Line::Chunk(ChunkLine { id, pack, offset, stored, plain, digest: *digest }))?;
            self.end_piece(MAX_PIECE_BYTES, pieces);
        }
        self.totals.add(segment).ok_or_else(|| self.failed("it is larger than can be counted"))?;
        self.end_piece(PIECE_BYTES, pieces);
        Ok(())
    }

    /// Writes the last line and appends the last piece.
    ///
    /// # Errors
    /// [`ArchiveError::Encode`].
    pub fn finish(mut self, pieces: &mut Vec<Bytes>) -> Result<ListTotals, ArchiveError> {
        self.line(&Line::End(self.totals))?;
        self.end_piece(0, pieces);
        Ok(self.totals)
    }

    fn line(&mut self, line: &Line) -> Result<(), ArchiveError> {
        serde_json::to_writer(&mut self.open, line).map_err(|error| self.failed(error))?;
        self.open.push(b'\n');
        Ok(())
    }

    fn end_piece(&mut self, at_bytes: usize, pieces: &mut Vec<Bytes>) {
        if self.open.len() >= at_bytes {
            pieces.push(Bytes::from(std::mem::take(&mut self.open)));
        }
    }

    fn failed(&self, reason: impl std::fmt::Display) -> ArchiveError {
        ArchiveError::encode(&format!("the segment list of {}", self.table), reason)
    }
}

/// Reads a segment list, piece by piece; holds one segment at a time.
#[derive(Debug)]
pub struct SegmentListReader {
    table: String,
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
    line: u64,
    state: State,
    /// Of the segments before the next; where reading began in the middle, only their number is right.
    totals: ListTotals,
    began_in_the_middle: bool,
}

#[derive(Debug)]
enum State {
    Start,
    /// Passing over lines until those of a segment begin.
    Seeking,
    BetweenSegments,
    InSegment {
        header: SegmentLine,
        chunks: Vec<RowChunk>,
    },
    Ended,
}

impl SegmentListReader {
    /// A reader of the list of the table of this (qualified) name.
    #[must_use]
    pub fn new(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            partial: Vec::new(),
            line: 0,
            state: State::Start,
            totals: ListTotals::default(),
            began_in_the_middle: false,
        }
    }

    /// A reader that begins in the middle: what it is given first is the piece in which
    /// the lines of the segment `index` begin. Segments before that are passed over, and what
    /// the whole list adds up to is not looked at.
    #[must_use]
    pub fn from_segment(table: &str, index: u32) -> Self {
        let totals = ListTotals { segments: u64::from(index), ..ListTotals::default() };
        Self { state: State::Seeking, totals, began_in_the_middle: true, ..Self::new(table) }
    }

    /// Whether the pieces so far end with a segment, so that the next begins with the next piece.
    #[must_use]
    pub fn is_between_segments(&self) -> bool {
        self.partial.is_empty() && matches!(self.state, State::BetweenSegments)
    }

    /// Takes the plain bytes of the next piece; appends the segments that it completes.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedSegmentList`], [`ArchiveError::UnsupportedVersion`].
    pub fn push(&mut self, piece: &[u8], segments: &mut Vec<Segment>) -> Result<(), ArchiveError> {
        let mut rest = piece;
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, tail) = (&rest[..at], &rest[at + 1..]);
            rest = tail;
            self.line += 1;
            if self.partial.is_empty() {
                self.take_line(line, segments)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.take_line(&whole, segments)?;
            }
        }
        if self.partial.len() + rest.len() > MAX_LINE_BYTES {
            return Err(self.damaged("a line does not end"));
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the list; returns its totals, which agree with the segments that were returned.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedSegmentList`] if its end has not come.
    pub fn finish(self) -> Result<ListTotals, ArchiveError> {
        match self.state {
            State::Ended if self.partial.is_empty() => Ok(self.totals),
            _ => Err(self.damaged("it is cut off")),
        }
    }

    fn take_line(&mut self, text: &[u8], segments: &mut Vec<Segment>) -> Result<(), ArchiveError> {
        let line: Line = serde_json::from_slice(text).map_err(|error| self.damaged(error))?;
        match (std::mem::replace(&mut self.state, State::BetweenSegments), line) {
            (State::Start, Line::List(header)) => self.check_header(&header)?,
            (State::Seeking, Line::Segment(header)) if u64::from(header.index) == self.totals.segments => {
                self.start_segment(header)?;
            }
            (State::Seeking, Line::List(_) | Line::Segment(_) | Line::Chunk(_)) => {
                self.state = State::Seeking
            }
            (State::BetweenSegments, Line::End(_)) if self.began_in_the_middle => self.state = State::Ended,
            (State::BetweenSegments, Line::Segment(header)) => self.start_segment(header)?,
            (State::InSegment { header, mut chunks }, Line::Chunk(line)) => {
                chunks.push(self.row_chunk(&header, &line)?);
                self.state = State::InSegment { header, chunks };
            }
            (State::BetweenSegments, Line::End(totals)) if totals == self.totals => self.state = State::Ended,
            (State::BetweenSegments, Line::End(totals)) => {
                let reason = format!("its end says {totals:?} where {:?} was read", self.totals);
                return Err(self.damaged(reason));
            }
            _ => return Err(self.damaged("this line does not belong here")),
        }
        self.end_segment(segments)
    }

    fn check_header(&self, header: &ListLine) -> Result<(), ArchiveError> {
        crate::repo::check_version(
            &format!("the segment list of {}", self.table),
            header.version,
            LIST_VERSION,
        )?;
        if header.table != self.table {
            return Err(self.damaged(format!("it is the list of {}", header.table)));
        }
        Ok(())
    }

    fn start_segment(&mut self, header: SegmentLine) -> Result<(), ArchiveError> {
        if u64::from(header.index) != self.totals.segments {
            return Err(self.damaged(format!("segment {} is missing", self.totals.segments)));
        }
        if header.chunks > MAX_SEGMENT_CHUNKS {
            let reason =
                format!("a segment of {} chunks, where {MAX_SEGMENT_CHUNKS} is the most", header.chunks);
            return Err(self.damaged(reason));
        }
        self.state = State::InSegment { header, chunks: Vec::new() };
        Ok(())
    }

    fn row_chunk(&self, header: &SegmentLine, line: &ChunkLine) -> Result<RowChunk, ArchiveError> {
        let pack = *header.packs.get(line.pack).ok_or_else(|| self.damaged("a chunk in no pack"))?;
        let ChunkLine { id, offset, stored: stored_bytes, plain: plain_bytes, digest, .. } = *line;
        Ok(RowChunk { place: ChunkPlace { id, pack, offset, stored_bytes, plain_bytes }, digest })
    }

    /// Returns the open segment if it is complete.
    fn end_segment(&mut self, segments: &mut Vec<Segment>) -> Result<(), ArchiveError> {
        let State::InSegment { header, chunks } = &mut self.state else { return Ok(()) };
        if (chunks.len() as u64) < header.chunks {
            return Ok(());
        }
        let segment = Segment { index: header.index, range: header.range, chunks: std::mem::take(chunks) };
        let digest = segment.checked_digest();
        if digest != Some(header.digest) {
            let reason = format!("segment {} does not add up to its digest", segment.index);
            return Err(self.damaged(reason));
        }
        self.totals.add(&segment).ok_or_else(|| self.damaged("it is larger than can be counted"))?;
        segments.push(segment);
        self.state = State::BetweenSegments;
        Ok(())
    }

    fn damaged(&self, reason: impl std::fmt::Display) -> ArchiveError {
        ArchiveError::DamagedSegmentList {
            table: self.table.clone(),
            line: self.line,
            reason: reason.to_string(),
        }
    }
}
