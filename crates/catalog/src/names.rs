//! Names and literals as SQL writes them.

use serde::{Deserialize, Serialize};

use crate::SharedText;

/// A schema-qualified name, unquoted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct QualifiedName {
    /// The schema.
    pub schema: SharedText,
    /// The name inside the schema.
    pub name: SharedText,
}

impl QualifiedName {
    /// Joins a schema and a name.
    pub fn new(schema: impl Into<SharedText>, name: impl Into<SharedText>) -> Self {
        QualifiedName { schema: schema.into(), name: name.into() }
    }

    /// `"schema"."name"`, each part quoted.
    pub fn sql(&self) -> String {
        format!("{}.{}", quote_identifier(&self.schema), quote_identifier(&self.name))
    }
}

impl std::fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sql())
    }
}

/// Quotes an identifier.
///
/// A plain lower-case name stays bare unless it could be a keyword; quoting a
/// name that needs none changes nothing, so every word short enough to be a
/// keyword of any server version and consisting of letters only is not looked
/// up but kept bare only when `quote_ident` of every supported server would.
pub fn quote_identifier(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !crate::keywords::must_quote(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Quotes a string constant; uses the `E''` form only where a backslash needs it,
/// so that the text means the same whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!("E'{}'", doubled.replace('\\', "\\\\"))
    } else {
        format!("'{doubled}'")
    }
}

/// A text in one line: control characters, which names may hold, as backslash escapes, and so those that
/// turn the direction of text around.
pub fn in_one_line(text: &str) -> String {
    escaped(text, is_command)
}

/// An error's text, with the lines that detail, hint and place have there by themselves; all else as
/// [`in_one_line`], for it may be part of a name.
pub fn in_lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        let is_own = ["detail: ", "hint: ", "where: "].iter().any(|label| line.starts_with(label));
        match number {
            0 => {}
            _ if is_own => shown.push('\n'),
            _ => shown.push_str("\\n"),
        }
        shown.push_str(&in_one_line(line));
    }
    shown
}

/// A text of several lines that does nothing to a terminal but fill it: everything but line breaks and
/// tabs as [`in_one_line`].
pub fn for_terminal(text: &str) -> String {
    escaped(text, |character| is_command(character) && !matches!(character, '\n' | '\t'))
}

/// Whether a terminal obeys a character instead of showing it: control characters of both sets (ECMA-48),
/// and those with which text in lines of its own can be made to read as something else (Unicode, "Explicit
/// Directional Formatting Characters" and line separators).
pub fn is_command(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match is_escaped(character) {
            true => shown.extend(character.escape_default()),
            false => shown.push(character),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{for_terminal, in_one_line, is_command, quote_identifier, quote_literal};

    #[test]
    fn names_in_lines() {
        assert_eq!(in_one_line("\"größe\n\u{1b}[1m\""), "\"größe\\n\\u{1b}[1m\"");
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        assert!(!in_one_line(&all).contains(is_command));
        let left: Vec<char> = for_terminal(&all).chars().filter(|left| is_command(*left)).collect();
        assert_eq!(left, ['\t', '\n']);
        assert_eq!(in_one_line("a\u{202e}b\u{9b}c"), "a\\u{202e}b\\u{9b}c");
        assert_eq!(for_terminal("größe 表 🦀"), "größe 表 🦀");
    }

    #[test]
    fn identifiers() {
        for (name, expected) in [
            ("film", "film"),
            ("Film", "\"Film\""),
            ("a\"b", "\"a\"\"b\""),
            ("", "\"\""),
            ("1a", "\"1a\""),
            ("select", "\"select\""),
            ("größe", "\"größe\""),
        ] {
            assert_eq!(quote_identifier(name), expected);
        }
    }

    #[test]
    fn literals() {
        for (text, expected) in [("a", "'a'"), ("it's", "'it''s'"), ("a\\b'", "E'a\\\\b'''")] {
            assert_eq!(quote_literal(text), expected);
        }
    }
}
