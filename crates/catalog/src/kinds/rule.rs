//! A rewrite rule other than a view's own.

use serde::{Deserialize, Serialize};

use super::Firing;
use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{Object, QualifiedName, quote_identifier};

/// A rewrite rule other than a view's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The table or view.
    pub table: QualifiedName,
    /// `pg_get_ruledef`, without the final semicolon.
    pub definition: String,
    /// When it fires.
    pub firing: Firing,
}

impl Render for Rule {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = quote_identifier(&object.name);
        let identity = format!("{name} ON {}", self.table);
        let mut create = vec![self.definition.clone()];
        if self.firing != Firing::Origin {
            create.push(format!("ALTER TABLE {} {} RULE {name}", self.table, self.firing.sql()));
        }
        vec![Draft {
            create,
            address: Some(format!("RULE {identity}")),
            drop: Some(DropStatement { command: "DROP RULE".to_owned(), object: identity }),
            ..Draft::new(Section::PostData, "RULE", String::new())
        }]
    }

    fn discriminator(&self) -> Option<String> {
        Some(self.table.name.clone())
    }
}
