//! Where rows and fields begin in the bytes of a COPY.

use std::ops::Range;

use dbhaul_rows::{CopyFormat, FIELD_DELIMITER, NULL_FIELD, ROW_TERMINATOR};
use memchr::memchr;

use crate::ColumnsError;

/// Signature, flags and length of the header extension of binary COPY.
pub(crate) const HEADER: [u8; 19] = *b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// The count of fields that ends binary COPY.
pub(crate) const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Where a field lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    /// -1 for NULL.
    length: i32,
}

impl Span {
    pub(crate) const NULL: Span = Span { start: 0, length: -1 };

    /// All of a value that lies alone.
    pub(crate) fn of(value: Option<&[u8]>) -> Self {
        let length = value.map_or(Some(-1), |value| i32::try_from(value.len()).ok());
        Span { start: 0, length: length.unwrap_or(-1) }
    }

    pub(crate) fn new(range: &Range<usize>) -> Option<Self> {
        let length = i32::try_from(range.len()).ok()?;
        Some(Span { start: u32::try_from(range.start).ok()?, length })
    }
}

/// The fields of one column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    step: usize,
}

impl<'a> Cells<'a> {
    /// Of the spans, every `step`th from the first on.
    pub(crate) fn new(bytes: &'a [u8], spans: &'a [Span], step: usize) -> Self {
        Cells { bytes, spans, step }
    }

    /// The values, `None` for NULL.
    pub(crate) fn iter(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        self.spans.iter().step_by(self.step).map(move |span| {
            let length = usize::try_from(span.length).ok()?;
            let start = span.start as usize;
            self.bytes.get(start..start + length)
        })
    }
}

/// Finds rows and fields in a growing buffer.
#[derive(Debug)]
pub(crate) struct Framer {
    format: CopyFormat,
    columns: usize,
    /// Fields of the whole rows that were found, row by row.
    pub(crate) spans: Vec<Span>,
    /// Where the whole rows end.
    pub(crate) end: usize,
    /// How far the row behind them was searched for its end.
    searched: usize,
    /// Whole rows ever found.
    rows: u64,
    has_header: bool,
    /// Whether the trailer has come.
    is_over: bool,
}

impl Framer {
    pub(crate) fn new(format: CopyFormat, columns: usize) -> Self {
        Framer {
            format,
            columns,
            spans: Vec::new(),
            end: 0,
            searched: 0,
            rows: 0,
            has_header: false,
            is_over: false,
        }
    }

    /// Rows found and not yet taken.
    pub(crate) fn pending_rows(&self) -> usize {
        self.spans.len() / self.columns
    }

    /// Rows ever found.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether nothing can come any more: binary COPY says itself that it is complete, text cannot.
    pub(crate) fn is_complete(&self, buffer: &[u8]) -> bool {
        let is_text = self.format == CopyFormat::Text;
        self.end == buffer.len() && (is_text || self.is_over)
    }

    /// Forgets the rows found; the buffer begins behind them now.
    pub(crate) fn take(&mut self) {
        self.spans.clear();
        self.searched = self.searched.saturating_sub(self.end);
        self.end = 0;
    }

    /// Goes on to the end of one more row; false if it has not come yet.
    pub(crate) fn next_row(&mut self, buffer: &[u8]) -> Result<bool, ColumnsError> {
        let found = match self.format {
            CopyFormat::Text => self.text_row(buffer),
            CopyFormat::Binary => self.binary_row(buffer),
        }?;
        self.rows += u64::from(found);
        Ok(found)
    }

    fn text_row(&mut self, buffer: &[u8]) -> Result<bool, ColumnsError> {
        let from = self.searched.max(self.end);
        let Some(length) = memchr(ROW_TERMINATOR, &buffer[from..]) else {
            self.searched = buffer.len();
            return Ok(false);
        };
        let row_end = from + length;
        let mut start = self.end;
        for column in 0..self.columns {
            let is_last = column + 1 == self.columns;
            let found = memchr(FIELD_DELIMITER, &buffer[start..row_end]);
            let end = match (found, is_last) {
                (Some(length), false) => start + length,
                (None, true) => row_end,
                _ => return Err(self.bad("the row has not as many fields as there are columns")),
            };
            let span = match &buffer[start..end] == NULL_FIELD {
                true => Span::NULL,
                false => Span::new(&(start..end)).ok_or_else(|| self.bad("a field of more than 2 GiB"))?,
            };
            self.spans.push(span);
            start = end + 1;
        }
        self.end = row_end + 1;
        self.searched = self.end;
        Ok(true)
    }

    fn binary_row(&mut self, buffer: &[u8]) -> Result<bool, ColumnsError> {
        if !self.has_header && !self.header(buffer)? {
            return Ok(false);
        }
        let mut at = self.end;
        let Some(count) = take(buffer, &mut at).map(i16::from_be_bytes) else { return Ok(false) };
        if self.is_over {
            return Err(self.bad("bytes behind the trailer"));
        }
        if count == -1 {
            self.is_over = true;
            self.end = at;
            return Ok(false);
        }
        if usize::try_from(count).ok() != Some(self.columns) {
            return Err(self.bad("the row has not as many fields as there are columns"));
        }
        let first = self.spans.len();
        for _ in 0..self.columns {
            match self.binary_field(buffer, &mut at)? {
                Some(span) => self.spans.push(span),
                None => {
                    self.spans.truncate(first);
                    return Ok(false);
                }
            }
        }
        self.end = at;
        Ok(true)
    }

    fn binary_field(&self, buffer: &[u8], at: &mut usize) -> Result<Option<Span>, ColumnsError> {
        let Some(length) = take(buffer, at).map(i32::from_be_bytes) else { return Ok(None) };
        let length = match length {
            -1 => return Ok(Some(Span::NULL)),
            length => usize::try_from(length).map_err(|_| self.bad("a field of a negative length"))?,
        };
        let field = *at..*at + length;
        if field.end > buffer.len() {
            return Ok(None);
        }
        *at = field.end;
        Span::new(&field).map(Some).ok_or_else(|| self.bad("a row of more than 4 GiB"))
    }

    fn header(&mut self, buffer: &[u8]) -> Result<bool, ColumnsError> {
        let Some(header) = buffer.get(..HEADER.len()) else { return Ok(false) };
        // no server writes flags or an extension, and what they would mean is not known
        if header != HEADER {
            return Err(self.bad("the bytes do not begin as binary COPY does"));
        }
        self.has_header = true;
        self.end = HEADER.len();
        Ok(true)
    }

    fn bad(&self, problem: &str) -> ColumnsError {
        ColumnsError::BadCopy { row: self.rows + 1, problem: problem.to_owned() }
    }
}

fn take<const N: usize>(buffer: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let bytes = buffer.get(*at..)?.first_chunk::<N>()?;
    *at += N;
    Some(*bytes)
}
