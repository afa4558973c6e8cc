//! Hashing of the rows that pass through.

use crate::field::{PIECE_BYTES, unescape_into, unescape_pieces};
use crate::hash::{StreamingHash, hash_front};
use crate::spec::shorten_lsn;
use crate::{DigestKind, DigestSpec, NULL_FIELD, NULL_MARK, RowsError, TextForm, hash_bytes_extended};

/// Hashes the fields of one row after the other.
#[derive(Debug)]
pub(crate) struct RowHasher {
    kinds: Box<[DigestKind]>,
    text_form: TextForm,
    /// Rows ended so far.
    rows: u64,
    /// Fields of the current row seen so far.
    fields: usize,
    hash: u64,
    /// Whether the current field holds a backslash.
    escaped: bool,
    scratch: Vec<u8>,
}

impl RowHasher {
    pub(crate) fn new(spec: &DigestSpec) -> Self {
        Self {
            kinds: spec.columns.iter().map(|column| column.kind).collect(),
            text_form: spec.text_form,
            rows: 0,
            fields: 0,
            hash: 0,
            escaped: false,
            scratch: Vec::new(),
        }
    }

    /// Number of the row that is being read, from 1.
    pub(crate) fn row(&self) -> u64 {
        self.rows + 1
    }

    /// Chains the columns of the next row from this seed.
    pub(crate) fn start_from(&mut self, seed: u64) {
        self.hash = seed;
    }

    /// Notes a backslash in the current field.
    #[inline]
    pub(crate) fn mark_escaped(&mut self) {
        self.escaped = true;
    }

    /// Takes the current field, raw: the first `count` of the bytes.
    #[inline]
    pub(crate) fn field(&mut self, bytes: &[u8], count: usize) -> Result<(), RowsError> {
        // Fields beyond the last column are counted, for the error at the end of the row.
        let kind = self.kinds.get(self.fields).copied().unwrap_or(DigestKind::Cast);
        self.fields += 1;
        let is_as_it_is = !matches!(kind, DigestKind::Char | DigestKind::Lsn);
        let plain = !self.escaped && self.text_form == TextForm::Raw && is_as_it_is;
        self.hash = match plain {
            true => hash_front(bytes, count, self.hash),
            false => self.hash_special(&bytes[..count], kind)?,
        };
        self.escaped = false;
        Ok(())
    }

    /// Takes the last field of the row, the first `count` of the bytes; returns the row's hash.
    #[inline]
    pub(crate) fn end_row(&mut self, bytes: &[u8], count: usize) -> Result<u64, RowsError> {
        let without_columns = self.kinds.is_empty() && self.fields == 0 && count == 0;
        if !without_columns {
            self.field(bytes, count)?;
        }
        if self.fields != self.kinds.len() {
            let found = self.fields;
            return Err(RowsError::ColumnCount { row: self.row(), expected: self.kinds.len(), found });
        }
        self.rows += 1;
        self.fields = 0;
        Ok(std::mem::take(&mut self.hash))
    }

    /// The hash of a field that is escaped, or not hashed by its plain bytes.
    #[cold]
    fn hash_special(&mut self, raw: &[u8], kind: DigestKind) -> Result<u64, RowsError> {
        if raw == NULL_FIELD {
            return Ok(hash_bytes_extended(NULL_MARK.as_bytes(), self.hash));
        }
        if raw.len() > PIECE_BYTES && !matches!(kind, DigestKind::Char | DigestKind::Lsn) {
            return self.hash_long(raw);
        }
        self.scratch.clear();
        unescape_into(raw, &mut self.scratch).map_err(|_| self.bad_escape())?;
        if kind == DigestKind::Lsn {
            shorten_lsn(&mut self.scratch);
        }
        match (self.text_form, kind) {
            (TextForm::Utf8Hex, _) => self.scratch = lower_hex(&self.scratch),
            (TextForm::Raw, DigestKind::Char) => print_high_char_as_octal(&mut self.scratch),
            (TextForm::Raw, _) => {}
        }
        Ok(hash_bytes_extended(&self.scratch, self.hash))
    }

    /// The hash of a field that is too long to be there a second time. It begins with the length, which
    /// is found by going over the field once more.
    fn hash_long(&mut self, raw: &[u8]) -> Result<u64, RowsError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut value_bytes = 0;
        unescape_pieces(raw, &mut scratch, |piece| value_bytes += piece.len())
            .map_err(|_| self.bad_escape())?;
        let mut hash;
        let unescaped = match self.text_form {
            TextForm::Raw => {
                hash = StreamingHash::new(value_bytes, self.hash);
                unescape_pieces(raw, &mut scratch, |piece| hash.update(piece))
            }
            TextForm::Utf8Hex => {
                hash = StreamingHash::new(2 * value_bytes, self.hash);
                unescape_pieces(raw, &mut scratch, |piece| {
                    piece.chunks(PIECE_BYTES).for_each(|part| hash.update(&lower_hex(part)));
                })
            }
        };
        self.scratch = scratch;
        unescaped.map_err(|_| self.bad_escape())?;
        Ok(hash.finish())
    }

    fn bad_escape(&self) -> RowsError {
        RowsError::BadEscape { row: self.row(), column: self.fields }
    }
}

/// Brings the text of a `"char"` of a server before 15 into the form that 15 prints.
pub(crate) fn print_high_char_as_octal(text: &mut Vec<u8>) {
    if let [byte @ 0x80..=0xff] = text[..] {
        *text = format!("\\{byte:03o}").into_bytes();
    }
}

pub(crate) fn lower_hex(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]).collect()
}
