//! What an import did.

use dbhaul_catalog::{EntryKind, QualifiedName, TocEntry};
use dbhaul_rows::RowDigest;

use crate::plan::footprint::describe;
use crate::run::prepared::{LeftOut, Part};

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
    /// The TOC entry; 0 for planner statistics.
    pub entry: u32,
    /// What the entry makes; `None` for planner statistics.
    pub kind: Option<EntryKind>,
    /// It, as `pg_restore -l` names it: `ACL public film`.
    pub description: String,
    /// Which part of it.
    pub part: Part,
    /// Why.
    pub reason: String,
}

impl Skipped {
    pub(crate) fn new(entry: &TocEntry, left_out: LeftOut) -> Self {
        let LeftOut { part, reason } = left_out;
        Skipped { entry: entry.id, kind: Some(entry.kind), description: describe(entry), part, reason }
    }
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The TOC entry; 0 for planner statistics.
    pub entry: u32,
    /// It, as `pg_restore -l` names it: `INDEX public film_title_idx`.
    pub description: String,
    /// The segment, for rows.
    pub segment: Option<u32>,
    /// The error with its causes, detail, hint and context.
    pub error: String,
}

/// What is said of what is left out, as objects and reasons: owners and grants that have the same reason,
/// such as a role that the target lacks, make one line.
pub fn tell(skipped: &[Skipped]) -> Vec<(String, String)> {
    let mut lines: Vec<Line> = Vec::new();
    for item in skipped {
        let is_privilege = item.kind.is_some_and(EntryKind::is_privilege);
        let (kind, statement_count) = match &item.part {
            Part::Owner => (LineKind::Owners, 0),
            Part::Statements(statements) if is_privilege => (LineKind::Grants, statements.len()),
            _ => (LineKind::Whole, 0),
        };
        let is_same =
            |line: &&mut Line| kind != LineKind::Whole && line.kind == kind && line.reason == item.reason;
        match lines.iter_mut().find(is_same) {
            Some(line) => {
                line.objects.push(&item.description);
                line.statement_count += statement_count;
            }
            None => lines.push(Line {
                kind,
                objects: vec![&item.description],
                statement_count,
                reason: &item.reason,
            }),
        }
    }
    lines.iter().map(Line::text).collect()
}

/// What is told together.
struct Line<'a> {
    kind: LineKind,
    objects: Vec<&'a str>,
    statement_count: usize,
    reason: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LineKind {
    Whole,
    Owners,
    Grants,
}

impl Line<'_> {
    fn text(&self) -> (String, String) {
        let names = || self.objects.join(", ");
        let granted_on = || {
            let of_kind = |object: &&str| {
                let mut kinds = [EntryKind::Acl, EntryKind::DefaultAcl].into_iter();
                kinds.find_map(|kind| Some(object.strip_prefix(kind.as_str())?.trim_start().to_owned()))
            };
            let names =
                self.objects.iter().map(|object| of_kind(object).unwrap_or_else(|| (*object).to_owned()));
            names.collect::<Vec<_>>().join(", ")
        };
        let object = match (self.kind, self.statement_count) {
            (LineKind::Whole, _) => names(),
            (LineKind::Owners, _) => format!("owner of {}", names()),
            (LineKind::Grants, 1) => format!("1 grant on {}", granted_on()),
            (LineKind::Grants, count) => format!("{count} grants on {}", granted_on()),
        };
        (object, self.reason.to_owned())
    }
}
