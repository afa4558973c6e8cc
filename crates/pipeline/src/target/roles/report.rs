//! What was, or would be, done about roles.

use std::fmt::{self, Formatter};

use serde::Serialize;

use crate::NamedReason;
use crate::report::import::write_named;

/// What was done about roles, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RoleReport {
    /// Roles that were created.
    pub created: Vec<String>,
    /// Roles that were wanted and existed.
    pub existing: Vec<String>,
    /// Created roles that may log in and have no password yet, though they may have one on the source.
    pub passwords_to_set: Vec<String>,
    /// What else a person should know.
    pub notes: Vec<String>,
    /// What is not as on the source; part of what the run has skipped.
    #[serde(skip)]
    pub skipped: Vec<NamedReason>,
}

impl RoleReport {
    /// Lines of a plan, each after a line break.
    pub(crate) fn write_plan(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_names(f, "roles to create", &self.created)?;
        write_names(f, "roles that exist", &self.existing)?;
        write_names(f, "roles that need a password afterwards", &self.passwords_to_set)?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"))?;
        write_named(f, "not as on the source", &self.skipped)
    }

    /// Lines of a report, each after a line break; what was skipped is told by the whole report.
    pub(crate) fn write_report(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_names(f, "roles created", &self.created)?;
        write_names(f, "roles whose password must be set", &self.passwords_to_set)?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"))
    }
}

/// A heading and names in one line; nothing for no names.
fn write_names(f: &mut Formatter<'_>, heading: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    let quoted: Vec<String> = names.iter().map(|name| dbhaul_catalog::quote_identifier(name)).collect();
    write!(f, "\n  {} {heading}: {}", names.len(), quoted.join(", ").replace('\n', "\\n"))
}
