//! A report as Markdown, for a ticket or a pull request.
//!
//! Whatever comes from a database, a server or a command line is code: a code span where it is plain, and otherwise an
//! element `code` in which everything but letters, digits and blanks is a numeric character reference. Such text is
//! neither markup, nor a link, nor does it mention anybody, nor does it end the cell of a table.

use std::fmt::Write;

use dbhaul_catalog::in_one_line;
use dbhaul_progress::counted;

use super::conclusion::{is_unverified, told};
use super::diff::unified;
use super::{Conclusion, Document, ObjectDefinitions, Report, TableResult, Written, WrittenReason, severity};
use crate::{CheckVerdict, Verdict};

/// Rows of a list. What is more is in the JSON, and the text says how much that is.
const MOST: usize = 500;

/// A report as Markdown.
pub fn markdown(document: &Document) -> String {
    let conclusion = document.conclusion();
    let mark = match conclusion {
        Conclusion::Equal => "\u{2705}",
        Conclusion::Different | Conclusion::Failed => "\u{274c}",
        Conclusion::ButForAccepted
        | Conclusion::Partly
        | Conclusion::Skipped
        | Conclusion::NotVerified
        | Conclusion::NotCompared => "\u{26a0}\u{fe0f}",
    };
    let mut text = format!("# {mark} {}: dbhaul {}\n\n", conclusion.words(), document.command.name());
    for sentence in document.sentences() {
        text += &format!("{}\n\n", prose(&sentence));
    }
    if let Some(written) = &document.written {
        write_written(&mut text, written);
    }
    if let Some(report) = &document.comparison {
        write_unverified(&mut text, report);
        write_accepted(&mut text, report);
        write_tables(&mut text, report);
        write_schema(&mut text, report);
        write_sequences(&mut text, report);
        write_checks(&mut text, report);
        let notes = |notes: &[String]| -> Vec<String> { notes.iter().map(|note| prose(note)).collect() };
        write_list(&mut text, "Not compared", &notes(&report.not_compared));
        write_list(&mut text, "For information", &notes(&report.information));
    }
    write_about(&mut text, document);
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// A name or another text of somebody else's.
fn code(text: &str) -> String {
    let text = in_one_line(text);
    let is_plain = |c: char| c.is_alphanumeric() || " _.,:;()/=+-\"'".contains(c);
    if !text.is_empty() && text.trim() == text && text.chars().all(is_plain) {
        return format!("`{text}`");
    }
    format!("<code>{}</code>", referred(&text))
}

/// A sentence of ours that may hold names of others: as it is where nothing in it means anything to Markdown.
fn prose(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " .,;:()/'\"-".contains(c);
    let is_link = text.contains("://") || text.contains("www.");
    if text.chars().all(is_plain) && !is_link && !text.starts_with([' ', '-']) {
        text.to_owned()
    } else {
        code(text)
    }
}

fn write_list(text: &mut String, heading: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    *text += &format!("## {heading} ({})\n\n", items.len());
    for item in items.iter().take(MOST) {
        *text += &format!("- {item}\n");
    }
    write_more(text, items.len());
}

fn write_more(text: &mut String, count: usize) {
    if count > MOST {
        *text += &format!("\nand {} more, which the JSON of this report has\n", count - MOST);
    }
    text.push('\n');
}

fn write_written(text: &mut String, written: &Written) {
    let reasons = |list: &[WrittenReason]| -> Vec<String> {
        list.iter().map(|one| format!("{}: {}", code(&one.object), code(&one.reason))).collect()
    };
    write_list(text, "Failed", &reasons(&written.failed));
    write_list(text, "Skipped", &reasons(&written.skipped));
    write_list(text, "Left out, as asked", &reasons(&written.left_out_as_asked));
}

fn write_unverified(text: &mut String, report: &Report) {
    let unverified = report.unverified();
    let items: Vec<String> =
        unverified.iter().map(|one| format!("{}: {}", code(&one.what), code(&one.reason))).collect();
    write_list(text, "Not verified", &items);
}

fn write_accepted(text: &mut String, report: &Report) {
    let accepted: Vec<String> = report
        .accepted
        .iter()
        .map(|one| format!("{} because {} (line {})", code(&one.found.told()), code(&one.reason), one.line))
        .collect();
    write_list(text, "Accepted differences", &accepted);
    let unused: Vec<String> = report.unused_accept_lines.iter().map(|unused| code(&unused.told())).collect();
    write_list(text, "Lines of the list of accepted differences that accept nothing", &unused);
}

fn write_checks(text: &mut String, report: &Report) {
    if report.checks.is_empty() {
        return;
    }
    *text += "## Checks\n\n| verdict | check | answers |\n|---|---|---|\n";
    for check in report.checks.iter().take(MOST) {
        let (word, answers) = match &check.verdict {
            CheckVerdict::Equal { row_count } => ("equal", counted(*row_count, "row")),
            CheckVerdict::Different(answers) => ("**different**", answers.summary()),
            CheckVerdict::NotVerified { .. } => ("**not verified**", String::new()),
        };
        *text += &format!("| {word} | {} | {answers} |\n", code(&check.name));
    }
    write_more(text, report.checks.len());
    for check in report.checks.iter().take(MOST) {
        let CheckVerdict::Different(answers) = &check.verdict else { continue };
        let rows: Vec<String> = answers.lines().iter().map(|line| code(line)).collect();
        write_list(text, &format!("Answers to {} that differ", code(&check.name)), &rows);
    }
}

fn write_tables(text: &mut String, report: &Report) {
    let totals = report.totals();
    *text += &format!(
        "## Rows\n\n{} equal ({} rows), {} different, {} not verified.\n\n",
        totals.equal, totals.equal_row_count, totals.different, totals.not_verified
    );
    let (equal, trouble): (Vec<&TableResult>, Vec<_>) =
        report.tables.iter().partition(|table| table.verdict.is_equal());
    let mut tables = trouble;
    tables.extend(equal);
    if tables.is_empty() {
        return;
    }
    *text += "| verdict | table | rows left | rows right |\n|---|---|---:|---:|\n";
    for table in tables.iter().take(MOST) {
        let (word, left, right) = match &table.verdict {
            Verdict::Equal { digest } => ("equal", Some(digest.row_count), Some(digest.row_count)),
            Verdict::Different { left, right } => {
                ("**different**", Some(left.row_count), Some(right.row_count))
            }
            Verdict::Settled { left, right } => {
                ("settled: agreed when looked at again", Some(left.row_count), Some(right.row_count))
            }
            Verdict::OtherCount { left, right } => ("**different**", Some(*left), Some(*right)),
            Verdict::SameCount { row_count } => {
                ("same count, contents not compared", Some(*row_count), Some(*row_count))
            }
            Verdict::Missing => ("**missing**: only on the left", None, None),
            Verdict::Extra => ("**extra**: only on the right", None, None),
            Verdict::NotVerified { .. } => ("**not verified**", None, None),
        };
        let number = |rows: Option<u64>| rows.map(|rows| rows.to_string()).unwrap_or_default();
        *text += &format!("| {word} | {} | {} | {} |\n", code(&table.name), number(left), number(right));
    }
    write_more(text, tables.len());
    for table in tables.iter().take(MOST) {
        let rows = table.rows.as_ref().map(ToString::to_string).unwrap_or_default();
        let rows: Vec<String> = rows.lines().map(|line| code(line.trim_start())).collect();
        write_list(text, &format!("Rows of {} that differ", code(&table.name)), &rows);
    }
}

fn write_schema(text: &mut String, report: &Report) {
    let different: Vec<String> = report
        .schema
        .differences
        .iter()
        .filter(|difference| !is_unverified(difference))
        .map(|difference| code(&told(difference)))
        .collect();
    let severities = severity::counts(report.schema_differences());
    *text += &format!(
        "## Definitions\n\n{} objects compared, {} differences{}.\n\n",
        report.compared_object_count,
        different.len(),
        if severities.is_empty() { String::new() } else { format!(" ({severities})") }
    );
    write_list(text, "Definitions that differ", &different);
    for definitions in &report.definitions {
        write_diff(text, definitions);
    }
}

/// The statements of an object as a unified diff. In an element `pre` nothing is markup but character references.
fn write_diff(text: &mut String, definitions: &ObjectDefinitions) {
    let diff = unified(definitions);
    if diff.is_empty() {
        return;
    }
    *text += &format!("### Statements of {}\n\n<pre>\n", code(&definitions.identity.to_string()));
    for line in diff {
        *text += &referred(&line.text());
        text.push('\n');
    }
    *text += "</pre>\n\n";
}

/// A text in which everything but letters, digits and blanks is a numeric character reference.
fn referred(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            c if c.is_alphanumeric() || c == ' ' => escaped.push(c),
            c => escaped += &format!("&#{};", u32::from(c)),
        }
    }
    escaped
}

fn write_sequences(text: &mut String, report: &Report) {
    let different: Vec<_> = report.sequences.iter().filter(|one| one.not_verified.is_none()).collect();
    *text += &format!(
        "## Sequences\n\n{} compared, {} different.\n\n",
        report.compared_sequence_count,
        different.len()
    );
    if different.is_empty() {
        return;
    }
    *text += "| sequence | left | right |\n|---|---|---|\n";
    let position = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), code);
    for one in different.iter().take(MOST) {
        let behind = one.behind_told().map(|behind| format!(": {}", code(&behind))).unwrap_or_default();
        let (left, right) = (position(&one.left), position(&one.right));
        *text += &format!("| {} | {left} | {right}{behind} |\n", code(&one.name));
    }
    write_more(text, different.len());
}

fn write_about(text: &mut String, document: &Document) {
    *text += "## About this report\n\n";
    let mut item = |what: &str, value: &str| {
        // writing into a String cannot fail
        let _ = writeln!(text, "- {what}: {}", code(value));
    };
    if let Some(report) = &document.comparison {
        item("left, what is believed", &report.left.to_string());
        item("right, what is checked", &report.right.to_string());
        item("scope", report.selection.as_deref().unwrap_or("everything"));
        for option in &report.options {
            item("compared", option);
        }
        item("compared at", &report.compared_at);
        item("dbhaul", &report.dbhaul_version);
    }
    if let Some(run) = &document.run {
        item("command", &run.command_line);
        item("run", &format!("{} to {}", run.started_at, run.finished_at));
    }
    item("SHA-256 of the JSON of this report", &document.sha256);
}

#[cfg(test)]
mod tests {
    use super::{code, markdown, prose};
    use crate::report::sample;

    #[test]
    fn what_is_of_others_is_code() {
        assert_eq!(code("public.t"), "`public.t`");
        assert_eq!(code("a|b`<x>"), "<code>a&#124;b&#96;&#60;x&#62;</code>");
        assert_eq!(code("a\n@b \u{202e}"), "<code>a&#92;n&#64;b &#92;u&#123;202e&#125;</code>");
        assert_eq!(code(""), "<code></code>");
        assert_eq!(prose("One table differs."), "One table differs.");
        assert_eq!(prose("see https://x.y"), "`see https://x.y`");
        assert_eq!(prose("# x"), "<code>&#35; x</code>");
    }

    #[test]
    fn names_stay_in_their_cells() {
        let text = markdown(&sample::document(&sample::hostile()));
        assert!(text.starts_with("# \u{274c} Different: dbhaul verify\n\nThe comparison found "), "{text}");
        for (cells, rows) in [(5, 1 + 1 + 6), (4, 2 * (1 + 1) + 1 + 3)] {
            let lines = text.lines().filter(|line| line.starts_with('|'));
            let found = lines.filter(|line| line.matches('|').count() == cells).count();
            assert_eq!(found, rows, "{text}");
        }
        assert!(!text.contains("<script") && !text.contains("](") && !text.contains("\n# h"), "{text}");
        let own = ["<code>", "</code>", "<pre>", "</pre>"];
        let rest = own.iter().fold(text.clone(), |text, own| text.replace(own, ""));
        assert!(!rest.contains('<'), "{rest}");
        assert!(!text.contains(|c: char| dbhaul_catalog::is_command(c) && c != '\n'));
    }

    #[test]
    fn a_copy_without_comparison_says_so() {
        let text = markdown(&sample::copy(&["EXTENSION x"], &[], "skipped", None));
        assert!(text.contains("Not compared: dbhaul migrate"), "{text}");
        assert!(text.contains("## Skipped (1)\n\n- `EXTENSION x`: `because`\n"), "{text}");
    }
}
