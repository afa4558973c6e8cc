//! A report as one page of HTML that needs nothing else.
//!
//! Every text of a database, a server or a command line goes through [`line`] or [`lines`], and maud escapes what
//! means something to HTML; the finished page is made harmless once more as a whole.

mod bars;
mod checks;
mod parts;
mod schema;
mod tables;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dbhaul_catalog::{for_terminal, in_one_line};
use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use sha2::{Digest, Sha256};

use super::{Conclusion, Document};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// Rows of a list in a page. What is more is in the JSON, and the page says how much that is.
const MOST: usize = 5000;

/// A report as a page.
pub fn html(document: &Document) -> String {
    let conclusion = document.conclusion();
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title(document)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header class=(class(conclusion)) { (verdict(document, conclusion)) }
                main {
                    (parts::unverified(document))
                    (checks::accepted(document))
                    @if let Some(written) = &document.written { (parts::written(written)) }
                    @if let Some(report) = &document.comparison {
                        (tables::section(report))
                        (schema::section(report))
                        (parts::sequences(report))
                        (checks::section(report))
                        (parts::notes("Not compared", &report.not_compared))
                        (parts::notes("For information", &report.information))
                    }
                    @if let Some(run) = &document.run { (bars::run(run)) }
                    (parts::about(document))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    for_terminal(&page.into_string())
}

/// Nothing is loaded from anywhere; the style and the script of the page are allowed by what they are.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// A text that may hold anything, in one line.
fn line(text: &str) -> String {
    in_one_line(text)
}

/// A text of several lines that may hold anything.
fn lines(text: &str) -> String {
    for_terminal(text)
}

fn title(document: &Document) -> String {
    let words = document.conclusion().words();
    match (&document.comparison, &document.written) {
        (Some(report), _) => format!("{words}: {} and {}", line(&report.left.name), line(&report.right.name)),
        (None, Some(written)) => format!("{words}: {}", line(&written.target)),
        (None, None) => words.to_owned(),
    }
}

/// What colours a conclusion.
fn class(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Equal => "good",
        Conclusion::ButForAccepted
        | Conclusion::Partly
        | Conclusion::Skipped
        | Conclusion::NotVerified
        | Conclusion::NotCompared => "doubt",
        Conclusion::Different | Conclusion::Failed => "bad",
    }
}

fn verdict(document: &Document, conclusion: Conclusion) -> Markup {
    markup! {
        (mark(class(conclusion), 56))
        div {
            p class="what" { "dbhaul " (document.command.name()) }
            h1 { (conclusion.words()) }
            @for sentence in document.sentences() { p { (line(&sentence)) } }
        }
    }
}

/// A shape for each kind of verdict, which a person who sees no colours can tell: a tick in a circle, a cross in an
/// octagon, a question in a triangle.
fn mark(class: &str, size: u32) -> Markup {
    markup! {
        svg class=(format!("mark {class}")) width=(size) height=(size) viewBox="0 0 24 24" aria-hidden="true" {
            @match class {
                "good" => {
                    circle cx="12" cy="12" r="11" {}
                    path d="M6.5 12.5l3.8 3.8 7.2-8" {}
                },
                "bad" => {
                    polygon points="7.4,1 16.6,1 23,7.4 23,16.6 16.6,23 7.4,23 1,16.6 1,7.4" {}
                    path d="M8 8l8 8M16 8l-8 8" {}
                },
                _ => {
                    polygon points="12,1.5 23.5,22 0.5,22" {}
                    path d="M12 9v6M12 18v1.2" {}
                },
            }
        }
    }
}

/// Says how much of a list is left out of the page.
fn more(left_out: usize, what: &str) -> Markup {
    markup! {
        @if left_out > 0 { p class="more" { (left_out) " more " (what) ": the JSON of this report has all of them." } }
    }
}

#[cfg(test)]
mod tests;
