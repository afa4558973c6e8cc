//! A text search template.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};

/// A text search template. Functions are SQL text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSearchTemplate {
    /// `INIT`.
    pub init: Option<String>,
    /// `LEXIZE`.
    pub lexize: String,
}

impl Render for TextSearchTemplate {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let init = self.init.as_ref().map_or(String::new(), |function| format!("\n    INIT = {function},"));
        let create = format!("CREATE TEXT SEARCH TEMPLATE {name} ({init}\n    LEXIZE = {} )", self.lexize);
        vec![Draft {
            address: Some(format!("TEXT SEARCH TEMPLATE {name}")),
            drop: Some(DropStatement { command: "DROP TEXT SEARCH TEMPLATE".to_owned(), object: name }),
            ..Draft::new(Section::PreData, EntryKind::TextSearchTemplate, create)
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::TextSearchTemplate;
    use crate::kinds::{Body, sample};

    #[test]
    fn templates() {
        for (init, text) in [(None, ""), (Some("i".to_owned()), "    INIT = i,\n")] {
            let body = TextSearchTemplate { init, lexize: "dsimple_lexize".to_owned() };
            let expected = format!("CREATE TEXT SEARCH TEMPLATE s.n (\n{text}    LEXIZE = dsimple_lexize );\n");
            sample::check(true, Body::from(body), &expected);
        }
    }
}
