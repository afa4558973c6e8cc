//! A row-security policy.

use serde::{Deserialize, Serialize};

use crate::render::{Draft, Render, Target};
use crate::toc::{DropStatement, Section};
use crate::{EntryKind, Object, QualifiedName, quote_identifier};

/// A row-security policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The table.
    pub table: QualifiedName,
    /// `PERMISSIVE`, as against `RESTRICTIVE`.
    pub permissive: bool,
    /// The command it is for.
    pub command: PolicyCommand,
    /// The roles it is for, sorted; empty is `PUBLIC`.
    pub roles: Vec<String>,
    /// `USING`: which rows are seen.
    pub using: Option<String>,
    /// `WITH CHECK`: which rows may be written.
    pub with_check: Option<String>,
}

/// The command a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyCommand {
    /// All commands.
    All,
    /// `SELECT`.
    Select,
    /// `INSERT`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
}

impl PolicyCommand {
    /// ` FOR SELECT` and so on; nothing for all commands.
    fn clause(self) -> &'static str {
        match self {
            PolicyCommand::All => "",
            PolicyCommand::Select => " FOR SELECT",
            PolicyCommand::Insert => " FOR INSERT",
            PolicyCommand::Update => " FOR UPDATE",
            PolicyCommand::Delete => " FOR DELETE",
        }
    }
}

impl Policy {
    fn create_statement(&self, identity: &str) -> String {
        let mut sql = format!("CREATE POLICY {identity}");
        if !self.permissive {
            sql.push_str(" AS RESTRICTIVE");
        }
        sql.push_str(self.command.clause());
        if !self.roles.is_empty() {
            let roles: Vec<String> = self.roles.iter().map(|role| quote_identifier(role)).collect();
            sql.push_str(&format!(" TO {}", roles.join(", ")));
        }
        if let Some(using) = &self.using {
            sql.push_str(&format!(" USING ({using})"));
        }
        if let Some(check) = &self.with_check {
            sql.push_str(&format!(" WITH CHECK ({check})"));
        }
        sql
    }
}

impl Render for Policy {
    fn render(&self, object: &Object, _target: &Target) -> Vec<Draft> {
        let identity = format!("{} ON {}", quote_identifier(&object.name), self.table);
        vec![Draft {
            address: Some(format!("POLICY {identity}")),
            drop: Some(DropStatement { command: "DROP POLICY".to_owned(), object: identity.clone() }),
            ..Draft::new(Section::PostData, EntryKind::Policy, self.create_statement(&identity))
        }]
    }

    fn discriminator(&self) -> Option<String> {
        Some(self.table.name.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::{Policy, PolicyCommand};
    use crate::QualifiedName;
    use crate::kinds::{Body, sample};

    #[track_caller]
    fn check(
        permissive: bool,
        command: PolicyCommand,
        roles: &[&str],
        texts: [Option<&str>; 2],
        expected: &str,
    ) {
        let [using, with_check] = texts.map(|text| text.map(str::to_owned));
        let table = QualifiedName::new("s", "t");
        let roles = roles.iter().map(|&role| role.to_owned()).collect();
        let body = Policy { table, permissive, command, roles, using, with_check };
        sample::check(true, Body::from(body), expected);
    }

    #[test]
    fn policies() {
        let all = PolicyCommand::All;
        check(true, all, &[], [Some("true"), None], "CREATE POLICY n ON s.t USING (true);\n");
        check(
            false,
            PolicyCommand::Update,
            &["a", "Web User"],
            [Some("(x = 1)"), Some("(y = 2)")],
            "CREATE POLICY n ON s.t AS RESTRICTIVE FOR UPDATE TO a, \"Web User\" USING ((x = 1)) WITH CHECK ((y = 2));\n",
        );
        for (command, words) in [
            (PolicyCommand::Select, "SELECT"),
            (PolicyCommand::Insert, "INSERT"),
            (PolicyCommand::Delete, "DELETE"),
        ] {
            check(true, command, &[], [None, None], &format!("CREATE POLICY n ON s.t FOR {words};\n"));
        }
    }
}
