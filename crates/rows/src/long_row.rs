//! The digest of one row that is too long to be there as a whole.

use memchr::memchr3;

use crate::hash::StreamingHash;
use crate::hasher::lower_hex;
use crate::spec::shorten_lsn;
use crate::{
    DigestKind, DigestSpec, FIELD_DELIMITER, NULL_MARK, ROW_TERMINATOR, RowDigest, RowsError, TextForm,
    hash_bytes_extended,
};

/// What is unescaped before it is hashed.
const GATHERED_BYTES: usize = 16 << 10;

/// Takes the digest of one row that comes in pieces, twice: the hash of a value begins with its length, so that the
/// row is measured first, and then hashed.
///
/// ```
/// use dbhaul_rows::{DigestColumn, DigestSpec, LongRow, RowsDigester, TextForm};
/// let spec = DigestSpec::new(vec![DigestColumn::new("v", "text")], TextForm::Raw);
/// let mut row = LongRow::new(&spec);
/// row.measure(b"lo")?;
/// row.measure(b"ng\n")?;
/// row.hash(b"long")?;
/// row.hash(b"\n")?;
/// assert_eq!(row.finish()?, RowsDigester::new(&spec).digest(b"long\n")?);
/// # Ok::<(), dbhaul_rows::RowsError>(())
/// ```
#[derive(Debug)]
pub struct LongRow {
    kinds: Box<[DigestKind]>,
    text_form: TextForm,
    measured: Vec<Field>,
    /// Fields that have ended, of those that are measured or hashed now.
    fields: usize,
    field: Field,
    escape: Escape,
    has_ended: bool,
    /// The row's hash up to the field that is read.
    hash: u64,
    open: Option<StreamingHash>,
    gathered: Vec<u8>,
}

/// A field, as far as it was read.
#[derive(Debug, Clone, Copy, Default)]
struct Field {
    raw_bytes: usize,
    /// The first two.
    start: [u8; 2],
    value_bytes: usize,
}

impl Field {
    fn take(&mut self, raw: &[u8]) {
        for (place, byte) in self.start.iter_mut().skip(self.raw_bytes).zip(raw) {
            *place = *byte;
        }
        self.raw_bytes += raw.len();
    }

    fn is_null(&self) -> bool {
        self.raw_bytes == 2 && self.start == *b"\\N"
    }
}

/// What of an escape has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    Backslash,
    /// Digits so far, and their value.
    Octal(u8, u32),
    /// The letter x.
    Hex,
    HexDigit(u32),
}

impl Escape {
    /// Takes one byte; returns the bytes of the value that are known by it. `None` for the byte itself, which is then
    /// outside of every escape.
    fn take(&mut self, byte: u8) -> [Option<u8>; 2] {
        let digit = |radix| char::from(byte).to_digit(radix);
        let (next, value) = match (*self, digit(8), digit(16)) {
            (Self::None, ..) if byte == b'\\' => (Self::Backslash, [None, None]),
            (Self::None, ..) => (Self::None, [Some(byte), None]),
            (Self::Backslash, Some(digit), _) => (Self::Octal(1, digit), [None, None]),
            (Self::Backslash, ..) if byte == b'x' => (Self::Hex, [None, None]),
            (Self::Backslash, ..) => (Self::None, [Some(unescaped(byte)), None]),
            (Self::Octal(2, value), Some(digit), _) => (Self::None, [Some(low(value * 8 + digit)), None]),
            (Self::Octal(count, value), Some(digit), _) => {
                (Self::Octal(count + 1, value * 8 + digit), [None, None])
            }
            (Self::Hex, _, Some(digit)) => (Self::HexDigit(digit), [None, None]),
            (Self::HexDigit(value), _, Some(digit)) => (Self::None, [Some(low(value * 16 + digit)), None]),
            (before, ..) => {
                let mut after = Self::None;
                let [byte, _] = after.take(byte);
                (after, [before.ended(), byte])
            }
        };
        *self = next;
        value
    }

    /// The byte that an escape stands for that ends here.
    fn ended(self) -> Option<u8> {
        match self {
            Self::None | Self::Backslash => None,
            Self::Octal(_, value) | Self::HexDigit(value) => Some(low(value)),
            Self::Hex => Some(b'x'),
        }
    }
}

fn low(value: u32) -> u8 {
    (value & 0xff) as u8
}

fn unescaped(letter: u8) -> u8 {
    match letter {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        other => other,
    }
}

impl LongRow {
    /// For a row whose columns are those of `spec`.
    #[must_use]
    pub fn new(spec: &DigestSpec) -> Self {
        Self {
            kinds: spec.columns.iter().map(|column| column.kind).collect(),
            text_form: spec.text_form,
            measured: Vec::new(),
            fields: 0,
            field: Field::default(),
            escape: Escape::default(),
            has_ended: false,
            hash: 0,
            open: None,
            gathered: Vec::new(),
        }
    }

    /// Takes the next bytes, the first time.
    ///
    /// # Errors
    /// [`RowsError::ColumnCount`], [`RowsError::BadEscape`]; [`RowsError::UnterminatedRow`] for what follows the row.
    pub fn measure(&mut self, bytes: &[u8]) -> Result<(), RowsError> {
        self.read(bytes, Self::count, Self::end_measured)
    }

    /// Takes the next bytes, the second time.
    ///
    /// # Errors
    /// As [`Self::measure`]. The bytes must be those that were measured.
    pub fn hash(&mut self, bytes: &[u8]) -> Result<(), RowsError> {
        if self.has_ended && self.fields == self.measured.len() && !self.measured.is_empty() {
            // the first bytes after the row was measured
            (self.has_ended, self.fields, self.field) = (false, 0, Field::default());
            self.measured.reverse();
        }
        self.read(bytes, Self::gather, Self::end_hashed)
    }

    /// The digest of the row, which was hashed to its end.
    ///
    /// # Errors
    /// [`RowsError::UnterminatedRow`].
    pub fn finish(self) -> Result<RowDigest, RowsError> {
        if !self.has_ended || !self.measured.is_empty() {
            return Err(RowsError::UnterminatedRow { row: 1, pending_bytes: self.field.raw_bytes });
        }
        let mut digest = RowDigest::default();
        digest.add_row(self.hash);
        Ok(digest)
    }

    fn read(
        &mut self,
        bytes: &[u8],
        take: impl Fn(&mut Self, &[u8]),
        end: impl Fn(&mut Self) -> Result<(), RowsError>,
    ) -> Result<(), RowsError> {
        let mut rest = bytes;
        while let Some(&first) = rest.first() {
            if self.has_ended {
                return Err(RowsError::UnterminatedRow { row: 2, pending_bytes: rest.len() });
            }
            if matches!(first, FIELD_DELIMITER | ROW_TERMINATOR) {
                self.end_field(&take, &end)?;
                self.has_ended = first == ROW_TERMINATOR;
                rest = &rest[1..];
                continue;
            }
            let plain_bytes = match self.escape {
                Escape::None => memchr3(FIELD_DELIMITER, ROW_TERMINATOR, b'\\', rest).unwrap_or(rest.len()),
                _ => 0,
            };
            let (now, later) = rest.split_at(plain_bytes.max(1));
            self.field.take(now);
            match plain_bytes {
                0 => self.escape.take(first).into_iter().flatten().for_each(|byte| take(self, &[byte])),
                _ => take(self, now),
            }
            rest = later;
        }
        Ok(())
    }

    fn end_field(
        &mut self,
        take: &impl Fn(&mut Self, &[u8]),
        end: &impl Fn(&mut Self) -> Result<(), RowsError>,
    ) -> Result<(), RowsError> {
        match std::mem::take(&mut self.escape) {
            Escape::Backslash => return Err(RowsError::BadEscape { row: 1, column: self.fields + 1 }),
            escape => escape.ended().into_iter().for_each(|byte| take(self, &[byte])),
        }
        end(self)?;
        self.fields += 1;
        self.field = Field::default();
        Ok(())
    }

    fn count(&mut self, value: &[u8]) {
        self.field.value_bytes += value.len();
    }

    fn end_measured(&mut self) -> Result<(), RowsError> {
        let expected = self.kinds.len();
        if self.fields >= expected {
            return Err(RowsError::ColumnCount { row: 1, expected, found: self.fields + 1 });
        }
        self.measured.push(self.field);
        Ok(())
    }

    /// Gathers bytes of a value. What stands for a short one is decided at its end.
    fn gather(&mut self, value: &[u8]) {
        self.gathered.extend_from_slice(value);
        if self.gathered.len() >= GATHERED_BYTES {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        let total_bytes = self.measured.last().map_or(0, |field| field.value_bytes);
        let is_hex = self.text_form == TextForm::Utf8Hex;
        let (hash, factor) = (self.hash, if is_hex { 2 } else { 1 });
        let open = self.open.get_or_insert_with(|| StreamingHash::new(factor * total_bytes, hash));
        for part in self.gathered.chunks(GATHERED_BYTES) {
            match is_hex {
                true => open.update(&lower_hex(part)),
                false => open.update(part),
            }
        }
        self.gathered.clear();
    }

    fn end_hashed(&mut self) -> Result<(), RowsError> {
        let expected = self.kinds.len();
        let (Some(kind), Some(measured)) = (self.kinds.get(self.fields), self.measured.last()) else {
            return Err(RowsError::ColumnCount { row: 1, expected, found: self.fields + 1 });
        };
        let is_char = *kind == DigestKind::Char && self.text_form == TextForm::Raw;
        // one that did not fit is passed on already, and hashed as it came
        let is_lsn = *kind == DigestKind::Lsn && self.open.is_none();
        self.hash = match self.gathered[..] {
            _ if measured.is_null() => hash_bytes_extended(NULL_MARK.as_bytes(), self.hash),
            [byte @ 0x80..=0xff] if is_char && measured.value_bytes == 1 => {
                hash_bytes_extended(format!("\\{byte:03o}").as_bytes(), self.hash)
            }
            _ if is_lsn => {
                shorten_lsn(&mut self.gathered);
                match self.text_form {
                    TextForm::Raw => hash_bytes_extended(&self.gathered, self.hash),
                    TextForm::Utf8Hex => hash_bytes_extended(&lower_hex(&self.gathered), self.hash),
                }
            }
            _ => {
                self.pass_on();
                self.open.take().map_or(self.hash, |open| open.finish())
            }
        };
        self.gathered.clear();
        self.measured.pop();
        if self.fields + 1 < expected && self.measured.is_empty() {
            return Err(RowsError::ColumnCount { row: 1, expected, found: self.fields + 1 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::LongRow;
    use crate::{DigestColumn, DigestSpec, RowDigest, RowsDigester, RowsError, TextForm};

    fn in_pieces(spec: &DigestSpec, row: &[u8], piece_bytes: usize) -> Result<RowDigest, RowsError> {
        let mut long = LongRow::new(spec);
        row.chunks(piece_bytes).try_for_each(|piece| long.measure(piece))?;
        row.chunks(piece_bytes).try_for_each(|piece| long.hash(piece))?;
        long.finish()
    }

    fn spec(text_form: TextForm) -> DigestSpec {
        let columns = [("a", "text"), ("b", "\"char\""), ("c", "bpchar")];
        DigestSpec::new(columns.map(|(name, kind)| DigestColumn::new(name, kind)).to_vec(), text_form)
    }

    #[test]
    fn long_values_are_hashed_as_short_ones() {
        let long = "\\\\x00ä\\t".repeat(20_000);
        for text_form in [TextForm::Raw, TextForm::Utf8Hex] {
            for row in
                ["\t\t\n".to_owned(), format!("{long}\t\\N\t{long}\n"), format!("\\N\t\\200\t{long}\n")]
            {
                let whole = RowsDigester::new(&spec(text_form)).digest(row.as_bytes()).unwrap();
                for piece_bytes in [7, 1000, 1 << 20] {
                    assert_eq!(in_pieces(&spec(text_form), row.as_bytes(), piece_bytes), Ok(whole));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn one_row_in_pieces_has_the_digest_of_a_whole_one(
            bytes in proptest::collection::vec(prop_oneof![
                3 => Just(b'\t'), 1 => Just(b'\n'), 4 => Just(b'\\'), 1 => Just(b'N'), 1 => Just(b'x'),
                3 => b'0'..=b'9', 2 => b'a'..=b'g', 1 => any::<u8>()
            ], 0..60),
            piece_bytes in 1_usize..9,
            is_hex in any::<bool>(),
        ) {
            let spec = spec(if is_hex { TextForm::Utf8Hex } else { TextForm::Raw });
            let row = [&bytes[..], b"\n"].concat();
            let whole = RowsDigester::new(&spec).digest(&row);
            let found = in_pieces(&spec, &row, piece_bytes);
            match whole {
                Ok(whole) if whole.row_count == 1 => prop_assert_eq!(found, Ok(whole)),
                _ => prop_assert!(found.is_err(), "{:?}", found),
            }
        }
    }
}
