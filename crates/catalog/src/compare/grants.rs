//! Privileges as sets: what one side gives and the other does not, as sentences.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::acl::privilege::privilege_word;
use crate::{AclItem, quote_identifier};

/// One privilege of one role. Roles that are the object's owner are `None` within: that owners differ is a
/// difference of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Granted {
    grantee: Role,
    grantor: Role,
    is_grantable: bool,
    letter: char,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Owner,
    Public,
    Named(String),
}

/// What only `left` grants and what only `right` does, each a list of statements without their object;
/// `None` where these are no privileges. Owners are those of the two objects.
pub(super) fn only_on_each(
    (left, left_owner): (&Value, Option<&str>),
    (right, right_owner): (&Value, Option<&str>),
) -> Option<(Vec<String>, Vec<String>)> {
    let (left, right) = (granted(left, left_owner)?, granted(right, right_owner)?);
    let only = |of: &BTreeSet<Granted>, other: &BTreeSet<Granted>, owner: Option<&str>| {
        sentences(of.difference(other).cloned().collect(), owner)
    };
    Some((only(&left, &right, left_owner), only(&right, &left, right_owner)))
}

fn granted(acl: &Value, owner: Option<&str>) -> Option<BTreeSet<Granted>> {
    if acl.is_null() {
        return Some(BTreeSet::new());
    }
    let items: Vec<AclItem> = serde_json::from_value(acl.clone()).ok()?;
    let role = |name: String| if Some(&*name) == owner { Role::Owner } else { Role::Named(name) };
    let mut all = BTreeSet::new();
    for AclItem { grantee, grantor, privileges } in items {
        let (grantee, grantor) = (grantee.map_or(Role::Public, role), role(grantor));
        let mut letters = privileges.chars().peekable();
        while let Some(letter) = letters.next() {
            let is_grantable = letters.next_if_eq(&'*').is_some();
            all.insert(Granted { grantee: grantee.clone(), grantor: grantor.clone(), is_grantable, letter });
        }
    }
    Some(all)
}

fn sentences(only: Vec<Granted>, owner: Option<&str>) -> Vec<String> {
    let mut grouped: BTreeMap<(Role, Role, bool), Vec<&str>> = BTreeMap::new();
    for Granted { grantee, grantor, is_grantable, letter } in only {
        grouped.entry((grantee, grantor, is_grantable)).or_default().push(privilege_word(letter));
    }
    let name = |role: &Role| match role {
        Role::Owner => owner.map_or_else(|| "its owner".to_owned(), quote_identifier),
        Role::Public => "PUBLIC".to_owned(),
        Role::Named(name) => quote_identifier(name),
    };
    let sentence = |((grantee, grantor, is_grantable), mut words): ((Role, Role, bool), Vec<&str>)| {
        words.sort_unstable();
        let option = if is_grantable { " WITH GRANT OPTION" } else { "" };
        let by = match &grantor {
            Role::Owner => String::new(),
            other => format!(" GRANTED BY {}", name(other)),
        };
        format!("GRANT {} TO {}{option}{by}", words.join(", "), name(&grantee))
    };
    grouped.into_iter().map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::only_on_each;
    use crate::parse_acl;

    fn check(left: (&[&str], &str), right: (&[&str], &str), expected: (&[&str], &[&str])) {
        let value = |items: &[&str]| {
            json!(parse_acl(&items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>()).unwrap())
        };
        let (one, two) = (value(left.0), value(right.0));
        let (lacks, has) = only_on_each((&one, Some(left.1)), (&two, Some(right.1))).unwrap();
        assert_eq!(
            (lacks, has),
            (expected.0.iter().map(|&s| s.into()).collect(), expected.1.iter().map(|&s| s.into()).collect())
        );
    }

    #[test]
    fn sets_of_privileges() {
        check((&["a=r/o", "b=w/o"], "o"), (&["b=w/o", "a=r/o"], "o"), (&[], &[]));
        check((&["a=r/o"], "o"), (&["b=r/o"], "o"), (&["GRANT SELECT TO a"], &["GRANT SELECT TO b"]));
        check((&["a=rw/o"], "o"), (&["a=r/o"], "o"), (&["GRANT UPDATE TO a"], &[]));
        check(
            (&["a=r*/o"], "o"),
            (&["a=r/o"], "o"),
            (&["GRANT SELECT TO a WITH GRANT OPTION"], &["GRANT SELECT TO a"]),
        );
        check((&["=r/A"], "o"), (&[], "o"), (&["GRANT SELECT TO PUBLIC GRANTED BY \"A\""], &[]));
    }

    #[test]
    fn an_owner_is_an_owner() {
        check((&["o=rw/o", "a=r/o"], "o"), (&["p=rw/p", "a=r/p"], "p"), (&[], &[]));
        check((&["o=rw/o"], "o"), (&["p=r/p"], "p"), (&["GRANT UPDATE TO o"], &[]));
    }

    #[test]
    fn what_is_no_privilege() {
        assert_eq!(only_on_each((&json!(["x"]), None), (&json!(null), None)), None);
    }
}
