//! Roles that statements about privileges name, and which of the statements can run without them.

use std::collections::BTreeSet;

use dbhaul_catalog::{DropStatement, TocEntry};

use crate::ImportOptions;

/// Roles that an import may name but the target does not have, or does not let us act as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RoleLimits {
    /// Roles that do not exist on the target.
    pub(crate) missing: BTreeSet<String>,
    /// Roles that exist but that the importing role may not become: it can neither give objects to
    /// them nor grant in their name.
    pub(crate) not_ours: BTreeSet<String>,
    /// Whether the importing role is a superuser, who alone may `SET SESSION AUTHORIZATION`.
    pub(crate) is_superuser: bool,
}

/// The statements of an entry that can run, and why others cannot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runnable {
    pub(crate) statements: Vec<String>,
    pub(crate) left_out: Vec<String>,
}

impl RoleLimits {
    /// Why an owner cannot be set, if it cannot.
    pub(crate) fn owner_problem(&self, owner: &str) -> Option<String> {
        if self.missing.contains(owner) {
            Some(format!("owner not set: role \"{owner}\" does not exist on the target"))
        } else if self.not_ours.contains(owner) {
            Some(format!("owner not set: the importing role may not SET ROLE \"{owner}\""))
        } else {
            None
        }
    }

    /// Leaves out what names roles that the target lacks.
    pub(crate) fn runnable(&self, entry: &TocEntry) -> Runnable {
        let mut runnable = Runnable::default();
        if !is_privilege(entry) {
            runnable.statements.clone_from(&entry.create);
            return runnable;
        }
        let mut grantor_problem: Option<String> = None;
        for statement in &entry.create {
            let words = words(statement);
            let is_authorization = words.get(1).is_some_and(|word| word.is("SESSION"));
            if is_authorization && words[0].is("SET") {
                grantor_problem = words.last().and_then(|role| self.grantor_problem(&role.text));
            }
            let problem = grantor_problem.clone().or_else(|| self.missing_of(&words));
            match problem {
                Some(problem) if !is_authorization => {
                    runnable.left_out.push(format!("{statement}: {problem}"))
                }
                Some(_) => {}
                None => runnable.statements.push(statement.clone()),
            }
            if is_authorization && words[0].is("RESET") {
                grantor_problem = None;
            }
        }
        runnable
    }

    fn grantor_problem(&self, grantor: &str) -> Option<String> {
        if self.missing.contains(grantor) {
            Some(format!("the grantor \"{grantor}\" does not exist on the target"))
        } else if !self.is_superuser {
            Some(format!("only a superuser can grant in the name of \"{grantor}\""))
        } else {
            None
        }
    }

    fn missing_of(&self, words: &[Word]) -> Option<String> {
        let missing = named_roles(words).into_iter().find(|role| self.missing.contains(role))?;
        Some(format!("role \"{missing}\" does not exist on the target"))
    }
}

/// Every role that the import of these entries needs.
pub(crate) fn needed_roles<'a>(
    entries: impl Iterator<Item = &'a TocEntry>,
    options: &ImportOptions,
) -> BTreeSet<String> {
    let mut roles = BTreeSet::new();
    for entry in entries {
        if options.set_owners && entry.set_owner.is_some() {
            roles.extend(entry.owner.clone());
        }
        if options.privileges && is_privilege(entry) {
            roles.extend(entry.create.iter().flat_map(|statement| named_roles(&words(statement))));
        }
    }
    roles
}

fn is_privilege(entry: &TocEntry) -> bool {
    matches!(entry.kind.as_str(), "ACL" | "DEFAULT ACL")
}

/// Whether a drop is of the schema every database has, which is never dropped.
pub(crate) fn drops_public(drop: &DropStatement) -> bool {
    drop.command == "DROP SCHEMA" && drop.object == "public"
}

/// Roles in `GRANT ... TO`, `REVOKE ... FROM`, `ALTER DEFAULT PRIVILEGES FOR ROLE`, `SET SESSION AUTHORIZATION`.
fn named_roles(words: &[Word]) -> Vec<String> {
    let mut roles = Vec::new();
    let is = |index: usize, text: &str| words.get(index).is_some_and(|word| word.is(text));
    if is(0, "SET") && is(1, "SESSION") {
        roles.extend(words.last().map(|role| role.text.clone()));
    }
    if is(0, "ALTER") && is(1, "DEFAULT") && is(3, "FOR") {
        roles.extend(words.get(5).map(|role| role.text.clone()));
    }
    let last = words.iter().rposition(|word| word.is("TO") || word.is("FROM"));
    for word in last.map_or(&[] as &[Word], |at| &words[at + 1..]) {
        if ["WITH", "GRANTED", "CASCADE", "RESTRICT"].iter().any(|end| word.is(end)) {
            break;
        }
        if !word.is("PUBLIC") && word.text != "," {
            roles.push(word.text.clone());
        }
    }
    roles
}

/// A word of a statement: a keyword, an identifier without its quotes, a string or one other character.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    quoted: bool,
}

impl Word {
    fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.text.eq_ignore_ascii_case(keyword)
    }
}

fn words(statement: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut chars = statement.chars().peekable();
    while let Some(first) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        let quoted = first == '"' || first == '\'';
        let mut text = String::new();
        if quoted {
            while let Some(next) = chars.next() {
                if next == first && chars.next_if_eq(&first).is_none() {
                    break;
                }
                text.push(next);
            }
        } else {
            text.push(first);
            while let Some(next) = chars.next_if(|&next| is_word(first) && is_word(next)) {
                text.push(next);
            }
        }
        words.push(Word { text, quoted });
    }
    words
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$' || !character.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::{named_roles, words};

    #[test]
    fn roles_are_found_in_statements_about_privileges() {
        for (statement, expected) in [
            ("GRANT SELECT ON TABLE public.\"TO\" TO \"a \"\"b\"", vec!["a \"b"]),
            ("GRANT ALL ON SCHEMA s TO bob WITH GRANT OPTION", vec!["bob"]),
            ("GRANT ALL ON SCHEMA s TO PUBLIC", vec![]),
            ("GRANT ALL ON SCHEMA s TO \"PUBLIC\"", vec!["PUBLIC"]),
            ("REVOKE ALL(a) ON TABLE t FROM größe, b CASCADE", vec!["größe", "b"]),
            (
                "ALTER DEFAULT PRIVILEGES FOR ROLE own IN SCHEMA s GRANT SELECT ON TABLES TO reader",
                vec!["own", "reader"],
            ),
            ("SET SESSION AUTHORIZATION 'it''s'", vec!["it's"]),
            ("RESET SESSION AUTHORIZATION", vec![]),
        ] {
            assert_eq!(named_roles(&words(statement)), expected, "{statement}");
        }
    }
}
