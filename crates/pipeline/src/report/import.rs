//! What a restore and a migration report alike.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::{EntryKind, Loss, in_one_line};
use dbhaul_importer::{Failed, ImportOutcome, Subject, tell};
use dbhaul_progress::counted;
use dbhaul_rows::RowDigest;
use dbhaul_verifier::LARGE_OBJECTS;
use serde::Serialize;

use crate::{RoleReport, Status};

/// What was written to a target, with everything that was not.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ImportSummary {
    /// Tables all of whose rows are on the target.
    pub table_count: usize,
    /// Count and digest of all rows loaded.
    pub digest: RowDigest,
    /// What was left out, each with its reason.
    pub skipped: Vec<NamedReason>,
    /// Positions of sequences and filling of materialized views that are left out because a pattern for rows
    /// names them.
    pub left_out_as_asked: Vec<NamedReason>,
    /// What failed.
    pub failed: Vec<NamedReason>,
    /// Objects of `failed` for which the server is to blame, or rights that the role lacks there.
    #[serde(skip)]
    pub(crate) failed_for_the_server: BTreeSet<String>,
    /// Tables and sequences, as reports name them, whose rows or positions were skipped, or failed for the server's sake.
    #[serde(skip)]
    pub(crate) unfilled: BTreeSet<String>,
    /// Steps found done when a run was resumed.
    pub resumed_step_count: u64,
    /// Attempts repeated after a transient error.
    pub retried_attempt_count: u64,
    /// The schema on the target that holds the ledger for a resume.
    pub ledger_schema: Option<String>,
    /// What was done about roles, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<RoleReport>,
}

/// An object and a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedReason {
    /// The object, as `pg_restore -l` names it.
    pub object: String,
    /// Why, or what happened.
    pub reason: String,
}

impl From<Loss> for NamedReason {
    fn from(loss: Loss) -> Self {
        NamedReason { object: loss.names(), reason: loss.what }
    }
}

impl ImportSummary {
    /// What an import did, and what its source could not carry in the first place.
    pub(crate) fn new(outcome: &ImportOutcome, left_out: Vec<NamedReason>) -> Self {
        let skipped =
            tell(&outcome.skipped).into_iter().map(|(object, reason)| NamedReason { object, reason });
        let failed = |failed: &Failed| NamedReason {
            object: match failed.segment {
                Some(segment) => format!("{}, segment {segment}", failed.subject),
                None => failed.subject.to_string(),
            },
            reason: failed.cause.to_string(),
        };
        let of_server = || outcome.failed.iter().filter(|failed| failed.cause.is_of_the_server());
        let unfilled = of_server().map(|failed| &failed.subject);
        let unfilled = unfilled.chain(outcome.skipped.iter().map(|skipped| &skipped.subject));
        ImportSummary {
            failed_for_the_server: of_server().map(|of| failed(of).object).collect(),
            unfilled: unfilled.filter_map(filled).collect(),
            table_count: outcome.tables.len(),
            digest: outcome.tables.iter().map(|table| table.digest).collect(),
            skipped: left_out.into_iter().chain(skipped).collect(),
            left_out_as_asked: Vec::new(),
            failed: outcome.failed.iter().map(failed).collect(),
            resumed_step_count: outcome.resumed_steps,
            retried_attempt_count: outcome.retried_attempts,
            ledger_schema: outcome.ledger_schema.clone(),
            roles: None,
        }
    }

    /// With what was done about roles.
    pub(crate) fn with_roles(mut self, roles: Option<RoleReport>) -> Self {
        let skipped = roles.iter().flat_map(|report| &report.skipped);
        self.skipped.splice(0..0, skipped.cloned());
        self.roles = roles;
        self
    }

    /// With what was left out beside rows because patterns for these name it.
    pub(crate) fn with_left_out(self, left_out_as_asked: Vec<NamedReason>) -> Self {
        ImportSummary { left_out_as_asked, ..self }
    }

    /// With what turned out wrong at the end.
    pub(crate) fn with_failed(mut self, failed: Vec<NamedReason>) -> Self {
        self.failed.extend(failed);
        self
    }

    /// Failed if anything failed, skipped if anything was skipped.
    pub fn status(&self) -> Status {
        if !self.failed.is_empty() {
            Status::Failed
        } else if !self.skipped.is_empty() {
            Status::Skipped
        } else {
            Status::Done
        }
    }
}

impl Display for ImportSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (tables, rows) = (counted(self.table_count, "table"), counted(self.digest.row_count, "row"));
        write!(f, "  {tables}, {rows} loaded")?;
        if self.resumed_step_count > 0 {
            write!(f, "\n  found done: {}", counted(self.resumed_step_count, "step"))?;
        }
        if self.retried_attempt_count > 0 {
            write!(
                f,
                "\n  repeated after errors that pass, such as lost connections: {}",
                counted(self.retried_attempt_count, "attempt")
            )?;
        }
        self.roles.iter().try_for_each(|roles| roles.write_report(f))?;
        // What a run skipped is told whole. Of one that failed the same is told again when it is resumed.
        let most = if self.failed.is_empty() || f.alternate() { usize::MAX } else { MOST_OF_FAILED };
        write_some(f, "left out, as asked", &self.left_out_as_asked, most)?;
        write_some(f, "skipped", &self.skipped, most)?;
        write_some(f, "FAILED", &self.failed, most)
    }
}

/// Lines of a list in the report of a run that failed, unless everything is asked for: where one reason made
/// thousands of objects fail, nobody finds what is below them.
const MOST_OF_FAILED: usize = 20;

/// What a report of a comparison calls that whose rows, bytes or position this is about.
fn filled(subject: &Subject) -> Option<String> {
    let entry = subject.entry()?;
    match entry.kind {
        EntryKind::LargeObjectData => Some(LARGE_OBJECTS.to_owned()),
        _ => entry.filled().map(|name| name.sql()),
    }
}

/// A heading and a list, each line after a line break; nothing for an empty list.
pub(crate) fn write_named(f: &mut Formatter<'_>, heading: &str, list: &[NamedReason]) -> fmt::Result {
    write_some(f, heading, list, usize::MAX)
}

/// As [`write_named`], with the first of the list, and how many more there are.
fn write_some(f: &mut Formatter<'_>, heading: &str, list: &[NamedReason], most: usize) -> fmt::Result {
    if list.is_empty() {
        return Ok(());
    }
    write!(f, "\n  {} {heading}:", list.len())?;
    for NamedReason { object, reason } in list.iter().take(most) {
        write!(f, "\n    {}: {reason}", in_one_line(object))?;
    }
    match list.len().saturating_sub(most) {
        0 => Ok(()),
        more => write!(f, "\n    and {more} more: --report, --json and -v name all of them"),
    }
}

#[cfg(test)]
mod tests {
    use super::{ImportSummary, NamedReason};

    #[test]
    fn only_of_what_failed_some_are_named() {
        let named = |count: usize| {
            let one = |id| NamedReason { object: format!("INDEX i{id}\n"), reason: "because".to_owned() };
            (0..count).map(one).collect::<Vec<_>>()
        };
        let lines = |summary: &ImportSummary| {
            (summary.to_string().lines().count(), format!("{summary:#}").lines().count())
        };
        let skipped = ImportSummary { skipped: named(50), ..ImportSummary::default() };
        assert_eq!(lines(&skipped), (52, 52));
        let failed = ImportSummary { failed: named(50), ..skipped };
        assert_eq!(lines(&failed), (1 + 2 * 22, 103));
        assert!(failed.to_string().ends_with("and 30 more: --report, --json and -v name all of them"));
        assert!(failed.to_string().contains("\n    INDEX i7\\n: because\n"));
    }
}
