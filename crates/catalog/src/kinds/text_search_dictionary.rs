//! A text search dictionary.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::Section;

/// A text search dictionary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSearchDictionary {
    /// The template, as SQL.
    pub template: String,
    /// Its options as `dictinitoption` holds them: SQL, separated by commas.
    pub options: Option<String>,
}

impl Render for TextSearchDictionary {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        const KIND: EntryKind = EntryKind::TextSearchDictionary;
        let name = object.sql_name();
        let options = self.options.as_ref().map_or(String::new(), |options| format!(",\n    {options}"));
        let create = format!("CREATE {KIND} {name} (\n    TEMPLATE = {}{options} )", self.template);
        vec![Draft::owned(Section::PreData, KIND, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::TextSearchDictionary;
    use crate::kinds::{Body, sample};

    #[test]
    fn dictionaries() {
        for (options, text) in [(None, ""), (Some("stopwords = 'x'".to_owned()), ",\n    stopwords = 'x'")] {
            let body = TextSearchDictionary { template: "pg_catalog.simple".to_owned(), options };
            let expected =
                format!("CREATE TEXT SEARCH DICTIONARY s.n (\n    TEMPLATE = pg_catalog.simple{text} );\n");
            sample::check(true, Body::from(body), &expected);
        }
    }
}
