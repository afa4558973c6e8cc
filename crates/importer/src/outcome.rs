//! What an import did.

use dbhaul_catalog::{QualifiedName, TocEntry};
use dbhaul_rows::RowDigest;

use crate::subject::LeftOut;
use crate::{Cause, Part, Subject};

/// What an import did, with everything it did not do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOutcome {
    /// Identifier of the run; that of the run it resumed, if it resumed one.
    pub run: String,
    /// Tables all of whose segments are on the target, in TOC order.
    pub tables: Vec<LoadedTable>,
    /// Digest of the pieces of large objects, if they were loaded.
    pub large_objects: Option<RowDigest>,
    /// What was left out, each with its reason: exit code 3 unless something failed as well.
    pub skipped: Vec<Skipped>,
    /// What failed: exit code 1.
    pub failed: Vec<Failed>,
    /// Steps that were found done in the ledger of the run that was resumed.
    pub resumed_steps: u64,
    /// Attempts that ended in a transient error and were repeated.
    pub retried_attempts: u64,
    /// The schema that still holds the ledger, for a later resume; `None` when it was dropped.
    pub ledger_schema: Option<String>,
}

impl ImportOutcome {
    /// Whether everything in the plan is on the target: nothing failed, nothing skipped.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

/// A table whose rows have all been loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedTable {
    /// The TOC entry that holds its rows.
    pub entry: u32,
    /// The table.
    pub table: QualifiedName,
    /// Count and digest of the rows that the target acknowledged.
    pub digest: RowDigest,
}

/// Something that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What.
    pub subject: Subject,
    /// Which part of the object.
    pub part: Part,
    /// The statements, where only some of those are left out that make the part; without their values, which may be
    /// passwords.
    pub statements: Vec<String>,
    /// Why.
    pub cause: Cause,
}

impl Skipped {
    pub(crate) fn new(entry: &TocEntry, left_out: LeftOut) -> Self {
        let LeftOut { part, statements, cause } = left_out;
        Skipped { subject: Subject::of(entry), part, statements, cause }
    }

    /// Planner statistics.
    pub(crate) fn statistics(subject: Subject, cause: Cause) -> Self {
        Skipped { subject, part: Part::Statistics, statements: Vec::new(), cause }
    }
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What.
    pub subject: Subject,
    /// Which part of the object.
    pub part: Part,
    /// The segment, for rows.
    pub segment: Option<u32>,
    /// Why.
    pub cause: Cause,
}

/// What is said of what is left out, as objects and reasons: owners and grants that have the same reason,
/// such as a role that the target lacks, make one line.
pub fn tell(skipped: &[Skipped]) -> Vec<(String, String)> {
    let mut lines: Vec<Line> = Vec::new();
    for item in skipped {
        let is_privilege = item.subject.entry().is_some_and(|entry| entry.kind.is_privilege());
        let kind = match item.part {
            Part::Owner => LineKind::Owners,
            _ if is_privilege && !item.statements.is_empty() => LineKind::Grants,
            _ => LineKind::Whole,
        };
        let (statement_count, reason) = (item.statements.len(), item.cause.to_string());
        let is_same =
            |line: &&mut Line| kind != LineKind::Whole && line.kind == kind && line.reason == reason;
        match lines.iter_mut().find(is_same) {
            Some(line) => {
                line.subjects.push(&item.subject);
                line.statement_count += statement_count;
            }
            None => lines.push(Line { kind, subjects: vec![&item.subject], statement_count, reason }),
        }
    }
    lines.into_iter().map(Line::text).collect()
}

/// What is told together.
struct Line<'a> {
    kind: LineKind,
    subjects: Vec<&'a Subject>,
    statement_count: usize,
    reason: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Whole,
    Owners,
    Grants,
}

impl Line<'_> {
    fn text(self) -> (String, String) {
        let listed = |name: fn(&Subject) -> String| {
            self.subjects.iter().map(|subject| name(subject)).collect::<Vec<_>>().join(", ")
        };
        let names = || listed(Subject::to_string);
        let object = match (self.kind, self.statement_count) {
            (LineKind::Whole, _) => names(),
            (LineKind::Owners, _) => format!("owner of {}", names()),
            (LineKind::Grants, 1) => format!("1 grant on {}", listed(granted_on)),
            (LineKind::Grants, count) => format!("{count} grants on {}", listed(granted_on)),
        };
        (object, self.reason)
    }
}

/// What privileges are on, or whose default privileges they are.
fn granted_on(subject: &Subject) -> String {
    let whole = subject.to_string();
    let kind = subject.entry().map(|entry| entry.kind.as_str()).unwrap_or_default();
    whole.strip_prefix(kind).map(|on| on.trim_start().to_owned()).unwrap_or(whole)
}
