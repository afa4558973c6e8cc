//! Names that are hashes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ArchiveError;

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The identity of these bytes.
            #[must_use]
            pub fn of(bytes: &[u8]) -> Self {
                Self(*blake3::hash(bytes).as_bytes())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ArchiveError;

            fn from_str(text: &str) -> Result<Self, ArchiveError> {
                let invalid = |reason: &str| ArchiveError::InvalidKey { key: text.to_owned(), reason: reason.to_owned() };
                if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    return Err(invalid("hashes are written in lower case"));
                }
                let mut hash = [0; 32];
                hex::decode_to_slice(text, &mut hash).map_err(|_| invalid("a hash has 64 hex digits"))?;
                Ok(Self(hash))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_id! {
    /// Identity of a chunk: BLAKE3-256 of its plain bytes. Written as 64 hex digits.
    ChunkId
}

hash_id! {
    /// BLAKE3-256 of the bytes of a part. Written as 64 hex digits.
    PartHash
}

hash_id! {
    /// Name of a pack: BLAKE3-256 of its stored bytes. Written as 64 hex digits.
    PackId
}
