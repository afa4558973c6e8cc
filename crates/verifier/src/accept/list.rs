//! The text of a list of accepted differences.
//!
//! ```text
//! # what may differ after the move
//! TABLE public.audit_log [rows]        -- the old server still writes to it
//! INDEX public.orders_by_day           -- the new one has another
//! VIEW public.report [owner]           -- given to the analysts
//! TABLE public.secrets [rows, not verified]  -- nobody but payroll may read it
//! CHECK orders per status              -- known since March
//! ```

use std::str::FromStr;

use dbhaul_catalog::EntryKind;
use thiserror::Error;

use super::{AcceptList, Line, Part, Subject};

/// What stands for the contents of large objects.
pub(super) const LARGE_OBJECTS_WORDS: &str = "LARGE OBJECTS";

/// What stands before the name of a check.
pub(super) const CHECK_WORD: &str = "CHECK";

/// What stands in the brackets of a line that accepts that something could not be compared.
pub(super) const NOT_VERIFIED: &str = "not verified";

/// A list of accepted differences cannot be used.
#[derive(Debug, Error)]
#[error("line {line}: {problem}")]
pub struct AcceptError {
    /// The line.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

impl FromStr for AcceptList {
    type Err = AcceptError;

    fn from_str(text: &str) -> Result<Self, AcceptError> {
        let mut lines: Vec<Line> = Vec::new();
        for (number, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let line = line(number, text).map_err(|problem| AcceptError { line: number, problem })?;
            let is_again = |other: &&Line| {
                other.subject == line.subject
                    && other.part == line.part
                    && other.is_of_unverified == line.is_of_unverified
            };
            if let Some(other) = lines.iter().find(is_again) {
                let problem = format!("line {} accepts the same", other.number);
                return Err(AcceptError { line: number, problem });
            }
            lines.push(line);
        }
        Ok(AcceptList { lines })
    }
}

fn line(number: u64, text: &str) -> Result<Line, String> {
    let (named, reason) = match split_outside_quotes(text, "--") {
        Some((named, reason)) => (named.trim(), reason.trim()),
        None => (text, ""),
    };
    if reason.is_empty() {
        return Err("a reason is missing: write it behind ` -- `".to_owned());
    }
    let (subject, brackets) = match split_outside_quotes(named, " [") {
        Some((subject, rest)) => {
            let inside = rest
                .strip_suffix(']')
                .ok_or("nothing may stand behind the brackets but ` -- ` and a reason")?;
            (subject.trim(), Some(inside))
        }
        None => (named, None),
    };
    let subject = subject_of(subject)?;
    let (part, is_of_unverified) = part_of(brackets, &subject)?;
    Ok(Line { number, subject, part, is_of_unverified, reason: reason.to_owned() })
}

/// What stands before and behind a mark that is in no name in double quotes.
fn split_outside_quotes<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let mut is_quoted = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' => is_quoted = !is_quoted,
            _ if !is_quoted && text[at..].starts_with(mark) => {
                return Some((&text[..at], &text[at + mark.len()..]));
            }
            _ => {}
        }
    }
    None
}

fn subject_of(text: &str) -> Result<Subject, String> {
    if text == LARGE_OBJECTS_WORDS {
        return Ok(Subject::LargeObjects);
    }
    let behind =
        |words: &str| text.strip_prefix(words).and_then(|rest| rest.strip_prefix(' ')).map(str::trim_start);
    let kinds = EntryKind::ALL.iter().filter_map(|kind| Some((*kind, behind(kind.as_str())?)));
    // the longest: CHECK CONSTRAINT before CHECK
    if let Some((kind, name)) = kinds.max_by_key(|(kind, _)| kind.as_str().len()) {
        return match name.is_empty() {
            true => Err(format!("the name of the {kind} is missing")),
            false => Ok(Subject::Object(kind, name.to_owned())),
        };
    }
    match behind(CHECK_WORD) {
        Some(name) if !name.is_empty() => Ok(Subject::Check(name.to_owned())),
        _ => Err(format!(
            "{text:?} names no object: write its kind and name as a report does (TABLE public.orders), {CHECK_WORD} \
             and the name of a check, or {LARGE_OBJECTS_WORDS}"
        )),
    }
}

fn part_of(brackets: Option<&str>, subject: &Subject) -> Result<(Part, bool), String> {
    let (part, is_of_unverified) = match brackets.map(str::trim) {
        None => (None, false),
        Some(NOT_VERIFIED) => (None, true),
        Some(text) => {
            match text.strip_suffix(NOT_VERIFIED).and_then(|rest| rest.trim_end().strip_suffix(',')) {
                Some(rest) => (Some(rest.trim()), true),
                None => (Some(text), false),
            }
        }
    };
    let is_table = matches!(
        subject,
        Subject::Object(EntryKind::Table | EntryKind::ForeignTable | EntryKind::MaterializedView, _)
            | Subject::LargeObjects
    );
    let part = match (part, subject) {
        (Some(""), _) => return Err("the brackets are empty".to_owned()),
        (Some("rows"), _) if is_table => Part::Rows,
        (Some("rows"), _) => {
            return Err("only a TABLE, a FOREIGN TABLE and LARGE OBJECTS have [rows]".to_owned());
        }
        (Some("position"), Subject::Object(EntryKind::Sequence, _)) => Part::Position,
        (Some("behind"), Subject::Object(EntryKind::Sequence, _)) => Part::Behind,
        (Some("behind"), _) => return Err("only a SEQUENCE can be [behind]".to_owned()),
        (Some("position"), _) => return Err("only a SEQUENCE has a [position]".to_owned()),
        (_, Subject::LargeObjects) => {
            return Err(format!("of {LARGE_OBJECTS_WORDS} only [rows] can be accepted"));
        }
        (None, _) => Part::Whole,
        (Some(part), Subject::Check(_)) => return Err(format!("a check has no part {part:?}")),
        (Some("existence"), _) => Part::Existence,
        (Some(property), _) => Part::Property(property.to_owned()),
    };
    Ok((part, is_of_unverified))
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::{Difference, EntryKind, Identity};
    use serde_json::json;

    use super::*;
    use crate::report::sample;
    use crate::{TableResult, Verdict};

    fn list(text: &str) -> AcceptList {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_line_is_read_as_it_is_written() {
        for text in [
            "TABLE public.t [rows]",
            "TABLE public.t",
            "FUNCTION public.f (integer[], text) [owner]",
            "VIEW public.\"a -- [b] c\" [definition, not verified]",
            "CHECK CONSTRAINT public.c t",
            "CHECK orders per status",
            "CHECK a [not verified]",
            "LARGE OBJECTS [rows, not verified]",
            "SEQUENCE s.q [position]",
            "SEQUENCE s.q [behind]",
            "SCHEMA s [existence]",
        ] {
            let list = list(&format!("# a comment\n\n  {text}   --  because -- of it \n"));
            assert_eq!((list.lines[0].to_string().as_str(), list.lines[0].number), (text, 3));
            assert_eq!(list.lines[0].reason, "because -- of it");
        }
    }

    #[test]
    fn a_line_that_is_not_whole_is_refused_with_its_number() {
        for (text, problem) in [
            ("TABLE public.t", "a reason is missing"),
            ("TABLE public.t --", "a reason is missing"),
            ("TABLE \"public.t -- x\"", "a reason is missing"),
            ("public.t -- x", "names no object"),
            ("TABLE -- x", "names no object"),
            ("VIEW v [rows] -- x", "only a TABLE"),
            ("TABLE t [position] -- x", "only a SEQUENCE"),
            ("LARGE OBJECTS -- x", "only [rows]"),
            ("TABLE t [] -- x", "empty"),
            ("TABLE t [rows -- x", "nothing may stand behind"),
            ("CHECK c [rows] -- x", "only a TABLE"),
            ("CHECK c [owner] -- x", "no part"),
            ("TABLE t [rows] -- x\nTABLE t [rows] -- y", "line 2 accepts the same"),
        ] {
            let error = format!("# first\n{text}").parse::<AcceptList>().unwrap_err();
            assert!(error.problem.contains(problem), "{text}: {error}");
            assert_eq!(error.line, 1 + text.lines().count() as u64, "{text}");
        }
    }

    fn different(name: &str, path: &str) -> Difference {
        let identity = Identity {
            kind: EntryKind::Table,
            schema: Some("public".into()),
            name: name.into(),
            discriminator: None,
        };
        let (left, right) = (json!("a"), json!("b"));
        Difference::Different { identity, path: path.into(), part: None, left, right }
    }

    #[test]
    fn nothing_is_accepted_but_what_is_named() {
        let mut report = sample::of_tables(Vec::new());
        report.schema.differences = vec![
            different("t", "owner"),
            different("t", "comment"),
            different("t2", "owner"),
            different("T", "owner"),
        ];
        let table = |name: &str, verdict| TableResult::new(name, verdict);
        report.tables = vec![
            table("public.t", Verdict::Missing),
            table("public.t2", Verdict::NotVerified { reason: "x".into() }),
            table("public.u", Verdict::NotVerified { reason: "x".into() }),
            table("public.v", Verdict::Equal { digest: Default::default() }),
        ];
        let before = report.clone();
        let accept = list(
            "TABLE public.t [owner] -- a\nTABLE public.t2 [rows] -- b\nTABLE public.u [rows, not verified] -- c
             TABLE public.v [rows] -- d",
        );
        accept.apply(&mut report);
        assert_eq!(report.schema.differences, before.schema.differences[1..]);
        let names: Vec<&str> = report.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["public.t", "public.t2", "public.v"]);
        let lines: Vec<u64> = report.accepted.iter().map(|accepted| accepted.line).collect();
        assert_eq!(lines, [1, 3]);
        let unused: Vec<u64> = report.unused_accept_lines.iter().map(|unused| unused.line).collect();
        assert_eq!(unused, [2, 4]);
        assert!(accept.covers_rows("public.t2") && !accept.covers_rows("public.u"));
    }

    #[test]
    fn a_line_without_part_accepts_no_rows() {
        let mut report = sample::of_tables(vec![("public.t", Verdict::Extra)]);
        report.schema.differences = vec![different("t", "owner"), different("t", "acl")];
        list("TABLE public.t -- x").apply(&mut report);
        assert_eq!((report.schema.differences.len(), report.tables.len(), report.accepted.len()), (0, 1, 2));
        assert!(!report.agrees());
    }
}
