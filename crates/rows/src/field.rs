//! Fields of COPY text: escaping, unescaping and splitting.
//!
//! Source: PostgreSQL documentation of COPY, "Text Format", and `src/backend/commands/copyto.c`
//! (`CopyAttributeOutText`) and `copyfromparse.c` (`CopyReadAttributesText`).

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memmem};
use serde::Serialize;

use crate::RowsError;

/// The form in which rows travel between servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CopyFormat {
    /// COPY text: what backups hold.
    #[default]
    Text,
    /// Binary COPY: cheaper to read in, and the only form for values whose text would exceed 1 GiB.
    Binary,
}

impl CopyFormat {
    /// Option list of `COPY ... TO STDOUT`.
    #[must_use]
    pub fn copy_out_options(self) -> &'static str {
        match self {
            Self::Text => COPY_OUT_OPTIONS,
            Self::Binary => "(FORMAT binary)",
        }
    }

    /// Option list of `COPY ... FROM STDIN`, frozen for a table created or truncated in the same transaction.
    #[must_use]
    pub fn copy_in_options(self, is_frozen: bool) -> &'static str {
        match (self, is_frozen) {
            (Self::Text, false) => COPY_IN_OPTIONS,
            (Self::Text, true) => COPY_IN_FREEZE_OPTIONS,
            (Self::Binary, false) => "(FORMAT binary)",
            (Self::Binary, true) => "(FORMAT binary, FREEZE true)",
        }
    }
}

/// Option list of `COPY ... TO STDOUT` for the text rows of this crate: tab between fields, `\N` for NULL.
pub const COPY_OUT_OPTIONS: &str = "(FORMAT text)";
/// Option list of `COPY ... FROM STDIN` for the text rows of this crate.
pub const COPY_IN_OPTIONS: &str = "(FORMAT text)";
/// As [`COPY_IN_OPTIONS`], into a table created or truncated in the same transaction.
pub const COPY_IN_FREEZE_OPTIONS: &str = "(FORMAT text, FREEZE true)";
/// The byte between two fields.
pub const FIELD_DELIMITER: u8 = b'\t';
/// The byte after each row. It never occurs inside a row, where a line feed is written `\n`.
pub const ROW_TERMINATOR: u8 = b'\n';
/// The raw field that stands for NULL.
pub const NULL_FIELD: &[u8] = b"\\N";

/// What is unescaped of a long value at a time.
pub(crate) const PIECE_BYTES: usize = 64 << 10;

/// Appends a value, escaped as the server does it, to a row under construction; `None` is NULL.
pub fn escape_field(value: Option<&[u8]>, row: &mut Vec<u8>) {
    let Some(value) = value else {
        row.extend_from_slice(NULL_FIELD);
        return;
    };
    let mut copied = 0;
    for (index, byte) in value.iter().enumerate() {
        let letter = match byte {
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            b'\\' => b'\\',
            _ => continue,
        };
        row.extend_from_slice(&value[copied..index]);
        row.extend_from_slice(&[b'\\', letter]);
        copied = index + 1;
    }
    row.extend_from_slice(&value[copied..]);
}

/// The value of a raw field; `None` is NULL. Borrows when nothing is escaped.
///
/// Accepts all that COPY FROM accepts: the letters `b f n r t v`, one to three octal digits, `x` with
/// one or two hex digits, and any other byte for itself.
///
/// # Errors
/// [`RowsError::BadEscape`] (row and column 0) on a bare backslash at the end.
pub fn unescape_field(raw: &[u8]) -> Result<Option<Cow<'_, [u8]>>, RowsError> {
    if raw == NULL_FIELD {
        return Ok(None);
    }
    if memchr(b'\\', raw).is_none() {
        return Ok(Some(Cow::Borrowed(raw)));
    }
    let mut value = Vec::with_capacity(raw.len());
    unescape_into(raw, &mut value)?;
    Ok(Some(Cow::Owned(value)))
}

/// Appends the value of a raw field that is not NULL to `value`.
pub(crate) fn unescape_into(raw: &[u8], value: &mut Vec<u8>) -> Result<(), RowsError> {
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest) {
        value.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let used_bytes = unescape_one(rest, value)?;
        rest = &rest[used_bytes..];
    }
    value.extend_from_slice(rest);
    Ok(())
}

/// Hands the value of a raw field that is not NULL to `take` in pieces, so that a long one is not there
/// twice. `scratch` holds what is unescaped, up to a piece.
pub(crate) fn unescape_pieces(
    raw: &[u8],
    scratch: &mut Vec<u8>,
    mut take: impl FnMut(&[u8]),
) -> Result<(), RowsError> {
    scratch.clear();
    let mut rest = raw;
    while let Some(at) = memchr(b'\\', rest) {
        hand_over(&rest[..at], scratch, &mut take);
        rest = &rest[at + 1..];
        let used_bytes = unescape_one(rest, scratch)?;
        rest = &rest[used_bytes..];
    }
    hand_over(rest, scratch, &mut take);
    take(scratch);
    scratch.clear();
    Ok(())
}

/// Adds bytes to the piece in `scratch`; long ones go as they are, behind what was gathered.
fn hand_over(bytes: &[u8], scratch: &mut Vec<u8>, take: &mut impl FnMut(&[u8])) {
    if scratch.len() + bytes.len() < PIECE_BYTES {
        scratch.extend_from_slice(bytes);
        return;
    }
    take(scratch);
    scratch.clear();
    take(bytes);
}

/// Decodes what follows one backslash; returns how many bytes it took.
fn unescape_one(rest: &[u8], value: &mut Vec<u8>) -> Result<usize, RowsError> {
    let first = *rest.first().ok_or(RowsError::BadEscape { row: 0, column: 0 })?;
    let (byte, used_bytes) = match first {
        b'b' => (0x08, 1),
        b'f' => (0x0c, 1),
        b'n' => (b'\n', 1),
        b'r' => (b'\r', 1),
        b't' => (b'\t', 1),
        b'v' => (0x0b, 1),
        b'0'..=b'7' => number(rest, 8, 3),
        b'x' => match number(&rest[1..], 16, 2) {
            (_, 0) => (b'x', 1),
            (byte, digits) => (byte, digits + 1),
        },
        other => (other, 1),
    };
    value.push(byte);
    Ok(used_bytes)
}

/// The number in up to `max_digits` leading digits, modulo 256, and how many digits there were.
fn number(text: &[u8], radix: u32, max_digits: usize) -> (u8, usize) {
    let digits = text.iter().take(max_digits).map_while(|byte| char::from(*byte).to_digit(radix));
    let (value, count) = digits.fold((0, 0), |(value, count), digit| (value * radix + digit, count + 1));
    ((value & 0xff) as u8, count)
}

/// The raw (still escaped) fields of one row, given without its line feed.
///
/// A row always has at least one field here; the row of a table without columns is empty and has to
/// be told apart by the caller.
#[derive(Debug, Clone)]
pub struct FieldIter<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> FieldIter<'a> {
    /// Splits a row. A trailing line feed is dropped.
    #[must_use]
    pub fn new(row: &'a [u8]) -> Self {
        Self { rest: Some(row.strip_suffix(&[ROW_TERMINATOR]).unwrap_or(row)) }
    }
}

impl<'a> Iterator for FieldIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (field, rest) = match memchr(FIELD_DELIMITER, rest) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        self.rest = rest;
        Some(field)
    }
}

/// Looks in rows of COPY text, which may begin and end within a row, for a bare carriage return. A server writes `\r` for it, and takes
/// a bare one for the end of a row (`CopyReadLineText` in PostgreSQL's copyfromparse.c), so that what it stores
/// would be other rows than those that were counted and hashed here.
///
/// # Errors
/// [`RowsError::NotCopyText`].
pub fn check_returns(rows: &[u8]) -> Result<(), RowsError> {
    match memchr(b'\r', rows) {
        Some(_) => Err(RowsError::NotCopyText { found: "a bare carriage return" }),
        None => Ok(()),
    }
}

/// Looks in whole rows of COPY text for what a server never writes there and does not read as it stands: a bare
/// carriage return, see [`check_returns`], and a row that begins with `\.`, the end of the data, behind which `psql`
/// would take what follows for commands.
///
/// # Errors
/// [`RowsError::NotCopyText`].
pub fn check_copy_text(rows: &[u8]) -> Result<(), RowsError> {
    check_returns(rows)?;
    if rows.starts_with(b"\\.") || memmem::find(rows, b"\n\\.").is_some() {
        return Err(RowsError::NotCopyText { found: "an end mark" });
    }
    Ok(())
}

/// The rows of a chunk, each without its line feed; bytes after the last line feed are not a row and are left out.
pub fn split_rows(chunk: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(ROW_TERMINATOR, chunk).map(move |end| {
        let row = &chunk[start..end];
        start = end + 1;
        row
    })
}
