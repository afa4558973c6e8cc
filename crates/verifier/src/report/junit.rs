//! A report as JUnit XML, which a CI shows: one case for each table and each kind of object.
//!
//! What differs is a failure. What could not be verified is an error with its reason, for a test that did not run to
//! its end has not passed.

use std::collections::BTreeMap;
use std::time::Duration;

use dbhaul_catalog::{Difference, EntryKind, Identity, in_lines, in_one_line};
use dbhaul_progress::counted;
use dbhaul_rows::RowDigest;
use quick_junit::NonSuccessKind::{self, Error, Failure};
use quick_junit::{Report as JUnit, TestCase, TestCaseStatus, TestSuite};

use super::conclusion::{is_unverified, told};
use super::diff::{DiffLine, unified};
use super::{Document, Report, TableResult, WrittenReason};
use crate::{CheckVerdict, Verdict};

/// A report as JUnit XML.
///
/// # Errors
/// If the XML cannot be written, which no report makes happen.
pub fn junit(document: &Document) -> Result<String, quick_junit::SerializeError> {
    let mut junit = JUnit::new(format!("dbhaul {}", document.command.name()));
    if let Some(run) = &document.run {
        junit.set_time(Duration::from_millis(run.elapsed_ms));
    }
    junit.add_test_suite(run_suite(document));
    if let Some(report) = &document.comparison {
        junit.add_test_suite(tables(report));
        junit.add_test_suite(definitions(report));
        junit.add_test_suite(sequences(report));
        junit.add_test_suite(checks(report));
        junit.add_test_suite(accepted(report));
    }
    junit.to_string()
}

/// One case for what the run as a whole came to, and one for each object that it failed to write.
fn run_suite(document: &Document) -> TestSuite {
    let mut suite = TestSuite::new("run");
    suite.add_property(("sha256", document.sha256.as_str()));
    if let Some(report) = &document.comparison {
        suite.add_property(("left", in_one_line(&report.left.to_string()).as_str()));
        suite.add_property(("right", in_one_line(&report.right.to_string()).as_str()));
        suite.add_property(("compared_at", in_one_line(&report.compared_at).as_str()));
        suite.add_property(("dbhaul_version", in_one_line(&report.dbhaul_version).as_str()));
        let not_compared = report.not_compared.iter().chain(&report.information);
        suite.set_system_out(not_compared.map(|note| in_one_line(note) + "\n").collect::<String>());
    }
    if let Some(run) = &document.run {
        suite.add_property(("command_line", in_one_line(&run.command_line).as_str()));
    }
    if let Some(written) = &document.written {
        let named = |kind, list: &[WrittenReason]| -> Vec<TestCase> {
            let one = |one: &WrittenReason| {
                case("run", &one.object, problem(Failure, kind, &in_lines(&one.reason)))
            };
            list.iter().map(one).collect()
        };
        suite.add_test_cases(named("failed", &written.failed));
        suite.add_test_cases(named("skipped", &written.skipped));
    }
    let status = match &document.comparison {
        Some(_) => TestCaseStatus::success(),
        None => problem(Error, "not-compared", &document.sentences().join(" ")),
    };
    suite.add_test_case(case("run", "compared", status));
    suite
}

fn tables(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("rows");
    if !report.reads_rows() {
        suite.set_system_out("Rows were counted, as asked. Their contents were not compared.");
    }
    suite.add_test_cases(
        report.tables.iter().map(|table| case("rows", &table.name, table_status(report, table))),
    );
    suite
}

fn table_status(report: &Report, table: &TableResult) -> TestCaseStatus {
    let rows = |digest: &RowDigest| counted(digest.row_count, "row");
    match &table.verdict {
        Verdict::Equal { .. } | Verdict::Settled { .. } => TestCaseStatus::success(),
        // as asked; otherwise contents were to be compared and were not
        Verdict::SameCount { .. } if !report.reads_rows() => TestCaseStatus::success(),
        Verdict::SameCount { .. } => problem(Error, "not-verified", "rows were only counted"),
        Verdict::OtherCount { left, right } => {
            let told =
                format!("{} on the left, {} on the right", counted(*left, "row"), counted(*right, "row"));
            problem(Failure, "different", &told)
        }
        Verdict::Different { left, right } if left.row_count == right.row_count => {
            let told = format!("{} on both sides, other contents{}", rows(left), differing(table));
            problem(Failure, "different", &told)
        }
        Verdict::Different { left, right } => {
            let told =
                format!("{} on the left, {} on the right{}", rows(left), rows(right), differing(table));
            problem(Failure, "different", &told)
        }
        Verdict::Missing => problem(Failure, "missing", "only on the left"),
        Verdict::Extra => problem(Failure, "extra", "only on the right"),
        Verdict::NotVerified { reason } => problem(Error, "not-verified", &in_lines(reason)),
    }
}

/// The rows that differ, where they were looked for, on lines of their own.
fn differing(table: &TableResult) -> String {
    let text = table.rows.as_ref().map(ToString::to_string).unwrap_or_default();
    text.lines().map(|line| format!("\n{}", in_one_line(line.trim_start()))).collect()
}

fn definitions(report: &Report) -> TestSuite {
    let mut kinds: BTreeMap<EntryKind, Vec<&Difference>> =
        report.compared_kinds.keys().map(|kind| (*kind, Vec::new())).collect();
    for difference in &report.schema.differences {
        kinds.entry(difference.identity().kind).or_default().push(difference);
    }
    let mut suite = TestSuite::new("definitions");
    for (kind, differences) in kinds {
        let mut told: Vec<String> = differences.iter().map(|one| told(one)).collect();
        let is_told = |identity: &Identity| differences.iter().any(|one| one.identity() == identity);
        for definitions in report.definitions.iter().filter(|one| is_told(&one.identity)) {
            told.push(format!("\n{}", in_one_line(&definitions.identity.to_string())));
            told.extend(unified(definitions).iter().map(DiffLine::text));
        }
        let status = match differences.iter().all(|one| is_unverified(one)) {
            _ if differences.is_empty() => TestCaseStatus::success(),
            true => problem(Error, "not-verified", &told.join("\n")),
            false => problem(Failure, "different", &told.join("\n")),
        };
        suite.add_test_case(case("definitions", kind.as_str(), status));
    }
    suite
}

fn sequences(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("sequences");
    for sequence in &report.sequences {
        let status = match &sequence.not_verified {
            Some(reason) => problem(Error, "not-verified", &in_lines(reason)),
            None => problem(Failure, "different", &in_one_line(&sequence.told())),
        };
        suite.add_test_case(case("sequences", &sequence.name, status));
    }
    let equal = report.compared_sequence_count.saturating_sub(report.sequences.len() as u64);
    if equal > 0 {
        let all = TestCaseStatus::success();
        suite.add_test_case(case("sequences", &format!("equal positions: {equal}"), all));
    }
    suite
}

fn checks(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("checks");
    for check in &report.checks {
        let status = match &check.verdict {
            CheckVerdict::Equal { .. } => TestCaseStatus::success(),
            CheckVerdict::NotVerified { reason } => problem(Error, "not-verified", &in_lines(reason)),
            CheckVerdict::Different(answers) => {
                let lines: String = answers.lines().iter().map(|line| format!("\n{line}")).collect();
                problem(Failure, "different", &format!("{}{lines}", answers.summary()))
            }
        };
        suite.add_test_case(case("checks", &check.name, status));
    }
    suite
}

/// What is accepted is neither a success nor a failure: a case that is skipped, for the reason that was given.
fn accepted(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new("accepted");
    for accepted in &report.accepted {
        let mut status = TestCaseStatus::skipped();
        let reason = in_one_line(&accepted.reason);
        status.set_message(format!("accepted (line {}): {reason}", accepted.line));
        suite.add_test_case(case("accepted", &accepted.found.told(), status));
    }
    if !report.unused_accept_lines.is_empty() {
        let unused = report.unused_accept_lines.iter().map(|unused| unused.told() + "\n");
        suite.set_system_out(unused.collect::<String>());
    }
    suite
}

fn case(suite: &str, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(in_one_line(name), status);
    case.set_classname(suite);
    case
}

/// The first line as message, all of it as description. The text is safe to be shown.
fn problem(kind: NonSuccessKind, what: &str, told: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(what).set_message(told.lines().next().unwrap_or_default()).set_description(told);
    status
}

#[cfg(test)]
mod tests {
    use quick_junit::{NonSuccessKind, Report as JUnit, TestCaseStatus};

    use super::junit;
    use crate::report::sample;

    #[test]
    fn each_table_and_kind_is_a_case() {
        let xml = junit(&sample::document(&sample::hostile())).unwrap();
        assert!(!xml.contains("<script") && !xml.contains('\u{202e}') && !xml.contains('\u{1b}'), "{xml}");
        let read = JUnit::deserialize_from_str(&xml).unwrap();
        // the run, six tables, three kinds, one sequence, three checks, four that are accepted
        assert_eq!((read.tests, read.failures, read.errors), (18, 7, 3), "{xml}");
        let rows = read.test_suites.iter().find(|suite| suite.name.as_str() == "rows").unwrap();
        let case = |name: &str| rows.test_cases.iter().find(|case| case.name.as_str() == name).unwrap();
        assert!(matches!(case("public.equal").status, TestCaseStatus::Success { .. }));
        // the statements of the view that differs
        assert!(xml.contains("\n-SELECT 1;") && xml.contains("\n+SELECT 2;"), "{xml}");
        match &case("public.unread").status {
            TestCaseStatus::NonSuccess { kind, ty, .. } => {
                assert_eq!(
                    (kind, ty.as_ref().map(|ty| ty.as_str())),
                    (&NonSuccessKind::Error, Some("not-verified"))
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_not_compared_is_an_error() {
        let xml = junit(&sample::copy(&["EXTENSION x"], &["INDEX i"], "failed", None)).unwrap();
        assert!(xml.contains("tests=\"3\" skipped=\"0\" failures=\"2\" errors=\"1\""), "{xml}");
        assert!(xml.contains("type=\"not-compared\""), "{xml}");
    }
}
