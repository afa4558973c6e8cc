//! Definitions: how many of each kind, what differs, and the statements side by side.

use std::collections::BTreeMap;

use dbhaul_catalog::{Difference, EntryKind, Identity};
use maud::{Markup, html as markup};

use super::{MOST, lines, mark, more};
use crate::report::conclusion::{grouped, is_unverified, told};
use crate::report::diff::{DiffLine, unified};
use crate::report::{ObjectDefinitions, Report, severity};

pub(super) fn section(report: &Report) -> Markup {
    let mut by_object: Vec<_> = by_object(report).into_iter().collect();
    // what is known to differ comes before what nobody could tell, and the gravest first
    let gravest = |differences: &[&Difference]| differences.iter().map(|one| one.severity()).min();
    by_object.sort_by_key(|(_, differences)| {
        (differences.iter().all(|one| is_unverified(one)), gravest(differences))
    });
    let severities = severity::counts(report.schema_differences());
    let unverified = report.schema.differences.iter().filter(|one| is_unverified(one)).count();
    let different = report.schema.differences.len() - unverified;
    let definitions: BTreeMap<&Identity, &ObjectDefinitions> =
        report.definitions.iter().map(|one| (&one.identity, one)).collect();
    markup! {
        section {
            h2 { "Definitions" }
            p {
                (grouped(report.compared_object_count)) " objects compared, "
                (different) @if different == 1 { " difference" } @else { " differences" }
                @if !severities.is_empty() { " (" (severities) ")" }
                @if unverified > 0 { ", " (unverified) " not verified" } "."
            }
            (kinds(report))
            @for (identity, differences) in by_object.iter().take(MOST) {
                (object(differences, definitions.get(identity).copied()))
            }
            (more(by_object.len().saturating_sub(MOST), "objects that differ"))
        }
    }
}

fn by_object(report: &Report) -> BTreeMap<&Identity, Vec<&Difference>> {
    let mut by_object: BTreeMap<&Identity, Vec<&Difference>> = BTreeMap::new();
    for difference in &report.schema.differences {
        by_object.entry(difference.identity()).or_default().push(difference);
    }
    by_object
}

/// How many objects of each kind were compared, and of how many something differs.
fn kinds(report: &Report) -> Markup {
    let mut kinds: BTreeMap<EntryKind, (u64, usize)> =
        report.compared_kinds.iter().map(|(kind, count)| (*kind, (*count, 0))).collect();
    for identity in by_object(report).keys() {
        kinds.entry(identity.kind).or_default().1 += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, (count, trouble))| (std::cmp::Reverse((*trouble, *count)), *kind));
    markup! {
        @if !report.compared_kinds.is_empty() {
            details open[kinds.len() <= 8] {
                summary { "Kinds of objects (" (kinds.len()) ")" }
                table class="sortable narrow" {
                    thead {
                        tr { th { "Kind" } th class="number" { "Compared" } th class="number" { "With trouble" } }
                    }
                    tbody {
                        @for (kind, (count, trouble)) in &kinds {
                            tr {
                                td {
                                    (mark(if *trouble > 0 { "bad" } else { "good" }, 16)) (kind.as_str())
                                }
                                td class="number" { (grouped(*count)) }
                                td class="number" { (trouble) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn object(differences: &[&Difference], definitions: Option<&ObjectDefinitions>) -> Markup {
    let class = if differences.iter().all(|one| is_unverified(one)) { "doubt" } else { "bad" };
    markup! {
        div class="object" {
            @for difference in differences {
                p { (mark(class, 16)) (told(difference)) }
            }
            @if let Some(definitions) = definitions { (diff(definitions)) }
        }
    }
}

fn diff(definitions: &ObjectDefinitions) -> Markup {
    let diff = unified(definitions);
    let summary = match (&definitions.left, &definitions.right) {
        (Some(_), None) => "Statements, only on the left",
        (None, Some(_)) => "Statements, only on the right",
        _ if diff.is_empty() => "Statements, the same on both sides",
        _ => "Statements, as a unified diff",
    };
    markup! {
        details class="paper" {
            summary { (summary) }
            pre {
                @for line in &diff {
                    @match line {
                        DiffLine::At(_) => { span class="at" { (line.text()) "\n" } },
                        DiffLine::Left(_) => { del { (line.text()) "\n" } },
                        DiffLine::Right(_) => { ins { (line.text()) "\n" } },
                        DiffLine::Both(_) => { span { (line.text()) "\n" } },
                    }
                }
                @if diff.is_empty() { (lines(definitions.left.as_deref().unwrap_or_default())) }
            }
        }
    }
}
