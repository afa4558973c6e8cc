//! What an import did.

use dbhaul_catalog::QualifiedName;
use dbhaul_rows::RowDigest;

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
    /// It, as `pg_restore -l` names it: `ACL public film`.
    pub description: String,
    /// Why.
    pub reason: String,
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
