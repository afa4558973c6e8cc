//! The statements of an object that differs, as a unified diff.

use std::ops::Range;

use dbhaul_catalog::for_terminal;
use similar::{ChangeTag, TextDiff};

use super::ObjectDefinitions;

/// Equal lines around a difference.
const AROUND: usize = 3;

/// A line of a diff, safe to be shown, without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DiffLine {
    /// The heading of a piece.
    At(String),
    /// On the left alone.
    Left(String),
    /// On the right alone.
    Right(String),
    /// On both sides.
    Both(String),
}

impl DiffLine {
    /// As a diff writes it.
    pub(super) fn text(&self) -> String {
        match self {
            DiffLine::At(text) => text.clone(),
            DiffLine::Left(text) => format!("-{text}"),
            DiffLine::Right(text) => format!("+{text}"),
            DiffLine::Both(text) => format!(" {text}"),
        }
    }
}

/// The statements of both sides as a unified diff; nothing where they are the same.
pub(super) fn unified(definitions: &ObjectDefinitions) -> Vec<DiffLine> {
    // Escaped before they are compared: what makes a line is seen.
    let side = |text: &Option<String>| for_terminal(text.as_deref().unwrap_or_default());
    let (left, right) = (side(&definitions.left), side(&definitions.right));
    let diff = TextDiff::from_lines(&left, &right);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(AROUND) {
        if let (Some(first), Some(last)) = (group.first(), group.last()) {
            lines.push(DiffLine::At(hunk(
                first.old_range().start..last.old_range().end,
                first.new_range().start..last.new_range().end,
            )));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = change.value().trim_end_matches('\n').to_owned();
            lines.push(match change.tag() {
                ChangeTag::Delete => DiffLine::Left(text),
                ChangeTag::Insert => DiffLine::Right(text),
                ChangeTag::Equal => DiffLine::Both(text),
            });
        }
    }
    lines
}

/// The heading of a piece of a unified diff: a range without lines is told by the line before it.
fn hunk(old: Range<usize>, new: Range<usize>) -> String {
    let told = |range: Range<usize>| {
        let start = if range.is_empty() { range.start } else { range.start + 1 };
        format!("{start},{}", range.len())
    };
    format!("@@ -{} +{} @@", told(old), told(new))
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::{EntryKind, Identity};

    use super::*;

    #[test]
    fn pieces_of_a_diff_are_headed_as_usual() {
        assert_eq!(super::hunk(0..3, 0..4), "@@ -1,3 +1,4 @@");
        assert_eq!(super::hunk(0..1, 0..0), "@@ -1,1 +0,0 @@");
    }

    #[test]
    fn statements_are_compared_line_by_line() {
        let identity =
            Identity { kind: EntryKind::View, schema: None, name: "v".into(), discriminator: None };
        let definitions = ObjectDefinitions {
            identity,
            left: Some("CREATE VIEW v AS\n SELECT 1;\n".into()),
            right: Some("CREATE VIEW v AS\n SELECT 2;\n".into()),
        };
        let lines: Vec<String> = unified(&definitions).iter().map(DiffLine::text).collect();
        assert_eq!(lines, ["@@ -1,2 +1,2 @@", " CREATE VIEW v AS", "- SELECT 1;", "+ SELECT 2;"]);
        let same = ObjectDefinitions { right: definitions.left.clone(), ..definitions };
        assert!(unified(&same).is_empty());
    }
}
