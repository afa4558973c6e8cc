//! What is meant about roles.

use dbhaul_pipeline::{RoleMap, RoleOptions, RoleScope};

use super::UsageError;
use crate::args::{RecordArgs, RoleArgs, RoleMapArgs, RolesArg};

/// What a backup records. Secrets only where roles were asked for.
pub(super) fn recorded(args: &RecordArgs) -> RoleOptions {
    match args.roles {
        None => RoleOptions::RECORDED,
        Some(which) => RoleOptions { scope: scope(which), passwords: args.role_passwords },
    }
}

/// What is created on a target.
pub(super) fn created(args: &RoleArgs) -> RoleOptions {
    RoleOptions { scope: scope(args.roles), passwords: args.role_passwords }
}

/// The role map of a file; an empty one without a file.
pub(super) fn map(args: &RoleMapArgs) -> Result<RoleMap, UsageError> {
    let Some(file) = &args.role_map else { return Ok(RoleMap::default()) };
    let name = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| UsageError::new(format!("--role-map {name}: {error}")))?;
    RoleMap::parse(&text).map_err(|error| UsageError::new(format!("--role-map {name}: {error}")))
}

fn scope(which: RolesArg) -> RoleScope {
    match which {
        RolesArg::None => RoleScope::None,
        RolesArg::Used => RoleScope::Used,
        RolesArg::All => RoleScope::All,
    }
}
