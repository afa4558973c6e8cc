//! Rows that differ as text: lines below that of their table.

use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::in_one_line;
use dbhaul_progress::counted;

use super::{
    DifferingColumn, DifferingRow, DifferingRows, NamedValue, RowDifference, SettledRows, ShownValue,
};

/// What these lines begin with.
const INDENT: &str = "                ";

impl Display for DifferingRows {
    /// Every line ends with a line feed.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let total = self.count();
        if total > 0 {
            let at_least = if self.is_complete { "" } else { "at least " };
            let how = match self.key.as_slice() {
                [] => "whole rows compared".to_owned(),
                key => format!("matched by {}", in_one_line(&key.join(", "))),
            };
            writeln!(
                f,
                "{INDENT}{at_least}{} missing, {} extra, {} different ({how})",
                self.missing_count, self.extra_count, self.different_count
            )?;
        }
        for note in &self.notes {
            writeln!(f, "{INDENT}{}", in_one_line(note))?;
        }
        if let Some(settled) = &self.settled {
            writeln!(f, "{INDENT}{}", in_one_line(&settled.to_string()))?;
        }
        self.rows.iter().try_for_each(|row| writeln!(f, "{INDENT}{}", in_one_line(&row.to_string())))?;
        let unshown = total.saturating_sub(self.rows.iter().map(DifferingRow::weight).sum());
        if unshown > 0 && !self.rows.is_empty() {
            writeln!(f, "{INDENT}and {} more", counted(unshown, "row"))?;
        }
        Ok(())
    }
}

impl Display for SettledRows {
    /// A sentence without its full stop.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let differed = self.count + self.undecided_count + self.differing_count;
        write!(
            f,
            "{} differed first; looked at again {}: {} the same on both sides",
            counted(differed, "row"),
            counted(self.look_count, "time"),
            match self.count {
                0 => "none became".to_owned(),
                count if count == differed => "all became".to_owned(),
                count => format!("{count} became"),
            }
        )?;
        if self.undecided_count > 0 {
            write!(f, ", {} still changing when the time was over", self.undecided_count)?;
        }
        if self.differing_count > 0 {
            write!(f, ", {} stayed different", self.differing_count)?;
        }
        if self.look_count > 0 {
            write!(f, "; last look: left as of {}, right as of {}", self.left_as_of, self.right_as_of)?;
        }
        Ok(())
    }
}

impl DifferingRow {
    /// How many rows it counts as.
    fn weight(&self) -> u64 {
        match self.kind {
            RowDifference::Different => 1,
            _ => self.left_count.abs_diff(self.right_count),
        }
    }
}

impl Display for DifferingRow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RowDifference::Missing => "missing",
            RowDifference::Extra => "extra",
            RowDifference::Different => "different",
            RowDifference::Count => "count",
        })?;
        if self.left_count.max(self.right_count) > 1 {
            write!(f, " ({} on the left, {} on the right)", self.left_count, self.right_count)?;
        }
        let separated = |index: usize| if index == 0 { " " } else { ", " };
        for (index, part) in self.key.iter().enumerate() {
            write!(f, "{}{part}", separated(index))?;
        }
        match (&self.left_at, &self.right_at) {
            (Some(left), Some(right)) => write!(f, " [left {left}, right {right}]")?,
            (Some(at), None) => write!(f, " [left {at}]")?,
            (None, Some(at)) => write!(f, " [right {at}]")?,
            (None, None) => {}
        }
        for (index, column) in self.columns.iter().enumerate() {
            write!(f, "{}{column}", if index == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl Display for NamedValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.value {
            ShownValue::Omitted => f.write_str(&self.name),
            value => write!(f, "{}={value}", self.name),
        }
    }
}

impl Display for DifferingColumn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match (&self.left, &self.right) {
            (Some(ShownValue::Omitted), _) | (_, Some(ShownValue::Omitted)) | (None, None) => Ok(()),
            (Some(left), Some(right)) if left == right => write!(f, " {left}"),
            (Some(left), Some(right)) => write!(f, " {left} on the left, {right} on the right"),
            (Some(value), None) | (None, Some(value)) => write!(f, " {value}"),
        }
    }
}

impl Display for ShownValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ShownValue::Null => f.write_str("NULL"),
            ShownValue::Text { text, bytes } if text.len() as u64 == *bytes => write!(f, "\"{text}\""),
            ShownValue::Text { text, bytes } => write!(f, "\"{text}\"... ({})", counted(*bytes, "byte")),
            ShownValue::Masked { mask, bytes } => write!(f, "#{mask} ({})", counted(*bytes, "byte")),
            ShownValue::Omitted => f.write_str("(left out)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> ShownValue {
        ShownValue::Text { text: text.to_owned(), bytes: text.len() as u64 }
    }

    fn rows(row: DifferingRow) -> DifferingRows {
        DifferingRows {
            key: row.key.iter().map(|part| part.name.clone()).collect(),
            different_count: 3,
            is_complete: true,
            rows: vec![row],
            ..DifferingRows::default()
        }
    }

    fn different(left: ShownValue, right: ShownValue) -> DifferingRow {
        DifferingRow {
            kind: RowDifference::Different,
            left_count: 1,
            right_count: 1,
            left_at: Some("(0,7)".to_owned()),
            right_at: None,
            key: vec![NamedValue { name: "id".to_owned(), value: value("7") }],
            columns: vec![DifferingColumn { name: "v".to_owned(), left: Some(left), right: Some(right) }],
        }
    }

    #[test]
    fn a_row_is_one_line_whatever_it_holds() {
        let text = rows(different(value("a\nEQUAL"), ShownValue::Null)).to_string();
        let expected = [
            "0 missing, 0 extra, 3 different (matched by id)",
            "different id=\"7\" [left (0,7)]: v \"a\\nEQUAL\" on the left, NULL on the right",
            "and 2 rows more",
        ];
        assert_eq!(text.lines().map(str::trim_start).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_became_of_rows_is_told_with_the_time() {
        let settled = SettledRows {
            count: 3,
            look_count: 2,
            left_as_of: "noon".to_owned(),
            right_as_of: "later".to_owned(),
            ..SettledRows::default()
        };
        assert!(settled.is_all());
        let text = settled.to_string();
        let expected = "3 rows differed first; looked at again 2 times: all became the same on both sides; last look: \
                        left as of noon, right as of later";
        assert_eq!(text, expected);
        let text = SettledRows { undecided_count: 1, differing_count: 2, ..settled }.to_string();
        assert!(
            text.contains(
                "6 rows differed first; looked at again 2 times: 3 became the same on both sides, 1 still \
                           changing when the time was over, 2 stayed different;"
            ),
            "{text}"
        );
        assert!(!SettledRows::default().is_all(), "nobody has looked again");
    }

    #[test]
    fn masked_and_omitted_values_are_told_from_values() {
        let masked = ShownValue::Masked { mask: "0a0b0c0d".to_owned(), bytes: 1 };
        let text = rows(different(masked, ShownValue::Null)).to_string();
        assert!(text.contains("v #0a0b0c0d (1 byte) on the left, NULL on the right\n"), "{text}");
        let mut omitted = different(ShownValue::Omitted, ShownValue::Omitted);
        omitted.key[0].value = ShownValue::Omitted;
        assert!(rows(omitted).to_string().contains("different id [left (0,7)]: v\n"));
        let cut = ShownValue::Text { text: "a".to_owned(), bytes: 900 };
        assert_eq!(cut.to_string(), "\"a\"... (900 bytes)");
    }

    #[test]
    fn what_is_not_all_is_at_least() {
        let mut rows = rows(different(value("a"), value("b")));
        (rows.is_complete, rows.notes) = (false, vec!["not all were compared".to_owned()]);
        let text = rows.to_string();
        assert!(text.contains("at least 0 missing, 0 extra, 3 different"), "{text}");
        assert!(text.contains("\n                not all were compared\n"), "{text}");
    }
}
