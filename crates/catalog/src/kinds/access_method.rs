//! An access method.

use serde::{Deserialize, Serialize};

use crate::{EntryKind, Object};
use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};

/// An access method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessMethod {
    /// What it gives access to.
    pub type_of: AccessMethodType,
    /// The handler function, as SQL.
    pub handler: String,
}

/// `amtype`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMethodType {
    /// Indexes.
    Index,
    /// Tables.
    Table,
}

impl Render for AccessMethod {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = object.sql_name();
        let type_of = match self.type_of {
            AccessMethodType::Index => EntryKind::Index,
            AccessMethodType::Table => EntryKind::Table,
        };
        let create = format!("CREATE ACCESS METHOD {name} TYPE {type_of} HANDLER {}", self.handler);
        vec![Draft {
            address: Some(format!("ACCESS METHOD {name}")),
            drop: Some(DropStatement { command: "DROP ACCESS METHOD".to_owned(), object: name }),
            ..Draft::new(Section::PreData, EntryKind::AccessMethod, create)
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::{AccessMethod, AccessMethodType};
    use crate::kinds::{Body, sample};

    #[test]
    fn access_methods() {
        for (type_of, word) in [(AccessMethodType::Index, "INDEX"), (AccessMethodType::Table, "TABLE")] {
            let body = Body::from(AccessMethod { type_of, handler: "gisthandler".to_owned() });
            sample::check(false, body, &format!("CREATE ACCESS METHOD n TYPE {word} HANDLER gisthandler;\n"));
        }
    }
}
