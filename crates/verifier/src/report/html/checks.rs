//! Application checks, and what is accepted.

use dbhaul_progress::counted;
use maud::{Markup, html as markup};

use super::{MOST, line, lines, mark, more};
use crate::report::{Document, Report};
use crate::{CheckResult, CheckVerdict};

/// Differences that somebody accepts, each with the reason: they stand before what agrees.
pub(super) fn accepted(document: &Document) -> Markup {
    let Some(report) = &document.comparison else { return markup! {} };
    markup! {
        @if !report.accepted.is_empty() {
            section {
                h2 { (mark("doubt", 20)) "Accepted differences (" (report.accepted.len()) ")" }
                p { "The two sides differ in the following. Each was accepted beforehand, for the reason that is given." }
                ul class="plain" {
                    @for one in report.accepted.iter().take(MOST) {
                        li { b { (line(&one.found.told())) } " because " (line(&one.reason)) " (line " (one.line) ")" }
                    }
                }
                (more(report.accepted.len().saturating_sub(MOST), "accepted differences"))
            }
        }
        @if !report.unused_accept_lines.is_empty() {
            section {
                h2 { "Lines that accept nothing (" (report.unused_accept_lines.len()) ")" }
                ul {
                    @for unused in report.unused_accept_lines.iter().take(MOST) { li { (line(&unused.told())) } }
                }
                (more(report.unused_accept_lines.len().saturating_sub(MOST), "lines"))
            }
        }
    }
}

/// The checks, those that differ first.
pub(super) fn section(report: &Report) -> Markup {
    let mut checks: Vec<&CheckResult> = report.checks.iter().collect();
    checks.sort_by_key(|check| match &check.verdict {
        CheckVerdict::Different(_) => 0,
        CheckVerdict::NotVerified { .. } => 1,
        CheckVerdict::Equal { .. } => 2,
    });
    markup! {
        @if !checks.is_empty() {
            section {
                h2 { "Checks" }
                @for check in checks.iter().take(MOST) { (one(check)) }
                (more(checks.len().saturating_sub(MOST), "checks"))
            }
        }
    }
}

fn one(check: &CheckResult) -> Markup {
    let (class, told) = match &check.verdict {
        CheckVerdict::Equal { row_count } => {
            ("good", format!("{} on both sides, equal", counted(*row_count, "row")))
        }
        CheckVerdict::Different(answers) => ("bad", answers.summary()),
        CheckVerdict::NotVerified { reason } => ("doubt", format!("not verified: {reason}")),
    };
    markup! {
        div class="object" {
            p { (mark(class, 16)) b { (line(&check.name)) } ": " (line(&told)) }
            @if let CheckVerdict::Different(answers) = &check.verdict {
                ul class="plain" { @for row in answers.lines() { li { (line(&row)) } } }
            }
            details {
                summary { "Query" }
                pre { (lines(&check.sql)) }
            }
        }
    }
}
