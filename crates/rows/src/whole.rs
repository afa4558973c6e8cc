//! Digests of rows that are there whole, as they come out of a backup.

use crate::cut::{last_word, specials};
use crate::hasher::RowHasher;
use crate::{DigestSpec, FIELD_DELIMITER, ROW_TERMINATOR, RowDigest, RowsError};

/// Takes the digest of runs of whole rows where they lie, one run after the other.
#[derive(Debug)]
pub struct RowsDigester {
    hasher: RowHasher,
}

/// Where the reading of a run stands.
#[derive(Default)]
struct Place {
    field_start: usize,
    digest: RowDigest,
}

impl RowsDigester {
    /// For rows whose columns are those of `spec`.
    #[must_use]
    pub fn new(spec: &DigestSpec) -> Self {
        Self { hasher: RowHasher::new(spec) }
    }

    /// Count and digest of a run of whole rows, each ended by a line feed.
    ///
    /// # Errors
    /// [`RowsError::ColumnCount`], [`RowsError::BadEscape`]; [`RowsError::UnterminatedRow`] if the run ends
    /// inside a row. Rows are numbered over all runs, and nothing may be asked after an error.
    pub fn digest(&mut self, rows: &[u8]) -> Result<RowDigest, RowsError> {
        let mut place = Place::default();
        let mut at = 0;
        for word in rows.chunks_exact(8) {
            let word = [word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7]];
            self.take_specials(rows, at, u64::from_le_bytes(word), &mut place)?;
            at += 8;
        }
        self.take_specials(rows, at, last_word(rows, rows.len() - at), &mut place)?;
        match rows.last() {
            None | Some(&ROW_TERMINATOR) => Ok(place.digest),
            Some(_) => Err(RowsError::UnterminatedRow {
                row: self.hasher.row(),
                pending_bytes: rows.len() - place.field_start,
            }),
        }
    }

    #[inline(always)]
    fn take_specials(
        &mut self,
        rows: &[u8],
        word_at: usize,
        word: u64,
        place: &mut Place,
    ) -> Result<(), RowsError> {
        let mut specials = specials(word);
        while specials != 0 {
            let at = word_at + (specials.trailing_zeros() / 8) as usize;
            specials &= specials - 1;
            let (field, field_bytes) = (&rows[place.field_start..], at - place.field_start);
            match rows[at] {
                FIELD_DELIMITER => self.hasher.field(field, field_bytes)?,
                ROW_TERMINATOR => place.digest.add_row(self.hasher.end_row(field, field_bytes)?),
                _ => {
                    self.hasher.mark_escaped();
                    continue;
                }
            }
            place.field_start = at + 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::RowsDigester;
    use crate::{CutParameters, Cutter, DigestColumn, DigestSpec, RowDigest, RowsError, TextForm};

    fn spec() -> DigestSpec {
        let columns = vec![DigestColumn::new("a", "integer"), DigestColumn::new("b", "\"char\"")];
        DigestSpec::new(columns, TextForm::Raw)
    }

    /// What the cutter makes of the same rows.
    fn cut(rows: &[u8]) -> Result<RowDigest, RowsError> {
        let mut cutter = Cutter::new(CutParameters::default(), &spec())?;
        cutter.push(rows, &mut Vec::new())?;
        let digest = cutter.digest();
        cutter.finish().map(|_| digest)
    }

    #[test]
    fn a_run_that_ends_inside_a_row_is_refused() {
        let mut digester = RowsDigester::new(&spec());
        assert_eq!(digester.digest(b"1\tx\n").unwrap().row_count, 1);
        assert_eq!(digester.digest(b"").unwrap(), RowDigest::default());
        let error = digester.digest(b"1\tx\n2\ty").unwrap_err();
        assert!(matches!(error, RowsError::UnterminatedRow { row: 3, .. }), "{error}");
    }

    proptest! {
        #[test]
        fn the_digest_is_that_of_the_cutter(
            rows in proptest::collection::vec(("[0-9]{0,12}|\\\\\\\\N", "[a-z\\\\\\\\]{0,9}"), 0..40)
        ) {
            let text: String = rows.iter().map(|(a, b)| format!("{a}\t{b}\n")).collect();
            prop_assert_eq!(RowsDigester::new(&spec()).digest(text.as_bytes()), cut(text.as_bytes()));
        }

        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(prop_oneof![
            Just(b'\t'), Just(b'\n'), Just(b'\\'), Just(b'N'), any::<u8>()
        ], 0..200)) {
            let ours = RowsDigester::new(&spec()).digest(&bytes);
            prop_assert_eq!(ours.is_ok(), cut(&bytes).is_ok());
        }
    }
}
