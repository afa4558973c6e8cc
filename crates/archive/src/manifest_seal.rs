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
    /// [`Manifest::computed_totals`], and every piece must lie in a pack that is listed. Also if it is larger
    /// than a reader would take, so that no backup is committed that could not be read.
    pub fn to_bytes(&self) -> Result<Bytes, ArchiveError> {
        self.contradiction().map_err(|reason| ArchiveError::encode("the manifest", reason))?;
        let mut body =
            serde_json::to_vec(self).map_err(|error| ArchiveError::encode("the manifest", error))?;
        body.push(b'\n');
        sealed(&body, MAX_MANIFEST_BYTES)
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

/// The object of a manifest with this body, if it is no larger than `max_bytes`.
fn sealed(body: &[u8], max_bytes: u64) -> Result<Bytes, ArchiveError> {
    let object = [&seal_line(body), body].concat();
    if object.len() as u64 <= max_bytes {
        return Ok(Bytes::from(object));
    }
    let reason = format!(
        "the manifest would have {} bytes, and {max_bytes} is the most: select fewer tables for each backup",
        object.len()
    );
    Err(ArchiveError::encode("the manifest", reason))
}

/// The first line of a manifest with this body. It has one spelling only, so it is compared and not parsed.
fn seal_line(body: &[u8]) -> Vec<u8> {
    let hash = blake3::hash(body);
    format!("{{\"dbhaul\":\"manifest\",\"body_bytes\":{},\"blake3\":\"{}\"}}\n", body.len(), hash.to_hex())
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::{seal_line, sealed};

    #[test]
    fn no_manifest_is_sealed_that_is_too_large_to_be_read() {
        let body = b"{}\n";
        let whole = [&seal_line(body), &body[..]].concat();
        let bytes = whole.len() as u64;
        assert_eq!(sealed(body, bytes).unwrap(), whole);
        let refused = sealed(body, bytes - 1).unwrap_err().to_string();
        let told = format!("{bytes} bytes, and {} is the most: select fewer tables", bytes - 1);
        assert!(refused.contains(&told), "{refused}");
    }
}
