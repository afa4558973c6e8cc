//! Roles: what a database needs of its server beyond itself.
//!
//! Roles belong to a whole server, so they are no [`Object`](crate::Object)s of a
//! catalog. [`Roles`] are those of one server, or the part of them that one
//! database [uses](Roles::used_by); a [`RoleMap`] gives them other names; a
//! [`RolePlan`] says which of them another server lacks and what has to be said
//! to create them there.

mod apply;
mod differences;
mod map;
mod memberships;
mod plan;
mod statements;
mod used;

pub use map::{RoleMap, RoleMapError};
pub use plan::{RoleLoss, RolePlan};
pub use statements::{GrantStatement, RoleStatements};

use serde::{Deserialize, Serialize};

use crate::{Secret, ServerVersion};

/// Which roles are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoleScope {
    /// None.
    #[default]
    None,
    /// Those that a database names, and the roles that these are members of.
    Used,
    /// Every role of the server but the predefined ones.
    All,
}

/// Roles of one server, without the predefined ones (`pg_...`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// The server's version.
    pub server_version: ServerVersion,
    /// Which of its roles these are.
    pub scope: RoleScope,
    /// The roles, in order of name.
    pub roles: Vec<Role>,
    /// Who is a member of what, among them and of predefined roles.
    pub memberships: Vec<Membership>,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Whether it is the role that `initdb` made (OID 10).
    pub is_bootstrap: bool,
    /// `SUPERUSER`.
    pub superuser: bool,
    /// `INHERIT`, the default.
    pub inherit: bool,
    /// `CREATEROLE`.
    pub create_role: bool,
    /// `CREATEDB`.
    pub create_db: bool,
    /// `LOGIN`.
    pub login: bool,
    /// `REPLICATION`.
    pub replication: bool,
    /// `BYPASSRLS`.
    pub bypass_rls: bool,
    /// `CONNECTION LIMIT`, -1 for none.
    pub connection_limit: i32,
    /// `VALID UNTIL`, in UTC.
    pub valid_until: Option<String>,
    /// The hash of its password.
    pub password: Password,
    /// `COMMENT ON` text.
    pub comment: Option<String>,
    /// Security labels: provider, label.
    pub security_labels: Vec<(String, String)>,
    /// `ALTER ROLE ... SET` for all databases: `name=value` as in `pg_db_role_setting`.
    pub settings: Vec<String>,
}

/// What is known of a role's password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Password {
    /// It has none.
    None,
    /// It may have one, which was not read.
    Unknown,
    /// What `pg_authid` holds: a SCRAM verifier or an MD5 hash.
    Hash(Secret),
}

impl Password {
    /// Whether it is an MD5 hash, which is salted with the role's name and so
    /// worth nothing under another one.
    fn is_bound_to_name(&self) -> bool {
        matches!(self, Password::Hash(hash) if hash.reveal().starts_with("md5"))
    }
}

/// One role's membership in another, as one grantor gave it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Membership {
    /// The role that was granted.
    pub role: String,
    /// The role that is a member of it.
    pub member: String,
    /// Who granted it; `None` for the bootstrap superuser, and on servers before
    /// 16, which do not keep track of it.
    pub grantor: Option<String>,
    /// `ADMIN OPTION`.
    pub admin: bool,
    /// `INHERIT` and `SET` options (16 and later; before, the member's own
    /// `INHERIT` decided, and every member could `SET ROLE`).
    pub options: Option<MembershipOptions>,
}

/// What a membership allows since 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MembershipOptions {
    /// `INHERIT`: the member has the role's privileges without `SET ROLE`.
    pub inherit: bool,
    /// `SET`: the member may `SET ROLE`.
    pub set: bool,
}

impl Roles {
    /// The role of a name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }

    /// The same without what is known of passwords.
    pub fn without_passwords(mut self) -> Self {
        for role in &mut self.roles {
            if role.password != Password::None || role.login {
                role.password = Password::Unknown;
            }
        }
        self
    }
}

/// Whether a name is that of a predefined role: only these may begin so.
pub(crate) fn is_predefined(name: &str) -> bool {
    name.starts_with("pg_")
}

#[cfg(test)]
pub(crate) mod sample {
    use super::{Membership, MembershipOptions, Password, Role, RoleScope, Roles};
    use crate::ServerVersion;

    /// A role as `CREATE ROLE` without options makes it.
    pub(crate) fn role(name: &str) -> Role {
        Role {
            name: name.to_owned(),
            is_bootstrap: false,
            superuser: false,
            inherit: true,
            create_role: false,
            create_db: false,
            login: false,
            replication: false,
            bypass_rls: false,
            connection_limit: -1,
            valid_until: None,
            password: Password::None,
            comment: None,
            security_labels: Vec::new(),
            settings: Vec::new(),
        }
    }

    pub(crate) fn membership(role: &str, member: &str) -> Membership {
        let (role, member) = (role.to_owned(), member.to_owned());
        let options = Some(MembershipOptions { inherit: true, set: true });
        Membership { role, member, grantor: None, admin: false, options }
    }

    pub(crate) fn roles(major: u32, roles: Vec<Role>, memberships: Vec<Membership>) -> Roles {
        let server_version = ServerVersion::of_major(major);
        Roles { server_version, scope: RoleScope::All, roles, memberships }
    }
}
