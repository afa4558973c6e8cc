//! A foreign-data wrapper.

use serde::{Deserialize, Serialize};

use super::table::options::generic_options;
use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::Section;

/// A foreign-data wrapper. Functions are SQL text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignDataWrapper {
    /// `HANDLER`.
    pub handler: Option<String>,
    /// `VALIDATOR`.
    pub validator: Option<String>,
    /// `CONNECTION` (19 and later).
    #[serde(default)]
    pub connection: Option<String>,
    /// Options: name, value, in order of name.
    pub options: Vec<(String, String)>,
}

/// ` OPTIONS (...)`, or nothing.
pub(super) fn options_clause(options: &[(String, String)]) -> String {
    if options.is_empty() { String::new() } else { format!(" OPTIONS ({})", generic_options(options)) }
}

impl Render for ForeignDataWrapper {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        const KIND: EntryKind = EntryKind::ForeignDataWrapper;
        let name = object.sql_name();
        let mut create = format!("CREATE {KIND} {name}");
        for (word, function) in
            [("HANDLER", &self.handler), ("VALIDATOR", &self.validator), ("CONNECTION", &self.connection)]
        {
            if let Some(function) = function {
                create.push_str(&format!(" {word} {function}"));
            }
        }
        create.push_str(&options_clause(&self.options));
        vec![Draft::owned(Section::PreData, KIND, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::ForeignDataWrapper;
    use crate::kinds::{Body, sample};

    #[test]
    fn wrappers() {
        let bare =
            ForeignDataWrapper { handler: None, validator: None, connection: None, options: Vec::new() };
        let full = ForeignDataWrapper {
            handler: Some("s.h".to_owned()),
            validator: Some("s.v".to_owned()),
            connection: Some("s.c".to_owned()),
            options: vec![("debug".to_owned(), "it's".to_owned())],
        };
        for (body, expected) in [(bare, ""), (full, " HANDLER s.h VALIDATOR s.v CONNECTION s.c OPTIONS (debug 'it''s')")] {
            let expected = format!("CREATE FOREIGN DATA WRAPPER n{expected};\n");
            sample::check(false, Body::from(body), &expected);
        }
    }
}
