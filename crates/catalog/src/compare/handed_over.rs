//! Privileges where owners were left behind (`--no-owner`): what they are when another owns the object.

use crate::acl::merge::merged;
use crate::{Acl, AclItem};

/// A change of owner.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handover<'a> {
    /// The owner on the left.
    pub(super) from: &'a str,
    /// The owner on the right.
    pub(super) to: &'a str,
}

impl Handover<'_> {
    /// What the left's privileges may be on the right: first as the right's owner makes them by running
    /// the left's statements, starting with `base`, what a new object has; then as `ALTER ... OWNER TO`
    /// makes them. They are the same but for what the former owner has revoked from itself, which is
    /// nothing to the new one, and for what others granted it.
    pub(super) fn readings(&self, acl: &Acl, base: &Acl) -> [Acl; 2] {
        [self.granted(acl, base), merged(&acl.iter().map(|item| self.renamed(item)).collect())]
    }

    /// The statements of [`grant_statements`](crate::acl::grant::grant_statements), run by the new owner.
    fn granted(&self, acl: &Acl, base: &Acl) -> Acl {
        let mut made: Acl = base.iter().map(|item| self.renamed(item)).collect();
        let revoked = base.iter().filter(|item| !acl.contains(item));
        // what is revoked from the former owner takes nothing from the new one
        for item in revoked.filter(|item| item.grantee.as_deref() != Some(self.from)) {
            let item = self.renamed(item);
            made.retain(|other| (&other.grantee, &other.grantor) != (&item.grantee, &item.grantor));
        }
        let granted = acl.iter().filter(|item| !base.contains(item));
        made.extend(granted.map(|item| AclItem { grantor: self.name(&item.grantor), ..item.clone() }));
        merged(&made)
    }

    fn renamed(&self, item: &AclItem) -> AclItem {
        AclItem {
            grantee: item.grantee.as_deref().map(|name| self.name(name)),
            grantor: self.name(&item.grantor),
            privileges: item.privileges.clone(),
        }
    }

    fn name(&self, role: &str) -> String {
        if role == self.from { self.to.to_owned() } else { role.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::Handover;
    use crate::{Acl, parse_acl};

    fn acl(items: &[&str]) -> Acl {
        let items: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
        let mut acl = parse_acl(&items).unwrap();
        acl.sort();
        acl
    }

    /// The readings of privileges on a table of alice's that is bob's on the right.
    #[track_caller]
    fn check(on_the_left: &[&str], as_granted: &[&str], as_handed_over: &[&str]) {
        let handover = Handover { from: "alice", to: "bob" };
        let mut readings = handover.readings(&acl(on_the_left), &acl(&["alice=arwd/alice"]));
        readings.iter_mut().for_each(|reading| reading.sort());
        assert_eq!(readings, [acl(as_granted), acl(as_handed_over)], "{on_the_left:?}");
    }

    #[test]
    fn grants_of_the_former_owner_are_the_new_ones() {
        let both = ["bob=arwd/bob", "eve=r*/bob", "=r/eve"];
        check(&["alice=arwd/alice", "eve=r*/alice", "=r/eve"], &both, &both);
    }

    #[test]
    fn what_the_new_owner_was_granted_it_has_anyway() {
        check(&["alice=arwd/alice", "bob=r/alice"], &["bob=arwd/bob"], &["bob=arwd/bob"]);
        check(
            &["alice=arwd/alice", "bob=r*/alice", "eve=r/bob"],
            &["bob=ar*wd/bob", "eve=r/bob"],
            &["bob=ar*wd/bob", "eve=r/bob"],
        );
    }

    #[test]
    fn what_the_former_owner_revoked_from_itself_is_its_own_affair() {
        check(&[], &["bob=arwd/bob"], &[]);
        check(&["alice=r/alice"], &["bob=arwd/bob", "alice=r/bob"], &["bob=r/bob"]);
        check(
            &["alice=arwd/alice", "eve=r*/alice", "alice=r/eve"],
            &["bob=arwd/bob", "eve=r*/bob", "alice=r/eve"],
            &["bob=arwd/bob", "eve=r*/bob", "bob=r/eve"],
        );
    }

    #[test]
    fn what_everybody_has_by_default_is_revoked_under_any_owner() {
        let handover = Handover { from: "alice", to: "bob" };
        let base = acl(&["=X/alice", "alice=X/alice"]);
        for reading in handover.readings(&acl(&["alice=X/alice"]), &base) {
            assert_eq!(reading, acl(&["bob=X/bob"]));
        }
    }
}
