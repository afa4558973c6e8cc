//! Results of checks as text.

use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::in_one_line;
use dbhaul_progress::counted;

use super::{AnswerRow, CheckResult, CheckVerdict, DifferentAnswers};
use crate::ShownValue;

impl CheckResult {
    /// Whether both sides gave the same answer.
    pub fn is_equal(&self) -> bool {
        matches!(self.verdict, CheckVerdict::Equal { .. })
    }

    /// Why nothing is known, if so.
    pub fn not_verified(&self) -> Option<&str> {
        match &self.verdict {
            CheckVerdict::NotVerified { reason } => Some(reason),
            _ => None,
        }
    }
}

impl Display for CheckResult {
    /// Lines of a report, without the last line feed.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = in_one_line(&self.name);
        match &self.verdict {
            CheckVerdict::Equal { row_count } => {
                write!(f, "  equal         {name}: {} on both sides", counted(*row_count, "row"))
            }
            CheckVerdict::NotVerified { reason } => {
                write!(f, "  NOT VERIFIED  {name}: {}", in_one_line(reason))
            }
            CheckVerdict::Different(answers) => {
                write!(f, "  DIFFERENT     {name}: {}", answers.summary())?;
                answers.lines().iter().try_for_each(|line| write!(f, "\n                {line}"))
            }
        }
    }
}

impl DifferentAnswers {
    /// How many rows each side gave.
    pub(crate) fn summary(&self) -> String {
        match (self.left_row_count, self.right_row_count) {
            (left, right) if left == right => {
                format!("{} on both sides, other contents", counted(left, "row"))
            }
            (left, right) => {
                format!("{} on the left, {} on the right", counted(left, "row"), counted(right, "row"))
            }
        }
    }

    /// The rows that differ, a line each, safe to be shown.
    pub(crate) fn lines(&self) -> Vec<String> {
        let sides = [
            ("left", &self.left_rows, self.left_differing_count),
            ("right", &self.right_rows, self.right_differing_count),
        ];
        let mut lines = Vec::new();
        for (side, rows, count) in sides {
            lines.extend(rows.iter().map(|row| format!("only on the {side}, row {}", self.line(row))));
            let unshown = count.saturating_sub(rows.len() as u64);
            if unshown > 0 {
                lines.push(format!("{} more only on the {side}", counted(unshown, "row")));
            }
        }
        lines
    }

    fn line(&self, row: &AnswerRow) -> String {
        let values = row.values.iter().enumerate().map(|(place, value)| {
            let name = self.columns.get(place).map(String::as_str).unwrap_or_default();
            match value {
                ShownValue::Omitted => name.to_owned(),
                value => format!("{name} {value}"),
            }
        });
        in_one_line(&format!("{}: {}", row.number, values.collect::<Vec<_>>().join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ShowValues;

    #[test]
    fn a_result_is_told_in_lines_of_its_own() {
        let value = |text: &str| ShownValue::Text { text: text.to_owned(), bytes: text.len() as u64 };
        let row = |number, text: &str| AnswerRow { number, values: vec![value(text), ShownValue::Null] };
        let answers = DifferentAnswers {
            columns: vec!["n".to_owned(), "s".to_owned()],
            values: ShowValues::Show,
            left_row_count: 1,
            right_row_count: 3,
            left_rows: vec![row(1, "5\nEQUAL")],
            right_rows: vec![row(2, "6")],
            left_differing_count: 1,
            right_differing_count: 3,
        };
        let verdict = CheckVerdict::Different(Box::new(answers));
        let result = CheckResult { name: "orders".to_owned(), sql: "SELECT 1".to_owned(), verdict };
        assert_eq!(
            result.to_string().lines().map(str::trim_start).collect::<Vec<_>>(),
            [
                "DIFFERENT     orders: 1 row on the left, 3 rows on the right",
                "only on the left, row 1: n \"5\\nEQUAL\", s NULL",
                "only on the right, row 2: n \"6\", s NULL",
                "2 rows more only on the right",
            ]
        );
    }
}
