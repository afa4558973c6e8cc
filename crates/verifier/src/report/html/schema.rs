//! Definitions: how many of each kind, what differs, and the statements side by side.

use std::collections::BTreeMap;
use std::ops::Range;

use dbhaul_catalog::{Difference, EntryKind, Identity};
use maud::{Markup, html as markup};
use similar::{ChangeTag, TextDiff};

use super::{MOST, lines, mark, more};
use crate::report::conclusion::{grouped, is_unverified, told};
use crate::report::{ObjectDefinitions, Report};

/// Equal lines around a difference.
const AROUND: usize = 3;

pub(super) fn section(report: &Report) -> Markup {
    let mut by_object: Vec<_> = by_object(report).into_iter().collect();
    // what is known to differ comes before what nobody could tell
    by_object.sort_by_key(|(_, differences)| differences.iter().all(|one| is_unverified(one)));
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
    let (left, right) =
        (definitions.left.as_deref().unwrap_or_default(), definitions.right.as_deref().unwrap_or_default());
    // Escaped before they are compared: what makes a line is seen on the page.
    let (left, right) = (lines(left), lines(right));
    let diff = TextDiff::from_lines(&left, &right);
    let groups = diff.grouped_ops(AROUND);
    let summary = match (&definitions.left, &definitions.right) {
        (Some(_), None) => "Statements, only on the left",
        (None, Some(_)) => "Statements, only on the right",
        _ if groups.is_empty() => "Statements, the same on both sides",
        _ => "Statements, as a unified diff",
    };
    markup! {
        details class="paper" {
            summary { (summary) }
            pre {
                @for group in &groups {
                    @if let (Some(first), Some(last)) = (group.first(), group.last()) {
                        span class="at" {
                            (hunk(first.old_range().start..last.old_range().end, first.new_range().start..last.new_range().end))
                        }
                    }
                    @for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                        @let text = change.value().trim_end_matches('\n');
                        @match change.tag() {
                            ChangeTag::Delete => { del { "-" (text) "\n" } },
                            ChangeTag::Insert => { ins { "+" (text) "\n" } },
                            ChangeTag::Equal => { span { " " (text) "\n" } },
                        }
                    }
                }
                @if groups.is_empty() { (left) }
            }
        }
    }
}

/// The heading of a piece of a unified diff: a range without lines is told by the line before it.
fn hunk(old: Range<usize>, new: Range<usize>) -> String {
    let told = |range: Range<usize>| {
        let start = if range.is_empty() { range.start } else { range.start + 1 };
        format!("{start},{}", range.len())
    };
    format!("@@ -{} +{} @@\n", told(old), told(new))
}

#[cfg(test)]
mod tests {
    #[test]
    fn pieces_of_a_diff_are_headed_as_usual() {
        assert_eq!(super::hunk(0..3, 0..4), "@@ -1,3 +1,4 @@\n");
        assert_eq!(super::hunk(0..1, 0..0), "@@ -1,1 +0,0 @@\n");
    }
}
