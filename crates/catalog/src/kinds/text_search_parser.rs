//! A text search parser.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object};

/// A text search parser. Functions are SQL text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSearchParser {
    /// `START`.
    pub start: String,
    /// `GETTOKEN`.
    pub get_token: String,
    /// `END`.
    pub end: String,
    /// `HEADLINE`.
    pub headline: Option<String>,
    /// `LEXTYPES`.
    pub lexeme_types: String,
}

impl Render for TextSearchParser {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let headline =
            self.headline.as_ref().map_or(String::new(), |function| format!("\n    HEADLINE = {function},"));
        let create = format!(
            "CREATE TEXT SEARCH PARSER {name} (\n    START = {},\n    GETTOKEN = {},\n    END = {},{headline}\n    \
             LEXTYPES = {} )",
            self.start, self.get_token, self.end, self.lexeme_types
        );
        vec![Draft {
            address: Some(format!("TEXT SEARCH PARSER {name}")),
            drop: Some(DropStatement { command: "DROP TEXT SEARCH PARSER".to_owned(), object: name }),
            ..Draft::new(Section::PreData, EntryKind::TextSearchParser, create)
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::TextSearchParser;
    use crate::kinds::{Body, sample};

    #[test]
    fn parsers() {
        for (headline, text) in [(None, ""), (Some("h".to_owned()), "    HEADLINE = h,\n")] {
            let parser = TextSearchParser {
                start: "prsd_start".to_owned(),
                get_token: "prsd_nexttoken".to_owned(),
                end: "prsd_end".to_owned(),
                headline,
                lexeme_types: "prsd_lextype".to_owned(),
            };
            let expected = format!(
                "CREATE TEXT SEARCH PARSER s.n (\n    START = prsd_start,\n    GETTOKEN = prsd_nexttoken,\n    \
                 END = prsd_end,\n{text}    LEXTYPES = prsd_lextype );\n"
            );
            sample::check(true, Body::from(parser), &expected);
        }
    }
}
