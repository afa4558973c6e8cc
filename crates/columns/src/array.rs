//! Arrays: their binary form and their text.
//!
//! Source: PostgreSQL `src/backend/utils/adt/arrayfuncs.c`, `array_send`, `array_recv`, `array_out` and `array_in`.

use crate::PgType;

/// What the header of an array in binary form says.
#[derive(Debug, Clone)]
pub(crate) struct Array<'a> {
    /// Of each dimension its length and lower bound.
    dimensions: Vec<(i32, i32)>,
    elements: &'a [u8],
}

/// As many dimensions as an array can have.
const MOST_DIMENSIONS: usize = 6;

impl<'a> Array<'a> {
    pub(crate) fn read(value: &'a [u8]) -> Option<Self> {
        let (count, rest) = integer(value)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= MOST_DIMENSIONS)?;
        let (_, rest) = integer(rest)?;
        let (_, mut rest) = integer(rest)?;
        let mut dimensions = Vec::with_capacity(count);
        for _ in 0..count {
            let (length, after) = integer(rest)?;
            let (lower, after) = integer(after)?;
            dimensions.push((length, lower));
            rest = after;
        }
        Some(Array { dimensions, elements: rest })
    }

    /// Whether it is a list: one dimension that begins at 1, or nothing.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.dimensions[..], [] | [(_, 1)])
    }

    /// Lengths of the dimensions.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = i32> + '_ {
        self.dimensions.iter().map(|(length, _)| *length)
    }

    /// The elements, row by row; an item is `None` where the bytes end too soon.
    pub(crate) fn elements(&self) -> impl Iterator<Item = Option<Option<&'a [u8]>>> + use<'a> {
        let mut rest = self.elements;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let element = element(&mut rest);
            if element.is_none() {
                rest = &[];
            }
            Some(element)
        })
    }
}

fn element<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, after) = integer(rest)?;
    if length < 0 {
        *rest = after;
        return Some(None);
    }
    let (value, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(Some(value))
}

fn integer(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (integer, rest) = bytes.split_first_chunk::<4>()?;
    Some((i32::from_be_bytes(*integer), rest))
}

/// Begins the binary form; where its count of NULLs is known, [`finish_header`] sets it.
pub(crate) fn push_header(dimensions: &[(i32, i32)], element_oid: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&i32::try_from(dimensions.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(&0_i32.to_be_bytes());
    out.extend_from_slice(&element_oid.to_be_bytes());
    for (length, lower) in dimensions {
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&lower.to_be_bytes());
    }
}

/// Says of the array that begins at `start` whether it holds a NULL.
pub(crate) fn finish_header(start: usize, has_null: bool, out: &mut [u8]) {
    out[start + 7] = u8::from(has_null);
}

/// Appends a length and what `push` appends, or the length of NULL where that is false.
pub(crate) fn push_counted(
    out: &mut Vec<u8>,
    push: impl FnOnce(&mut Vec<u8>) -> Option<bool>,
) -> Option<bool> {
    let start = out.len();
    out.extend_from_slice(&(-1_i32).to_be_bytes());
    let is_value = push(out)?;
    if is_value {
        let length = i32::try_from(out.len() - start - 4).ok()?;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    Some(is_value)
}

/// Appends the text of an array.
pub(crate) fn push_text(element: &PgType, value: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let array = Array::read(value)?;
    if array.dimensions.is_empty() {
        text.extend_from_slice(b"{}");
        return Some(());
    }
    if array.dimensions.iter().any(|(_, lower)| *lower != 1) {
        for (length, lower) in &array.dimensions {
            let upper = i64::from(*lower) + i64::from(*length) - 1;
            text.extend_from_slice(format!("[{lower}:{upper}]").as_bytes());
        }
        text.push(b'=');
    }
    let mut elements = array.elements();
    push_level(element, &array.dimensions, &mut elements, text)?;
    elements.next().is_none().then_some(())
}

fn push_level<'a>(
    element: &PgType,
    dimensions: &[(i32, i32)],
    elements: &mut impl Iterator<Item = Option<Option<&'a [u8]>>>,
    text: &mut Vec<u8>,
) -> Option<()> {
    let Some(((length, _), inner)) = dimensions.split_first() else {
        match elements.next()?? {
            None => text.extend_from_slice(b"NULL"),
            Some(value) => push_element(element, value, text)?,
        }
        return Some(());
    };
    text.push(b'{');
    for place in 0..*length {
        if place > 0 {
            text.push(b',');
        }
        push_level(element, inner, elements, text)?;
    }
    text.push(b'}');
    Some(())
}

fn push_element(element: &PgType, value: &[u8], text: &mut Vec<u8>) -> Option<()> {
    let start = text.len();
    element.push_text(value, text)?;
    let shown = &text[start..];
    let is_odd = |byte: &u8| matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',' | b' ' | 0x09..=0x0d);
    if !shown.is_empty() && !shown.iter().any(is_odd) && !shown.eq_ignore_ascii_case(b"NULL") {
        return Some(());
    }
    let shown = text.split_off(start);
    text.push(b'"');
    for byte in shown {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
    Some(())
}

/// Appends the binary form of an array as a server prints it.
pub(crate) fn parse(element: &PgType, element_oid: u32, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (lowers, text) = lower_bounds(text)?;
    if text == b"{}" {
        push_header(&[], element_oid, out);
        return Some(());
    }
    let depth = text.iter().take_while(|byte| **byte == b'{').count();
    if depth == 0 || depth > MOST_DIMENSIONS || lowers.as_ref().is_some_and(|lowers| lowers.len() != depth) {
        return None;
    }
    let start = out.len();
    push_header(&vec![(0, 0); depth], element_oid, out);
    let mut parser =
        Parser { rest: text, level: 0, lengths: vec![0; depth], counts: vec![0; depth], has_null: false };
    while parser.step(element, out)? {}
    finish_header(start, parser.has_null, out);
    for (place, length) in parser.lengths.iter().enumerate() {
        let lower = lowers.as_ref().map_or(1, |lowers| lowers[place]);
        let at = start + 12 + 8 * place;
        out[at..at + 4].copy_from_slice(&length.to_be_bytes());
        out[at + 4..at + 8].copy_from_slice(&lower.to_be_bytes());
    }
    Some(())
}

type LowerBounds = Option<Vec<i32>>;

/// The lower bounds that stand before an array some of whose are not 1: `[0:1][5:6]=`.
fn lower_bounds(text: &[u8]) -> Option<(LowerBounds, &[u8])> {
    if text.first() != Some(&b'[') {
        return Some((None, text));
    }
    let end = text.iter().position(|byte| *byte == b'=')?;
    let bounds = std::str::from_utf8(&text[..end]).ok()?;
    let lower = |bounds: &str| bounds.split_once(':')?.0.parse::<i32>().ok();
    let bounds = bounds.strip_prefix('[')?.strip_suffix(']')?.split("][");
    Some((Some(bounds.map(lower).collect::<Option<_>>()?), &text[end + 1..]))
}

struct Parser<'a> {
    rest: &'a [u8],
    /// How many braces are open.
    level: usize,
    /// Lengths of the dimensions, known when the first list of each has ended.
    lengths: Vec<i32>,
    /// Items so far of the open list of each dimension.
    counts: Vec<i32>,
    has_null: bool,
}

impl Parser<'_> {
    /// Reads a brace, a comma or an element; false at the end.
    fn step(&mut self, element: &PgType, out: &mut Vec<u8>) -> Option<bool> {
        let Some(byte) = self.rest.first() else { return (self.level == 0).then_some(false) };
        match byte {
            b'{' => {
                if self.level > 0 {
                    self.counts[self.level - 1] += 1;
                }
                *self.counts.get_mut(self.level)? = 0;
                self.level += 1;
                self.rest = &self.rest[1..];
            }
            b'}' => {
                self.level = self.level.checked_sub(1)?;
                let length = self.counts[self.level];
                let known = &mut self.lengths[self.level];
                if *known != 0 && *known != length {
                    return None;
                }
                *known = length;
                self.rest = &self.rest[1..];
            }
            b',' if self.level > 0 => self.rest = &self.rest[1..],
            _ => self.element(element, out)?,
        }
        Some(true)
    }

    fn element(&mut self, element: &PgType, out: &mut Vec<u8>) -> Option<()> {
        if self.level != self.counts.len() {
            return None;
        }
        self.counts[self.level - 1] += 1;
        if self.rest.first() == Some(&b'"') {
            let text = self.quoted()?;
            return push_counted(out, |out| element.parse(&text, out).map(|()| true)).map(drop);
        }
        let end = self.rest.iter().position(|byte| matches!(byte, b',' | b'}'))?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let is_null = text == b"NULL";
        self.has_null |= is_null;
        push_counted(out, |out| if is_null { Some(false) } else { element.parse(text, out).map(|()| true) })?;
        Some(())
    }

    /// What stands between two quotes.
    fn quoted(&mut self) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let mut bytes = self.rest.iter().enumerate().skip(1);
        loop {
            match bytes.next()? {
                (at, b'"') => {
                    self.rest = &self.rest[at + 1..];
                    return Some(text);
                }
                (_, b'\\') => text.push(*bytes.next()?.1),
                (_, byte) => text.push(*byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_the_binary_form_and_text_again() {
        for text in [
            "{}",
            "{a}",
            "{NULL,\"NULL\",\"\",\"a b\",\"\\\"\\\\\",\"{,}\"}",
            "[0:1]={a,b}",
            "{{a,b,c},{d,e,NULL}}",
            "[-1:0][5:5]={{x},{y}}",
            "{{{1},{2}},{{3},{4}}}",
        ] {
            let mut binary = Vec::new();
            parse(&PgType::Text, 25, text.as_bytes(), &mut binary).unwrap_or_else(|| panic!("{text}"));
            let mut again = Vec::new();
            push_text(&PgType::Text, &binary, &mut again).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(String::from_utf8(again).unwrap(), text);
        }
        for text in ["{", "{a}}", "{{a},{b,c}}", "a", "{a", "{\"a}", "{{a},b}"] {
            assert!(parse(&PgType::Text, 25, text.as_bytes(), &mut Vec::new()).is_none(), "{text}");
        }
    }
}
