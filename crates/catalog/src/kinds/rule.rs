//! A rewrite rule other than a view's own.

use serde::{Deserialize, Serialize};

use super::Firing;
use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, QualifiedName, quote_identifier};

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
            ..Draft::new(Section::PostData, EntryKind::Rule, String::new())
        }]
    }

    fn discriminator(&self) -> Option<String> {
        Some(self.table.name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{Firing, Rule};
    use crate::QualifiedName;
    use crate::kinds::{Body, sample};

    #[track_caller]
    fn check(firing: Firing, expected: &str) {
        let definition = "CREATE RULE n AS\n    ON INSERT TO s.t DO INSTEAD NOTHING".to_owned();
        let body = Rule { table: QualifiedName::new("s", "t"), definition, firing };
        sample::check(true, Body::from(body), expected);
    }

    #[test]
    fn a_rule_and_when_it_fires() {
        check(Firing::Origin, "CREATE RULE n AS\n    ON INSERT TO s.t DO INSTEAD NOTHING;\n");
        check(
            Firing::Disabled,
            "CREATE RULE n AS\n    ON INSERT TO s.t DO INSTEAD NOTHING;\nALTER TABLE s.t DISABLE RULE n;\n",
        );
    }
}
