//! What has to be created on another server.

use std::collections::{BTreeMap, BTreeSet};

use super::memberships::in_order;
use super::{GrantStatement, Membership, Role, Roles, is_predefined};
use crate::ServerVersion;

/// Something about roles that is not on the target as on the source, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleLoss {
    /// What it concerns: `ROLE app`, `MEMBERSHIP of app in readers`.
    pub object: String,
    /// Why, or how it differs.
    pub reason: String,
}

impl std::fmt::Display for RoleLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.object, self.reason)
    }
}

/// What a server lacks of the roles that are wanted there.
///
/// A role that exists is never changed: a server's roles serve all its databases,
/// and one of the same name may serve others. What it has otherwise is told. A
/// membership is granted if at least one of its ends is created here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePlan {
    /// Roles to create, in order of name.
    pub create: Vec<Role>,
    /// Memberships to grant afterwards, in an order in which they can be.
    pub grants: Vec<Membership>,
    /// Wanted roles that exist already.
    pub existing: Vec<String>,
    /// What will not be as wanted.
    pub losses: Vec<RoleLoss>,
    target: ServerVersion,
    inherits: BTreeMap<String, bool>,
}

impl RolePlan {
    /// Compares what is wanted with what is there. A role in `renamed` stands for
    /// one of another name, so it is not compared where it exists.
    pub fn new(wanted: &Roles, there: &Roles, renamed: &BTreeSet<String>) -> Self {
        let mut plan = RolePlan {
            create: Vec::new(),
            grants: Vec::new(),
            existing: Vec::new(),
            losses: Vec::new(),
            target: there.server_version,
            inherits: wanted.roles.iter().map(|role| (role.name.clone(), role.inherit)).collect(),
        };
        for role in &wanted.roles {
            match there.role(&role.name) {
                Some(other) => plan.compare(role, other, renamed.contains(&role.name)),
                None if role.is_bootstrap => plan.lose(
                    format!("ROLE {}", role.name),
                    "it was made by initdb on the source, and such a role is not created elsewhere; \
                     give its objects to another by --role-map",
                ),
                None => plan.create.push(role.clone()),
            }
        }
        plan.plan_grants(wanted, there);
        plan
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.grants.is_empty()
    }

    /// The statement of one of [`grants`](Self::grants).
    pub fn grant_statement(&self, grant: &Membership) -> GrantStatement {
        grant.statement(self.target, self.inherits.get(&grant.member).copied().unwrap_or(true))
    }

    fn lose(&mut self, object: String, reason: impl Into<String>) {
        self.losses.push(RoleLoss { object, reason: reason.into() });
    }

    fn compare(&mut self, role: &Role, there: &Role, is_renamed: bool) {
        self.existing.push(role.name.clone());
        let differences = if is_renamed { Vec::new() } else { role.differences(there) };
        if !differences.is_empty() {
            let reason = format!("exists on the target with {}; it is not changed", differences.join(", "));
            self.lose(format!("ROLE {}", role.name), reason);
        }
    }

    fn plan_grants(&mut self, wanted: &Roles, there: &Roles) {
        let created: BTreeSet<String> = self.create.iter().map(|role| role.name.clone()).collect();
        let is_there = |name: &str| there.role(name).is_some() || is_predefined(name);
        let mut grants = Vec::new();
        for grant in &wanted.memberships {
            let is_known = |name: &str| created.contains(name) || is_there(name);
            let mut same = there.memberships.iter();
            let same: Vec<&Membership> = same
                .by_ref()
                .filter(|other| other.role == grant.role && other.member == grant.member)
                .collect();
            if !is_known(&grant.role) || !is_known(&grant.member) {
                self.lose(describe(grant), "one of the two roles is not on the target");
            } else if !same.is_empty() {
                self.compare_grants(grant, &same, wanted);
            } else if created.contains(&grant.role) || created.contains(&grant.member) {
                let grantor = grant.grantor.clone().filter(|grantor| is_known(grantor));
                if grantor != grant.grantor {
                    self.lose(
                        describe(grant),
                        "its grantor does not exist on the target; another role is its grantor there",
                    );
                }
                grants.push(Membership { grantor, ..grant.clone() });
            } else {
                self.lose(
                    describe(grant),
                    "both roles exist on the target and the membership does not; it is not created",
                );
            }
        }
        let admins = there.memberships.iter().filter(|grant| grant.admin);
        let admins = admins.map(|grant| (grant.role.clone(), grant.member.clone())).collect();
        let (ordered, stuck) = in_order(grants, admins);
        self.grants = ordered;
        for grant in stuck {
            self.lose(describe(&grant), "its grantor has no admin option; another role is its grantor there");
            self.grants.push(Membership { grantor: None, ..grant });
        }
    }

    /// A membership that several have granted allows what one of them does.
    fn compare_grants(&mut self, grant: &Membership, there: &[&Membership], wanted: &Roles) {
        let all = |grants: &[&Membership]| {
            let admin = grants.iter().any(|grant| grant.admin);
            let inherit = grants.iter().any(|grant| grant.options.is_some_and(|options| options.inherit));
            let set = grants.iter().any(|grant| grant.options.is_some_and(|options| options.set));
            (admin, inherit, set)
        };
        let is_same = |other: &&Membership| other.role == grant.role && other.member == grant.member;
        let wanted: Vec<&Membership> = wanted.memberships.iter().filter(is_same).collect();
        if wanted.first().is_some_and(|first| *first != grant) {
            return; // told with the first
        }
        let (one, two) = (all(&wanted), all(there));
        let has_options = grant.options.is_some() && there.iter().all(|grant| grant.options.is_some());
        if one.0 != two.0 || has_options && one != two {
            self.lose(describe(grant), "exists on the target with other options; it is not changed");
        }
    }
}

/// A membership in a report.
fn describe(grant: &Membership) -> String {
    format!("MEMBERSHIP of {} in {}", grant.member, grant.role)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::RolePlan;
    use crate::roles::sample::{membership, role, roles};
    use crate::roles::{Membership, Role, Roles};

    #[track_caller]
    fn check(wanted: &Roles, there: &Roles, renamed: &[&str], expected: &[&str]) {
        let renamed: BTreeSet<String> = renamed.iter().map(|&name| name.to_owned()).collect();
        let plan = RolePlan::new(wanted, there, &renamed);
        let mut found: Vec<String> = plan.create.iter().map(|role| role.statements().create).collect();
        found.extend(plan.grants.iter().map(|grant| {
            let statement = plan.grant_statement(grant);
            statement.sql + &statement.granted_by.unwrap_or_default()
        }));
        found.extend(plan.losses.iter().map(ToString::to_string));
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_is_absent_is_created() {
        let bootstrap = Role { is_bootstrap: true, superuser: true, ..role("postgres") };
        check(
            &roles(
                15,
                vec![role("a"), role("b"), bootstrap.clone()],
                vec![Membership { options: None, ..membership("a", "b") }],
            ),
            &roles(18, vec![bootstrap.clone(), role("a")], Vec::new()),
            &[],
            &["CREATE ROLE b", "GRANT a TO b"],
        );
        check(
            &roles(15, vec![bootstrap], Vec::new()),
            &roles(18, Vec::new(), Vec::new()),
            &[],
            &[
                "ROLE postgres: it was made by initdb on the source, and such a role is not created elsewhere; \
               give its objects to another by --role-map",
            ],
        );
    }

    #[test]
    fn what_exists_is_compared_and_left() {
        let wanted =
            roles(16, vec![Role { login: true, ..role("a") }, role("b")], vec![membership("a", "b")]);
        let there = roles(16, vec![role("a"), role("b")], Vec::new());
        let left = "MEMBERSHIP of b in a: both roles exist on the target and the membership does not; it is not created";
        check(
            &wanted,
            &there,
            &[],
            &["ROLE a: exists on the target with NOLOGIN instead of LOGIN; it is not changed", left],
        );
        check(&wanted, &there, &["a"], &[left]);
        let other = Membership { admin: true, ..membership("a", "b") };
        check(
            &wanted,
            &roles(16, vec![role("a"), role("b")], vec![other]),
            &["a"],
            &["MEMBERSHIP of b in a: exists on the target with other options; it is not changed"],
        );
    }

    #[test]
    fn grantors_need_their_option() {
        let by = |grantor: &str| Membership { grantor: Some(grantor.to_owned()), ..membership("a", "b") };
        let lost = "its grantor has no admin option; another role is its grantor there";
        check(
            &roles(16, vec![role("a"), role("b"), role("c")], vec![by("c")]),
            &roles(16, Vec::new(), Vec::new()),
            &[],
            &[
                "CREATE ROLE a",
                "CREATE ROLE b",
                "CREATE ROLE c",
                "GRANT a TO b WITH INHERIT TRUE, SET TRUE",
                &format!("MEMBERSHIP of b in a: {lost}"),
            ],
        );
    }
}
