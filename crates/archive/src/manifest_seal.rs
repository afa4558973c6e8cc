//! The manifest as stored: a line that seals it, then its JSON.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use ulid::Ulid;

use crate::repo::{check_features, check_version};
use crate::{ArchiveError, ChunkCodec, Keyring, MANIFEST_VERSION, MAX_MANIFEST_BYTES, Manifest};

/// What a manifest says in its first line that it is.
const KIND: &str = "manifest";

/// The part that says whether the rest can be understood.
#[derive(Deserialize)]
struct Prelude {
    format_version: u32,
    #[serde(default)]
    required_features: Vec<String>,
}

impl Manifest {
    /// The object of a backup that is not encrypted, to store under [`Manifest::key`].
    ///
    /// # Errors
    /// As [`Manifest::seal`].
    pub fn to_bytes(&self) -> Result<Bytes, ArchiveError> {
        self.seal(&ChunkCodec::plain())
    }

    /// The object to store under [`Manifest::key`]: the commit of the backup. CPU-bound where it is encrypted.
    ///
    /// # Errors
    /// [`ArchiveError::Encode`] if it contradicts itself: [`Manifest::totals`] must be
    /// [`Manifest::computed_totals`], and every piece must lie in a pack that is listed. Also if it is larger
    /// than a reader would take, so that no backup is committed that could not be read.
    pub fn seal(&self, codec: &ChunkCodec) -> Result<Bytes, ArchiveError> {
        self.contradiction().map_err(|reason| ArchiveError::encode("the manifest", reason))?;
        if self.generation != codec.generation() {
            return Err(ArchiveError::encode("the manifest", "it is of another key generation"));
        }
        let mut body =
            serde_json::to_vec(self).map_err(|error| ArchiveError::encode("the manifest", error))?;
        body.push(b'\n');
        let body = codec.encrypt_body(body)?;
        sealed(seal_line(codec, KIND, &self.key().to_string(), &body), &body, MAX_MANIFEST_BYTES)
    }

    /// Reads and verifies the object stored under `key` in a store that is not encrypted.
    ///
    /// # Errors
    /// As [`Manifest::open`].
    pub fn from_bytes(key: &str, object: &[u8]) -> Result<Self, ArchiveError> {
        Self::open(key, object, &Keyring::plain())
    }

    /// Reads and verifies the object stored under `key`. CPU-bound where it is encrypted.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedManifest`] if any byte is not as it was written or it is not the
    /// manifest of this key; [`ArchiveError::ForgedManifest`] if it was not sealed with the store's keys;
    /// [`ArchiveError::NoKey`] if it was with keys that are not at hand; [`ArchiveError::UnsupportedVersion`],
    /// [`ArchiveError::UnknownFeature`].
    pub fn open(key: &str, object: &[u8], keys: &Keyring) -> Result<Self, ArchiveError> {
        Self::open_body(key, object, keys).map(|(manifest, _)| manifest)
    }

    /// As [`Manifest::open`], for who writes it again: everything in it must be known, or it would be lost.
    ///
    /// # Errors
    /// As [`Manifest::open`]; [`ArchiveError::Encode`] if something in it is not known.
    pub fn open_to_replace(key: &str, object: &[u8], keys: &Keyring) -> Result<Self, ArchiveError> {
        let (manifest, body) = Self::open_body(key, object, keys)?;
        let failed = |error: serde_json::Error| ArchiveError::encode("the manifest", error);
        let stored: Value = serde_json::from_slice(&body).map_err(failed)?;
        let known = serde_json::to_value(&manifest).map_err(failed)?;
        match lost(&stored, &known) {
            None => Ok(manifest),
            Some(field) => {
                let reason =
                    format!("{key} has a field {field:?}, which this version of dbhaul does not know");
                Err(ArchiveError::encode("the manifest", reason))
            }
        }
    }

    /// The manifest, and its body as it was before it was encrypted.
    fn open_body(key: &str, object: &[u8], keys: &Keyring) -> Result<(Self, Vec<u8>), ArchiveError> {
        let damaged = |reason: String| ArchiveError::DamagedManifest { key: key.to_owned(), reason };
        let end = object.iter().position(|byte| *byte == b'\n');
        let (seal, body) = object.split_at(end.map_or(object.len(), |end| end + 1));
        let codec = codec_of(key, seal, keys)?;
        if seal != seal_line(&codec, KIND, key, body) {
            return Err(match codec.generation() {
                None => damaged(format!("its seal does not fit its {} bytes", object.len())),
                Some(generation) => ArchiveError::ForgedManifest {
                    key: key.to_owned(),
                    reason: format!(
                        "its seal is not one of the keys of generation {generation} for this name and these {} \
                         bytes; it is damaged, was moved here, or was written by somebody without the key",
                        object.len()
                    ),
                },
            });
        }
        let opened = codec.decrypt_body(body, MAX_MANIFEST_BYTES).map_err(damaged)?;
        let prelude: Prelude = serde_json::from_slice(&opened).map_err(|error| damaged(error.to_string()))?;
        check_version(key, prelude.format_version, MANIFEST_VERSION)?;
        check_features(key, &prelude.required_features)?;
        let manifest: Self = serde_json::from_slice(&opened).map_err(|error| damaged(error.to_string()))?;
        if manifest.key().to_string() != key {
            return Err(damaged(format!("it is the manifest {}", manifest.key())));
        }
        if manifest.generation != codec.generation() {
            return Err(damaged("its body names another key generation than its seal".to_owned()));
        }
        manifest.contradiction().map_err(damaged)?;
        Ok((manifest, opened))
    }
}

/// The name of a field of `stored` that `known` does not have with the same value.
fn lost(stored: &Value, known: &Value) -> Option<String> {
    match (stored, known) {
        (Value::Object(stored), Value::Object(known)) => stored.iter().find_map(|(name, value)| {
            let lost_below = |known| {
                lost(value, known).map(|below| match below.is_empty() {
                    true => name.clone(),
                    false => format!("{name}.{below}"),
                })
            };
            match known.get(name) {
                Some(known) => lost_below(known),
                None if value.is_null() => None,
                None => Some(name.clone()),
            }
        }),
        (Value::Array(stored), Value::Array(known)) if stored.len() == known.len() => {
            stored.iter().zip(known).find_map(|(stored, known)| lost(stored, known))
        }
        (stored, known) => (stored != known).then(String::new),
    }
}

/// The codec of the generation that a seal names, which must be one of these keys.
fn codec_of(key: &str, seal: &[u8], keys: &Keyring) -> Result<ChunkCodec, ArchiveError> {
    let sealed_by = generation_of(seal);
    if let Some(codec) = keys.codec(sealed_by) {
        return Ok(codec);
    }
    let key = key.to_owned();
    Err(match sealed_by {
        Some(_) if keys.generations().is_empty() => {
            let reason = "it is encrypted, and its store is not".to_owned();
            ArchiveError::DamagedManifest { key, reason }
        }
        Some(generation) => {
            ArchiveError::NoKey { object: format!("the manifest {key}"), key: "metadata", generation }
        }
        None => {
            let reason = "its first line names no key generation, although the store is encrypted".to_owned();
            ArchiveError::ForgedManifest { key, reason }
        }
    })
}

/// The generation that the first line of a manifest or a report names.
pub(crate) fn generation_of(seal: &[u8]) -> Option<Ulid> {
    #[derive(Deserialize)]
    struct Named {
        generation: Ulid,
    }
    serde_json::from_slice::<Named>(seal).ok().map(|named| named.generation)
}

/// The object of a manifest with this body, if it is no larger than `max_bytes`.
fn sealed(seal: Vec<u8>, body: &[u8], max_bytes: u64) -> Result<Bytes, ArchiveError> {
    let object = [&seal, body].concat();
    if object.len() as u64 <= max_bytes {
        return Ok(Bytes::from(object));
    }
    let reason = format!(
        "the manifest would have {} bytes, and {max_bytes} is the most: select fewer tables for each backup",
        object.len()
    );
    Err(ArchiveError::encode("the manifest", reason))
}

/// The first line of an object of this kind with this body. It has one spelling only, so it is compared and not parsed.
pub(crate) fn seal_line(codec: &ChunkCodec, kind: &str, key: &str, body: &[u8]) -> Vec<u8> {
    let bytes = body.len();
    let line = match codec.manifest_seal(key, body) {
        None => {
            let hash = blake3::hash(body).to_hex();
            format!("{{\"dbhaul\":\"{kind}\",\"body_bytes\":{bytes},\"blake3\":\"{hash}\"}}\n")
        }
        Some((generation, seal)) => format!(
            "{{\"dbhaul\":\"{kind}\",\"generation\":\"{generation}\",\"body_bytes\":{bytes},\"seal\":\"{}\"}}\n",
            seal.to_hex()
        ),
    };
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{lost, seal_line, sealed};
    use crate::ChunkCodec;

    #[test]
    fn what_is_not_known_would_be_lost() {
        let known = json!({"id": 1, "tables": [{"name": "film", "list": null}], "parent": null});
        let lost = |stored: serde_json::Value| lost(&stored, &known);
        assert_eq!(lost(json!({"id": 1, "tables": [{"name": "film"}], "roles": null})), None);
        assert_eq!(lost(json!({"id": 2})), Some("id".to_owned()));
        assert_eq!(lost(json!({"mood": 1})), Some("mood".to_owned()));
        assert_eq!(lost(json!({"tables": [{"name": "film", "mood": 1}]})), Some("tables.mood".to_owned()));
        assert_eq!(lost(json!({"tables": []})), Some("tables".to_owned()));
    }

    #[test]
    fn no_manifest_is_sealed_that_is_too_large_to_be_read() {
        let body = b"{}\n";
        let seal = seal_line(&ChunkCodec::plain(), super::KIND, "backups/x", body);
        let whole = [&seal, &body[..]].concat();
        let bytes = whole.len() as u64;
        assert_eq!(sealed(seal.clone(), body, bytes).unwrap(), whole);
        let refused = sealed(seal, body, bytes - 1).unwrap_err().to_string();
        let told = format!("{bytes} bytes, and {} is the most: select fewer tables", bytes - 1);
        assert!(refused.contains(&told), "{refused}");
    }
}
