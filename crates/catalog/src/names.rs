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

/// A text in one line: control characters, which names may hold, as backslash escapes.
pub fn in_one_line(text: &str) -> String {
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().to_string(),
        false => character.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::{in_one_line, quote_identifier, quote_literal};

    #[test]
    fn names_in_lines() {
        assert_eq!(in_one_line("\"größe\n\u{1b}[1m\""), "\"größe\\n\\u{1b}[1m\"");
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
