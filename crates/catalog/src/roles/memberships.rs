//! The order in which memberships can be granted.

use std::collections::BTreeSet;

use super::Membership;

/// Brings memberships into an order in which each grantor holds the admin option
/// it grants by before it grants (PostgreSQL src/bin/pg_dump/pg_dumpall.c,
/// dumpRoleMembership). The second list is what no order serves: grantors whose
/// option rests on none of these. `admins` are those that are there already: role
/// and member with admin option.
pub(super) fn in_order(
    memberships: Vec<Membership>,
    mut admins: BTreeSet<(String, String)>,
) -> (Vec<Membership>, Vec<Membership>) {
    let mut open = memberships;
    let mut ordered: Vec<Membership> = Vec::with_capacity(open.len());
    loop {
        let may_grant = |grant: &Membership| match &grant.grantor {
            None => true,
            Some(grantor) => admins.contains(&(grant.role.clone(), grantor.clone())),
        };
        let (ready, rest): (Vec<_>, Vec<_>) = open.into_iter().partition(may_grant);
        if ready.is_empty() {
            return (ordered, rest);
        }
        admins.extend(ready.iter().filter(|grant| grant.admin).map(|g| (g.role.clone(), g.member.clone())));
        ordered.extend(ready);
        open = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::in_order;
    use crate::roles::Membership;
    use crate::roles::sample::membership;

    fn check(grants: &[(&str, Option<&str>, bool)], expected: &[&str], stuck: &[&str]) {
        let grant = |&(member, grantor, admin): &(&str, Option<&str>, bool)| Membership {
            grantor: grantor.map(str::to_owned),
            admin,
            ..membership("r", member)
        };
        let (ordered, rest) = in_order(grants.iter().map(grant).collect(), BTreeSet::new());
        let members = |list: &[Membership]| list.iter().map(|g| g.member.clone()).collect::<Vec<_>>();
        assert_eq!(members(&ordered), expected);
        assert_eq!(members(&rest), stuck);
    }

    #[test]
    fn grantors_first() {
        check(&[("a", Some("b"), false), ("b", Some("c"), true), ("c", None, true)], &["c", "b", "a"], &[]);
        check(&[("a", Some("b"), true), ("b", Some("a"), true)], &[], &["a", "b"]);
        check(&[("a", None, false), ("b", Some("a"), false)], &["a"], &["b"]);
    }
}
