//! A text search configuration.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_identifier};

/// A text search configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSearchConfiguration {
    /// The parser, as SQL.
    pub parser: String,
    /// What happens to each type of token, in the parser's order.
    pub mappings: Vec<TokenMapping>,
}

/// The dictionaries that a type of token is looked up in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMapping {
    /// The token type's alias, unquoted.
    pub token: String,
    /// The dictionaries, as SQL, in the order they are asked.
    pub dictionaries: Vec<String>,
}

impl Render for TextSearchConfiguration {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        const KIND: EntryKind = EntryKind::TextSearchConfiguration;
        let name = object.sql_name();
        let create = format!("CREATE {KIND} {name} (\n    PARSER = {} )", self.parser);
        let mut draft = Draft::owned(Section::PreData, KIND, &name, create);
        draft.create.extend(self.mappings.iter().map(|mapping| {
            let (token, dictionaries) = (quote_identifier(&mapping.token), mapping.dictionaries.join(", "));
            format!("ALTER {KIND} {name}\n    ADD MAPPING FOR {token} WITH {dictionaries}")
        }));
        vec![draft]
    }
}

#[cfg(test)]
mod tests {
    use super::{TextSearchConfiguration, TokenMapping};
    use crate::kinds::{Body, sample};

    #[test]
    fn configurations() {
        let configuration = TextSearchConfiguration {
            parser: "pg_catalog.\"default\"".to_owned(),
            mappings: vec![TokenMapping {
                token: "asciiword".to_owned(),
                dictionaries: vec!["s.d".to_owned(), "english_stem".to_owned()],
            }],
        };
        sample::check(
            true,
            Body::from(configuration),
            "CREATE TEXT SEARCH CONFIGURATION s.n (\n    PARSER = pg_catalog.\"default\" );\n\
             ALTER TEXT SEARCH CONFIGURATION s.n\n    ADD MAPPING FOR asciiword WITH s.d, english_stem;\n",
        );
    }
}
