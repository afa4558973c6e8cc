//! Differences that somebody accepts, each with a reason: they stay in the report and do not count.
//!
//! A list has one line for each: the object as a report names it, in brackets the part that may differ, and the
//! reason. A line accepts nothing but what it names.

mod list;

use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::{Difference, EntryKind};
use serde::{Deserialize, Serialize};

pub use self::list::AcceptError;
use crate::report::severity;
use crate::{CheckResult, LARGE_OBJECTS, Report, SequenceResult, TableResult, Verdict};

/// The differences that are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AcceptList {
    lines: Vec<Line>,
}

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    number: u64,
    subject: Subject,
    part: Part,
    /// Accepts that nobody could tell whether it differs, in the place of a difference.
    is_of_unverified: bool,
    reason: String,
}

/// What a line is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    /// An object, by its kind and what a report writes behind that.
    Object(EntryKind, String),
    /// The contents of all large objects.
    LargeObjects,
    /// An application check, by its name.
    Check(String),
}

/// Which part of it may differ.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Its definition, whether it exists, or the answer to a check: all but rows and positions.
    Whole,
    /// That one side alone has it.
    Existence,
    /// The rows of a table.
    Rows,
    /// The position of a sequence.
    Position,
    /// That a sequence is behind its column on the right alone, and its position.
    Behind,
    /// A property of its definition, as a report names it: `default of column price`; or as reports named it that
    /// counted columns: `default of column 2`.
    Property(String),
}

/// A difference that was accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// The line of the list.
    pub line: u64,
    /// What the line names.
    pub subject: String,
    /// Why it is accepted.
    pub reason: String,
    /// What was found.
    #[serde(flatten)]
    pub found: AcceptedFinding,
}

/// What was found and accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum AcceptedFinding {
    /// A difference of definitions.
    Definition {
        /// The difference.
        #[serde(serialize_with = "severity::of_one")]
        definition: Difference,
    },
    /// Rows of a table.
    Rows {
        /// The table.
        table: TableResult,
    },
    /// The position of a sequence.
    Position {
        /// The sequence.
        sequence: SequenceResult,
    },
    /// The answer to a check.
    Check {
        /// The check.
        check: CheckResult,
    },
}

/// A line that accepted nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusedLine {
    /// Its number.
    pub line: u64,
    /// What it names.
    pub subject: String,
    /// The reason that it gives.
    pub reason: String,
}

impl AcceptList {
    /// Whether the rows of a table may differ.
    pub fn covers_rows(&self, table: &str) -> bool {
        self.lines
            .iter()
            .any(|line| line.part == Part::Rows && !line.is_of_unverified && line.is_of_table(table))
    }

    /// Moves what is accepted out of a report's differences, and notes which lines accepted nothing. A difference is
    /// accepted by the first line that names it.
    pub fn apply(&self, report: &mut Report) {
        let mut applied = Applied { list: self, used: vec![false; self.lines.len()], accepted: Vec::new() };
        applied.take(&mut report.schema.differences, Line::is_of_difference, |definition| {
            AcceptedFinding::Definition { definition }
        });
        applied.take(&mut report.tables, Line::is_of_rows, |table| AcceptedFinding::Rows { table });
        applied.take(&mut report.sequences, Line::is_of_position, |sequence| AcceptedFinding::Position {
            sequence,
        });
        applied.take(&mut report.checks, Line::is_of_check, |check| AcceptedFinding::Check { check });
        let unused = self.lines.iter().zip(&applied.used).filter(|(_, is_used)| !**is_used);
        report.unused_accept_lines = unused.map(|(line, _)| line.unused()).collect();
        report.accepted = applied.accepted;
    }
}

/// A list while it is applied.
struct Applied<'a> {
    list: &'a AcceptList,
    used: Vec<bool>,
    accepted: Vec<Accepted>,
}

impl Applied<'_> {
    fn take<T>(
        &mut self,
        findings: &mut Vec<T>,
        is_of: impl Fn(&Line, &T) -> bool,
        found: impl Fn(T) -> AcceptedFinding,
    ) {
        let mut kept = Vec::with_capacity(findings.len());
        for finding in findings.drain(..) {
            let Some(at) = self.list.lines.iter().position(|line| is_of(line, &finding)) else {
                kept.push(finding);
                continue;
            };
            let line = &self.list.lines[at];
            self.used[at] = true;
            let UnusedLine { line, subject, reason } = line.unused();
            self.accepted.push(Accepted { line, subject, reason, found: found(finding) });
        }
        *findings = kept;
    }
}

impl Line {
    fn unused(&self) -> UnusedLine {
        UnusedLine { line: self.number, subject: self.to_string(), reason: self.reason.clone() }
    }

    fn is_of_difference(&self, difference: &Difference) -> bool {
        let Subject::Object(kind, name) = &self.subject else { return false };
        let identity = difference.identity();
        let is_unverified = matches!(difference, Difference::NotVerified { .. });
        let is_part = match &self.part {
            Part::Whole => true,
            Part::Existence => difference.path().is_none(),
            Part::Property(property) => {
                let names = [difference.property(), difference.numbered_property()];
                names.iter().flatten().any(|name| name == property)
            }
            Part::Rows | Part::Position | Part::Behind => false,
        };
        *kind == identity.kind
            && is_unverified == self.is_of_unverified
            && is_part
            && identity.to_string().strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix(' '))
                == Some(name)
    }

    /// Whether it is about the rows of something that a report has under this name.
    fn is_of_table(&self, table: &str) -> bool {
        match &self.subject {
            Subject::Object(
                EntryKind::Table | EntryKind::ForeignTable | EntryKind::MaterializedView,
                name,
            ) => name == table,
            Subject::LargeObjects => table == LARGE_OBJECTS,
            _ => false,
        }
    }

    fn is_of_rows(&self, table: &TableResult) -> bool {
        let is_unverified = match &table.verdict {
            Verdict::Equal { .. } | Verdict::Settled { .. } => return false,
            Verdict::NotVerified { .. } | Verdict::SameCount { .. } => true,
            _ => false,
        };
        self.part == Part::Rows && is_unverified == self.is_of_unverified && self.is_of_table(&table.name)
    }

    fn is_of_position(&self, sequence: &SequenceResult) -> bool {
        let is_named =
            matches!(&self.subject, Subject::Object(EntryKind::Sequence, name) if *name == sequence.name);
        // a sequence that will give out what is there already is more than another position
        let part = if sequence.behind.is_some() { Part::Behind } else { Part::Position };
        self.part == part && sequence.not_verified.is_some() == self.is_of_unverified && is_named
    }

    fn is_of_check(&self, check: &CheckResult) -> bool {
        let is_named = matches!(&self.subject, Subject::Check(name) if *name == check.name);
        !check.is_equal() && check.not_verified().is_some() == self.is_of_unverified && is_named
    }
}

impl Display for Line {
    /// As it is written, without the reason.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Subject::Object(kind, name) => write!(f, "{kind} {name}")?,
            Subject::LargeObjects => f.write_str(list::LARGE_OBJECTS_WORDS)?,
            Subject::Check(name) => write!(f, "{} {name}", list::CHECK_WORD)?,
        }
        let part = match &self.part {
            Part::Whole => None,
            Part::Existence => Some("existence"),
            Part::Rows => Some("rows"),
            Part::Position => Some("position"),
            Part::Behind => Some("behind"),
            Part::Property(property) => Some(property.as_str()),
        };
        let unverified = self.is_of_unverified.then_some(list::NOT_VERIFIED);
        let parts: Vec<&str> = part.into_iter().chain(unverified).collect();
        if parts.is_empty() { Ok(()) } else { write!(f, " [{}]", parts.join(", ")) }
    }
}
