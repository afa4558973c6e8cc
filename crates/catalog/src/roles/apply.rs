//! A role map applied to catalogs and to roles.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Membership, Password, Role, RoleLoss, RoleMap, Roles};
use crate::acl::merge::merged;
use crate::kinds::Body;
use crate::{
    Acl, AclItem, Catalog, Database, Object, ObjectId, SharedText, SystemPrivileges, quote_identifier,
};

impl RoleMap {
    /// Gives every role that a catalog names its name on the target. What a
    /// dropped role owns belongs to `own`, the importing role; what it granted on
    /// others' objects is granted by their owners. Objects that are nothing without
    /// a dropped role are taken out and returned, as are grants that nobody is left
    /// to give.
    pub fn apply(&self, catalog: &mut Catalog, own: Option<&str>) -> Vec<RoleLoss> {
        if self.is_empty() {
            return Vec::new();
        }
        let renaming = Renaming { map: self, own };
        let owners: HashMap<ObjectId, SharedText> =
            catalog.objects.iter().filter_map(|object| Some((object.id, object.owner.clone()?))).collect();
        let mut losses = Vec::new();
        let name = format!("DATABASE {}", quote_identifier(&catalog.database.name));
        losses.extend(ungranted(&name, renaming.database(&mut catalog.database)));
        for item in &mut catalog.initial_acls {
            // What an extension's own script grants is not granted by us.
            let _ = renaming.acl(&mut item.acl, owners.get(&item.object).map(SharedText::as_str));
        }
        for system in &mut catalog.system_privileges {
            let ungivable = renaming.system(system);
            losses.extend(ungranted(&system.address, ungivable));
        }
        let mut seen: BTreeMap<crate::Identity, usize> = BTreeMap::new();
        let mut kept: Vec<Object> = Vec::with_capacity(catalog.objects.len());
        for mut object in std::mem::take(&mut catalog.objects) {
            let before = object.identity();
            match renaming.object(&mut object) {
                Ok(lost) => losses.extend(ungranted(&before.to_string(), lost)),
                Err(reason) => {
                    losses.push(RoleLoss { object: before.to_string(), reason });
                    continue;
                }
            }
            if matches!(object.body, Body::UserMapping(_) | Body::DefaultAcl(_)) {
                let twin = seen.get(&object.identity()).and_then(|&place| kept.get_mut(place));
                if let Some(twin) = twin {
                    losses.extend(
                        unite(twin, object).map(|reason| RoleLoss { object: before.to_string(), reason }),
                    );
                    continue;
                }
                seen.insert(object.identity(), kept.len());
            }
            kept.push(object);
        }
        catalog.objects = kept;
        catalog.gather_role_names();
        losses
    }

    /// Gives roles their names on the target and takes out dropped ones. The set
    /// is of those that have another name than before.
    pub fn apply_to_roles(&self, roles: Roles) -> (Roles, BTreeSet<String>, Vec<RoleLoss>) {
        let mut by_name: BTreeMap<String, Vec<Role>> = BTreeMap::new();
        for role in roles.roles {
            if let Some(name) = self.name(&role.name) {
                by_name.entry(name.to_owned()).or_default().push(role);
            }
        }
        let (mut mapped, mut renamed, mut losses) = (Vec::new(), BTreeSet::new(), Vec::new());
        for (name, mut candidates) in by_name {
            let same = candidates.iter().position(|role| role.name == name);
            let role = match (same, candidates.len()) {
                (Some(place), _) => candidates.swap_remove(place),
                (None, 1) => candidates.swap_remove(0),
                (None, _) => {
                    let names: Vec<&str> = candidates.iter().map(|role| role.name.as_str()).collect();
                    let reason =
                        format!("several roles are mapped to it: {}; create it first", names.join(", "));
                    losses.push(RoleLoss { object: format!("ROLE {name}"), reason });
                    renamed.insert(name);
                    continue;
                }
            };
            if role.name != name {
                renamed.insert(name.clone());
            }
            mapped.push(rename(role, name));
        }
        let memberships = roles.memberships.into_iter().filter_map(|grant| self.membership(grant));
        let memberships: BTreeSet<Membership> = memberships.collect();
        let memberships = memberships.into_iter().collect();
        (Roles { roles: mapped, memberships, ..roles }, renamed, losses)
    }

    /// A membership under other names; `None` where one end is dropped, or where
    /// both ends become one role.
    fn membership(&self, grant: Membership) -> Option<Membership> {
        let role = self.name(&grant.role)?.to_owned();
        let member = self.name(&grant.member)?.to_owned();
        let grantor = grant.grantor.as_deref().and_then(|name| self.name(name)).map(str::to_owned);
        (role != member).then_some(Membership { role, member, grantor, ..grant })
    }
}

fn rename(role: Role, name: String) -> Role {
    let password = match role.password {
        password if role.name != name && password.is_bound_to_name() => Password::Unknown,
        password => password,
    };
    Role { name, password, ..role }
}

/// Makes two default privileges of one role into one. Of two user mappings the
/// first stays; the reason is the second one's.
fn unite(twin: &mut Object, other: Object) -> Option<String> {
    match (&mut twin.body, other.body) {
        (Body::DefaultAcl(one), Body::DefaultAcl(two)) => {
            one.revoked.extend(two.revoked);
            one.granted.extend(two.granted);
            (one.revoked, one.granted) = (merged(&one.revoked), merged(&one.granted));
            None
        }
        _ => Some("the role map makes it the same as another, which is carried".to_owned()),
    }
}

/// Grants on an object that nobody is left to give, as losses.
fn ungranted(object: &str, items: Vec<AclItem>) -> Option<RoleLoss> {
    let name = |item: &AclItem| item.grantee.as_deref().map_or("PUBLIC".to_owned(), quote_identifier);
    let grantees: BTreeSet<String> = items.iter().map(name).collect();
    let grantors: BTreeSet<String> = items.iter().map(|item| quote_identifier(&item.grantor)).collect();
    let join = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    (!items.is_empty()).then(|| RoleLoss {
        object: object.to_owned(),
        reason: format!(
            "privileges of {} are not granted: the role map drops {}, who granted them, and the owner",
            join(grantees),
            join(grantors)
        ),
    })
}

/// A map at work.
struct Renaming<'a> {
    map: &'a RoleMap,
    own: Option<&'a str>,
}

impl Renaming<'_> {
    fn owner(&self, owner: &str) -> Option<String> {
        self.map.name(owner).or(self.own).map(str::to_owned)
    }

    fn database(&self, database: &mut Database) -> Vec<AclItem> {
        let owner = std::mem::take(&mut database.owner);
        let acl = database.acl.as_mut();
        let ungivable = acl.map(|acl| self.acl(acl, Some(&owner))).unwrap_or_default();
        database.owner = self.owner(&owner).unwrap_or(owner);
        let settings = std::mem::take(&mut database.settings).into_iter();
        let renamed = settings.filter_map(|(role, setting)| match role {
            None => Some((None, setting)),
            Some(role) => Some((Some(self.map.name(&role)?.to_owned()), setting)),
        });
        database.settings = renamed.collect();
        ungivable
    }

    /// Renames in the privileges of an object of the server's own.
    fn system(&self, system: &mut SystemPrivileges) -> Vec<AclItem> {
        let owner = std::mem::take(&mut system.owner);
        let first_owner = system.initial_owner.take();
        let acl = system.acl.as_mut();
        let ungivable = acl.map(|acl| self.acl(acl, Some(&owner))).unwrap_or_default();
        if let Some(acl) = &mut system.initial {
            // What every server has from the start is not granted by us.
            let _ = self.acl(acl, Some(first_owner.as_ref().unwrap_or(&owner)));
        }
        system.owner = self.owner(&owner).unwrap_or(owner);
        let first_owner = first_owner.and_then(|owner| self.owner(&owner));
        system.initial_owner = first_owner.filter(|owner| *owner != system.owner);
        ungivable
    }

    /// Renames in one object; returns what nobody is left to grant.
    ///
    /// # Errors
    /// Why the object is nothing without a role that is dropped.
    fn object(&self, object: &mut Object) -> Result<Vec<AclItem>, String> {
        let owner = object.owner.take();
        let acl = object.acl.as_mut();
        let mut ungivable = acl.map(|acl| self.acl(acl, owner.as_deref())).unwrap_or_default();
        for (_, slot) in object.body.column_acls_mut() {
            if let Some(acl) = slot {
                ungivable.extend(self.acl(acl, owner.as_deref()));
            }
            // Nobody has a column's privileges by default.
            *slot = slot.take().filter(|acl| !acl.is_empty());
        }
        object.owner = owner.as_deref().and_then(|owner| self.owner(owner)).map(SharedText::from);
        let dropped = |role: &str| format!("the role map drops \"{role}\"");
        match &mut object.body {
            Body::Policy(policy) => {
                let roles: BTreeSet<String> =
                    policy.roles.iter().filter_map(|role| self.map.name(role)).map(str::to_owned).collect();
                if roles.is_empty() && !policy.roles.is_empty() {
                    return Err(dropped(&policy.roles.join("\", \"")));
                }
                policy.roles = roles.into_iter().collect();
            }
            Body::Function(function) => {
                for role in function.roles_set_mut() {
                    *role = self.map.name(role).ok_or_else(|| dropped(role))?.to_owned();
                }
            }
            Body::DefaultAcl(default) => {
                let role = self.map.name(&default.role).ok_or_else(|| dropped(&default.role))?.to_owned();
                ungivable.extend(self.acl(&mut default.revoked, Some(&default.role)));
                ungivable.extend(self.acl(&mut default.granted, Some(&default.role)));
                default.role = role;
                if default.revoked.is_empty() && default.granted.is_empty() {
                    return Err("the role map drops everybody it grants anything".to_owned());
                }
            }
            Body::UserMapping(mapping) => {
                if let Some(user) = &mut mapping.user {
                    let name = self.map.name(user).ok_or_else(|| dropped(user))?.to_owned();
                    if name != *user {
                        object.name = format!("USER MAPPING {name} SERVER {}", mapping.server);
                        *user = name;
                    }
                }
            }
            _ => {}
        }
        Ok(ungivable)
    }

    /// Renames in privileges on something of `owner`'s. What a dropped role granted
    /// is granted by the owner, as `GRANT` by a superuser is; returned are those
    /// items for whom there is no owner either.
    fn acl(&self, acl: &mut Acl, owner: Option<&str>) -> Vec<AclItem> {
        let owner_there = owner.and_then(|owner| self.owner(owner));
        let name = |role: &str| match self.map.name(role) {
            Some(name) => Some(name.to_owned()),
            None if Some(role) == owner => self.own.map(str::to_owned),
            None => None,
        };
        let is_named = |role: &str| self.map.name(role) != Some(role);
        if !acl.iter().any(|item| is_named(&item.grantor) || item.grantee.as_deref().is_some_and(is_named)) {
            return Vec::new();
        }
        let (mut renamed, mut ungivable) = (Acl::with_capacity(acl.len()), Vec::new());
        for item in std::mem::take(acl) {
            let grantee = item.grantee.as_deref().map(name);
            if grantee == Some(None) {
                continue;
            }
            match name(&item.grantor).or_else(|| owner_there.clone()) {
                Some(grantor) => renamed.push(AclItem { grantee: grantee.flatten(), grantor, ..item }),
                None => ungivable.push(item),
            }
        }
        *acl = merged(&renamed);
        ungivable
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::{Body, Policy, PolicyCommand, Schema, UserMapping};
    use crate::roles::sample::{membership, role, roles};
    use crate::roles::{Password, Role, RoleMap};
    use crate::{
        Catalog, Class, Object, ObjectId, QualifiedName, Secret, ServerVersion, Target, Toc, TocOptions,
        parse_acl,
    };

    fn object(name: &str, owner: Option<&str>, acl: &[&str], body: Body) -> Object {
        let acl: Vec<String> = acl.iter().map(|&item| item.to_owned()).collect();
        Object {
            id: ObjectId::new(Class::PG_NAMESPACE, name.bytes().map(u32::from).sum()),
            schema: None,
            name: name.to_owned(),
            owner: owner.map(Into::into),
            acl: (!acl.is_empty()).then(|| parse_acl(&acl).unwrap()),
            comment: None,
            security_labels: Vec::new(),
            extension: None,
            body,
        }
    }

    /// The statements of a catalog of these objects under a map, and what is lost.
    #[track_caller]
    fn check(map: &str, objects: Vec<Object>, expected: &[&str], lost: &[&str]) {
        let version = ServerVersion::of_major(18);
        let mut catalog = Catalog { objects, ..Catalog::empty(version) };
        let losses = RoleMap::parse(map).unwrap().apply(&mut catalog, Some("importer"));
        let toc = Toc::build(&catalog, &Target { version }, &TocOptions::default()).unwrap();
        let statements: Vec<&String> =
            toc.entries.iter().flat_map(|entry| entry.create.iter().chain(&entry.set_owner)).collect();
        assert_eq!(statements, expected);
        let losses: Vec<String> = losses.iter().map(ToString::to_string).collect();
        assert_eq!(losses, lost);
    }

    fn schema(owner: &str, acl: &[&str]) -> Object {
        object("s", Some(owner), acl, Body::from(Schema {}))
    }

    #[test]
    fn owners_and_grants() {
        check(
            "a = \"New Owner\"\nb = c",
            vec![schema("a", &["a=UC/a", "b=U/a", "c=C*/a", "=U/a"])],
            &[
                "CREATE SCHEMA s",
                "ALTER SCHEMA s OWNER TO \"New Owner\"",
                "GRANT USAGE ON SCHEMA s TO c",
                "GRANT CREATE ON SCHEMA s TO c WITH GRANT OPTION",
                "GRANT USAGE ON SCHEMA s TO PUBLIC",
            ],
            &[],
        );
    }

    #[test]
    fn a_dropped_owner_makes_room_for_the_importer() {
        check(
            "a = -\nb = -",
            vec![schema("a", &["a=UC/a", "b=U/a", "c=U/a", "d=U/b"])],
            &[
                "CREATE SCHEMA s",
                "ALTER SCHEMA s OWNER TO importer",
                "GRANT USAGE ON SCHEMA s TO c",
                "GRANT USAGE ON SCHEMA s TO d",
            ],
            &[],
        );
    }

    #[test]
    fn what_a_dropped_role_granted_the_owner_grants() {
        check(
            "mgr = -",
            vec![schema("a", &["a=UC/a", "mgr=U*C*/a", "bob=U*/mgr", "eve=U/bob", "bob=C/mgr"])],
            &[
                "CREATE SCHEMA s",
                "ALTER SCHEMA s OWNER TO a",
                "GRANT CREATE ON SCHEMA s TO bob",
                "GRANT USAGE ON SCHEMA s TO bob WITH GRANT OPTION",
                "SET SESSION AUTHORIZATION bob",
                "GRANT USAGE ON SCHEMA s TO eve",
                "RESET SESSION AUTHORIZATION",
            ],
            &[],
        );
    }

    #[test]
    fn what_nobody_is_left_to_grant_is_a_loss() {
        let mut catalog = Catalog {
            objects: vec![schema("a", &["a=UC/a", "bob=U/a", "=U/mgr"])],
            ..Catalog::empty(ServerVersion::of_major(18))
        };
        let losses = RoleMap::parse("a = -\nmgr = -").unwrap().apply(&mut catalog, None);
        let losses: Vec<String> = losses.iter().map(ToString::to_string).collect();
        assert_eq!(
            losses,
            ["SCHEMA s: privileges of PUBLIC, bob are not granted: the role map drops a, mgr, who granted \
              them, and the owner"]
        );
    }

    #[test]
    fn a_policy_never_becomes_one_for_everybody() {
        let policy = |name: &str, roles: &[&str]| {
            let body = Policy {
                table: QualifiedName::new("s", "t"),
                permissive: true,
                command: PolicyCommand::All,
                roles: roles.iter().map(|&role| role.to_owned()).collect(),
                using: None,
                with_check: None,
            };
            object(name, None, &[], Body::from(body))
        };
        check(
            "a = z\nb = -",
            vec![policy("p", &["a", "b"]), policy("q", &["b"]), policy("r", &[])],
            &["CREATE POLICY p ON s.t TO z", "CREATE POLICY r ON s.t"],
            &["POLICY t q: the role map drops \"b\""],
        );
    }

    #[test]
    fn user_mappings() {
        let mapping = |user: &str| {
            let body = UserMapping {
                user: Some(user.to_owned()),
                server: "f".to_owned(),
                options: Some(Vec::new()),
            };
            object(&format!("USER MAPPING {user} SERVER f"), None, &[], Body::from(body))
        };
        check(
            "a = z\nb = -\nc = z",
            ["a", "b", "c"].map(mapping).to_vec(),
            &["CREATE USER MAPPING FOR z SERVER f"],
            &[
                "USER MAPPING \"USER MAPPING b SERVER f\": the role map drops \"b\"",
                "USER MAPPING \"USER MAPPING c SERVER f\": the role map makes it the same as another, which is carried",
            ],
        );
    }

    #[test]
    fn roles_under_other_names() {
        let with =
            |name: &str, hash: &str| Role { password: Password::Hash(Secret::new(hash)), ..role(name) };
        let all = roles(
            18,
            vec![with("a", "md5x"), with("b", "SCRAM"), role("c"), role("d"), role("e")],
            vec![membership("c", "a"), membership("c", "b"), membership("d", "a")],
        );
        let map = RoleMap::parse("a = x\nb = y\nc = -\nd = z\ne = z").unwrap();
        let (mapped, renamed, losses) = map.apply_to_roles(all);
        let names: Vec<&str> = mapped.roles.iter().map(|role| role.name.as_str()).collect();
        assert_eq!(names, ["x", "y"]);
        assert_eq!(mapped.roles[0].password, Password::Unknown);
        assert!(matches!(mapped.roles[1].password, Password::Hash(_)));
        assert_eq!(renamed.into_iter().collect::<Vec<_>>(), ["x", "y", "z"]);
        assert_eq!(mapped.memberships, [membership("z", "x")]);
        assert_eq!(losses[0].to_string(), "ROLE z: several roles are mapped to it: d, e; create it first");
    }
}
