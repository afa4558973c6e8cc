//! The constants that decide where chunks end.

use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use crate::RowsError;

/// Where chunks end. A constant of a store: two backups share chunks only if they were cut alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum CutParameters {
    /// After a row whose hash says so: keyed SipHash-2-4 of the row hash (8 bytes, little-endian),
    /// compared with a threshold proportional to the row's length.
    Content {
        /// No cut before a chunk has this many bytes.
        min_bytes: u64,
        /// The mean size of chunks over long data (ignoring the upper bound).
        average_bytes: u64,
        /// A chunk is longer than this only if it is one row.
        max_bytes: u64,
        /// Key of the SipHash: its two 64-bit halves `k0` and `k1`, each as 16 hex digits.
        key: SipKey,
    },
    /// After the row that fills the chunk; for data that is not stored.
    Fixed {
        /// Bytes after which a chunk ends with its row.
        chunk_bytes: u64,
    },
}

/// Key of SipHash-2-4; in JSON two strings of 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "[String; 2]", into = "[String; 2]")]
pub struct SipKey(pub u64, pub u64);

impl From<SipKey> for [String; 2] {
    fn from(key: SipKey) -> Self {
        [format!("{:016x}", key.0), format!("{:016x}", key.1)]
    }
}

impl TryFrom<[String; 2]> for SipKey {
    type Error = RowsError;

    fn try_from(halves: [String; 2]) -> Result<Self, RowsError> {
        let half = |text: &str| {
            u64::from_str_radix(text, 16).map_err(|_| RowsError::BadCutParameters {
                reason: format!("{text:?} is not a 64-bit hex number"),
            })
        };
        Ok(Self(half(&halves[0])?, half(&halves[1])?))
    }
}

impl Default for CutParameters {
    /// 64 KiB on average, between 16 and 256 KiB, under the key of stores that are not encrypted.
    fn default() -> Self {
        Self::Content {
            min_bytes: 16 << 10,
            average_bytes: 64 << 10,
            max_bytes: 256 << 10,
            key: SipKey(0x6462_6861_756c_2063, 0x6875_6e6b_2063_7574),
        }
    }
}

impl CutParameters {
    /// Chunks that end with the row that brings them to `chunk_bytes`.
    #[must_use]
    pub fn fixed(chunk_bytes: u64) -> Self {
        Self::Fixed { chunk_bytes }
    }

    /// The decision procedure.
    pub(crate) fn boundary(&self) -> Result<Boundary, RowsError> {
        let bad = |reason: &str| Err(RowsError::BadCutParameters { reason: reason.to_owned() });
        match *self {
            Self::Content { min_bytes, average_bytes, max_bytes, key } => {
                if min_bytes == 0 || min_bytes >= average_bytes || average_bytes >= max_bytes {
                    return bad("sizes must satisfy 0 < min < average < max");
                }
                let threshold_per_byte = u64::MAX / (average_bytes - min_bytes);
                Ok(Boundary {
                    min_bytes,
                    max_bytes,
                    threshold_per_byte,
                    hasher: SipHasher24::new_with_keys(key.0, key.1),
                })
            }
            Self::Fixed { chunk_bytes: 0 } => bad("the size of chunks must not be 0"),
            Self::Fixed { chunk_bytes } => Ok(Boundary {
                min_bytes: chunk_bytes,
                max_bytes: u64::MAX,
                threshold_per_byte: u64::MAX,
                hasher: SipHasher24::new(),
            }),
        }
    }
}

/// Decides where chunks end.
#[derive(Debug)]
pub(crate) struct Boundary {
    min_bytes: u64,
    max_bytes: u64,
    threshold_per_byte: u64,
    hasher: SipHasher24,
}

impl Boundary {
    /// Whether a row of `row_bytes` must not join a chunk of `chunk_bytes`.
    #[inline]
    pub(crate) fn before_row(&self, chunk_bytes: u64, row_bytes: u64) -> bool {
        chunk_bytes > 0 && chunk_bytes.saturating_add(row_bytes) > self.max_bytes
    }

    /// Whether a chunk that has grown to `chunk_bytes` ends after its last row.
    #[inline]
    pub(crate) fn after_row(&self, chunk_bytes: u64, row_bytes: u64, row_hash: u64) -> bool {
        if chunk_bytes < self.min_bytes {
            return false;
        }
        if chunk_bytes >= self.max_bytes {
            return true;
        }
        let mut hasher = self.hasher;
        hasher.write(&row_hash.to_le_bytes());
        hasher.finish() <= self.threshold_per_byte.saturating_mul(row_bytes)
    }
}
