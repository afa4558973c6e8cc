//! The order-independent checksum of a set of rows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::RowsError;

/// Checksum of a multiset of rows: how many there are, and the exact sum of their row hashes.
///
/// The sum is over the hashes read as signed 64-bit integers, as the server's `sum(bigint)` has it;
/// being a sum and not an XOR, it sees duplicates. Its text form is `count:sum`.
///
/// ```
/// use dbhaul_rows::RowDigest;
/// let mut digest = RowDigest::default();
/// digest.add_row(u64::MAX);
/// assert_eq!(digest.to_string(), "1:-1");
/// assert_eq!("1:-1".parse::<RowDigest>().unwrap(), digest);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RowDigest {
    /// Number of rows.
    pub row_count: u64,
    /// Sum of the row hashes, each read as a signed 64-bit integer.
    pub sum: i128,
}

impl RowDigest {
    /// Adds one row by its hash.
    pub fn add_row(&mut self, hash: u64) {
        self.row_count += 1;
        self.sum += i128::from(hash as i64);
    }

    /// Adds all rows of `other`.
    pub fn merge(&mut self, other: Self) {
        self.row_count += other.row_count;
        self.sum += other.sum;
    }

    /// Adds all rows of `other`, unless there would be more rows than can be counted. For digests out of a file,
    /// which may be anybody's.
    #[must_use]
    pub fn checked_merged(self, other: Self) -> Option<Self> {
        let row_count = self.row_count.checked_add(other.row_count)?;
        Some(Self { row_count, sum: self.sum.checked_add(other.sum)? })
    }

    /// The digest of the rows of both.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        self.merge(other);
        self
    }
}

impl FromIterator<Self> for RowDigest {
    fn from_iter<I: IntoIterator<Item = Self>>(digests: I) -> Self {
        digests.into_iter().fold(Self::default(), Self::merged)
    }
}

impl fmt::Display for RowDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.row_count, self.sum)
    }
}

impl FromStr for RowDigest {
    type Err = RowsError;

    fn from_str(text: &str) -> Result<Self, RowsError> {
        let bad = || RowsError::BadDigest { text: text.to_owned() };
        let (row_count, sum) = text.split_once(':').ok_or_else(bad)?;
        let digest =
            Self { row_count: row_count.parse().map_err(|_| bad())?, sum: sum.parse().map_err(|_| bad())? };
        // no sum of so many 64-bit numbers is further from 0
        let furthest = u128::from(digest.row_count) << 63;
        if digest.sum.unsigned_abs() <= furthest { Ok(digest) } else { Err(bad()) }
    }
}

impl Serialize for RowDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
