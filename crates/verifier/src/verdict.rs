//! The judgement on one table.

use dbhaul_rows::RowDigest;
use serde::{Deserialize, Serialize};

/// What one side has to say of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Its rows were counted and hashed.
    Digest(RowDigest),
    /// Its rows were counted and not read.
    Count(u64),
    /// It is there, but could not be read, for this reason.
    Unreadable(String),
}

/// The judgement on one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Same count and same sum of row hashes.
    Equal {
        /// Of both.
        digest: RowDigest,
    },
    /// Both were read and differ.
    Different {
        /// Left side's.
        left: RowDigest,
        /// Right side's.
        right: RowDigest,
    },
    /// The digests differ, and each row that differed was the same on both sides at a later look, as far as the sides
    /// were then: they were being written to.
    Settled {
        /// Left side's, first.
        left: RowDigest,
        /// Right side's, first.
        right: RowDigest,
    },
    /// As many rows on both sides; their contents were not compared.
    SameCount {
        /// Of both.
        row_count: u64,
    },
    /// Other numbers of rows; their contents were not compared.
    OtherCount {
        /// Left side's.
        left: u64,
        /// Right side's.
        right: u64,
    },
    /// Only the left side has the table.
    Missing,
    /// Only the right side has the table.
    Extra,
    /// At least one side could not be read, or they do not compare.
    NotVerified {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    /// Whether this proves the two sides equal, as of the times of the report.
    pub fn is_equal(&self) -> bool {
        matches!(self, Verdict::Equal { .. })
    }
}

impl Found {
    /// How many rows there are, if that is known.
    pub fn row_count(&self) -> Option<u64> {
        match self {
            Found::Digest(digest) => Some(digest.row_count),
            Found::Count(count) => Some(*count),
            Found::Unreadable(_) => None,
        }
    }
}

/// Judges one table by what each side says; `None` where a side has no such table.
pub fn judge(left: Option<&Found>, right: Option<&Found>) -> Verdict {
    match (left, right) {
        (Some(Found::Digest(left)), Some(Found::Digest(right))) if left == right => {
            Verdict::Equal { digest: *left }
        }
        (Some(Found::Digest(left)), Some(Found::Digest(right))) => {
            Verdict::Different { left: *left, right: *right }
        }
        (Some(Found::Count(left)), Some(right)) if right.row_count() == Some(*left) => {
            Verdict::SameCount { row_count: *left }
        }
        (Some(left), Some(Found::Count(right))) if left.row_count() == Some(*right) => {
            Verdict::SameCount { row_count: *right }
        }
        (Some(Found::Unreadable(reason)), Some(_)) => {
            Verdict::NotVerified { reason: format!("left: {reason}") }
        }
        (Some(_), Some(Found::Unreadable(reason))) => {
            Verdict::NotVerified { reason: format!("right: {reason}") }
        }
        (Some(left), Some(right)) => Verdict::OtherCount {
            left: left.row_count().unwrap_or_default(),
            right: right.row_count().unwrap_or_default(),
        },
        (Some(_), None) => Verdict::Missing,
        (None, Some(_)) => Verdict::Extra,
        (None, None) => Verdict::NotVerified { reason: "neither side has the table".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, Verdict, judge};

    fn digest(text: &str) -> Found {
        Found::Digest(text.parse().unwrap())
    }

    #[test]
    fn only_equal_digests_are_equal() {
        assert!(judge(Some(&digest("2:5")), Some(&digest("2:5"))).is_equal());
        assert!(matches!(judge(Some(&digest("2:5")), Some(&digest("1:5"))), Verdict::Different { .. }));
        assert!(matches!(judge(Some(&digest("2:5")), Some(&digest("2:6"))), Verdict::Different { .. }));
    }

    #[test]
    fn counts_are_the_same_or_not_and_never_equal() {
        let (two, three) = (Found::Count(2), Found::Count(3));
        for right in [&two, &digest("2:5")] {
            let verdict = judge(Some(&two), Some(right));
            assert_eq!(verdict, Verdict::SameCount { row_count: 2 });
            assert!(!verdict.is_equal());
            assert_eq!(judge(Some(right), Some(&two)), verdict);
        }
        assert_eq!(judge(Some(&two), Some(&three)), Verdict::OtherCount { left: 2, right: 3 });
        let unread = Found::Unreadable("permission denied".into());
        assert!(matches!(judge(Some(&two), Some(&unread)), Verdict::NotVerified { .. }));
        assert_eq!(judge(Some(&two), None), Verdict::Missing);
    }

    #[test]
    fn what_was_not_read_is_never_equal() {
        let unread = Found::Unreadable("permission denied".into());
        for (left, right) in [
            (Some(&unread), Some(&unread)),
            (Some(&unread), Some(&digest("0:0"))),
            (Some(&digest("0:0")), Some(&unread)),
        ] {
            assert!(matches!(judge(left, right), Verdict::NotVerified { .. }));
        }
        assert_eq!(judge(Some(&digest("0:0")), None), Verdict::Missing);
        assert_eq!(judge(None, Some(&digest("0:0"))), Verdict::Extra);
        assert!(!judge(None, None).is_equal());
    }
}
