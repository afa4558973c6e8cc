//! MAINTAIN, which 17 brought: what owners of older servers may do without it.

use super::normalised;
use crate::kinds::{Body, DefaultAcl};
use crate::{Acl, AclItem, Catalog, Identity, ServerVersion};

/// The first major that has it.
const SINCE: u32 = 17;

/// What of MAINTAIN counts when privileges of two majors are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maintain {
    /// All of it.
    Compared,
    /// That of owners does not: before 17 they had it by their nature.
    OfOthers,
    /// None: the right side does not know it, and what is lost is told ([`lost_maintain`]).
    Unknown,
}

impl Maintain {
    pub(super) fn between(left: ServerVersion, right: ServerVersion) -> Self {
        match (left.major() >= SINCE, right.major() >= SINCE) {
            (true, true) | (false, false) => Maintain::Compared,
            (false, true) => Maintain::OfOthers,
            (true, false) => Maintain::Unknown,
        }
    }

    /// Privileges on something of `owner`'s as they are compared, in an order of their own.
    pub(super) fn compared(self, acl: Option<Acl>, owner: Option<&str>) -> Option<Acl> {
        self.compared_beside(acl, owner, &Acl::new())
    }

    /// The same for privileges of a member of an extension: of what the extension's script gave, in `initial`,
    /// MAINTAIN is of the installation's version.
    pub(super) fn compared_beside(self, acl: Option<Acl>, owner: Option<&str>, initial: &Acl) -> Option<Acl> {
        let acl = normalised(acl)?;
        let counts = |item: &AclItem| match self {
            Maintain::Compared => true,
            Maintain::OfOthers => !is_own(item, owner) && !was_given(item, initial),
            Maintain::Unknown => false,
        };
        let without = |item: AclItem| match counts(&item) {
            true => item,
            false => AclItem { privileges: without_maintain(&item.privileges), ..item },
        };
        Some(acl.into_iter().map(without).filter(|item| !item.privileges.is_empty()).collect())
    }

    /// Whether of default privileges anything is left to compare.
    pub(super) fn leaves_some(self, default: &DefaultAcl) -> bool {
        let DefaultAcl { revoked, granted, .. } = self.compared_defaults(default);
        !(revoked.is_empty() && granted.is_empty())
    }

    /// Default privileges as they are compared.
    pub(super) fn compared_defaults(self, default: &DefaultAcl) -> DefaultAcl {
        let compared = |acl: &Acl| self.compared(Some(acl.clone()), Some(&default.role)).unwrap_or_default();
        let (revoked, granted) = (compared(&default.revoked), compared(&default.granted));
        DefaultAcl { revoked, granted, ..default.clone() }
    }
}

/// Objects of a copy whose owners may MAINTAIN them although other privileges were revoked from them:
/// a source before 17 had no such privilege to revoke, and its owners did all that it allows. So it is
/// too where `pg_dump` copies.
pub fn kept_maintain(source: ServerVersion, copy: &Catalog) -> Vec<Identity> {
    if Maintain::between(source, copy.server_version) != Maintain::OfOthers {
        return Vec::new();
    }
    let all = super::default_acl(crate::acl::privilege::Grantable::Table, "", copy.server_version);
    let is_part = |item: &AclItem, owner: Option<&str>| {
        let letters = item.privileges.replace('*', "");
        is_own(item, owner) && letters.contains('m') && all.iter().all(|all| all.privileges != letters)
    };
    let keeps = |acl: &Acl, owner: Option<&str>| acl.iter().any(|item| is_part(item, owner));
    let objects = copy.objects.iter().filter(|object| match &object.body {
        Body::DefaultAcl(default) => keeps(&default.granted, Some(&default.role)),
        _ => object.acl.as_ref().is_some_and(|acl| keeps(acl, object.owner.as_deref())),
    });
    objects.map(crate::Object::identity).collect()
}

/// Objects of the left that others than their owners may MAINTAIN, where the right is of a version that has no
/// such privilege: there they may not. Owners before 17 may do what it allows without it.
pub fn lost_maintain(left: &Catalog, right: ServerVersion) -> Vec<Identity> {
    if Maintain::between(left.server_version, right) != Maintain::Unknown {
        return Vec::new();
    }
    let nothing = Acl::new();
    let is_lost = |acl: &Acl, owner: Option<&str>, initial: &Acl| {
        acl.iter().any(|item| has_maintain(item) && !is_own(item, owner) && !was_given(item, initial))
    };
    let objects = left.objects.iter().filter(|object| match &object.body {
        Body::DefaultAcl(default) => is_lost(&default.granted, Some(&default.role), &nothing),
        _ => object.acl.as_ref().is_some_and(|acl| {
            let mut initial = left.initial_acls.iter();
            let initial = initial.find(|of| of.object == object.id && of.column.is_none());
            is_lost(acl, object.owner.as_deref(), initial.map_or(&nothing, |of| &of.acl))
        }),
    });
    objects.map(crate::Object::identity).collect()
}

fn has_maintain(item: &AclItem) -> bool {
    item.privileges.contains('m')
}

/// Whether MAINTAIN of an item is what an extension's script gave.
fn was_given(item: &AclItem, initial: &Acl) -> bool {
    initial
        .iter()
        .any(|given| has_maintain(given) && given.grantee == item.grantee && given.grantor == item.grantor)
}

/// Whether an item is what an owner has of itself.
fn is_own(item: &AclItem, owner: Option<&str>) -> bool {
    owner.is_some() && item.grantee.as_deref() == owner && Some(item.grantor.as_str()) == owner
}

fn without_maintain(privileges: &str) -> String {
    privileges.replace("m*", "").replace('m', "")
}

#[cfg(test)]
mod tests {
    use super::Maintain;
    use crate::{ServerVersion, parse_acl};

    #[track_caller]
    fn check(majors: (u32, u32), left: &[&str], right: &[&str], same: bool) {
        let versions = (ServerVersion::of_major(majors.0), ServerVersion::of_major(majors.1));
        let maintain = Maintain::between(versions.0, versions.1);
        let acl = |items: &[&str]| {
            let items: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
            maintain.compared(parse_acl(&items).ok(), Some("own"))
        };
        assert_eq!(acl(left) == acl(right), same, "{majors:?} {left:?} {right:?}");
    }

    #[test]
    fn owners_of_older_servers_have_it_and_nobody_else() {
        check((16, 18), &["own=r/own"], &["own=rm/own"], true);
        check((16, 18), &[], &["own=m/own"], true);
        check((16, 18), &["own=r/own"], &["own=rwm/own"], false);
        check((16, 18), &["bob=r/own"], &["bob=rm/own"], false);
        check((16, 18), &["own=r/bob"], &["own=rm/bob"], false);
        check((16, 18), &[], &["bob=m/own"], false);
        check((18, 16), &["bob=rm*/own", "=m/own"], &["bob=r/own"], true);
        check((17, 18), &["own=r/own"], &["own=rm/own"], false);
        check((13, 16), &["own=r/own"], &["own=r/own"], true);
    }

    #[test]
    fn of_members_what_the_script_gave_does_not_count() {
        let acl = |items: &[&str]| {
            let items: Vec<String> = items.iter().map(|&item| item.to_owned()).collect();
            parse_acl(&items).unwrap_or_default()
        };
        let check = |right: &[&str], same: bool| {
            let maintain = Maintain::between(ServerVersion::of_major(16), ServerVersion::of_major(18));
            let compared =
                |items, initial| maintain.compared_beside(Some(acl(items)), Some("own"), &acl(initial));
            let left = compared(&["own=r/own", "bob=r/own"], &["own=r/own", "bob=r/own"]);
            assert_eq!(left == compared(right, &["own=rm/own", "bob=rm/own"]), same, "{right:?}");
        };
        check(&["own=rm/own", "bob=rm/own"], true);
        check(&["own=rm/own", "bob=rm/own", "eve=m/own"], false);
        check(&["own=rm/own", "bob=rm/own", "bob=m/eve"], false);
    }
}
