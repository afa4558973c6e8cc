//! A procedural language.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::Section;

/// A procedural language that no extension brought. Functions are SQL text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Language {
    /// Whether users without special rights may use it.
    pub trusted: bool,
    /// `HANDLER`.
    pub handler: String,
    /// `INLINE`.
    pub inline: Option<String>,
    /// `VALIDATOR`.
    pub validator: Option<String>,
}

impl Render for Language {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let trusted = if self.trusted { "TRUSTED " } else { "" };
        let mut create = format!("CREATE {trusted}PROCEDURAL LANGUAGE {name} HANDLER {}", self.handler);
        for (word, function) in [("INLINE", &self.inline), ("VALIDATOR", &self.validator)] {
            if let Some(function) = function {
                create.push_str(&format!(" {word} {function}"));
            }
        }
        vec![Draft::addressed(Section::PreData, EntryKind::ProceduralLanguage, "LANGUAGE", &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::Language;
    use crate::kinds::{Body, sample};

    #[test]
    fn languages() {
        let plain =
            Language { trusted: false, handler: "s.h".to_owned(), inline: None, validator: None };
        let full = Language {
            trusted: true,
            inline: Some("s.i".to_owned()),
            validator: Some("s.v".to_owned()),
            ..plain.clone()
        };
        for (body, expected) in [
            (plain, "CREATE PROCEDURAL LANGUAGE n HANDLER s.h;\n"),
            (full, "CREATE TRUSTED PROCEDURAL LANGUAGE n HANDLER s.h INLINE s.i VALIDATOR s.v;\n"),
        ] {
            sample::check(false, Body::from(body), expected);
        }
    }
}
