//! Roles that statements about privileges name, and which of the statements can run without them.

use std::collections::BTreeSet;

use dbhaul_catalog::{DropStatement, EntryKind, TocEntry, quote_identifier};

use crate::plan::piece::Piece;
use crate::{Cause, ImportOptions};

/// Roles that an import may name but the target does not have, or does not let us act as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RoleLimits {
    /// Roles that do not exist on the target.
    pub(crate) missing: BTreeSet<String>,
    /// Roles that exist but that the importing role may not become: it can neither give objects to
    /// them nor grant in their name.
    pub(crate) not_ours: BTreeSet<String>,
    /// Roles that the importing role may become but whose rights it does not have as itself: what it gave
    /// to them it could neither fill nor index.
    pub(crate) not_inherited: BTreeSet<String>,
    /// Whether the importing role is a superuser, who alone may `SET SESSION AUTHORIZATION`.
    pub(crate) is_superuser: bool,
}

/// The statements of an entry that can run, and why others cannot. A grant in another's name is one
/// statement together with those that take on that name and lay it down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runnable {
    pub(crate) statements: Vec<Piece>,
    /// Statements and reasons.
    pub(crate) left_out: Vec<(String, Cause)>,
}

impl RoleLimits {
    /// Why an owner cannot be set, if it cannot.
    pub(crate) fn owner_problem(&self, owner: &str) -> Option<Cause> {
        let role = || owner.to_owned();
        if self.missing.contains(owner) {
            Some(Cause::MissingRole { role: role() })
        } else if self.not_ours.contains(owner) {
            Some(Cause::MayNotBecomeOwner { role: role() })
        } else if self.not_inherited.contains(owner) {
            Some(Cause::NotInherited { role: role() })
        } else {
            None
        }
    }

    /// Leaves out what names roles that the target lacks.
    pub(crate) fn runnable(&self, entry: &TocEntry) -> Runnable {
        let mut runnable = Runnable::default();
        let mut grantor: Option<String> = None;
        for statement in &entry.create {
            let words = words(statement);
            let is_authorization =
                entry.kind.is_privilege() && words.get(1).is_some_and(|word| word.is("SESSION"));
            if is_authorization {
                let role = words.last().filter(|_| words[0].is("SET"));
                grantor = role.map(|role| role.text.clone());
                continue;
            }
            let problem = grantor.as_deref().and_then(|grantor| self.grantor_problem(grantor));
            let problem = problem.or_else(|| self.missing_of(&roles_named(entry, &words)));
            match (problem, &grantor) {
                (Some(problem), _) => runnable.left_out.push((statement.clone(), problem)),
                (None, Some(grantor)) => runnable.statements.push(self.in_the_name_of(grantor, statement)),
                (None, None) => runnable.statements.push(Piece::plain(statement.clone())),
            }
        }
        runnable
    }

    /// A grant as the grantor gives it: `pg_dump` has only superusers in mind, but whoever may become the
    /// grantor can do it too.
    fn in_the_name_of(&self, grantor: &str, statement: &str) -> Piece {
        Piece::in_the_name_of(&quote_identifier(grantor), self.is_superuser, statement.to_owned())
    }

    fn grantor_problem(&self, grantor: &str) -> Option<Cause> {
        let role = || grantor.to_owned();
        if self.missing.contains(grantor) {
            Some(Cause::MissingGrantor { role: role() })
        } else if !self.is_superuser && self.not_ours.contains(grantor) {
            Some(Cause::MayNotBecomeGrantor { role: role() })
        } else {
            None
        }
    }

    fn missing_of(&self, roles: &[String]) -> Option<Cause> {
        let missing = roles.iter().find(|role| self.missing.contains(*role));
        missing.map(|role| Cause::MissingRole { role: role.clone() })
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
            roles.extend(entry.owner.as_ref().map(String::from));
        }
        if options.privileges || !entry.kind.is_privilege() {
            let statements = entry.create.iter();
            roles.extend(statements.flat_map(|statement| roles_named(entry, &words(statement))));
        }
    }
    roles
}

/// Every role that a statement of an entry names, beside its owner.
fn roles_named(entry: &TocEntry, words: &[Word]) -> Vec<String> {
    match entry.kind {
        EntryKind::Acl | EntryKind::DefaultAcl => named_roles(words),
        EntryKind::Policy => policy_roles(words),
        EntryKind::UserMapping => mapped_role(words).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// Roles in `CREATE POLICY p ON s.t FOR SELECT TO a, b USING (...)`.
fn policy_roles(words: &[Word]) -> Vec<String> {
    let Some(on) = words.iter().position(|word| word.is("ON")) else { return Vec::new() };
    // the table's name may have dots, no parentheses
    let clauses =
        words[on..].iter().take_while(|word| !word.is("USING") && !word.is("WITH") && !word.is("("));
    let names = clauses.skip_while(|word| !word.is("TO")).skip(1);
    names.filter(|word| !word.is("PUBLIC") && !word.is(",")).map(|word| word.text.clone()).collect()
}

/// The role in `CREATE USER MAPPING FOR a SERVER s`; `PUBLIC` is none.
fn mapped_role(words: &[Word]) -> Option<String> {
    let role = words.iter().skip_while(|word| !word.is("FOR")).nth(1)?;
    (!role.is("PUBLIC")).then(|| role.text.clone())
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
    use super::{mapped_role, named_roles, policy_roles, words};

    #[test]
    fn roles_are_found_in_policies_and_user_mappings() {
        for (statement, expected) in [
            (
                "CREATE POLICY \"TO x\" ON public.t FOR SELECT TO a, \"B \" USING ((owner TO b))",
                vec!["a", "B "],
            ),
            ("CREATE POLICY p ON public.\"TO\" USING (true)", vec![]),
            ("CREATE POLICY p ON s.t AS RESTRICTIVE TO c WITH CHECK (true)", vec!["c"]),
        ] {
            assert_eq!(policy_roles(&words(statement)), expected, "{statement}");
        }
        let mapped = |statement| mapped_role(&words(statement));
        assert_eq!(mapped("CREATE USER MAPPING FOR \"x y\" SERVER s"), Some("x y".to_owned()));
        assert_eq!(mapped("CREATE USER MAPPING FOR PUBLIC SERVER s"), None);
    }

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
