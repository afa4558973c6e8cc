//! Which roles a database uses.

use std::collections::BTreeSet;

use super::{RoleScope, Roles, is_predefined};
use crate::Catalog;
use crate::setting::role_in_setting;

impl Roles {
    /// Those roles that a catalog names (owners, grantees, grantors, policies, user
    /// mappings, default privileges, settings of roles in the database, functions that
    /// take a role on), the roles that these are members of or take on, and so on upwards, and who granted that: without
    /// them a role could do less than it can here. Members of them are not taken.
    pub fn used_by(&self, catalog: &Catalog) -> Roles {
        let mut used: BTreeSet<&str> = named_in(catalog);
        loop {
            let mut more: BTreeSet<&str> = BTreeSet::new();
            for grant in self.memberships.iter().filter(|grant| used.contains(grant.member.as_str())) {
                more.extend([Some(grant.role.as_str()), grant.grantor.as_deref()].into_iter().flatten());
            }
            for role in self.roles.iter().filter(|role| used.contains(role.name.as_str())) {
                more.extend(role.settings.iter().filter_map(|setting| role_in_setting(setting)));
            }
            let count = used.len();
            used.extend(more);
            if used.len() == count {
                break;
            }
        }
        self.only(&used, RoleScope::Used)
    }

    /// The roles of these names, and memberships among them and in predefined roles.
    fn only(&self, names: &BTreeSet<&str>, scope: RoleScope) -> Roles {
        let is_taken = |name: &str| names.contains(name);
        let is_member = |name: &str| is_taken(name) || is_predefined(name);
        let roles = self.roles.iter().filter(|role| is_taken(&role.name)).cloned().collect();
        let memberships = self.memberships.iter();
        let memberships = memberships.filter(|grant| is_taken(&grant.member) && is_member(&grant.role));
        Roles {
            server_version: self.server_version,
            scope,
            roles,
            memberships: memberships.cloned().collect(),
        }
    }
}

/// The roles that a catalog names.
fn named_in(catalog: &Catalog) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = catalog.role_names.iter().map(String::as_str).collect();
    for system in &catalog.system_privileges {
        let initial = system.initial.as_deref().unwrap_or_default();
        for item in system.acl.iter().flatten().filter(|item| !initial.contains(item)) {
            names.extend(item.grantee.as_deref());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use crate::roles::Membership;
    use crate::roles::sample::{membership, role, roles};
    use crate::{Catalog, ServerVersion};

    fn check(names: &[&str], expected_roles: &[&str], expected_memberships: &[&str]) {
        let names_of_all = ["admin", "app", "base", "boss", "login", "other"];
        let all = roles(
            18,
            names_of_all.map(role).to_vec(),
            vec![
                membership("app", "login"),
                membership("base", "app"),
                Membership { grantor: Some("boss".to_owned()), ..membership("admin", "base") },
                membership("pg_monitor", "app"),
            ],
        );
        let catalog = Catalog {
            role_names: names.iter().map(|&name| name.to_owned()).collect(),
            ..Catalog::empty(ServerVersion::of_major(18))
        };
        let used = all.used_by(&catalog);
        let found: Vec<&str> = used.roles.iter().map(|role| role.name.as_str()).collect();
        let grants: Vec<String> =
            used.memberships.iter().map(|grant| format!("{} in {}", grant.member, grant.role)).collect();
        assert_eq!(found, expected_roles);
        assert_eq!(grants, expected_memberships);
    }

    #[test]
    fn upwards_not_downwards() {
        check(&["other", "pg_database_owner"], &["other"], &[]);
        check(&["base"], &["admin", "base", "boss"], &["base in admin"]);
        check(
            &["app"],
            &["admin", "app", "base", "boss"],
            &["app in base", "base in admin", "app in pg_monitor"],
        );
    }
}
