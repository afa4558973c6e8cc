//! The configuration of a store.

use bytes::Bytes;
use dbhaul_rows::{CutParameters, DIGEST_VERSION};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::part::PARQUET_FEATURE;
use crate::{ArchiveError, keys};

/// Newest version of the store's format that is read and written.
pub const REPO_FORMAT_VERSION: u32 = 2;

/// The feature that encrypted stores and backups need.
pub(crate) const AGE_FEATURE: &str = "age";

/// Features that this code knows.
const KNOWN_FEATURES: &[&str] = &[AGE_FEATURE, PARQUET_FEATURE];

/// `repo.json`: what all backups of a store have in common. Written once, never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepoConfig {
    /// Version of the format, [`REPO_FORMAT_VERSION`].
    pub format_version: u32,
    /// Features without which this store must not be read nor written.
    pub required_features: Vec<String>,
    /// Identity of the store.
    pub id: Ulid,
    /// When it was created.
    pub created: Timestamp,
    /// Where chunks end.
    pub cut: CutParameters,
    /// Version of the row digest, [`DIGEST_VERSION`].
    pub digest_version: u32,
    /// How chunks are encrypted.
    pub encryption: Encryption,
}

/// How the chunks of a store are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Encryption {
    /// Not at all.
    None,
    /// By age: packs and manifests are encrypted to the newest generation of the keys under `keys/`.
    Age,
}

/// The part that says whether the rest can be understood.
#[derive(Deserialize)]
struct Prelude {
    format_version: u32,
    #[serde(default)]
    required_features: Vec<String>,
}

impl RepoConfig {
    /// A configuration with the defaults of this version.
    #[must_use]
    pub fn new(id: Ulid, created: Timestamp) -> Self {
        Self {
            format_version: REPO_FORMAT_VERSION,
            required_features: Vec::new(),
            id,
            created,
            cut: CutParameters::default(),
            digest_version: DIGEST_VERSION,
            encryption: Encryption::None,
        }
    }

    /// The configuration of a store that is encrypted.
    #[must_use]
    pub fn encrypted(id: Ulid, created: Timestamp) -> Self {
        let required_features = vec![AGE_FEATURE.to_owned()];
        Self { required_features, encryption: Encryption::Age, ..Self::new(id, created) }
    }

    /// Whether the store is encrypted. Anybody who may write to the store can change what is said here.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.encryption == Encryption::Age
    }

    /// The object to store under [`keys::REPO_CONFIG`], with create-only semantics.
    ///
    /// # Errors
    /// [`ArchiveError::Encode`].
    pub fn to_bytes(&self) -> Result<Bytes, ArchiveError> {
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| ArchiveError::encode(keys::REPO_CONFIG, error))?;
        json.push(b'\n');
        Ok(Bytes::from(json))
    }

    /// Reads the object.
    ///
    /// # Errors
    /// [`ArchiveError::UnsupportedVersion`], [`ArchiveError::UnknownFeature`], [`ArchiveError::DamagedRepoConfig`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let damaged =
            |error: serde_json::Error| ArchiveError::DamagedRepoConfig { reason: error.to_string() };
        let prelude: Prelude = serde_json::from_slice(bytes).map_err(damaged)?;
        check_version(keys::REPO_CONFIG, prelude.format_version, REPO_FORMAT_VERSION)?;
        check_features(keys::REPO_CONFIG, &prelude.required_features)?;
        let config: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        check_version("the row digest of repo.json", config.digest_version, DIGEST_VERSION)?;
        let has_feature = config.required_features.iter().any(|feature| feature == AGE_FEATURE);
        if has_feature != config.is_encrypted() || (has_feature && config.format_version < 2) {
            let reason = "what it says of encryption contradicts its features or its version".to_owned();
            return Err(ArchiveError::DamagedRepoConfig { reason });
        }
        Ok(config)
    }
}

/// Refuses versions that are newer than `supported`, and 0.
pub(crate) fn check_version(object: &str, found: u32, supported: u32) -> Result<(), ArchiveError> {
    if (1..=supported).contains(&found) {
        return Ok(());
    }
    Err(ArchiveError::UnsupportedVersion { object: object.to_owned(), found, supported })
}

/// Refuses features that are not known.
pub(crate) fn check_features(object: &str, required: &[String]) -> Result<(), ArchiveError> {
    match required.iter().find(|feature| !KNOWN_FEATURES.contains(&feature.as_str())) {
        Some(feature) => {
            Err(ArchiveError::UnknownFeature { object: object.to_owned(), feature: feature.clone() })
        }
        None => Ok(()),
    }
}
