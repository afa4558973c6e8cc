//! Server versions.

use serde::{Deserialize, Serialize};

/// A server's `server_version_num`, for example `150004` for 15.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerVersion(pub u32);

impl ServerVersion {
    /// The oldest major that is supported, as a version: 13.0.
    pub const OLDEST: ServerVersion = ServerVersion::of_major(13);
    /// The newest major that is tested, as a version: 19.0.
    pub const NEWEST_TESTED: ServerVersion = ServerVersion::of_major(19);

    /// The first release of a major: `of_major(15)` is 15.0.
    pub const fn of_major(major: u32) -> Self {
        ServerVersion(major * 10_000)
    }

    /// The major: 15 for 15.4.
    pub const fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// The minor: 4 for 15.4.
    pub const fn minor(self) -> u32 {
        self.0 % 10_000
    }
}

impl std::fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())
    }
}
