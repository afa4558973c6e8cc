//! What was changed in the privileges of the server's own objects.

use super::grant::{GrantObject, grant_statements};
use super::privilege::{Grantable, default_acl};
use crate::{Acl, AclItem, ServerVersion, SystemPrivileges};

/// The statements that lead from what the object had after `initdb` on `source` to what it has;
/// none for a kind without privileges. `target` is the server that will run them.
pub(crate) fn system_grants(
    system: &SystemPrivileges,
    source: ServerVersion,
    target: ServerVersion,
) -> Vec<String> {
    let Some((kind, name)) = Grantable::of_address(&system.address) else { return Vec::new() };
    let kind = if system.column.is_some() { Grantable::Column } else { kind };
    let default = default_acl(kind, &system.owner, source);
    let column = system.column.as_deref();
    let on = GrantObject { kind, name, column, owner: &system.owner, target };
    let acl = system.acl.as_ref().unwrap_or(&default);
    let base = system.initial.as_ref().map_or_else(|| default.clone(), |acl| handed_over(acl, system));
    grant_statements(&on, acl, &base)
}

/// Privileges after a change of owner: what the former one had and gave is the new one's.
fn handed_over(acl: &Acl, system: &SystemPrivileges) -> Acl {
    let Some(former) = &system.initial_owner else { return acl.clone() };
    let renamed = |name: &String| if name == former { system.owner.clone() } else { name.clone() };
    acl.iter()
        .map(|item| AclItem {
            grantee: item.grantee.as_ref().map(renamed),
            grantor: renamed(&item.grantor),
            privileges: item.privileges.clone(),
        })
        .collect()
}
