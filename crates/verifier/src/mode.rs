//! What a verification compares.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// One of the things that a verification compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Definitions.
    Schema,
    /// How many rows each table has; not what is in them.
    Counts,
    /// The digest of each table's rows.
    Digest,
    /// As [`Mode::Digest`]; of tables whose digests differ, also which rows and columns do.
    Deep,
}

impl Mode {
    /// What is compared if nobody says otherwise.
    pub const USUAL: [Mode; 2] = [Mode::Schema, Mode::Digest];

    /// The same as a list.
    pub fn usual() -> Vec<Mode> {
        Self::USUAL.to_vec()
    }

    /// Whether the contents of rows are compared.
    pub fn reads_rows(self) -> bool {
        matches!(self, Mode::Digest | Mode::Deep)
    }
}

impl Display for Mode {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Schema => "schema",
            Mode::Counts => "counts",
            Mode::Digest => "digest",
            Mode::Deep => "deep",
        })
    }
}
