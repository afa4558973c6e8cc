//! Lines of JSON become rows of COPY text, one for each line.

use std::borrow::Cow;

use dbhaul_columns::{Column, PgType};
use dbhaul_rows::{FIELD_DELIMITER, NULL_FIELD, ROW_TERMINATOR, escape_field};
use serde::de::{DeserializeOwned, IgnoredAny};

/// Lines under way.
#[derive(Default)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// The keys, and what becomes of their values: nothing for columns that are not imported.
    keys: Vec<(String, Option<PgType>)>,
    rows: u64,
}

impl Lines {
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether a line is whole with these bytes.
    pub(super) fn has_line(&self, bytes: &[u8]) -> bool {
        self.buffer.contains(&b'\n') || bytes.contains(&b'\n')
    }

    pub(super) fn keep(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The keys of the first line, in their order.
    pub(super) fn names(&self) -> Result<Vec<String>, String> {
        let line = self.buffer.split(|byte| *byte == b'\n').next().unwrap_or_default();
        Ok(members(line)?.into_iter().map(|(key, _)| key).collect())
    }

    /// Says what the columns are.
    pub(super) fn begin(&mut self, names: &[String], columns: &[Option<Column>]) {
        let pg_type = |column: &Option<Column>| column.as_ref().map(|column| column.pg_type.clone());
        self.keys = names.iter().cloned().zip(columns.iter().map(pg_type)).collect();
    }

    /// Appends the rows of the lines that are whole, at the end of the file also of the last; an error is the line and what is
    /// wrong with it.
    pub(super) fn push_rows(&mut self, is_end: bool, rows: &mut Vec<u8>) -> Result<(), (u64, String)> {
        if is_end && self.buffer.last().is_some_and(|last| *last != b'\n') {
            self.buffer.push(b'\n');
        }
        let buffer = std::mem::take(&mut self.buffer);
        let whole = buffer.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in buffer[..whole].split_inclusive(|byte| *byte == b'\n') {
            self.rows += 1;
            self.push_row(line, rows).map_err(|problem| (self.rows, problem))?;
        }
        self.buffer = buffer[whole..].to_vec();
        Ok(())
    }

    fn push_row(&self, line: &[u8], rows: &mut Vec<u8>) -> Result<(), String> {
        let mut members = members(line)?;
        let mut is_first = true;
        for (key, pg_type) in &self.keys {
            let place = members.iter().position(|(name, _)| name == key);
            let value = place.map(|place| members.swap_remove(place).1);
            let Some(pg_type) = pg_type else { continue };
            if !std::mem::take(&mut is_first) {
                rows.push(FIELD_DELIMITER);
            }
            match value.filter(|text| *text != "null") {
                None => rows.extend_from_slice(NULL_FIELD),
                Some(json) => escape_field(Some(text_of(pg_type, json)?.as_bytes()), rows),
            }
        }
        rows.push(ROW_TERMINATOR);
        match members.first() {
            None => Ok(()),
            Some((key, _)) => Err(format!("key {key:?} is not in the first line, or is there twice")),
        }
    }
}

/// The text of a value that is not null, as PostgreSQL reads it.
fn text_of<'a>(pg_type: &PgType, json: &'a str) -> Result<Cow<'a, str>, String> {
    match (pg_type, json.as_bytes().first()) {
        (PgType::Json | PgType::Jsonb, _) => Ok(Cow::Borrowed(json)),
        (_, Some(b'"')) => serde_json::from_str(json).map(Cow::Owned).map_err(|error| error.to_string()),
        (PgType::Array(element, _), Some(b'[')) => {
            let mut text = String::new();
            push_array(element, json, &mut text)?;
            Ok(Cow::Owned(text))
        }
        _ => Ok(Cow::Borrowed(json)),
    }
}

/// Lists of lists are arrays of more dimensions.
fn push_array(element: &PgType, json: &str, text: &mut String) -> Result<(), String> {
    let mut scanner = Scanner { text: json, at: 0 };
    text.push('{');
    let mut is_first = true;
    while scanner.next_item(('[', ']'), is_first)? {
        let item = scanner.value()?;
        if !std::mem::take(&mut is_first) {
            text.push(',');
        }
        let is_list = item.starts_with('[') && !matches!(element, PgType::Json | PgType::Jsonb);
        if is_list {
            push_array(element, item, text)?;
        } else if item == "null" {
            text.push_str("NULL");
        } else {
            let value = text_of(element, item)?;
            text.push('"');
            value.chars().for_each(|character| {
                if matches!(character, '"' | '\\') {
                    text.push('\\');
                }
                text.push(character);
            });
            text.push('"');
        }
    }
    text.push('}');
    Ok(())
}

/// The members of the object that a line is, values as they stand there.
fn members(line: &[u8]) -> Result<Vec<(String, &str)>, String> {
    let text = std::str::from_utf8(line).map_err(|error| format!("not UTF-8: {error}"))?;
    let mut scanner = Scanner { text, at: 0 };
    let mut members = Vec::new();
    while scanner.next_item(('{', '}'), members.is_empty())? {
        let key = scanner.read::<String>()?.0;
        scanner.expect(':')?;
        members.push((key, scanner.value()?));
    }
    match scanner.rest().is_empty() {
        true => Ok(members),
        false => Err("something follows the object".to_owned()),
    }
}

/// Finds where values of JSON end, since numbers have to stay as they are written.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// What comes, white space left out.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn expect(&mut self, character: char) -> Result<(), String> {
        if !self.rest().starts_with(character) {
            return Err(format!("{character:?} is missing"));
        }
        self.at += 1;
        Ok(())
    }

    /// Goes on to the next item between brackets, with what stands before it; false where the closing one comes instead.
    fn next_item(&mut self, (open, close): (char, char), is_first: bool) -> Result<bool, String> {
        if is_first {
            self.expect(open).map_err(|_| format!("no JSON that begins with {open:?}"))?;
        }
        if self.rest().starts_with(close) {
            self.at += 1;
            return Ok(false);
        }
        if !is_first {
            self.expect(',')?;
        }
        Ok(true)
    }

    /// A value, and the text of it.
    fn read<T: DeserializeOwned>(&mut self) -> Result<(T, &'a str), String> {
        let rest = self.rest();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        let value = values.next().ok_or_else(|| "a value is missing".to_owned())?;
        let value = value.map_err(|error| error.to_string())?;
        let end = values.byte_offset();
        self.at += end;
        Ok((value, &rest[..end]))
    }

    fn value(&mut self) -> Result<&'a str, String> {
        Ok(self.read::<IgnoredAny>()?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(types: &[(&str, PgType)], text: &str) -> Result<String, (u64, String)> {
        let key = |(name, pg_type): &(&str, PgType)| ((*name).to_owned(), Some(pg_type.clone()));
        let mut lines = Lines { keys: types.iter().map(key).collect(), ..Lines::default() };
        let mut rows = Vec::new();
        for byte in text.bytes() {
            lines.keep(&[byte]);
            lines.push_rows(false, &mut rows)?;
        }
        lines.push_rows(true, &mut rows)?;
        Ok(String::from_utf8(rows).unwrap())
    }

    #[test]
    fn lines_become_rows() {
        let array = PgType::Array(PgType::Text.into(), 25);
        let types = [("a", PgType::Numeric(None)), ("b", PgType::Text), ("c", PgType::Jsonb), ("d", array)];
        let text = r#"{"a": 1.50, "b": "x\ty\\", "c": "z", "d": ["p", null, "q \"r\""]}
            {"b": null, "c": {"k": [1]}, "d": [["p"], ["q"]]}"#;
        let expected = "1.50\tx\\ty\\\\\t\"z\"\t{\"p\",NULL,\"q \\\\\"r\\\\\"\"}\n\\N\t\\N\t{\"k\": [1]}\t{{\"p\"},{\"q\"}}\n";
        assert_eq!(rows(&types, text).unwrap(), expected);
    }

    #[test]
    fn a_wrong_line_is_named() {
        let types = [("a", PgType::Int4)];
        assert_eq!(
            rows(&types, "{\"a\":1}\n{\"b\":1}\n").unwrap_err(),
            (2, "key \"b\" is not in the first line, or is there twice".to_owned())
        );
        assert_eq!(rows(&types, "{\"a\":1}\n\n").unwrap_err().0, 2);
        assert_eq!(rows(&types, "{\"a\":1}\n[1]").unwrap_err().0, 2);
    }

    #[test]
    fn the_first_line_says_the_names_in_their_order() {
        let mut lines = Lines::default();
        lines.keep(b"{\"z\":1,\"a\":{\"b\":1}}\n");
        assert_eq!(lines.names().unwrap(), ["z", "a"]);
    }
}
