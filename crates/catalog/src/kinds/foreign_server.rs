//! A foreign server.

use serde::{Deserialize, Serialize};

use super::foreign_data_wrapper::options_clause;
use crate::render::{Draft, Render, Target};
use crate::toc::Section;
use crate::{EntryKind, Object, quote_identifier, quote_literal};

/// A foreign server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignServer {
    /// `TYPE`.
    pub type_of: Option<String>,
    /// `VERSION`.
    pub version: Option<String>,
    /// The foreign-data wrapper, unquoted.
    pub wrapper: String,
    /// Options: name, value, in order of name.
    pub options: Vec<(String, String)>,
}

impl Render for ForeignServer {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let mut create = format!("CREATE SERVER {name}");
        for (word, value) in [("TYPE", &self.type_of), ("VERSION", &self.version)] {
            if let Some(value) = value {
                create.push_str(&format!(" {word} {}", quote_literal(value)));
            }
        }
        create.push_str(&format!(" FOREIGN DATA WRAPPER {}", quote_identifier(&self.wrapper)));
        create.push_str(&options_clause(&self.options));
        vec![Draft::owned(Section::PreData, EntryKind::Server, &name, create)]
    }
}

#[cfg(test)]
mod tests {
    use super::ForeignServer;
    use crate::kinds::{Body, sample};

    #[test]
    fn servers() {
        let bare =
            ForeignServer { type_of: None, version: None, wrapper: "w".to_owned(), options: Vec::new() };
        let full = ForeignServer {
            type_of: Some("t".to_owned()),
            version: Some("1".to_owned()),
            options: vec![("host".to_owned(), "h".to_owned())],
            ..bare.clone()
        };
        for (body, expected) in [
            (bare, "CREATE SERVER n FOREIGN DATA WRAPPER w;\n"),
            (full, "CREATE SERVER n TYPE 't' VERSION '1' FOREIGN DATA WRAPPER w OPTIONS (host 'h');\n"),
        ] {
            sample::check(false, Body::from(body), expected);
        }
    }
}
