//! Rows one by one: the hash of their key beside that of the row, and single values of theirs.

use std::ops::Range;

use memchr::memchr;

use crate::field::unescape_field;
use crate::hasher::{RowHasher, lower_hex, print_high_char_as_octal};
use crate::spec::shorten_lsn;
use crate::{DigestKind, DigestSpec, FIELD_DELIMITER, RowsError, TextForm, hash_bytes_extended};

/// The seed from which the columns of a key are chained: with it a key of all columns is not hashed as the row.
pub const KEY_SEED: i64 = 1;

/// The hashes of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowHashes {
    /// Of its key: what [`DigestSpec::sql_key_hash`] computes.
    pub key: u64,
    /// Of all of it: what [`DigestSpec::sql_row_hash`] computes.
    pub row: u64,
}

/// Hashes rows of COPY text one by one, and their keys.
#[derive(Debug)]
pub struct KeyedRows {
    row: RowHasher,
    key: RowHasher,
    key_columns: Vec<usize>,
    fields: Vec<Range<usize>>,
}

impl KeyedRows {
    /// For rows of `spec` and the columns of the key, by their indexes there, in the order of the key. If there are
    /// none, the hash of the row is also that of its key.
    #[must_use]
    pub fn new(spec: &DigestSpec, key: &[usize]) -> Self {
        let columns = key.iter().filter_map(|index| spec.columns.get(*index)).cloned().collect();
        let key_spec = DigestSpec::new(columns, spec.text_form);
        Self {
            row: RowHasher::new(spec),
            key: RowHasher::new(&key_spec),
            key_columns: key.iter().copied().filter(|index| *index < spec.columns.len()).collect(),
            fields: Vec::with_capacity(spec.columns.len()),
        }
    }

    /// The hashes of the next row, given without its line feed.
    ///
    /// # Errors
    /// [`RowsError::ColumnCount`] and [`RowsError::BadEscape`].
    pub fn hash(&mut self, row: &[u8]) -> Result<RowHashes, RowsError> {
        self.split(row);
        let row_hash = hash_fields(&mut self.row, row, self.fields.iter())?;
        if self.key_columns.is_empty() {
            return Ok(RowHashes { key: row_hash, row: row_hash });
        }
        self.key.start_from(KEY_SEED as u64);
        let key = hash_fields(&mut self.key, row, self.key_columns.iter().map(|at| &self.fields[*at]))?;
        Ok(RowHashes { key, row: row_hash })
    }

    fn split(&mut self, row: &[u8]) {
        self.fields.clear();
        let mut start = 0;
        while let Some(length) = memchr(FIELD_DELIMITER, &row[start..]) {
            self.fields.push(start..start + length);
            start += length + 1;
        }
        self.fields.push(start..row.len());
    }
}

/// Hashes some fields of a row, one after the other.
fn hash_fields<'a>(
    hasher: &mut RowHasher,
    row: &[u8],
    mut fields: impl ExactSizeIterator<Item = &'a Range<usize>>,
) -> Result<u64, RowsError> {
    while let Some(field) = fields.next() {
        let bytes = &row[field.start..];
        if memchr(b'\\', &row[field.clone()]).is_some() {
            hasher.mark_escaped();
        }
        if fields.len() == 0 {
            return hasher.end_row(bytes, field.len());
        }
        hasher.field(bytes, field.len())?;
    }
    Ok(0)
}

/// A value that is not NULL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnValue {
    /// What [`DigestSpec::sql_value_hash`] computes.
    pub hash: u64,
    /// What [`DigestSpec::sql_value_bytes`] computes.
    pub bytes: u64,
    /// Its text, in UTF-8 where the encoding is known.
    pub text: Vec<u8>,
}

impl DigestSpec {
    /// The SQL expression (bigint) of the hash of a key: of some columns, by their indexes, or of the row if there
    /// are none.
    #[must_use]
    pub fn sql_key_hash(&self, key: &[usize]) -> String {
        if key.is_empty() { self.sql_row_hash() } else { self.sql_hash_of(key, KEY_SEED) }
    }

    /// A value by the raw field that a `COPY` has of it; `None` is NULL.
    ///
    /// # Errors
    /// [`RowsError::BadEscape`].
    pub fn value(&self, column: usize, raw: &[u8]) -> Result<Option<ColumnValue>, RowsError> {
        let Some(text) = unescape_field(raw)? else { return Ok(None) };
        let mut text = text.into_owned();
        let kind = self.columns.get(column).map_or(DigestKind::Cast, |column| column.kind);
        if kind == DigestKind::Lsn {
            shorten_lsn(&mut text);
        }
        let hash = match self.text_form {
            TextForm::Raw => {
                if kind == DigestKind::Char {
                    print_high_char_as_octal(&mut text);
                }
                hash_bytes_extended(&text, 0)
            }
            TextForm::Utf8Hex => hash_bytes_extended(&lower_hex(&text), 0),
        };
        Ok(Some(ColumnValue { hash, bytes: text.len() as u64, text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DigestColumn;

    fn spec(form: TextForm) -> DigestSpec {
        let columns = [("a", "int4"), ("b", "text"), ("c", "char")];
        DigestSpec::new(columns.map(|(name, kind)| DigestColumn::new(name, kind)).to_vec(), form)
    }

    #[test]
    fn rows_are_hashed_as_they_are_for_the_digest() {
        for form in [TextForm::Raw, TextForm::Utf8Hex] {
            let spec = spec(form);
            let mut rows = KeyedRows::new(&spec, &[]);
            for row in
                ["1\ttwo\tx", "\\N\t\\N\t\\N", "1\ta\\tb\\\\\t\\\\", "\t\t", "1\tlonger than a block\tx"]
            {
                let row = row.as_bytes();
                let hash = spec.hash_row(row).unwrap();
                assert_eq!(rows.hash(row).unwrap(), RowHashes { key: hash, row: hash });
            }
            assert!(rows.hash(b"1\t2").is_err());
        }
    }

    #[test]
    fn a_key_is_its_columns_in_its_order_from_its_seed() {
        let spec = spec(TextForm::Raw);
        let mut rows = KeyedRows::new(&spec, &[1, 0]);
        let hash = hash_bytes_extended(b"7", hash_bytes_extended(b"a\tb", 1));
        assert_eq!(rows.hash(b"7\ta\\tb\tx").unwrap().key, hash);
        assert_eq!(rows.hash(b"7\ta\\tb\ty").unwrap().key, hash);
        assert_ne!(rows.hash(b"7\ta\\tc\ty").unwrap().key, hash);
        assert_ne!(KeyedRows::new(&spec, &[0, 1]).hash(b"7\ta\\tb\tx").unwrap().key, hash);
    }

    #[test]
    fn a_table_without_columns_has_rows() {
        let spec = DigestSpec::default();
        assert_eq!(KeyedRows::new(&spec, &[]).hash(b"").unwrap(), RowHashes { key: 0, row: 0 });
    }

    #[test]
    fn values_are_told_apart_from_null() {
        let spec = spec(TextForm::Raw);
        assert_eq!(spec.value(1, b"\\N").unwrap(), None);
        let empty = spec.value(1, b"").unwrap().unwrap();
        assert_eq!((empty.bytes, empty.text.as_slice()), (0, &b""[..]));
        let value = spec.value(1, b"a\\nb").unwrap().unwrap();
        assert_eq!((value.hash, value.bytes), (hash_bytes_extended(b"a\nb", 0), 3));
        assert_eq!(spec.value(2, &[0x80]).unwrap().unwrap().text, b"\\200");
    }
}
