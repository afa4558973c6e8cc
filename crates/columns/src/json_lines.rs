//! Rows as lines of JSON, one object for each row.

use std::ops::Range;

use dbhaul_rows::{CopyFormat, unescape_field};

use crate::array::Array;
use crate::frames::{Cells, Framer};
use crate::{ColumnsError, PgType, TableColumns};

/// Makes lines of JSON of the bytes of one COPY as text.
///
/// Numbers, booleans, JSON and arrays of these are what they are in JSON; what JSON has no number for (`NaN`, `Infinity`) and
/// all other values are strings, as PostgreSQL prints them, timestamps with `T` between date and time. NULL is null.
#[derive(Debug)]
pub struct JsonLinesWriter {
    columns: Vec<(Vec<u8>, PgType, String)>,
    framer: Framer,
    buffer: Vec<u8>,
}

impl JsonLinesWriter {
    /// A writer of rows of these columns.
    ///
    /// # Errors
    /// [`ColumnsError::Schema`] if there are no columns, or two of one name.
    pub fn new(table: &TableColumns) -> Result<Self, ColumnsError> {
        table.check_names()?;
        let key = |(place, name): (usize, &String)| {
            let mut key = vec![if place == 0 { b'{' } else { b',' }];
            push_string(name, &mut key);
            key.push(b':');
            key
        };
        let columns = table.columns.iter().enumerate();
        let columns = columns
            .map(|(place, column)| (key((place, &column.name)), column.pg_type.clone(), column.name.clone()));
        let columns: Vec<_> = columns.collect();
        Ok(JsonLinesWriter {
            framer: Framer::new(CopyFormat::Text, columns.len()),
            columns,
            buffer: Vec::new(),
        })
    }

    /// Rows that have been read.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.framer.rows()
    }

    /// Takes the next bytes of the COPY, which may end anywhere, and appends the lines that they complete.
    ///
    /// # Errors
    /// [`ColumnsError::BadCopy`] and [`ColumnsError::Value`].
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ColumnsError> {
        self.buffer.extend_from_slice(bytes);
        while self.framer.next_row(&self.buffer)? {
            for ((key, pg_type, name), field) in
                self.columns.iter().zip(Cells::new(&self.buffer, &self.framer.spans, 1).iter())
            {
                out.extend_from_slice(key);
                push_field(pg_type, field, out).map_err(|problem| ColumnsError::Value {
                    row: self.framer.rows(),
                    column: name.clone(),
                    problem,
                })?;
            }
            out.extend_from_slice(b"}\n");
            self.framer.spans.clear();
        }
        self.buffer.drain(..self.framer.end);
        self.framer.take();
        Ok(())
    }

    /// Ends the COPY; returns how many rows there were.
    ///
    /// # Errors
    /// [`ColumnsError::BadCopy`] if it ends inside a row.
    pub fn finish(self) -> Result<u64, ColumnsError> {
        match self.framer.is_complete(&self.buffer) {
            true => Ok(self.framer.rows()),
            false => {
                let (row, problem) = (self.framer.rows() + 1, "the COPY ends too soon".to_owned());
                Err(ColumnsError::BadCopy { row, problem })
            }
        }
    }
}

const NOT_UTF8: &str = "the text is not UTF-8, which JSON has to be";
const BAD: &str = "the text is no value of the column's type";

fn push_field(pg_type: &PgType, field: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let Some(field) = field else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    let value = unescape_field(field).map_err(|_| BAD)?.unwrap_or_default();
    push_value(pg_type, std::str::from_utf8(&value).map_err(|_| NOT_UTF8)?, out)
}

fn push_value(pg_type: &PgType, text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let is_number = text.ends_with(|last: char| last.is_ascii_digit());
    match pg_type {
        PgType::Bool => out.extend_from_slice(if text == "t" { b"true" } else { b"false" }),
        PgType::Int2
        | PgType::Int4
        | PgType::Int8
        | PgType::Oid
        | PgType::Float4
        | PgType::Float8
        | PgType::Numeric(_)
            if is_number =>
        {
            out.extend_from_slice(text.as_bytes());
        }
        // `json` keeps its line breaks, which stand between tokens: inside a string there can be none
        PgType::Json | PgType::Jsonb => {
            out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        }
        PgType::Timestamp | PgType::TimestampTz if is_number && !text.ends_with(" BC") => {
            let zone = if *pg_type == PgType::TimestampTz { ":00" } else { "" };
            push_string(&format!("{}{zone}", text.replacen(' ', "T", 1)), out);
        }
        PgType::Array(element, oid) => push_array(element, *oid, text, out)?,
        _ => push_string(text, out),
    }
    Ok(())
}

/// Lists of any dimensions become lists of lists; lower bounds are not kept, as in PostgreSQL's `to_json`.
fn push_array(element: &PgType, oid: u32, text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let (mut binary, mut shown) = (Vec::new(), Vec::new());
    crate::array::parse(element, oid, text.as_bytes(), &mut binary).ok_or(BAD)?;
    let array = Array::read(&binary).ok_or(BAD)?;
    let mut elements = array.elements();
    let mut push_element = |out: &mut Vec<u8>| match elements.next().flatten().ok_or(BAD)? {
        None => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        Some(value) => {
            shown.clear();
            element.push_text(value, &mut shown).ok_or(BAD)?;
            push_value(element, std::str::from_utf8(&shown).map_err(|_| NOT_UTF8)?, out)
        }
    };
    if array.lengths().next().is_none() {
        out.extend_from_slice(b"[]");
        return Ok(());
    }
    let lengths: Vec<i32> = array.lengths().collect();
    push_level(&lengths, &mut push_element, out)
}

fn push_level(
    lengths: &[i32],
    push_element: &mut impl FnMut(&mut Vec<u8>) -> Result<(), &'static str>,
    out: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let Some((length, inner)) = lengths.split_first() else { return push_element(out) };
    out.push(b'[');
    for place in 0..*length {
        if place > 0 {
            out.push(b',');
        }
        push_level(inner, push_element, out)?;
    }
    out.push(b']');
    Ok(())
}

fn push_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut copied: Range<usize> = 0..0;
    for (at, byte) in text.bytes().enumerate() {
        let letter = match byte {
            b'"' | b'\\' => byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => b'u',
            _ => continue,
        };
        copied.end = at;
        out.extend_from_slice(&text.as_bytes()[copied.clone()]);
        out.extend_from_slice(&[b'\\', letter]);
        if letter == b'u' {
            out.extend_from_slice(&[b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        copied.start = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[copied.start..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    fn line(pg_type: PgType, field: &str) -> String {
        let column = Column {
            name: "a \"name\"".to_owned(),
            pg_type,
            type_sql: String::new(),
            modifier: -1,
            collation: None,
            is_nullable: true,
            is_generated: false,
            comment: None,
        };
        let mut writer =
            JsonLinesWriter::new(&TableColumns { table: None, comment: None, columns: vec![column] })
                .unwrap();
        let mut out = Vec::new();
        for byte in format!("{field}\n").bytes() {
            writer.push(&[byte], &mut out).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), 1);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_json_where_json_has_them() {
        for (pg_type, field, json) in [
            (PgType::Int8, "-9223372036854775808", "-9223372036854775808"),
            (PgType::Numeric(None), "1.50", "1.50"),
            (PgType::Numeric(None), "NaN", "\"NaN\""),
            (PgType::Float8, "1e+300", "1e+300"),
            (PgType::Float8, "-Infinity", "\"-Infinity\""),
            (PgType::Bool, "t", "true"),
            (PgType::Text, "\\N", "null"),
            (PgType::Text, "\\\\N\\t\"\\b", "\"\\\\N\\t\\\"\\u0008\""),
            (PgType::Json, "{\"a\":\\n1}", "{\"a\": 1}"),
            (PgType::Timestamp, "2026-11-30 01:02:03.5", "\"2026-11-30T01:02:03.5\""),
            (PgType::TimestampTz, "2026-11-30 01:02:03+00", "\"2026-11-30T01:02:03+00:00\""),
            (PgType::TimestampTz, "infinity", "\"infinity\""),
            (PgType::TimestampTz, "0044-03-15 00:00:00+00 BC", "\"0044-03-15 00:00:00+00 BC\""),
            (PgType::Array(PgType::Int4.into(), 23), "{{1,NULL},{3,4}}", "[[1,null],[3,4]]"),
            (PgType::Array(PgType::Text.into(), 25), "{a,\"b \\\\\"c\"}", "[\"a\",\"b \\\"c\"]"),
            (PgType::Array(PgType::Text.into(), 25), "{}", "[]"),
            (PgType::Other, "(1,2)", "\"(1,2)\""),
        ] {
            assert_eq!(
                line(pg_type.clone(), field),
                format!("{{\"a \\\"name\\\"\":{json}}}\n"),
                "{pg_type:?} {field}"
            );
        }
    }
}
