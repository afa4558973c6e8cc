//! A trigger.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, QualifiedName, quote_identifier};

/// A trigger of a table or view.
///
/// The copies that a partitioned table's trigger has on the partitions come with
/// it; one is listed only where it is switched on or off differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The table or view.
    pub table: QualifiedName,
    /// `pg_get_triggerdef(oid, false)`.
    pub definition: String,
    /// When it fires.
    pub firing: Firing,
    /// Whether it is a partition's copy of the partitioned table's trigger.
    pub is_partition_copy: bool,
    /// Extensions it goes away with: `DEPENDS ON EXTENSION`.
    pub depends_on_extensions: Vec<String>,
}

/// In which sessions a trigger or rule fires, by `session_replication_role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firing {
    /// `O`: in all but replicas' sessions.
    Origin,
    /// `D`: never.
    Disabled,
    /// `R`: in replicas' sessions.
    Replica,
    /// `A`: always.
    Always,
}

impl Firing {
    /// `ENABLE`, `DISABLE`, `ENABLE REPLICA` or `ENABLE ALWAYS`.
    pub fn sql(self) -> &'static str {
        match self {
            Firing::Origin => "ENABLE",
            Firing::Disabled => "DISABLE",
            Firing::Replica => "ENABLE REPLICA",
            Firing::Always => "ENABLE ALWAYS",
        }
    }
}

impl Trigger {
    /// Whether it is a constraint trigger, which takes a name among the constraints of its table too.
    pub(crate) fn is_constraint(&self) -> bool {
        // as src/backend/utils/adt/ruleutils.c writes it, whatever the language of messages
        self.definition.starts_with("CREATE CONSTRAINT TRIGGER ")
    }

    fn firing_statement(&self, name: &str) -> String {
        format!("ALTER TABLE {} {} TRIGGER {name}", self.table, self.firing.sql())
    }

    fn create_statements(&self, name: &str) -> Vec<String> {
        if self.is_partition_copy {
            return vec![self.firing_statement(name)];
        }
        let mut statements = vec![self.definition.clone()];
        let depends = |extension: &String| {
            let extension = quote_identifier(extension);
            format!("ALTER TRIGGER {name} ON {} DEPENDS ON EXTENSION {extension}", self.table)
        };
        statements.extend(self.depends_on_extensions.iter().map(depends));
        if self.firing != Firing::Origin {
            statements.push(self.firing_statement(name));
        }
        statements
    }
}

impl Render for Trigger {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let name = quote_identifier(&object.name);
        let identity = format!("{name} ON {}", self.table);
        let drop = DropStatement { command: "DROP TRIGGER".to_owned(), object: identity.clone() };
        vec![Draft {
            create: self.create_statements(&name),
            address: Some(format!("TRIGGER {identity}")),
            drop: (!self.is_partition_copy).then_some(drop),
            ..Draft::new(Section::PostData, EntryKind::Trigger, String::new())
        }]
    }

    fn discriminator(&self) -> Option<String> {
        Some(self.table.name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{Firing, Trigger};
    use crate::QualifiedName;
    use crate::kinds::{Body, sample};

    const DEFINITION: &str = "CREATE TRIGGER n AFTER INSERT ON s.t FOR EACH ROW EXECUTE FUNCTION s.f()";

    #[track_caller]
    fn check(firing: Firing, is_partition_copy: bool, extensions: &[&str], expected: &[&str]) {
        let body = Trigger {
            table: QualifiedName::new("s", "t"),
            definition: DEFINITION.to_owned(),
            firing,
            is_partition_copy,
            depends_on_extensions: extensions.iter().map(|&name| name.to_owned()).collect(),
        };
        let expected: String = expected.iter().map(|sql| format!("{sql};\n")).collect();
        sample::check(true, Body::from(body), &expected);
    }

    #[test]
    fn a_trigger_and_when_it_fires() {
        check(Firing::Origin, false, &[], &[DEFINITION]);
        check(Firing::Disabled, false, &[], &[DEFINITION, "ALTER TABLE s.t DISABLE TRIGGER n"]);
        check(Firing::Replica, false, &[], &[DEFINITION, "ALTER TABLE s.t ENABLE REPLICA TRIGGER n"]);
        check(Firing::Always, false, &[], &[DEFINITION, "ALTER TABLE s.t ENABLE ALWAYS TRIGGER n"]);
        check(
            Firing::Origin,
            false,
            &["pg_x"],
            &[DEFINITION, "ALTER TRIGGER n ON s.t DEPENDS ON EXTENSION pg_x"],
        );
    }

    #[test]
    fn a_partitions_copy_is_only_switched() {
        check(Firing::Disabled, true, &[], &["ALTER TABLE s.t DISABLE TRIGGER n"]);
        check(Firing::Origin, true, &[], &["ALTER TABLE s.t ENABLE TRIGGER n"]);
    }
}
