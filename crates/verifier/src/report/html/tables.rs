//! Tables, those with trouble first.

use maud::{Markup, html as markup};

use super::{MOST, bars, line, mark, more};
use crate::Verdict;
use crate::report::conclusion::grouped;
use crate::report::{LARGE_OBJECTS, Report, RowsOfRight, TableResult};

pub(super) fn section(report: &Report) -> Markup {
    let totals = report.totals();
    let same = match report.rows_of_right {
        RowsOfRight::Read => "equal",
        RowsOfRight::Loaded => "loaded whole",
    };
    let quiet = if report.reads_rows() { same } else { "with the same number of rows" };
    let (mut equal, mut trouble): (Vec<&TableResult>, Vec<_>) =
        report.tables.iter().partition(|table| is_quiet(report, &table.verdict));
    trouble.sort_by_key(|table| (rank(&table.verdict), std::cmp::Reverse(most_rows(&table.verdict))));
    equal.sort_by_key(|table| std::cmp::Reverse(most_rows(&table.verdict)));
    markup! {
        section {
            h2 { "Rows" }
            p {
                (grouped(totals.equal as u64)) " tables " (same) " (" (grouped(totals.equal_row_count)) " rows), "
                @if totals.same_count > 0 {
                    (grouped(totals.same_count as u64)) " with the same number of rows, whose contents were not compared, "
                }
                @if totals.settled > 0 {
                    (grouped(totals.settled as u64)) " settled, whose rows differed first and agreed when they were looked at again, "
                }
                (totals.different) " different, " (totals.not_verified) " not verified."
            }
            @if !trouble.is_empty() { (list(&trouble, same)) }
            @for table in trouble.iter().take(MOST) { (differing(table)) }
            (bars::tables(&report.tables))
            @if !equal.is_empty() {
                details open[equal.len() <= SHOWN_OPEN] {
                    summary { "Tables " (quiet) " (" (equal.len()) ")" }
                    (list(&equal, same))
                }
            }
        }
    }
}

/// Whether nothing is to be said of a table: equal, or counted as asked, with the same result.
fn is_quiet(report: &Report, verdict: &Verdict) -> bool {
    verdict.is_equal() || !report.reads_rows() && matches!(verdict, Verdict::SameCount { .. })
}

/// The rows of a table that differ, where they were looked for.
fn differing(table: &TableResult) -> Markup {
    let text = table.rows.as_ref().map(ToString::to_string).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    markup! {
        @if !lines.is_empty() {
            details class="paper" open[lines.len() <= SHOWN_OPEN] {
                summary { "Rows of " (line(&table.name)) " that " (differ(table)) }
                ul class="rows" { @for row in lines.iter().take(MOST) { li { (line(row)) } } }
                (more(lines.len().saturating_sub(MOST), "lines"))
            }
        }
    }
}

/// What is said of rows that were looked for.
fn differ(table: &TableResult) -> &'static str {
    if matches!(table.verdict, Verdict::Settled { .. }) { "differed first" } else { "differ" }
}

/// Equal tables that are shown without being asked for.
const SHOWN_OPEN: usize = 20;

fn list(tables: &[&TableResult], same: &str) -> Markup {
    markup! {
        div class="wide" {
            table class="sortable tables" {
                thead {
                    tr {
                        th { "Verdict" } th { "Table" } th class="number" { "Rows left" }
                        th class="number" { "Rows right" } th { "Digest or reason" }
                    }
                }
                tbody { @for table in tables.iter().take(MOST) { (row(table, same)) } }
            }
        }
        (more(tables.len().saturating_sub(MOST), "tables"))
    }
}

fn row(table: &TableResult, same: &str) -> Markup {
    let (class, word) = word(&table.verdict, same);
    let (left, right) = rows(&table.verdict);
    let name = if table.name == LARGE_OBJECTS { "pieces of large objects" } else { &table.name };
    let number = |rows: Option<u64>| rows.map(grouped).unwrap_or_default();
    markup! {
        tr {
            td class="verdict" { (mark(class, 16)) (word) }
            td class="name" { (line(name)) }
            td class="number" data-label="rows left: " { (number(left)) }
            td class="number" data-label="rows right: " { (number(right)) }
            td class="digest" { (said(&table.verdict)) }
        }
    }
}

fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Equal { digest } => digest.sum.to_string(),
        Verdict::Different { left, right } if left.row_count == right.row_count => {
            format!("other contents: {} on the left, {} on the right", left.sum, right.sum)
        }
        Verdict::Different { .. } | Verdict::OtherCount { .. } => "other number of rows".to_owned(),
        Verdict::SameCount { .. } => "contents not compared".to_owned(),
        Verdict::Settled { .. } => "agreed when looked at again".to_owned(),
        Verdict::Missing => "only on the left".to_owned(),
        Verdict::Extra => "only on the right".to_owned(),
        Verdict::NotVerified { reason } => line(reason),
    }
}

/// Its class and what it is called.
pub(super) fn word<'a>(verdict: &Verdict, same: &'a str) -> (&'static str, &'a str) {
    match verdict {
        Verdict::Equal { .. } => ("good", same),
        Verdict::Different { .. } | Verdict::OtherCount { .. } => ("bad", "different"),
        Verdict::SameCount { .. } => ("doubt", "same count"),
        Verdict::Settled { .. } => ("doubt", "settled"),
        Verdict::Missing => ("bad", "missing"),
        Verdict::Extra => ("bad", "extra"),
        Verdict::NotVerified { .. } => ("doubt", "not verified"),
    }
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Different { .. } | Verdict::OtherCount { .. } => 0,
        Verdict::Missing => 1,
        Verdict::Extra => 2,
        Verdict::NotVerified { .. } | Verdict::SameCount { .. } | Verdict::Settled { .. } => 3,
        Verdict::Equal { .. } => 4,
    }
}

fn rows(verdict: &Verdict) -> (Option<u64>, Option<u64>) {
    match verdict {
        Verdict::Equal { digest } => (Some(digest.row_count), Some(digest.row_count)),
        Verdict::Different { left, right } | Verdict::Settled { left, right } => {
            (Some(left.row_count), Some(right.row_count))
        }
        Verdict::SameCount { row_count } => (Some(*row_count), Some(*row_count)),
        Verdict::OtherCount { left, right } => (Some(*left), Some(*right)),
        Verdict::Missing | Verdict::Extra | Verdict::NotVerified { .. } => (None, None),
    }
}

/// The rows on the side that has more.
pub(super) fn most_rows(verdict: &Verdict) -> u64 {
    let (left, right) = rows(verdict);
    left.max(right).unwrap_or_default()
}
