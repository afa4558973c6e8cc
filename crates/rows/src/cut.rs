//! From the bytes of one COPY to chunks.

use bytes::{Bytes, BytesMut};

use crate::hasher::RowHasher;
use crate::parameters::Boundary;
use crate::{CutParameters, DigestSpec, FIELD_DELIMITER, ROW_TERMINATOR, RowDigest, RowsError, SpareBuffers};

/// Least size of a buffer after the first, for tables whose rows come in one block are many. Several chunks
/// share one, so it bounds what a small chunk keeps alive; what is cut by its end is copied to the next.
const BUFFER_BYTES: usize = 512 << 10;

/// A buffer that has grown beyond this holds one long row: it grows where it is, which moves pages
/// rather than bytes, and is left to the chunk that it becomes.
const LONG_BUFFER_BYTES: usize = 8 << 20;

/// A run of whole rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// The rows in COPY text, each ending in a line feed.
    pub data: Bytes,
    /// Number of rows.
    pub row_count: u64,
    /// Digest of the rows.
    pub digest: RowDigest,
}

/// Cuts the text of one COPY into chunks, in one pass and with one copy.
///
/// Memory: the open chunk and the row being read; twice that while the buffer of short rows grows; and
/// [`SpareBuffers`].
#[derive(Debug)]
pub struct Cutter {
    boundary: Boundary,
    hasher: RowHasher,
    /// The open chunk and the row being read.
    buffer: BytesMut,
    /// Size of the buffer, with what was split off it.
    buffer_bytes: usize,
    spares: SpareBuffers,
    /// Offset up to which `buffer` has been scanned.
    scanned: usize,
    frame: Frame,
    /// Chunk ends found by the current scan.
    cuts: Vec<Cut>,
    /// Digest of all rows so far.
    total: RowDigest,
    /// The first error, which every later call repeats: nothing cut after it may be believed.
    failed: Option<RowsError>,
}

/// Offsets into the buffer, and the digest of the open chunk.
#[derive(Debug, Default)]
struct Frame {
    chunk_start: usize,
    row_start: usize,
    field_start: usize,
    digest: RowDigest,
}

#[derive(Debug)]
struct Cut {
    end: usize,
    digest: RowDigest,
}

impl Cutter {
    /// A cutter for one COPY whose columns are those of `spec`.
    ///
    /// # Errors
    /// [`RowsError::BadCutParameters`].
    pub fn new(parameters: CutParameters, spec: &DigestSpec) -> Result<Self, RowsError> {
        Ok(Self {
            boundary: parameters.boundary()?,
            hasher: RowHasher::new(spec),
            buffer: BytesMut::new(),
            buffer_bytes: 0,
            spares: SpareBuffers::default(),
            scanned: 0,
            frame: Frame::default(),
            cuts: Vec::new(),
            total: RowDigest::default(),
            failed: None,
        })
    }

    /// Takes the next bytes of the COPY, which may end anywhere, and appends the chunks they complete.
    ///
    /// # Errors
    /// [`RowsError::ColumnCount`], [`RowsError::BadEscape`]; every later call fails the same.
    pub fn push(&mut self, bytes: &[u8], chunks: &mut Vec<Chunk>) -> Result<(), RowsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.append(bytes);
        let scanned = self.scan();
        self.emit(chunks);
        scanned.inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Ends the COPY; returns the last chunk, if rows are left.
    ///
    /// # Errors
    /// [`RowsError::UnterminatedRow`] if the bytes end inside a row, or the error of an earlier push.
    pub fn finish(mut self) -> Result<Option<Chunk>, RowsError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.frame.row_start < self.buffer.len() {
            let pending_bytes = self.buffer.len() - self.frame.row_start;
            return Err(RowsError::UnterminatedRow { row: self.hasher.row(), pending_bytes });
        }
        let digest = self.frame.digest;
        let data = self.buffer.split().freeze();
        Ok((digest.row_count > 0).then_some(Chunk { data, row_count: digest.row_count, digest }))
    }

    /// Digest of all rows that have been completed.
    #[must_use]
    pub fn digest(&self) -> RowDigest {
        self.total
    }

    /// Appends to the buffer. A full buffer is left to the chunks that were split from it.
    fn append(&mut self, bytes: &[u8]) {
        let wanted_bytes = self.buffer.len() + bytes.len();
        if wanted_bytes > self.buffer.capacity() && self.buffer.len() >= LONG_BUFFER_BYTES {
            self.buffer.reserve(bytes.len().max(self.buffer.len()));
            self.buffer_bytes = self.buffer.capacity();
        } else if wanted_bytes > self.buffer.capacity() {
            let least_bytes = if self.buffer_bytes == 0 { 0 } else { BUFFER_BYTES };
            let grown_bytes = wanted_bytes.max(self.buffer.len() * 2).max(least_bytes);
            let mut fresh = self.spares.take(grown_bytes);
            fresh.extend_from_slice(&self.buffer);
            let fresh_bytes = fresh.capacity();
            let full = std::mem::replace(&mut self.buffer, fresh);
            self.spares.keep(full, std::mem::replace(&mut self.buffer_bytes, fresh_bytes));
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Goes on over the buffer, eight bytes at a time, to its end.
    fn scan(&mut self) -> Result<(), RowsError> {
        let buffer = std::mem::take(&mut self.buffer);
        let outcome = self.scan_words(&buffer);
        self.scanned = buffer.len();
        self.buffer = buffer;
        outcome
    }

    fn scan_words(&mut self, buffer: &[u8]) -> Result<(), RowsError> {
        let words = buffer[self.scanned..].chunks_exact(8);
        let mut at = self.scanned;
        for word in words {
            let word = [word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]];
            self.take_specials(buffer, at, u64::from_le_bytes(word))?;
            at += 8;
        }
        self.take_specials(buffer, at, last_word(buffer, buffer.len() - at))
    }

    #[inline(always)]
    fn take_specials(&mut self, buffer: &[u8], word_at: usize, word: u64) -> Result<(), RowsError> {
        let mut specials = specials(word);
        while specials != 0 {
            let at = word_at + (specials.trailing_zeros() / 8) as usize;
            specials &= specials - 1;
            match buffer[at] {
                FIELD_DELIMITER => {
                    let start = self.frame.field_start;
                    self.hasher.field(&buffer[start..], at - start)?;
                    self.frame.field_start = at + 1;
                }
                ROW_TERMINATOR => self.end_row(buffer, at)?,
                _ => self.hasher.mark_escaped(),
            }
        }
        Ok(())
    }

    #[inline]
    fn end_row(&mut self, buffer: &[u8], at: usize) -> Result<(), RowsError> {
        let start = self.frame.field_start;
        let hash = self.hasher.end_row(&buffer[start..], at - start)?;
        let row_start = self.frame.row_start;
        let end = at + 1;
        let row_bytes = (end - row_start) as u64;
        if self.boundary.before_row((row_start - self.frame.chunk_start) as u64, row_bytes) {
            self.cut(row_start);
        }
        self.frame.digest.add_row(hash);
        self.total.add_row(hash);
        self.frame.row_start = end;
        self.frame.field_start = end;
        if self.boundary.after_row((end - self.frame.chunk_start) as u64, row_bytes, hash) {
            self.cut(end);
        }
        Ok(())
    }

    fn cut(&mut self, end: usize) {
        self.cuts.push(Cut { end, digest: std::mem::take(&mut self.frame.digest) });
        self.frame.chunk_start = end;
    }

    /// Splits the chunks that were found off the buffer.
    fn emit(&mut self, chunks: &mut Vec<Chunk>) {
        let mut base = 0;
        let is_long = !self.cuts.is_empty() && self.buffer.capacity() > LONG_BUFFER_BYTES;
        for Cut { end, digest } in self.cuts.drain(..) {
            let data = self.buffer.split_to(end - base).freeze();
            chunks.push(Chunk { data, row_count: digest.row_count, digest });
            base = end;
        }
        if is_long {
            // what follows would keep the memory of the long row for as long as there is room behind it
            self.buffer = BytesMut::from(&self.buffer[..]);
            self.buffer_bytes = self.buffer.capacity();
        }
        self.scanned -= base;
        self.frame.chunk_start -= base;
        self.frame.row_start -= base;
        self.frame.field_start -= base;
    }
}

/// The last `count` (0 to 7) bytes, little-endian, padded with zero bytes, which are nothing special.
#[inline(always)]
pub(crate) fn last_word(buffer: &[u8], count: usize) -> u64 {
    match buffer.last_chunk::<8>() {
        // Shifted in two steps, because a shift by 64 is none.
        Some(word) => u64::from_le_bytes(*word) >> (8 * (7 - count)) >> 8,
        None => {
            buffer[buffer.len() - count..].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
        }
    }
}

/// The high bit of each byte of `word` that is a tab, a line feed or a backslash.
#[inline(always)]
pub(crate) fn specials(word: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const ONES: u64 = 0x0101_0101_0101_0101;
    // Exact for every byte: no carry passes from one byte to the next.
    let equal = |byte: u8| {
        let difference = word ^ (ONES * u64::from(byte));
        !(((difference & LOW) + LOW) | difference | LOW)
    };
    equal(FIELD_DELIMITER) | equal(ROW_TERMINATOR) | equal(b'\\')
}
