//! By which column a table can be read in parts.

use serde::{Deserialize, Serialize};

/// An integer column that leads a B-tree index, with what the planner knows of its values.
///
/// The statistics may be of any age: they say where it is good to cut, never which values there are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RangeKey {
    /// The column's name, not quoted.
    pub column: String,
    /// Whether it may be NULL.
    #[serde(default)]
    pub is_nullable: bool,
    /// Share of rows in which it is NULL, 0 to 1.
    pub null_fraction: f64,
    /// Ends of ranges with equally many of the rows that hold no common value; ascending.
    pub histogram: Vec<i64>,
    /// Values that are in many rows.
    pub common_values: Vec<i64>,
    /// Share of rows that hold each of them, 0 to 1.
    pub common_fractions: Vec<f64>,
}
