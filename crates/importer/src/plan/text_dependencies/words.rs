//! The names in the text of a function, as PostgreSQL's scanner would see them and then some: a word too
//! many costs a little waiting, a word too few a wrong index.

use std::collections::BTreeSet;

/// Bytes of a name; what is longer is cut (`NAMEDATALEN` - 1).
const NAME_BYTES: usize = 63;

/// Characters of an operator's name.
const OPERATOR_CHARACTERS: &str = "+-*/<>=~!@#%^&|`?";

/// Words with which a text reads what it does not name: a query put together while running, a query or a
/// table given to another function, a large object.
const HIDING: [&str; 17] = [
    "execute",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "schema_to_xml",
    "schema_to_xml_and_xmlschema",
    "database_to_xml",
    "database_to_xml_and_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "crosstab",
    "connectby",
    "xpath_table",
    "lo_get",
    "lo_open",
    "lo_export",
];

/// What a text may call by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// Relations, functions and types: bare names folded, quoted ones as they are.
    pub(super) names: BTreeSet<String>,
    /// Operators, with every beginning of a run of their characters.
    pub(super) operators: BTreeSet<String>,
    /// Whether it reads something that it does not name.
    pub(super) hides: bool,
}

impl Words {
    /// Reads a text. What stands in strings and comments counts too: strings hold queries, and a quote in
    /// them must not hide what follows.
    pub(super) fn new(text: &str) -> Self {
        let mut words = Words::default();
        words.add_bare(text);
        words.add_quoted(text);
        words.add_operators(text);
        let has_escapes = text.contains("U&\"") || text.contains("u&\"");
        words.hides = has_escapes || HIDING.iter().any(|word| words.names.contains(*word));
        words
    }

    fn add_bare(&mut self, text: &str) {
        let is_part = |c: char| c == '_' || c == '$' || c.is_ascii_alphanumeric() || !c.is_ascii();
        for word in text.split(|c| !is_part(c)) {
            let word = word.trim_start_matches(|c: char| c == '$' || c.is_ascii_digit());
            // a name may go on behind a dollar, or a string may begin or end with it
            let before_dollar = word.split_once('$').map(|(before, _)| before);
            for name in before_dollar.into_iter().chain([word]).filter(|name| !name.is_empty()) {
                self.names.insert(cut(name.to_ascii_lowercase()));
                // letters beyond ASCII are folded in encodings of one byte only
                if !name.is_ascii() {
                    self.names.insert(cut(name.to_lowercase()));
                }
            }
        }
    }

    /// Every quote may be the first of a name.
    fn add_quoted(&mut self, text: &str) {
        for (start, _) in text.match_indices('"') {
            let mut name = String::new();
            let mut characters = text[start + 1..].chars().peekable();
            while let Some(character) = characters.next() {
                if character == '"' && characters.next_if_eq(&'"').is_none() {
                    break;
                }
                name.push(character);
                if name.len() > NAME_BYTES {
                    break;
                }
            }
            self.names.insert(cut(name));
        }
    }

    fn add_operators(&mut self, text: &str) {
        for run in text.split(|c| !OPERATOR_CHARACTERS.contains(c)) {
            // a sign or a comment may follow an operator without a space
            self.operators.extend((1..=run.len().min(NAME_BYTES)).map(|end| run[..end].to_owned()));
        }
    }
}

/// The operator with which the name of a TOC entry begins.
pub(super) fn operator(name: &str) -> &str {
    let end = name.find(|c| !OPERATOR_CHARACTERS.contains(c)).unwrap_or(name.len());
    &name[..end]
}

fn cut(mut name: String) -> String {
    let end = (0..=NAME_BYTES.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    name.truncate(end.unwrap_or(0));
    name
}

#[cfg(test)]
mod tests {
    use super::{Words, operator};

    #[track_caller]
    fn check(text: &str, names: &[&str]) {
        let found = Words::new(text).names;
        for name in names {
            assert!(found.contains(*name), "no {name:?} in {found:?}");
        }
    }

    #[test]
    fn names_in_a_text() {
        check("SELECT Name FROM \"My Table\" t1 WHERE x=$1", &["select", "name", "My Table", "t1", "x"]);
        check("FROM shop.\"a\"\"b\"", &["shop", "a\"b"]);
        check("FROM été, ÀB", &["été", "Àb"]);
        check("$$SELECT FROM a$1, rate$_$", &["select", "a$1", "rate"]);
    }

    #[test]
    fn a_quote_in_a_string_hides_nothing() {
        check("SELECT '5\" nail' FROM \"Rate\" WHERE a = '\"'", &["Rate", "nail", "a"]);
    }

    #[test]
    fn long_names_are_cut_as_the_server_cuts_them() {
        let long = "a".repeat(70);
        check(&format!("FROM {long}, \"{}\"", "B".repeat(70)), &[&"a".repeat(63), &"B".repeat(63)]);
    }

    #[test]
    fn operators_in_a_text() {
        let words = Words::new("a ==>-1 || b");
        assert!(words.operators.contains("==>") && words.operators.contains("||"), "{words:?}");
        assert_eq!(operator("==>(integer, integer)"), "==>");
    }

    #[test]
    fn what_hides_what_it_reads() {
        assert!(Words::new("EXECUTE format('SELECT 1 FROM %I', x)").hides);
        assert!(Words::new("SELECT * FROM U&\"d\\0061ta\"").hides);
        assert!(Words::new("SELECT query_to_xml($1, true, false, '')").hides);
        assert!(!Words::new("SELECT factor FROM rate").hides);
    }
}
