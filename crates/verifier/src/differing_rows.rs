//! The rows of a table that differ, as a report has them.

mod text;

use serde::{Deserialize, Serialize};

/// Which rows of a table differ, found by a drill-down (`--mode deep`).
///
/// # Shape
///
/// ```text
/// "rows": {
///   "key": ["id"],                     columns by which rows were matched; empty: whole rows were compared
///   "values": "mask",                  how values are shown: show, mask or omit
///   "missing_count": 1,                rows that only the left has (copies count)
///   "extra_count": 0,                  rows that only the right has
///   "different_count": 1,              pairs of rows with the same key and other values
///   "is_complete": true,               false: the counts are lower bounds, and a note says why
///   "notes": [],                       sentences that belong under the table, each can be quoted alone
///   "settled": {...},                  with --settle: see SettledRows
///   "rows": [                          examples, at most --max-rows of them
///     { "kind": "different", "left_count": 1, "right_count": 1, "left_at": "(0,7)", "right_at": "(0,7)",
///       "key": [{"name": "id", "value": {"form": "text", "text": "7", "bytes": 1}}],
///       "columns": [{"name": "price", "left": {"form": "masked", "mask": "9f02c1d4", "bytes": 4},
///                                     "right": {"form": "null"}}] },
///     { "kind": "missing", "left_count": 1, "right_count": 0, "left_at": "(0,9)",
///       "key": [{"name": "id", "value": {"form": "omitted"}}], "columns": [] }
///   ]
/// }
/// ```
///
/// Where rows were matched by a key, `columns` of a different row names those that differ, with both sides'
/// values, and that of a missing or extra row is empty: the key names the row. Where whole rows were compared,
/// `key` is empty and `columns` holds all columns of the row, with the value of the side or sides that have it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DifferingRows {
    /// The columns by which rows of both sides were matched, in the order of the key. Empty: there is no key, and
    /// whole rows were compared, with their numbers.
    pub key: Vec<String>,
    /// How values are shown.
    pub values: ShowValues,
    /// How many rows only the left has; copies of a row count.
    pub missing_count: u64,
    /// How many rows only the right has.
    pub extra_count: u64,
    /// How many keys have one row on each side, with other values.
    pub different_count: u64,
    /// Whether these are all. Otherwise there are at least so many.
    pub is_complete: bool,
    /// What was not located and why, and what is to be known of the keys; a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What became of the rows that differed when they were looked at again, because the sides were being written to.
    /// The counts and the rows are then those of the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<SettledRows>,
    /// Some of the rows, no more than were asked for.
    pub rows: Vec<DifferingRow>,
}

impl DifferingRows {
    /// How many rows differ, as far as they were counted.
    pub fn count(&self) -> u64 {
        self.missing_count.saturating_add(self.extra_count).saturating_add(self.different_count)
    }
}

/// Rows that differed, looked at again later, under new snapshots of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SettledRows {
    /// How many rows differed first and were the same on both sides at a later look.
    pub count: u64,
    /// How many differed at every look and were changed between the last two, or could not be read at the last: what
    /// they are to come to is not known.
    pub undecided_count: u64,
    /// How many differed at every look, and were the same at the last two.
    pub differing_count: u64,
    /// How many times they were looked at again.
    pub look_count: u64,
    /// When the left was so at the last look.
    pub left_as_of: String,
    /// When the right was so at the last look.
    pub right_as_of: String,
    /// The left's position in its write-ahead log then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_lsn: Option<String>,
    /// The right's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_lsn: Option<String>,
}

impl SettledRows {
    /// Whether every row that differed agreed at a later look.
    pub fn is_all(&self) -> bool {
        self.undecided_count == 0 && self.differing_count == 0 && self.look_count > 0
    }
}

/// How values of rows are shown in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShowValues {
    /// As PostgreSQL prints them, the long ones cut.
    Show,
    /// By their length and a mark that is the same for the same values of one report, and tells nothing else.
    #[default]
    Mask,
    /// Not at all.
    Omit,
}

/// One row, or several that are the same in all columns, of which the sides do not have the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferingRow {
    /// How it differs.
    pub kind: RowDifference,
    /// How many of these rows the left has: 0 or 1, except for rows that are there several times.
    pub left_count: u64,
    /// How many the right has.
    pub right_count: u64,
    /// Where the left has it, or one of them: its `ctid` under the snapshot, or the number of its row in a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<String>,
    /// Where the right has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_at: Option<String>,
    /// The values of the key's columns.
    pub key: Vec<NamedValue>,
    /// Columns and what each side has there.
    pub columns: Vec<DifferingColumn>,
}

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowDifference {
    /// Only the left has it.
    Missing,
    /// Only the right has it.
    Extra,
    /// Both have a row with this key, with other values.
    Different,
    /// Both have it, not equally often.
    Count,
}

/// A value of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedValue {
    /// The column.
    pub name: String,
    /// Its value.
    pub value: ShownValue,
}

/// A column and its values; `None` on a side that does not have the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferingColumn {
    /// The column.
    pub name: String,
    /// Left's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<ShownValue>,
    /// Right's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<ShownValue>,
}

/// What is shown of a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "kebab-case")]
pub enum ShownValue {
    /// NULL. (Not shown with [`ShowValues::Omit`].)
    Null,
    /// Its text, or the beginning of it: `bytes` says how long all of it is.
    Text {
        /// The text, or its first characters.
        text: String,
        /// Bytes of the whole text.
        bytes: u64,
    },
    /// A mark in its place: eight hexadecimal digits that only compare within this report.
    Masked {
        /// The mark.
        mask: String,
        /// Bytes of its text.
        bytes: u64,
    },
    /// Nothing, as asked.
    Omitted,
}
