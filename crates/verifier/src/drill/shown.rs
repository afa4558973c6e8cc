//! Values of rows, and what a report shows of them.

use std::hash::{BuildHasher, RandomState};

use dbhaul_rows::ColumnValue;

use crate::{ShowValues, ShownValue};

/// Characters of a value that are shown.
pub(super) const SHOWN_CHARACTERS: usize = 200;

/// A value that is not NULL, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// Of its text.
    pub(super) hash: u64,
    /// Bytes of its text.
    pub(super) bytes: u64,
    /// The first characters, where they are to be shown.
    pub(super) front: String,
}

impl Value {
    /// A value that was read here.
    pub(crate) fn new(value: &ColumnValue) -> Self {
        // no character has more bytes
        let end = value.text.len().min(4 * SHOWN_CHARACTERS);
        let front = String::from_utf8_lossy(&value.text[..end]);
        let front = front.chars().take(SHOWN_CHARACTERS).collect();
        Value { hash: value.hash, bytes: value.bytes, front }
    }

    /// Whether both are the same. Only hashes and lengths are looked at: long values are not brought here.
    pub(super) fn is_same(one: &Option<Value>, other: &Option<Value>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => one.hash == other.hash && one.bytes == other.bytes,
            (None, None) => true,
            _ => false,
        }
    }
}

/// How values are shown in one report.
#[derive(Debug, Clone, Default)]
pub struct ValueStyle {
    show: ShowValues,
    /// Drawn anew for each report and never told: marks of short values could be found out by trying otherwise.
    secret: RandomState,
}

impl ValueStyle {
    /// Shows values so.
    pub fn new(show: ShowValues) -> Self {
        ValueStyle { show, secret: RandomState::new() }
    }

    /// How values are shown.
    pub fn show(&self) -> ShowValues {
        self.show
    }

    /// Whether the text of values is needed.
    pub(super) fn needs_text(&self) -> bool {
        self.show == ShowValues::Show
    }

    pub(crate) fn shown(&self, value: &Option<Value>) -> ShownValue {
        match (self.show, value) {
            (ShowValues::Omit, _) => ShownValue::Omitted,
            (_, None) => ShownValue::Null,
            (ShowValues::Show, Some(value)) => {
                ShownValue::Text { text: value.front.clone(), bytes: value.bytes }
            }
            (ShowValues::Mask, Some(value)) => {
                let mark = self.secret.hash_one((value.hash, value.bytes)) >> 32;
                ShownValue::Masked { mask: format!("{mark:08x}"), bytes: value.bytes }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<Value> {
        let text = text.as_bytes().to_vec();
        let hash = dbhaul_rows::hash_bytes_extended(&text, 0);
        Some(Value::new(&ColumnValue { hash, bytes: text.len() as u64, text }))
    }

    #[test]
    fn a_mark_compares_within_its_report_alone() {
        let (one, other) = (ValueStyle::new(ShowValues::Mask), ValueStyle::new(ShowValues::Mask));
        assert_eq!(one.shown(&value("secret")), one.shown(&value("secret")));
        assert_ne!(one.shown(&value("secret")), one.shown(&value("secreT")));
        assert_ne!(one.shown(&value("secret")), other.shown(&value("secret")));
        assert_eq!(one.shown(&None), ShownValue::Null);
        let text = serde_json::to_string(&one.shown(&value("secret"))).unwrap();
        assert!(!text.contains("secret") && text.contains("\"bytes\":6"), "{text}");
    }

    #[test]
    fn what_is_left_out_does_not_even_tell_null() {
        let style = ValueStyle::new(ShowValues::Omit);
        assert_eq!(style.shown(&None), style.shown(&value("a")));
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let style = ValueStyle::new(ShowValues::Show);
        let ShownValue::Text { text, bytes } = style.shown(&value(&"ö".repeat(300))) else { panic!() };
        assert_eq!((text, bytes), ("ö".repeat(200), 600));
    }

    #[test]
    fn null_is_not_empty() {
        assert!(!Value::is_same(&None, &value("")) && Value::is_same(&None, &None));
        assert!(!Value::is_same(&value("a "), &value("a")) && Value::is_same(&value("a"), &value("a")));
    }
}
