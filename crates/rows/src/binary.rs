//! Rows of binary COPY: framing, and the digest that the same rows have as text.
//!
//! Source: PostgreSQL documentation of COPY, "Binary Format": a signature, flags and a header
//! extension; each row as a 16-bit count of fields, each field as a 32-bit length (-1 for NULL) and
//! its bytes; at the end a count of -1.

use bytes::{Buf, Bytes, BytesMut};

use crate::binary_text::{BinaryType, LongHash};
use crate::{Chunk, NULL_MARK, RowDigest, RowsError, hash_bytes_extended};

/// Signature, flags and length of the header extension.
const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
const HEADER_BYTES: usize = 11 + 4 + 4;
/// A field longer than this is hashed as it comes in, and only text, JSON and bytea may be that long.
const WHOLE_FIELD_BYTES: usize = 1 << 20;

/// Passes the bytes of one binary COPY on in pieces, and takes the digest of the rows in them: the
/// one that [`Cutter`](crate::Cutter) takes of the same rows as COPY text.
///
/// Pieces end anywhere, even inside a row, so a value of any size passes in bounded memory; a row
/// counts in the piece that holds its end. The header is in the first piece, the trailer in the last.
#[derive(Debug)]
pub struct BinaryCutter {
    types: Box<[BinaryType]>,
    piece_bytes: usize,
    /// What has not been handed out.
    buffer: BytesMut,
    /// How much of it has been looked at.
    at: usize,
    state: State,
    rows: u64,
    hash: u64,
    scratch: Vec<u8>,
    /// Digest of the rows that end in the open piece.
    piece_digest: RowDigest,
    total: RowDigest,
    failed: Option<RowsError>,
}

#[derive(Debug)]
enum State {
    Header,
    Extension { left_bytes: usize },
    RowStart,
    FieldStart { column: usize },
    Field { column: usize, field_bytes: usize },
    LongField { column: usize, left_bytes: usize, hash: LongHash },
    End,
}

impl BinaryCutter {
    /// A cutter for one COPY of columns of these types; pieces have about `piece_bytes`.
    #[must_use]
    pub fn new(types: &[BinaryType], piece_bytes: usize) -> Self {
        Self {
            types: types.into(),
            piece_bytes: piece_bytes.max(1),
            buffer: BytesMut::new(),
            at: 0,
            state: State::Header,
            rows: 0,
            hash: 0,
            scratch: Vec::new(),
            piece_digest: RowDigest::default(),
            total: RowDigest::default(),
            failed: None,
        }
    }

    /// Takes the next bytes of the COPY, which may end anywhere, and appends the pieces they complete.
    ///
    /// # Errors
    /// [`RowsError::ColumnCount`], [`RowsError::BadBinary`]; every later call fails the same.
    pub fn push(&mut self, bytes: &[u8], pieces: &mut Vec<Chunk>) -> Result<(), RowsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.buffer.extend_from_slice(bytes);
        let outcome = self.scan();
        if let Err(error) = outcome {
            self.failed = Some(error.clone());
            return Err(error);
        }
        if self.at >= self.piece_bytes {
            pieces.extend(self.take_piece());
        }
        Ok(())
    }

    /// Ends the COPY; returns the last piece.
    ///
    /// # Errors
    /// [`RowsError::UnterminatedRow`] if the trailer has not come, or the error of an earlier push.
    pub fn finish(mut self) -> Result<Option<Chunk>, RowsError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if !matches!(self.state, State::End) {
            return Err(RowsError::UnterminatedRow { row: self.rows + 1, pending_bytes: self.buffer.len() });
        }
        Ok(self.take_piece())
    }

    /// Digest of all rows that have been completed.
    #[must_use]
    pub fn digest(&self) -> RowDigest {
        self.total
    }

    fn take_piece(&mut self) -> Option<Chunk> {
        if self.at == 0 {
            return None;
        }
        let data: Bytes = self.buffer.split_to(std::mem::take(&mut self.at)).freeze();
        let digest = std::mem::take(&mut self.piece_digest);
        Some(Chunk { data, row_count: digest.row_count, digest })
    }

    /// Goes on as far as the buffer reaches.
    fn scan(&mut self) -> Result<(), RowsError> {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[self.at..];
        let mut outcome = Ok(true);
        while let Ok(true) = outcome {
            outcome = self.step(&mut rest);
        }
        self.at = buffer.len() - rest.len();
        self.buffer = buffer;
        outcome.map(drop)
    }

    /// One step of the grammar; false if it needs more bytes than there are.
    fn step(&mut self, rest: &mut &[u8]) -> Result<bool, RowsError> {
        match &mut self.state {
            State::Header => return self.header(rest),
            State::Extension { left_bytes } => {
                let skipped = (*left_bytes).min(rest.len());
                rest.advance(skipped);
                *left_bytes -= skipped;
                if *left_bytes > 0 {
                    return Ok(false);
                }
                self.state = State::RowStart;
            }
            State::RowStart => return self.row_start(rest),
            State::FieldStart { column } => {
                let column = *column;
                return self.field_start(rest, column);
            }
            State::Field { column, field_bytes } => {
                let (column, field_bytes) = (*column, *field_bytes);
                let Some((field, more)) = rest.split_at_checked(field_bytes) else { return Ok(false) };
                *rest = more;
                self.whole_field(column, field)?;
                self.end_field(column);
            }
            State::LongField { column, left_bytes, hash } => {
                let (field, more) = rest.split_at((*left_bytes).min(rest.len()));
                *rest = more;
                *left_bytes -= field.len();
                self.types[*column].hash_more(field, hash);
                if *left_bytes > 0 {
                    return Ok(false);
                }
                let column = *column;
                self.hash = hash.finish();
                self.end_field(column);
            }
            State::End if rest.is_empty() => return Ok(false),
            State::End => return Err(self.bad("bytes follow the end")),
        }
        Ok(true)
    }

    fn header(&mut self, rest: &mut &[u8]) -> Result<bool, RowsError> {
        let Some((header, more)) = rest.split_at_checked(HEADER_BYTES) else { return Ok(false) };
        *rest = more;
        let (signature, mut numbers) = header.split_at(SIGNATURE.len());
        let (flags, left_bytes) = (numbers.get_u32(), numbers.get_u32());
        if signature != SIGNATURE || flags != 0 {
            return Err(self.bad("it does not start as a binary COPY starts"));
        }
        self.state = State::Extension { left_bytes: left_bytes as usize };
        Ok(true)
    }

    fn row_start(&mut self, rest: &mut &[u8]) -> Result<bool, RowsError> {
        let Some((mut count, more)) = rest.split_at_checked(2) else { return Ok(false) };
        *rest = more;
        let count = count.get_i16();
        if count == -1 {
            self.state = State::End;
        } else if usize::try_from(count) != Ok(self.types.len()) {
            let (expected, found) = (self.types.len(), usize::try_from(count).unwrap_or_default());
            return Err(RowsError::ColumnCount { row: self.rows + 1, expected, found });
        } else if count == 0 {
            self.end_row();
        } else {
            self.state = State::FieldStart { column: 0 };
        }
        Ok(true)
    }

    fn field_start(&mut self, rest: &mut &[u8], column: usize) -> Result<bool, RowsError> {
        let Some((mut length, more)) = rest.split_at_checked(4) else { return Ok(false) };
        *rest = more;
        match usize::try_from(length.get_i32()) {
            Err(_) => {
                self.hash = hash_bytes_extended(NULL_MARK.as_bytes(), self.hash);
                self.end_field(column);
            }
            Ok(field_bytes) if field_bytes <= WHOLE_FIELD_BYTES => {
                self.state = State::Field { column, field_bytes };
            }
            Ok(left_bytes) => {
                let hash = self.types[column].hash_long(left_bytes, self.hash);
                let hash = hash.ok_or_else(|| self.bad("a value is longer than its type allows"))?;
                self.state = State::LongField { column, left_bytes, hash };
            }
        }
        Ok(true)
    }

    fn whole_field(&mut self, column: usize, field: &[u8]) -> Result<(), RowsError> {
        self.scratch.clear();
        let kind = self.types[column];
        let text = kind.text(field, &mut self.scratch).ok_or_else(|| RowsError::BadBinary {
            row: self.rows + 1,
            column: column + 1,
            problem: format!("a field of length {} is no value of {kind:?}", field.len()),
        })?;
        self.hash = hash_bytes_extended(text, self.hash);
        Ok(())
    }

    fn end_field(&mut self, column: usize) {
        if column + 1 == self.types.len() {
            self.end_row();
        } else {
            self.state = State::FieldStart { column: column + 1 };
        }
    }

    fn end_row(&mut self) {
        let hash = std::mem::take(&mut self.hash);
        self.rows += 1;
        self.piece_digest.add_row(hash);
        self.total.add_row(hash);
        self.state = State::RowStart;
    }

    fn bad(&self, problem: &str) -> RowsError {
        RowsError::BadBinary { row: self.rows + 1, column: 0, problem: problem.to_owned() }
    }
}
