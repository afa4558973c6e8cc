//! Privileges as statements.

use crate::acl::privilege::Grantable;
use crate::{Acl, AclItem, ServerVersion, quote_identifier};

/// What privileges are on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GrantObject<'a> {
    pub(crate) kind: Grantable,
    /// The object, quoted and qualified: `public.film`, `public.f(integer)`.
    pub(crate) name: &'a str,
    /// The column, for [`Grantable::Column`].
    pub(crate) column: Option<&'a str>,
    pub(crate) owner: &'a str,
    /// The oldest server that shall run the statements: a newer one may, and there `ALL` may cover more.
    pub(crate) target: ServerVersion,
}

/// The statements that lead from `base`, what the object has when it is made,
/// to `acl` (as src/bin/pg_dump/dumputils.c, `buildACLCommands`): what is gone
/// is revoked first, then the owner's own grants, then the others in catalog
/// order, in which a grant stands behind the grant option it rests on.
///
/// A grant by another than the owner is given under that role's name.
pub(crate) fn grant_statements(on: &GrantObject<'_>, acl: &Acl, base: &Acl) -> Vec<String> {
    let revoked = base.iter().filter(|item| !acl.contains(item));
    let granted = acl.iter().filter(|item| !base.contains(item));
    let mut statements: Vec<String> = revoked.filter_map(|item| revoke(on, item)).collect();
    let (own, others): (Vec<&AclItem>, Vec<&AclItem>) =
        granted.partition(|item| item.grantor == on.owner && item.grantee.as_deref() == Some(on.owner));
    for item in own.into_iter().chain(others) {
        statements.extend(grant(on, item));
    }
    statements
}

fn revoke(on: &GrantObject<'_>, item: &AclItem) -> Option<String> {
    let (plain, grantable) = split(on, item);
    let all = if plain.len() + grantable.len() == on.kind.all_privileges() {
        vec![with_column(on, "ALL")]
    } else {
        [plain, grantable].concat().into_iter().map(|word| with_column(on, word)).collect()
    };
    (!all.is_empty()).then(|| {
        format!("REVOKE {} ON {} {} FROM {}", all.join(","), on.kind.keyword(), on.name, grantee(item))
    })
}

fn grant(on: &GrantObject<'_>, item: &AclItem) -> Vec<String> {
    let (plain, grantable) = split(on, item);
    let every = on.kind.all_privileges();
    let mut statements = Vec::new();
    for (words, option) in [(plain, ""), (grantable, " WITH GRANT OPTION")] {
        if words.is_empty() {
            continue;
        }
        let list = if words.len() == every {
            with_column(on, "ALL")
        } else {
            words.iter().map(|word| with_column(on, word)).collect::<Vec<_>>().join(",")
        };
        statements.push(format!(
            "GRANT {list} ON {} {} TO {}{option}",
            on.kind.keyword(),
            on.name,
            grantee(item)
        ));
    }
    if !statements.is_empty() && item.grantor != on.owner {
        statements.insert(0, format!("SET SESSION AUTHORIZATION {}", quote_identifier(&item.grantor)));
        statements.push("RESET SESSION AUTHORIZATION".to_owned());
    }
    statements
}

/// The words of the privileges held without and with grant option.
fn split(on: &GrantObject<'_>, item: &AclItem) -> (Vec<&'static str>, Vec<&'static str>) {
    let letters = item.privileges.as_bytes();
    let mut plain = Vec::new();
    let mut grantable = Vec::new();
    for (letter, word) in on.kind.privileges(on.target) {
        if let Some(at) = letters.iter().position(|other| other == letter) {
            let words = if letters.get(at + 1) == Some(&b'*') { &mut grantable } else { &mut plain };
            words.push(*word);
        }
    }
    (plain, grantable)
}

fn with_column(on: &GrantObject<'_>, word: &str) -> String {
    match on.column {
        Some(column) => format!("{word}({})", quote_identifier(column)),
        None => word.to_owned(),
    }
}

fn grantee(item: &AclItem) -> String {
    item.grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), quote_identifier)
}

#[cfg(test)]
mod tests {
    use super::{GrantObject, grant_statements};
    use crate::acl::privilege::{Grantable, default_acl};
    use crate::{ServerVersion, parse_acl};

    fn check(kind: Grantable, column: Option<&str>, acl: &[&str], expected: &[&str]) {
        let source = ServerVersion::of_major(15);
        let acl: Vec<String> = acl.iter().map(|&item| item.to_owned()).collect();
        let base = default_acl(kind, "own", source);
        let on = GrantObject { kind, name: "public.x", column, owner: "own", target: source };
        assert_eq!(grant_statements(&on, &parse_acl(&acl).unwrap(), &base), expected);
    }

    #[test]
    fn tables() {
        let all = "own=arwdDxt/own";
        check(Grantable::Table, None, &[all], &[]);
        check(Grantable::Table, None, &[all, "=r/own"], &["GRANT SELECT ON TABLE public.x TO PUBLIC"]);
        check(
            Grantable::Table,
            None,
            &[all, "bob=ar*/own"],
            &[
                "GRANT INSERT ON TABLE public.x TO bob",
                "GRANT SELECT ON TABLE public.x TO bob WITH GRANT OPTION",
            ],
        );
        // on 17 and later ALL is more than that
        check(
            Grantable::Table,
            None,
            &[all, "bob=arwdDxt/own"],
            &["GRANT SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE ON TABLE public.x TO bob"],
        );
        check(
            Grantable::Sequence,
            None,
            &["own=rwU/own", "bob=rwU/own"],
            &["GRANT ALL ON SEQUENCE public.x TO bob"],
        );
        check(
            Grantable::Table,
            None,
            &["own=r/own"],
            &[
                "REVOKE SELECT,INSERT,REFERENCES,DELETE,TRIGGER,TRUNCATE,UPDATE ON TABLE public.x FROM own",
                "GRANT SELECT ON TABLE public.x TO own",
            ],
        );
    }

    #[test]
    fn grants_by_others_run_as_the_grantor() {
        check(
            Grantable::Table,
            None,
            &["own=arwdDxt/own", "bob=r*/own", "\"Eve\"=r/bob"],
            &[
                "GRANT SELECT ON TABLE public.x TO bob WITH GRANT OPTION",
                "SET SESSION AUTHORIZATION bob",
                "GRANT SELECT ON TABLE public.x TO \"Eve\"",
                "RESET SESSION AUTHORIZATION",
            ],
        );
    }

    #[test]
    fn columns_and_functions() {
        check(
            Grantable::Column,
            Some("a b"),
            &["bob=rw/own"],
            &["GRANT SELECT(\"a b\"),UPDATE(\"a b\") ON TABLE public.x TO bob"],
        );
        check(Grantable::Function, None, &["own=X/own"], &["REVOKE ALL ON FUNCTION public.x FROM PUBLIC"]);
        check(
            Grantable::Type,
            None,
            &[],
            &["REVOKE ALL ON TYPE public.x FROM PUBLIC", "REVOKE ALL ON TYPE public.x FROM own"],
        );
    }

    #[test]
    fn addresses() {
        let of = |address| Grantable::of_address(address).map(|(kind, name)| (kind.keyword(), name));
        assert_eq!(of("MATERIALIZED VIEW a.b"), Some(("TABLE", "a.b")));
        assert_eq!(of("SERVER s"), Some(("FOREIGN SERVER", "s")));
        assert_eq!(of("TRIGGER t ON x"), None);
    }
}
