//! What an auditor reads.
//!
//! A [`Report`] is what a comparison found. [`Document`] is the JSON that a command writes about its run, with such a
//! report in it; JSON is the truth, and the other forms are made of it: [`html`], [`markdown`], [`junit`].

mod conclusion;
mod diff;
mod document;
mod html;
mod junit;
mod markdown;
mod run;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod schema;
pub(crate) mod severity;
mod text;

use std::collections::BTreeMap;

use dbhaul_catalog::{CatalogDiff, EntryKind, Identity};
use serde::{Deserialize, Serialize};

pub use self::conclusion::Conclusion;
pub use self::document::{Command, Document, REPORT_FORMAT, ReportError, Written, WrittenReason};
pub use self::html::html;
pub use self::junit::junit;
pub use self::markdown::markdown;
pub use self::run::{PhaseTime, RunRecord, TaskTime};
use crate::{Accepted, CheckResult, DifferingRows, Mode, UnusedLine, Verdict};

/// One of the two databases compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideDescription {
    /// `host:port/database as user`, or the store and the backup.
    pub name: String,
    /// The server's version, as in `18.4`.
    pub server_version: String,
    /// When it was so: the snapshot's or the backup's time, ISO 8601.
    pub as_of: String,
    /// The write-ahead log's position then, where the server tells.
    pub lsn: Option<String>,
}

/// The name under which a report has the contents of all large objects. No table's: those are qualified.
pub const LARGE_OBJECTS: &str = "large objects";

/// The judgement on one table, or on the contents of all large objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableResult {
    /// Quoted, qualified name.
    pub name: String,
    /// Equal, different, missing, extra, or not verified.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The rows that differ, where they were looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Box<DifferingRows>>,
}

impl TableResult {
    /// The judgement on a table in which no rows were looked for.
    pub fn new(name: impl Into<String>, verdict: Verdict) -> Self {
        TableResult { name: name.into(), verdict, rows: None }
    }
}

/// A sequence whose position differs, or could not be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceResult {
    /// Quoted, qualified name.
    pub name: String,
    /// Left's `last_value,is_called`; `None` if it has no such sequence.
    pub left: Option<String>,
    /// Right's.
    pub right: Option<String>,
    /// Why it could not be compared, if so; nothing is known of either side then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_verified: Option<String>,
    /// The column that it fills on the right and that has values already which it has still to give out, while on the left
    /// it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<BehindColumn>,
}

/// A column that is ahead of its sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BehindColumn {
    /// Quoted, qualified name.
    pub column: String,
    /// How far its values go.
    pub furthest: i64,
}

/// The statements that make an object on each side, where it differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectDefinitions {
    /// The object.
    pub identity: Identity,
    /// Left's; `None` if it has no such object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// Right's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
}

/// Of what the digests of the right's rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowsOfRight {
    /// Of the rows that are there.
    #[default]
    Read,
    /// Of the rows that were loaded there, as they were sent: they have not been read since. Reports of restores had
    /// this before restores read their targets.
    Loaded,
}

/// The outcome of a verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What is believed.
    pub left: SideDescription,
    /// What is checked.
    pub right: SideDescription,
    /// When the comparison was made, ISO 8601 in UTC.
    pub compared_at: String,
    /// dbhaul's version.
    pub dbhaul_version: String,
    /// What was compared of what is selected.
    #[serde(default = "Mode::usual")]
    pub mode: Vec<Mode>,
    /// The patterns that chose what was compared, as options of a command line; `None` for everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<String>,
    /// Options that say how it was compared, in words.
    #[serde(default)]
    pub options: Vec<String>,
    /// Differences of the schemas, both directions; each is written with its severity.
    #[serde(serialize_with = "severity::of_all")]
    pub schema: CatalogDiff,
    /// How many objects were compared on the left.
    pub compared_object_count: u64,
    /// How many of each kind, where that is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub compared_kinds: BTreeMap<EntryKind, u64>,
    /// Statements of objects that differ, for the first of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<ObjectDefinitions>,
    /// Every table of either side.
    pub tables: Vec<TableResult>,
    /// Of what the digests of the right's rows are.
    #[serde(default)]
    pub rows_of_right: RowsOfRight,
    /// How many sequences were compared.
    pub compared_sequence_count: u64,
    /// Sequences that differ, or could not be compared.
    pub sequences: Vec<SequenceResult>,
    /// What application checks came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckResult>,
    /// Differences that somebody accepts: they are in none of the lists above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Accepted>,
    /// Lines of the list of accepted differences that accepted nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused_accept_lines: Vec<UnusedLine>,
    /// What was left out on request, or cannot be compared, and why.
    pub not_compared: Vec<String>,
    /// What differs and was not asked to be equal, and what is not the database's: to be known, and
    /// no difference.
    #[serde(default)]
    pub information: Vec<String>,
}

/// Counts of a report's tables, without large objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Equal tables.
    pub equal: usize,
    /// Different, missing and extra tables.
    pub different: usize,
    /// Tables that could not be verified.
    pub not_verified: usize,
    /// Rows of equal tables.
    pub equal_row_count: u64,
    /// Tables whose rows were only counted, with the same number on both sides.
    #[serde(default)]
    pub same_count: usize,
    /// Rows of those.
    #[serde(default)]
    pub same_count_row_count: u64,
    /// Tables whose rows differed first and agreed when they were looked at again.
    #[serde(default)]
    pub settled: usize,
}

impl Report {
    /// Whether the two sides were proven equal: no difference, accepted or not, and nothing unverified.
    pub fn is_equal(&self) -> bool {
        self.accepted.is_empty()
            && self.schema.is_empty()
            && self.sequences.is_empty()
            && self.rows_are_equal()
            && self.checks_are_equal()
    }

    fn checks_are_equal(&self) -> bool {
        self.checks.iter().all(CheckResult::is_equal)
    }

    /// Whether every table's rows were proven equal, whatever the schemas say.
    pub fn rows_are_equal(&self) -> bool {
        self.tables.iter().all(|table| table.verdict.is_equal())
    }

    /// Whether nothing differs, and nothing is unverified, of what was asked for and is not accepted. If only rows were to be counted,
    /// this does not make them equal: see [`Self::conclusion`].
    pub fn agrees(&self) -> bool {
        let agrees = |table: &TableResult| {
            matches!(table.verdict, Verdict::Equal { .. } | Verdict::Settled { .. })
                || self.is_only_counted(&table.verdict)
        };
        let tables_agree = self.tables.iter().all(agrees);
        tables_agree && self.schema.is_empty() && self.sequences.is_empty() && self.checks_are_equal()
    }

    fn is_only_counted(&self, verdict: &Verdict) -> bool {
        !self.mode.iter().any(|mode| mode.reads_rows()) && matches!(verdict, Verdict::SameCount { .. })
    }

    /// The verdict in a few words that never say more than what was compared.
    pub fn conclusion(&self) -> String {
        let words = self.words();
        match self.accepted.len() {
            _ if !self.agrees() => words.to_owned(),
            0 => words.to_owned(),
            1 => format!("{words} BUT FOR 1 ACCEPTED DIFFERENCE"),
            count => format!("{words} BUT FOR {count} ACCEPTED DIFFERENCES"),
        }
    }

    /// The verdict on what is not accepted.
    fn words(&self) -> &'static str {
        if !self.agrees() {
            return "NOT EQUAL";
        }
        let has = |mode| self.mode.contains(&mode);
        if self.tables.iter().any(|table| matches!(table.verdict, Verdict::Settled { .. })) {
            return match has(Mode::Schema) {
                true => "EQUAL AFTER ROWS THAT CHANGED WERE LOOKED AT AGAIN",
                false => "ROWS EQUAL AFTER THOSE THAT CHANGED WERE LOOKED AT AGAIN, DEFINITIONS NOT COMPARED",
            };
        }
        let (definitions, rows) = (has(Mode::Schema), self.mode.iter().any(|mode| mode.reads_rows()));
        match (definitions, rows, has(Mode::Counts)) {
            (true, true, _) => "EQUAL",
            (false, true, _) => "ROWS EQUAL, DEFINITIONS NOT COMPARED",
            (true, false, true) => "DEFINITIONS AND COUNTS OF ROWS EQUAL, CONTENTS OF ROWS NOT COMPARED",
            (false, false, true) => "COUNTS OF ROWS EQUAL, CONTENTS AND DEFINITIONS NOT COMPARED",
            (_, false, false) => "DEFINITIONS EQUAL, ROWS NOT COMPARED",
        }
    }

    /// Counts over all tables, without large objects.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for table in self.tables.iter().filter(|table| table.name != LARGE_OBJECTS) {
            match &table.verdict {
                Verdict::Equal { digest } => {
                    totals.equal += 1;
                    totals.equal_row_count += digest.row_count;
                }
                Verdict::SameCount { row_count } => {
                    totals.same_count += 1;
                    totals.same_count_row_count += row_count;
                }
                Verdict::Settled { .. } => totals.settled += 1,
                Verdict::NotVerified { .. } => totals.not_verified += 1,
                _ => totals.different += 1,
            }
        }
        totals
    }
}
