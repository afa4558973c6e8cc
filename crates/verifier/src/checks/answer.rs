//! Answers of two sides, compared.

use std::borrow::Cow;

use dbhaul_rows::{ColumnValue, FieldIter, hash_bytes_extended, unescape_field};

use super::{AnswerRow, CheckVerdict, DifferentAnswers};
use crate::ValueStyle;
use crate::drill::Value;

/// What a side answered: COPY text, so that the same bytes are the same values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Answer {
    pub(super) columns: Vec<String>,
    /// Rows without their line feeds, in the order in which they came.
    pub(super) rows: Vec<Vec<u8>>,
}

/// Judges two answers; some rows that differ are shown.
pub(super) fn judge(
    left: &Answer,
    right: &Answer,
    is_ordered: bool,
    (max_rows, style): (usize, &ValueStyle),
) -> CheckVerdict {
    if left.columns.len() != right.columns.len() {
        let reason = format!(
            "the answers have other numbers of columns: {} on the left and {} on the right",
            left.columns.len(),
            right.columns.len()
        );
        return CheckVerdict::NotVerified { reason };
    }
    let (one, two) = if is_ordered { at_other_places(left, right) } else { without_partners(left, right) };
    if one.is_empty() && two.is_empty() {
        return CheckVerdict::Equal { row_count: left.rows.len() as u64 };
    }
    let shown = |answer: &Answer, rows: &[usize]| -> Vec<AnswerRow> {
        rows.iter().take(max_rows).map(|at| shown(*at, &answer.rows[*at], style)).collect()
    };
    CheckVerdict::Different(Box::new(DifferentAnswers {
        columns: left.columns.clone(),
        values: style.show(),
        left_row_count: left.rows.len() as u64,
        right_row_count: right.rows.len() as u64,
        left_rows: shown(left, &one),
        right_rows: shown(right, &two),
        left_differing_count: one.len() as u64,
        right_differing_count: two.len() as u64,
    }))
}

/// The places at which the answers have other rows.
fn at_other_places(left: &Answer, right: &Answer) -> (Vec<usize>, Vec<usize>) {
    let differs = |at: &usize| left.rows.get(*at) != right.rows.get(*at);
    let places = |of: &Answer| (0..of.rows.len()).filter(differs).collect();
    (places(left), places(right))
}

/// The rows of each that the other does not have so often.
fn without_partners(left: &Answer, right: &Answer) -> (Vec<usize>, Vec<usize>) {
    let sorted = |of: &Answer| -> Vec<usize> {
        let mut places: Vec<usize> = (0..of.rows.len()).collect();
        places.sort_by(|one, other| of.rows[*one].cmp(&of.rows[*other]));
        places
    };
    let (one, two) = (sorted(left), sorted(right));
    let (mut one, mut two) = (one.into_iter().peekable(), two.into_iter().peekable());
    let (mut lone, mut lone_of_right) = (Vec::new(), Vec::new());
    loop {
        let order = match (one.peek(), two.peek()) {
            (None, None) => break,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(one), Some(two)) => left.rows[*one].cmp(&right.rows[*two]),
        };
        if order.is_le() {
            lone.extend(one.next().filter(|_| order.is_lt()));
        }
        if order.is_ge() {
            lone_of_right.extend(two.next().filter(|_| order.is_gt()));
        }
    }
    lone.sort_unstable();
    lone_of_right.sort_unstable();
    (lone, lone_of_right)
}

fn shown(at: usize, row: &[u8], style: &ValueStyle) -> AnswerRow {
    let value = |field| {
        // a field that is no COPY text is shown as it came
        let text = match unescape_field(field) {
            Ok(text) => text.map(Cow::into_owned),
            Err(_) => Some(field.to_vec()),
        };
        let value = text.map(|text| {
            let (hash, bytes) = (hash_bytes_extended(&text, 0), text.len() as u64);
            Value::new(&ColumnValue { hash, bytes, text })
        });
        style.shown(&value)
    };
    AnswerRow { number: at as u64 + 1, values: FieldIter::new(row).map(value).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ShowValues, ShownValue};

    fn answer(rows: &[&str]) -> Answer {
        let rows = rows.iter().map(|row| row.as_bytes().to_vec()).collect();
        Answer { columns: vec!["a".into(), "b".into()], rows }
    }

    fn compare(left: &[&str], right: &[&str], is_ordered: bool) -> CheckVerdict {
        judge(&answer(left), &answer(right), is_ordered, (2, &ValueStyle::new(ShowValues::Show)))
    }

    fn numbers(verdict: CheckVerdict) -> (Vec<u64>, Vec<u64>, u64, u64) {
        let CheckVerdict::Different(found) = verdict else { panic!("{verdict:?}") };
        let of = |rows: &[AnswerRow]| rows.iter().map(|row| row.number).collect();
        let counts = (found.left_differing_count, found.right_differing_count);
        (of(&found.left_rows), of(&found.right_rows), counts.0, counts.1)
    }

    #[test]
    fn rows_are_a_multiset_unless_their_order_counts() {
        let (one, two) = (["1\tx", "2\ty", "1\tx"], ["2\ty", "1\tx", "1\tx"]);
        assert_eq!(compare(&one, &two, false), CheckVerdict::Equal { row_count: 3 });
        assert_eq!(numbers(compare(&one, &two, true)), (vec![1, 2], vec![1, 2], 2, 2));
        assert_eq!(compare(&one, &one, true), CheckVerdict::Equal { row_count: 3 });
        assert_eq!(numbers(compare(&one, &two[..2], false)), (vec![3], vec![], 1, 0));
        assert_eq!(numbers(compare(&[], &["1\t", "1\t\\N", "2\t"], false)), (vec![], vec![1, 2], 0, 3));
        assert_eq!(compare(&[], &[], false), CheckVerdict::Equal { row_count: 0 });
    }

    #[test]
    fn null_is_not_empty_and_values_are_unescaped() {
        let CheckVerdict::Different(found) = compare(&["\\N\ta\\tb"], &["\t"], false) else { panic!() };
        let text = |text: &str| ShownValue::Text { text: text.to_owned(), bytes: text.len() as u64 };
        assert_eq!(found.left_rows[0].values, [ShownValue::Null, text("a\tb")]);
        assert_eq!(found.right_rows[0].values, [text(""), text("")]);
    }

    #[test]
    fn other_columns_do_not_compare() {
        let other = Answer { columns: vec!["a".into()], rows: vec![] };
        let style = ValueStyle::new(ShowValues::Omit);
        let verdict = judge(&answer(&[]), &other, false, (2, &style));
        assert!(matches!(verdict, CheckVerdict::NotVerified { .. }));
    }
}
