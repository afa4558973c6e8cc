//! The parts of the page that are lists.

use maud::{Markup, html as markup};

use super::{MOST, line, mark, more};
use crate::report::{Document, Report, SideDescription, Written, WrittenReason};

/// What could not be compared: it stands before everything that could.
pub(super) fn unverified(document: &Document) -> Markup {
    let unverified = document.comparison.iter().flat_map(Report::unverified).collect::<Vec<_>>();
    markup! {
        @if !unverified.is_empty() {
            section {
                h2 { (mark("doubt", 20)) "Not verified (" (unverified.len()) ")" }
                p { "Nothing is known of the following, so the two sides are not proven equal." }
                ul class="plain" {
                    @for one in unverified.iter().take(MOST) {
                        li { b { (line(&one.what)) } ": " (line(&one.reason)) }
                    }
                }
                (more(unverified.len().saturating_sub(MOST), "not verified"))
            }
        }
    }
}

/// What a copy did not do.
pub(super) fn written(written: &Written) -> Markup {
    markup! {
        (reasons("bad", "Failed", &written.failed))
        (reasons("doubt", "Skipped", &written.skipped))
        (reasons("doubt", "Left out, as asked", &written.left_out_as_asked))
    }
}

fn reasons(class: &str, heading: &str, list: &[WrittenReason]) -> Markup {
    markup! {
        @if !list.is_empty() {
            section {
                h2 { (mark(class, 20)) (heading) " (" (list.len()) ")" }
                ul class="plain" {
                    @for one in list.iter().take(MOST) { li { b { (line(&one.object)) } ": " (line(&one.reason)) } }
                }
                (more(list.len().saturating_sub(MOST), heading))
            }
        }
    }
}

/// Sequences whose positions differ. Those that could not be compared are named with everything of which that is so.
pub(super) fn sequences(report: &Report) -> Markup {
    let different: Vec<_> = report.sequences.iter().filter(|one| one.not_verified.is_none()).collect();
    let position = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), line);
    markup! {
        section {
            h2 { "Sequences" }
            p { (report.compared_sequence_count) " compared, " (different.len()) " different." }
            @if !different.is_empty() {
                div class="wide" {
                    table {
                        thead { tr { th { "Sequence" } th { "Left" } th { "Right" } } }
                        tbody {
                            @for one in different.iter().take(MOST) {
                                tr {
                                    td class="name" { (mark("bad", 16)) (line(&one.name)) }
                                    td { (position(&one.left)) }
                                    td {
                                        (position(&one.right))
                                        @if let Some(behind) = one.behind_told() { br; (line(&behind)) }
                                    }
                                }
                            }
                        }
                    }
                }
                (more(different.len().saturating_sub(MOST), "sequences"))
            }
        }
    }
}

/// A list of remarks.
pub(super) fn notes(heading: &str, notes: &[String]) -> Markup {
    markup! {
        @if !notes.is_empty() {
            section {
                h2 { (heading) }
                ul { @for note in notes.iter().take(MOST) { li { (line(note)) } } }
                (more(notes.len().saturating_sub(MOST), "notes"))
            }
        }
    }
}

/// The sides, the command, and the hash of the report.
pub(super) fn about(document: &Document) -> Markup {
    markup! {
        section class="about" {
            h2 { "About this report" }
            @if let Some(report) = &document.comparison {
                div class="wide" {
                    table class="sides" {
                        thead { tr { th {} th { "Left, what is believed" } th { "Right, what is checked" } } }
                        tbody {
                            (of_sides("Side", report, |side| line(&side.name)))
                            (of_sides("PostgreSQL", report, |side| line(&side.server_version)))
                            (of_sides("As of", report, |side| line(&side.as_of)))
                            (of_sides("LSN", report, |side| {
                                side.lsn.as_deref().map_or_else(|| "not known".to_owned(), line)
                            }))
                        }
                    }
                }
            }
            dl {
                @if let Some(report) = &document.comparison {
                    dt { "Scope" } dd { (line(report.selection.as_deref().unwrap_or("everything"))) }
                    @for option in &report.options { dd { (line(option)) } }
                    dt { "Compared at" } dd { (line(&report.compared_at)) }
                    dt { "Compared by" } dd { "dbhaul " (line(&report.dbhaul_version)) }
                }
                @if let Some(run) = &document.run {
                    dt { "Command" } dd { code { (line(&run.command_line)) } }
                    dt { "Run" } dd { (line(&run.started_at)) " to " (line(&run.finished_at)) }
                }
                dt { "SHA-256 of the report" } dd { code { (document.sha256) } }
                dd {
                    "The hash is of the JSON of this report, which holds everything that this page shows. "
                    code { "sha256sum report.json" } " prints the same for the file that "
                    code { "--report report.json" } " wrote in the same run."
                }
            }
        }
    }
}

fn of_sides(what: &str, report: &Report, text: impl Fn(&SideDescription) -> String) -> Markup {
    markup! { tr { th { (what) } td { (text(&report.left)) } td { (text(&report.right)) } } }
}
