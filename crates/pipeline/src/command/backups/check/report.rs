//! What a check says at its end.

use std::fmt::{self, Display, Formatter};

use dbhaul_archive::{BackupKey, CheckFinding, CheckLevel, CheckReport, CheckResult, PackGroup};
use dbhaul_catalog::in_one_line;
use dbhaul_progress::counted;
use jiff::Timestamp;
use serde::Serialize;

use crate::{Status, format_bytes};

/// What a check has found, backup by backup.
#[derive(Debug, Clone, Serialize)]
pub struct CheckSummary {
    /// The store.
    pub store: String,
    /// How closely it was looked.
    pub level: CheckLevel,
    /// The packs of rows that were read, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<PackGroup>,
    /// The backups, oldest first within a database.
    pub backups: Vec<CheckedBackup>,
    /// An object among the backups that is none and may hide some, where all of them were to be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<String>,
    /// Seconds that it took.
    pub elapsed_seconds: f64,
}

/// One backup, and what came of its check.
#[derive(Debug, Clone, Serialize)]
pub struct CheckedBackup {
    /// Identity.
    pub backup: String,
    /// The database.
    pub database: String,
    /// When the snapshot was taken.
    pub snapshot_time: Timestamp,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: CheckOutcome,
}

/// What came of the check of a backup.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// It was checked.
    Checked {
        /// What was found.
        report: Box<CheckReport>,
        /// Where the report lies in the store.
        recorded: Option<String>,
        /// Why it does not, though it should.
        #[serde(skip_serializing_if = "Option::is_none")]
        not_recorded: Option<String>,
    },
    /// It could not be checked.
    NotChecked {
        /// Why, with its causes, on one line.
        reason: String,
        /// What to do.
        help: Option<String>,
    },
    /// It was forgotten meanwhile.
    Forgotten,
}

impl CheckedBackup {
    pub(super) fn new(key: &BackupKey, outcome: CheckOutcome) -> Self {
        let (backup, database) = (key.id.to_string(), key.database.clone());
        CheckedBackup { backup, database, snapshot_time: key.time, outcome }
    }
}

impl CheckSummary {
    /// Different if anything is damaged, else failed if anything could not be checked or may not have been, or its report
    /// could not be written.
    pub fn status(&self) -> Status {
        let result = |backup: &CheckedBackup| match &backup.outcome {
            CheckOutcome::Checked { report, .. } => Some(report.result),
            CheckOutcome::NotChecked { .. } => Some(CheckResult::Incomplete),
            CheckOutcome::Forgotten => None,
        };
        let has = |wanted| self.backups.iter().any(|backup| result(backup) == Some(wanted));
        let is_unwritten = |backup: &CheckedBackup| {
            matches!(&backup.outcome, CheckOutcome::Checked { not_recorded: Some(_), .. })
        };
        match () {
            () if has(CheckResult::Damaged) => Status::Different,
            () if has(CheckResult::Incomplete) || self.passed_over.is_some() => Status::Failed,
            () if self.backups.iter().any(is_unwritten) => Status::Failed,
            () => Status::Done,
        }
    }
}

/// What a report that found damage says, on one line.
pub(crate) fn damage_found(report: &CheckReport) -> String {
    let first = report.damage.first().map_or_else(
        || counted(report.damage_count, "damaged object"),
        |finding| match report.damage_count {
            0 | 1 => format!("{}: {}", finding.object, finding.problem),
            more => format!("{}: {}; and {} more", finding.object, finding.problem, more - 1),
        },
    );
    format!("a check of {} at {:.0} found damage: {first}", report.scope(), report.finished)
}

impl Display for CheckSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let backups = counted(self.backups.len(), "backup");
        write!(f, "{}: checked {backups}, level {}", self.store, self.level)?;
        if let Some(subset) = self.subset {
            write!(f, ", {subset} of the packs of rows")?;
        }
        write!(f, ", in {:.1} s", self.elapsed_seconds)?;
        self.backups.iter().try_for_each(|backup| write!(f, "\n{backup}"))?;
        self.passed_over.iter().try_for_each(|object| {
            write!(
                f,
                "\nNOT CHECKED  {object:?} in the store may be a backup under another name, or a link to some: give it its \
                 name back, put what a link leads to in its place, or move it out of the store"
            )
        })
    }
}

impl Display for CheckedBackup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let CheckedBackup { backup, database, snapshot_time, outcome } = self;
        let database = in_one_line(database);
        let word = match outcome {
            CheckOutcome::Checked { report, .. } => match report.result {
                CheckResult::Good => "good",
                CheckResult::Damaged => "DAMAGED",
                CheckResult::Incomplete => "NOT CHECKED IN FULL",
            },
            CheckOutcome::NotChecked { .. } => "NOT CHECKED",
            CheckOutcome::Forgotten => "forgotten meanwhile",
        };
        write!(f, "backup {backup} of {database}, {snapshot_time:.0}: {word}")?;
        match outcome {
            CheckOutcome::Checked { report, not_recorded, .. } => {
                write_report(f, report)?;
                not_recorded.iter().try_for_each(|reason| {
                    write!(f, "\n  the report was not written into the store: {}", in_one_line(reason))
                })
            }
            CheckOutcome::NotChecked { reason, help } => {
                write!(f, ": {}", in_one_line(reason))?;
                help.iter().try_for_each(|help| write!(f, "\n  {}", in_one_line(help)))
            }
            CheckOutcome::Forgotten => Ok(()),
        }
    }
}

/// What to do about a damaged backup.
const HELP: &str = "bring damaged objects back from a replica of the store, or restore another backup and forget this \
                    one by name; make the next backup with `dbhaul dump --full`, which relies on no older pack";

fn write_report(f: &mut Formatter<'_>, report: &CheckReport) -> fmt::Result {
    let (read, all) = (report.read_packs, report.packs);
    write!(
        f,
        "\n  read {} of {}, {} of {}",
        read.count,
        counted(all.count, "pack"),
        format_bytes(read.bytes),
        format_bytes(all.bytes)
    )?;
    if let Some(rows) = report.row_count {
        write!(f, "; {}", counted(rows, "row"))?;
    }
    report.damage.iter().try_for_each(|finding| write_finding(f, "DAMAGED", finding))?;
    write_more(f, report.damage_count, report.damage.len())?;
    report.unread.iter().try_for_each(|finding| write_finding(f, "NOT READ", finding))?;
    write_more(f, report.unread_count, report.unread.len())?;
    report.not_compared.iter().try_for_each(|note| write!(f, "\n  not compared: {}", in_one_line(note)))?;
    if report.result == CheckResult::Damaged { write!(f, "\n  {HELP}") } else { Ok(()) }
}

fn write_finding(f: &mut Formatter<'_>, word: &str, finding: &CheckFinding) -> fmt::Result {
    let CheckFinding { object, problem, affects, affected_count } = finding;
    write!(f, "\n  {word}  {}: {}", in_one_line(object), in_one_line(problem))?;
    if affects.is_empty() {
        return Ok(());
    }
    let parts: Vec<String> = affects.iter().map(|part| in_one_line(part)).collect();
    write!(f, "\n    holds parts of {}", parts.join(", "))?;
    match affected_count.saturating_sub(affects.len() as u64) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

fn write_more(f: &mut Formatter<'_>, count: u64, named: usize) -> fmt::Result {
    match count.saturating_sub(named as u64) {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more"),
    }
}
