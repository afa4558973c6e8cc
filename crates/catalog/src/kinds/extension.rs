//! An installed extension.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::restoring::{TIMESCALEDB, begin_sql};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, quote_identifier, quote_literal};

/// An installed extension. Its members are made by `CREATE EXTENSION`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// The schema its objects are in (`extnamespace`).
    pub schema: String,
    /// `extversion`. Not part of the statement: the target creates the version
    /// it has as default, as with `pg_dump`. That of TimescaleDB must be the same.
    pub version: String,
    /// Whether its objects may be moved to another schema.
    pub relocatable: bool,
    /// Tables whose rows belong to the user (`pg_extension_config_dump`).
    pub configuration: Vec<ConfigurationTable>,
}

/// A table or sequence of an extension that holds the user's rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationTable {
    /// Its schema, unquoted.
    pub schema: String,
    /// Its name, unquoted.
    pub name: String,
    /// Which rows, as `WHERE ...`; `None` for all (`extcondition`).
    pub condition: Option<String>,
}

impl Render for Extension {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let create =
            format!("CREATE EXTENSION IF NOT EXISTS {name} WITH SCHEMA {}", quote_identifier(&self.schema));
        let (version, begin) = match object.name == TIMESCALEDB {
            true => (format!(" VERSION {}", quote_literal(&self.version)), Some(begin_sql(&self.schema))),
            false => (String::new(), None),
        };
        let draft = Draft::new(Section::PreData, EntryKind::Extension, create + &version);
        vec![Draft {
            create: draft.create.into_iter().chain(begin).collect(),
            address: Some(format!("EXTENSION {name}")),
            drop: Some(DropStatement { command: "DROP EXTENSION".to_owned(), object: name }),
            ..draft
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::Extension;
    use crate::kinds::{Body, sample};

    #[test]
    fn extensions() {
        let extension = Extension {
            schema: "Heroku ext".to_owned(),
            version: "1.1".to_owned(),
            relocatable: true,
            configuration: Vec::new(),
        };
        let expected = "CREATE EXTENSION IF NOT EXISTS n WITH SCHEMA \"Heroku ext\";\n";
        sample::check(false, Body::from(extension), expected);
    }
}
