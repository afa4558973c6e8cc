//! What a whole report comes to, in words that may be quoted alone.

use dbhaul_catalog::{Difference, in_one_line};
use dbhaul_progress::counted;

use super::{
    BehindColumn, Document, LARGE_OBJECTS, Report, RowsOfRight, SequenceResult, TableResult, WrittenReason,
};
use crate::{AcceptedFinding, CheckVerdict, UnusedLine, Verdict};

/// What a run proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Rows and definitions are equal.
    Equal,
    /// What was compared is equal, but for differences that somebody accepts.
    ButForAccepted,
    /// What was compared is equal, and not everything was to be compared.
    Partly,
    /// Something was skipped, and nothing else differs.
    Skipped,
    /// Nothing is known to differ, and something could not be compared.
    NotVerified,
    /// There was no comparison.
    NotCompared,
    /// Something differs.
    Different,
    /// The run failed.
    Failed,
}

impl Conclusion {
    /// In one or two words.
    pub fn words(self) -> &'static str {
        match self {
            Conclusion::Equal => "Equal",
            Conclusion::ButForAccepted => "Equal but for accepted differences",
            Conclusion::Partly => "Equal in what was compared",
            Conclusion::Skipped => "Not everything was copied",
            Conclusion::NotVerified => "Not verified",
            Conclusion::NotCompared => "Not compared",
            Conclusion::Different => "Different",
            Conclusion::Failed => "Failed",
        }
    }
}

/// A part of a comparison of which nothing is known, and why.
pub(super) struct Unverified {
    pub(super) what: String,
    pub(super) reason: String,
}

impl Report {
    /// Differences of the schemas that are known to be some.
    pub(super) fn schema_differences(&self) -> impl Iterator<Item = &Difference> {
        self.schema.differences.iter().filter(|difference| !is_unverified(difference))
    }

    /// Tables whose rows differ, or that one side alone has.
    pub(super) fn different_tables(&self) -> impl Iterator<Item = &TableResult> {
        let differs = |table: &&TableResult| {
            !matches!(
                table.verdict,
                Verdict::Equal { .. }
                    | Verdict::Settled { .. }
                    | Verdict::SameCount { .. }
                    | Verdict::NotVerified { .. }
            )
        };
        self.tables.iter().filter(differs)
    }

    /// What could not be compared.
    pub(super) fn unverified(&self) -> Vec<Unverified> {
        let reads_rows = self.reads_rows();
        let tables = self.tables.iter().filter_map(|table| {
            let reason = match &table.verdict {
                Verdict::NotVerified { reason } => reason.clone(),
                Verdict::SameCount { .. } if reads_rows => "its rows were only counted".to_owned(),
                _ => return None,
            };
            let what = if table.name == LARGE_OBJECTS { "" } else { "rows of " };
            Some(Unverified { what: format!("{what}{}", table.name), reason })
        });
        let definitions = self.schema.differences.iter().filter_map(|difference| match difference {
            Difference::NotVerified { identity, path, reason, .. } => {
                let part = path.strip_prefix("body.").unwrap_or(path);
                Some(Unverified { what: format!("{identity}, {part}"), reason: reason.clone() })
            }
            _ => None,
        });
        let sequences = self.sequences.iter().filter_map(|sequence| {
            let what = format!("position of {}", sequence.name);
            Some(Unverified { what, reason: sequence.not_verified.clone()? })
        });
        let checks = self.checks.iter().filter_map(|check| {
            let (what, reason) = (format!("check {}", check.name), check.not_verified()?.to_owned());
            Some(Unverified { what, reason })
        });
        tables.chain(definitions).chain(sequences).chain(checks).collect()
    }

    /// Whether the contents of rows were to be compared.
    pub(super) fn reads_rows(&self) -> bool {
        self.mode.iter().any(|mode| mode.reads_rows())
    }

    /// How much is known to differ: definitions, tables with large objects, sequences, answers to checks.
    fn difference_counts(&self) -> [usize; 4] {
        let sequences = self.sequences.iter().filter(|sequence| sequence.not_verified.is_none());
        let checks = self.checks.iter().filter(|check| !check.is_equal() && check.not_verified().is_none());
        [
            self.schema_differences().count(),
            self.different_tables().count(),
            sequences.count(),
            checks.count(),
        ]
    }

    /// What was compared, in numbers.
    fn compared(&self) -> String {
        let totals = self.totals();
        let tables =
            totals.equal + totals.different + totals.not_verified + totals.same_count + totals.settled;
        let checks = match self.checks.len() as u64 {
            0 => String::new(),
            count => format!(", and the answers to {}", many(count, "check")),
        };
        format!(
            "{} with {}, {} and {}{checks}",
            many(tables as u64, "table"),
            many(totals.equal_row_count, "row"),
            many(self.compared_object_count, "definition"),
            many(self.compared_sequence_count, "sequence position"),
        )
    }
}

impl Document {
    /// What the run proved. Whatever the status says, it is equal only where the comparison shows it.
    pub fn conclusion(&self) -> Conclusion {
        let lists = |list: fn(&super::Written) -> &Vec<WrittenReason>| {
            self.written.as_ref().is_some_and(|written| !list(written).is_empty())
        };
        let has_failed = lists(|written| &written.failed) || self.status == "failed";
        let has_skipped = lists(|written| &written.skipped);
        match &self.comparison {
            _ if has_failed => Conclusion::Failed,
            None => Conclusion::NotCompared,
            // what was skipped explains what differs, or the status would be another
            Some(report) if has_skipped && self.status == "skipped" && report.rows_are_equal() => {
                Conclusion::Skipped
            }
            Some(report) if report.difference_counts() != [0; 4] => Conclusion::Different,
            Some(report) if !report.unverified().is_empty() => Conclusion::NotVerified,
            Some(_) if has_skipped => Conclusion::Skipped,
            Some(report) if !report.accepted.is_empty() => Conclusion::ButForAccepted,
            // in the words of the text, so that both say the same
            Some(report) if report.conclusion() == "EQUAL" => Conclusion::Equal,
            Some(_) => Conclusion::Partly,
        }
    }

    /// The conclusion as sentences, each in one line and true when it is quoted alone.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences: Vec<String> = self.written.iter().map(written).collect();
        sentences.extend(self.comparison.iter().flat_map(compared));
        if self.comparison.is_none() {
            sentences.push(match self.written.as_ref().and_then(|written| written.unverified.as_ref()) {
                Some(reason) => format!("The copy was not compared with its source: {reason}."),
                None => "The copy was not compared with its source.".to_owned(),
            });
        }
        sentences.iter().map(|sentence| in_one_line(sentence)).collect()
    }
}

fn written(written: &super::Written) -> String {
    let (tables, rows) = (many(written.table_count, "table"), many(written.digest.row_count, "row"));
    let mut text = format!("{tables} with {rows} were copied to {}", written.target);
    for (count, word) in [(written.skipped.len(), "skipped"), (written.failed.len(), "failed")] {
        if count > 0 {
            text.push_str(&format!(", {} {word}", many(count as u64, "object")));
        }
    }
    text + "."
}

fn compared(report: &Report) -> Vec<String> {
    let counts = report.difference_counts();
    let unverified = report.unverified().len();
    let mut sentences = Vec::new();
    if counts == [0; 4] && unverified == 0 {
        let words = report.conclusion();
        sentences.push(match words.as_str() {
            "EQUAL" => format!("{} were compared and are equal on both sides.", report.compared()),
            part => format!("{}.", sentence_case(part)),
        });
    } else {
        let words = [
            "difference in definitions",
            "table that differs",
            "sequence that differs",
            "check that differs",
        ];
        let many = [
            "differences in definitions",
            "tables that differ",
            "sequences that differ",
            "checks that differ",
        ];
        let found = counts.iter().zip(words.iter().zip(many)).filter(|(count, _)| **count > 0);
        let mut found: Vec<String> = found
            .map(|(count, (one, many))| format!("{count} {}", if *count == 1 { one } else { &many }))
            .collect();
        let left = match unverified {
            0 => String::new(),
            1 => ", and 1 thing could not be compared".to_owned(),
            many => format!(", and {many} things could not be compared"),
        };
        if found.is_empty() {
            found.push("no difference in what could be compared".to_owned());
        }
        let accepted = match report.accepted.len() as u64 {
            0 => String::new(),
            1 => ", beside 1 accepted difference".to_owned(),
            count => format!(", beside {count} accepted differences"),
        };
        sentences.push(format!("The comparison found {}{left}{accepted}.", found.join(", ")));
    }
    if report.rows_of_right == RowsOfRight::Loaded && !report.tables.is_empty() {
        sentences.push(
            "Rows were compared as they were loaded and were not read on the right side; `dbhaul verify` reads them."
                .to_owned(),
        );
    }
    sentences.extend(settled(report));
    sentences.extend(
        report.selection.iter().map(|selection| format!("Only what is selected was compared: {selection}.")),
    );
    sentences
}

/// What is said of tables whose rows have agreed at a later look alone.
fn settled(report: &Report) -> Option<String> {
    let tables = report.tables.iter().filter(|table| matches!(table.verdict, Verdict::Settled { .. }));
    let last = |rows: &crate::SettledRows| (rows.left_as_of.clone(), rows.right_as_of.clone());
    let times = tables.clone().filter_map(|table| table.rows.as_ref()?.settled.as_ref()).map(last);
    let (left, right) = times.max()?;
    Some(format!(
        "Rows of {} differed when they were first compared and were the same on both sides when they were looked at \
         again, last as of {left} on the left and {right} on the right.",
        many(tables.count() as u64, "table")
    ))
}

/// Words in capitals as the beginning of a sentence.
fn sentence_case(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(String::from).unwrap_or_default();
    first + &letters.as_str().to_lowercase()
}

/// Whether nobody could tell if it is a difference.
pub(super) fn is_unverified(difference: &Difference) -> bool {
    matches!(difference, Difference::NotVerified { .. })
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun, and its thousands apart.
fn many(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A difference in words that need no column beside them, with its severity.
pub(super) fn told(difference: &Difference) -> String {
    let what = in_one_line(&match difference {
        Difference::Missing { identity } => format!("{identity}: only on the left"),
        Difference::Extra { identity } => format!("{identity}: only on the right"),
        other => other.to_string(),
    });
    format!("{what} ({})", difference.severity())
}

impl AcceptedFinding {
    /// What was found, in one line.
    pub(super) fn told(&self) -> String {
        match self {
            AcceptedFinding::Definition { definition } => told(definition),
            AcceptedFinding::Rows { table } => {
                let what = if table.name == LARGE_OBJECTS { "" } else { "rows of " };
                in_one_line(&format!("{what}{}: {}", table.name, table.verdict.told()))
            }
            AcceptedFinding::Position { sequence } => {
                let told = match &sequence.not_verified {
                    Some(reason) => format!("not verified: {reason}"),
                    None => sequence.told(),
                };
                in_one_line(&format!("position of {}: {told}", sequence.name))
            }
            AcceptedFinding::Check { check } => {
                let told = match &check.verdict {
                    CheckVerdict::Equal { .. } => "equal".to_owned(),
                    CheckVerdict::Different(answers) => answers.summary(),
                    CheckVerdict::NotVerified { reason } => format!("not verified: {reason}"),
                };
                in_one_line(&format!("check {}: {told}", check.name))
            }
        }
    }
}

impl SequenceResult {
    /// Where it stands on either side, in words that stand behind its name.
    pub(super) fn told(&self) -> String {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
        let positions = format!("{} on the left, {} on the right", side(&self.left), side(&self.right));
        match self.behind_told() {
            Some(behind) => format!("{positions}; {behind}"),
            None => positions,
        }
    }

    /// That it is behind its column on the right alone.
    pub(super) fn behind_told(&self) -> Option<String> {
        let BehindColumn { column, furthest } = self.behind.as_ref()?;
        Some(format!("on the right it is behind {column}, which goes to {furthest}"))
    }
}

impl UnusedLine {
    /// That the line accepts nothing, in one line.
    pub(super) fn told(&self) -> String {
        in_one_line(&format!("line {} accepts nothing: {} -- {}", self.line, self.subject, self.reason))
    }
}

impl Verdict {
    /// In words that stand behind the name of a table.
    fn told(&self) -> String {
        let sides = |left: u64, right: u64| {
            format!("{} on the left, {} on the right", counted(left, "row"), counted(right, "row"))
        };
        match self {
            Verdict::Equal { digest } => format!("{} on both sides, equal", counted(digest.row_count, "row")),
            Verdict::Different { left, right } if left.row_count == right.row_count => {
                format!("{} on both sides, other contents", counted(left.row_count, "row"))
            }
            Verdict::Different { left, right } => sides(left.row_count, right.row_count),
            Verdict::OtherCount { left, right } => sides(*left, *right),
            Verdict::Settled { .. } => "the same on both sides when its rows were looked at again".to_owned(),
            Verdict::SameCount { row_count } => {
                format!("{} on both sides, contents not compared", counted(*row_count, "row"))
            }
            Verdict::Missing => "only on the left".to_owned(),
            Verdict::Extra => "only on the right".to_owned(),
            Verdict::NotVerified { reason } => format!("not verified: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_rows::RowDigest;

    use super::Conclusion;
    use crate::report::sample;
    use crate::{Mode, TableResult, Verdict};

    #[test]
    fn nothing_but_a_comparison_without_doubt_is_equal() {
        let digest = RowDigest { row_count: 2, sum: 7 };
        let mut report = sample::of_tables(vec![("public.t", Verdict::Equal { digest })]);
        assert_eq!(sample::document(&report).conclusion(), Conclusion::Equal);
        let said = sample::document(&report).sentences();
        assert_eq!(
            said,
            [
                "1 table with 2 rows, 41 definitions and 1 sequence position were compared and are equal on both sides."
            ]
        );
        let reason = "permission denied".to_owned();
        report.tables.push(TableResult::new("public.u", Verdict::NotVerified { reason }));
        assert_eq!(sample::document(&report).conclusion(), Conclusion::NotVerified);
        report.tables.push(TableResult::new("public.v", Verdict::Missing));
        let document = sample::document(&report);
        assert_eq!(document.conclusion(), Conclusion::Different);
        assert_eq!(
            document.sentences(),
            ["The comparison found 1 table that differs, and 1 thing could not be compared."]
        );
    }

    #[test]
    fn what_was_only_counted_is_not_called_equal() {
        let mut report = sample::of_tables(vec![("public.t", Verdict::SameCount { row_count: 2 })]);
        assert_eq!(sample::document(&report).conclusion(), Conclusion::NotVerified);
        report.mode = vec![Mode::Counts];
        let document = sample::document(&report);
        assert_eq!(document.conclusion(), Conclusion::Partly);
        assert_eq!(document.sentences(), ["Counts of rows equal, contents and definitions not compared."]);
        report.tables.push(TableResult::new("public.u", Verdict::OtherCount { left: 1, right: 2 }));
        assert_eq!(sample::document(&report).conclusion(), Conclusion::Different);
    }

    #[test]
    fn what_agreed_at_a_later_look_is_not_called_equal_without_a_word() {
        let digest = RowDigest { row_count: 2, sum: 7 };
        let mut report = sample::of_tables(vec![("public.t", Verdict::Equal { digest })]);
        report.tables.push(sample::settled());
        assert!(report.agrees() && !report.is_equal() && !report.rows_are_equal());
        let document = sample::document(&report);
        assert_eq!(document.conclusion(), Conclusion::Partly);
        assert_eq!(
            document.sentences(),
            [
                "Equal after rows that changed were looked at again.",
                "Rows of 1 table differed when they were first compared and were the same on both sides when they were \
                 looked at again, last as of 2026-11-30T01:02:04Z on the left and 2026-11-30T01:02:05Z on the right."
            ]
        );
        report.tables.push(TableResult::new("public.u", Verdict::Missing));
        assert!(!report.agrees());
        assert_eq!(sample::document(&report).conclusion(), Conclusion::Different);
    }

    #[test]
    fn a_copy_is_equal_only_if_it_was_compared_and_whole() {
        let digest = RowDigest { row_count: 2, sum: 7 };
        let report = sample::of_tables(vec![("public.t", Verdict::Equal { digest })]);
        let copy = |skipped: &[&str], failed: &[&str], status: &str, report| {
            sample::copy(skipped, failed, status, report).conclusion()
        };
        assert_eq!(copy(&[], &[], "done", Some(&report)), Conclusion::Equal);
        assert_eq!(copy(&[], &[], "done", None), Conclusion::NotCompared);
        assert_eq!(copy(&["EXTENSION x"], &[], "skipped", Some(&report)), Conclusion::Skipped);
        assert_eq!(copy(&["EXTENSION x"], &[], "done", Some(&report)), Conclusion::Skipped);
        assert_eq!(copy(&[], &["INDEX i"], "done", Some(&report)), Conclusion::Failed);
        assert_eq!(copy(&[], &[], "failed", Some(&report)), Conclusion::Failed);
    }
}
