//! A key generation: the two keys that backups are encrypted to from one rotation to the next.

use std::fmt;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519;
use ulid::Ulid;

use super::age_file::derive;
use super::{Holder, KeyError, ReaderKeys, Secret};
use crate::keys;

/// What the seal of the generation after it is keyed with, out of the data key: who writes does not hold that.
const SEAL_CONTEXT: &str = "dbhaul 2026-11-30 seal of the next key generation, version 1";
const FINGERPRINT_CONTEXT: &str = "dbhaul 2026-11-30 fingerprint of a key generation, version 1";

/// What tells a store's keys from others: a hash of the public keys of its first generation. 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub(super) [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 16];
        let decoded = hex::decode_to_slice(text.trim(), &mut bytes);
        decoded.map_err(|_| KeyError::Fingerprint { text: text.to_owned() }).map(|()| Self(bytes))
    }
}

/// The keys of one generation, as far as they are at hand: the metadata key always, the secret half of the data key
/// only with who can read rows.
#[derive(Clone)]
pub struct Generation {
    pub(super) id: Ulid,
    pub(super) store: Ulid,
    pub(super) data: x25519::Recipient,
    pub(super) data_secret: Option<x25519::Identity>,
    pub(super) metadata: x25519::Identity,
    /// The generation before it, and that one's seal.
    pub(super) previous: Option<(Ulid, [u8; 32])>,
}

impl Generation {
    /// New keys for a store; `previous` is the generation that they follow.
    ///
    /// # Errors
    /// [`KeyError::NoDataKey`] if the data key of that one is not at hand.
    pub fn generate(id: Ulid, store: Ulid, previous: Option<&Self>) -> Result<Self, KeyError> {
        let data = x25519::Identity::generate();
        let mut made = Self {
            id,
            store,
            data: data.to_public(),
            data_secret: Some(data),
            metadata: x25519::Identity::generate(),
            previous: None,
        };
        if let Some(previous) = previous {
            made.previous = Some((previous.id, previous.seal_of(&made)?));
        }
        Ok(made)
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> Ulid {
        self.id
    }

    /// The store it was made for.
    #[must_use]
    pub fn store(&self) -> Ulid {
        self.store
    }

    /// Whether it opens packs of rows.
    #[must_use]
    pub fn reads_rows(&self) -> bool {
        self.data_secret.is_some()
    }

    pub(crate) fn metadata_key(&self) -> &x25519::Identity {
        &self.metadata
    }

    pub(crate) fn data_recipient(&self) -> &x25519::Recipient {
        &self.data
    }

    pub(crate) fn data_key(&self) -> Option<&x25519::Identity> {
        self.data_secret.as_ref()
    }

    /// A hash of its public keys.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = blake3::derive_key(FINGERPRINT_CONTEXT, self.public_text().as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&hash[..16]);
        Fingerprint(short)
    }

    fn public_text(&self) -> String {
        format!("{}\n{}\n{}\n{}\n", self.store, self.id, self.data, self.metadata.to_public())
    }

    /// What this generation seals the one after it with.
    fn seal_of(&self, next: &Self) -> Result<[u8; 32], KeyError> {
        let secret = self.data_secret.as_ref().ok_or(KeyError::NoDataKey { generation: self.id })?;
        let key = derive(SEAL_CONTEXT, secret);
        Ok(*blake3::keyed_hash(&key, next.public_text().as_bytes()).as_bytes())
    }

    /// Whether `next` says truly that it follows this one.
    pub(super) fn precedes(&self, next: &Self) -> Result<bool, KeyError> {
        let Some((_, seal)) = next.previous.filter(|(id, _)| *id == self.id) else { return Ok(false) };
        // in constant time, as blake3 compares
        Ok(blake3::Hash::from(self.seal_of(next)?) == blake3::Hash::from(seal))
    }

    /// The object that holds its keys for one holder: key and bytes. CPU-bound for a passphrase.
    ///
    /// # Errors
    /// [`KeyError::NoDataKey`], [`KeyError::Encrypt`].
    pub fn wrap(&self, holder: &Holder) -> Result<(String, Vec<u8>), KeyError> {
        let key = keys::wrapped_key(self.id, &holder.name());
        Ok((key, holder.wrap(&self.text()?)?))
    }

    /// The generation in the object `key`, which the holder of that name can open. CPU-bound for a passphrase.
    ///
    /// # Errors
    /// [`KeyError::Unwrap`], [`KeyError::Generation`].
    pub fn unwrap((id, holder): (Ulid, &str), wrapped: &[u8], reader: &ReaderKeys) -> Result<Self, KeyError> {
        let key = keys::wrapped_key(id, holder);
        let unwrapped = reader.unwrap(holder, wrapped);
        let text = unwrapped.map_err(|reason| KeyError::Unwrap { key: key.clone(), reason })?;
        let parsed = Self::parse(text.expose()).and_then(|generation| match generation.id == id {
            true => Ok(generation),
            false => Err(format!("it holds generation {}", generation.id)),
        });
        parsed.map_err(|reason| KeyError::Generation { key, reason })
    }

    /// An identity file of age, with what else belongs to the keys in comments.
    fn text(&self) -> Result<Secret, KeyError> {
        let data = self.data_secret.as_ref().ok_or(KeyError::NoDataKey { generation: self.id })?;
        let mut text = format!(
            "# dbhaul: keys of a store of backups\n# store: {}\n# generation: {}\n# fingerprint: {}\n",
            self.store,
            self.id,
            self.fingerprint()
        );
        if let Some((previous, seal)) = &self.previous {
            text.push_str(&format!("# previous: {previous}\n# seal: {}\n", hex::encode(seal)));
        }
        text.push_str(&format!("# data key: {}\n{}\n", self.data, data.to_string().expose_secret()));
        let metadata = self.metadata.to_string();
        text.push_str(&format!(
            "# metadata key: {}\n{}\n",
            self.metadata.to_public(),
            metadata.expose_secret()
        ));
        Ok(Secret::new(text))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let comment = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix("# ")?.strip_prefix(name));
            lines.find_map(|rest| rest.strip_prefix(": "))
        };
        let ulid = |name: &str| -> Result<Ulid, String> {
            let value = comment(name).ok_or_else(|| format!("it does not say its {name}"))?;
            Ulid::from_string(value).map_err(|_| format!("its {name} is no ULID"))
        };
        let secrets = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let secrets = secrets.map(|line| line.parse().map_err(|_| "a line of it is no identity".to_owned()));
        let secrets: Vec<x25519::Identity> = secrets.collect::<Result<_, String>>()?;
        let Ok([data, metadata]) = <[x25519::Identity; 2]>::try_from(secrets) else {
            return Err("it does not hold two keys".to_owned());
        };
        let previous = match comment("seal") {
            None => None,
            Some(seal) => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(seal, &mut bytes).map_err(|_| "its seal is none".to_owned())?;
                Some((ulid("previous")?, bytes))
            }
        };
        let (id, store) = (ulid("generation")?, ulid("store")?);
        Ok(Self { id, store, data: data.to_public(), data_secret: Some(data), metadata, previous })
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generation").field("id", &self.id).field("store", &self.store).finish_non_exhaustive()
    }
}
