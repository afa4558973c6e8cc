//! The manifest as stored: a line that seals it, then its JSON.

use bytes::Bytes;
use serde::Deserialize;

use crate::repo::{check_features, check_version};
use crate::{ArchiveError, MANIFEST_VERSION, MAX_MANIFEST_BYTES, Manifest};

/// The part that says whether the rest can be understood.
#[derive(Deserialize)]
struct Prelude {
    format_version: u32,
    #[serde(default)]
    required_features: Vec<String>,
}

impl Manifest {
    /// The object to store under [`Manifest::key`]: the commit of the backup.
    ///
    /// # Errors
    /// [`ArchiveError::Encode`] if it contradicts itself: [`Manifest::totals`] must be
    /// [`Manifest::computed_totals`], and every piece must lie in a pack that is listed.
    pub fn to_bytes(&self) -> Result<Bytes, ArchiveError> {
        self.contradiction().map_err(|reason| ArchiveError::encode("the manifest", reason))?;
        let mut body =
            serde_json::to_vec(self).map_err(|error| ArchiveError::encode("the manifest", error))?;
        body.push(b'\n');
        let mut object = seal_line(&body);
        object.extend_from_slice(&body);
        if object.len() as u64 > MAX_MANIFEST_BYTES {
            let reason = format!(
                "it has {} bytes, where {MAX_MANIFEST_BYTES} is the most: dump fewer tables at a time",
                object.len()
            );
            return Err(ArchiveError::encode("the manifest", reason));
        }
        Ok(Bytes::from(object))
    }

    /// Reads and verifies the object stored under `key`.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedManifest`] if any byte is not as it was written or it is not the
    /// manifest of this key; [`ArchiveError::UnsupportedVersion`], [`ArchiveError::UnknownFeature`].
    pub fn from_bytes(key: &str, object: &[u8]) -> Result<Self, ArchiveError> {
        let damaged = |reason: String| ArchiveError::DamagedManifest { key: key.to_owned(), reason };
        let end = object.iter().position(|byte| *byte == b'\n');
        let (seal, body) = object.split_at(end.map_or(object.len(), |end| end + 1));
        if seal != seal_line(body) {
            return Err(damaged(format!("its seal does not fit its {} bytes", object.len())));
        }
        let prelude: Prelude = serde_json::from_slice(body).map_err(|error| damaged(error.to_string()))?;
        check_version(key, prelude.format_version, MANIFEST_VERSION)?;
        check_features(key, &prelude.required_features)?;
        let manifest: Self = serde_json::from_slice(body).map_err(|error| damaged(error.to_string()))?;
        if manifest.key().to_string() != key {
            return Err(damaged(format!("it is the manifest {}", manifest.key())));
        }
        manifest.contradiction().map_err(damaged)?;
        Ok(manifest)
    }
}

/// The first line of a manifest with this body. It has one spelling only, so it is compared and not parsed.
fn seal_line(body: &[u8]) -> Vec<u8> {
    let hash = blake3::hash(body);
    format!("{{\"dbhaul\":\"manifest\",\"body_bytes\":{},\"blake3\":\"{}\"}}\n", body.len(), hash.to_hex())
        .into_bytes()
}
