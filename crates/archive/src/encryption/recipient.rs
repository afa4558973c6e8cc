//! Who may read: public keys that keys are wrapped to, and secrets that open them.

use std::fmt;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::{scrypt, x25519};

use super::age_file::{decrypt_secret, encrypt};
use super::{KeyError, Secret};

/// What stands in a wrapped key's name in the place of a recipient, where it is a passphrase.
pub const PASSPHRASE: &str = "passphrase";

/// The work factor of passphrases, that of the `age` command: 256 MiB and about a second.
const WORK_FACTOR: u8 = 18;
/// Wrapped keys that ask for more are refused: anybody may have put them there.
const MAX_WORK_FACTOR: u8 = 20;
/// A wrapped key has a few hundred bytes.
pub const MAX_WRAPPED_BYTES: u64 = 64 << 10;

/// Somebody whose private key opens the store: `age1...`.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient(x25519::Recipient);

impl Recipient {
    /// What stands in the names of keys that are wrapped to it: 16 hexadecimal digits.
    #[must_use]
    pub fn name(&self) -> String {
        name_of(&self.0)
    }

    /// The recipients in a file: one each line, `#` begins a comment.
    ///
    /// # Errors
    /// [`KeyError::Recipient`] naming the line.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, KeyError> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let parsed = lines.map(|(number, line)| {
            line.parse().map_err(|_| KeyError::Recipient { place: format!("line {number}") })
        });
        parsed.collect()
    }
}

fn name_of(recipient: &x25519::Recipient) -> String {
    let hash = blake3::hash(recipient.to_string().as_bytes());
    hex::encode(&hash.as_bytes()[..8])
}

impl FromStr for Recipient {
    type Err = KeyError;

    /// What is none is not repeated in the error: it may be a secret key.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        text.trim().parse().map(Self).map_err(|_| KeyError::Recipient { place: "the text".to_owned() })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Whom keys are wrapped to: one file for each.
#[derive(Debug, Clone)]
pub enum Holder {
    /// Who has the private key.
    Recipient(Recipient),
    /// Who knows the passphrase.
    Passphrase(Secret),
}

impl Holder {
    /// What stands in the names of keys that are wrapped to it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Recipient(recipient) => recipient.name(),
            Self::Passphrase(_) => PASSPHRASE.to_owned(),
        }
    }

    /// Encrypts a text to it.
    pub(super) fn wrap(&self, text: &Secret) -> Result<Vec<u8>, KeyError> {
        let plain = text.expose().as_bytes();
        let wrapped = match self {
            Self::Recipient(recipient) => encrypt(&recipient.0, plain),
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.inner());
                recipient.set_work_factor(WORK_FACTOR);
                encrypt(&recipient, plain)
            }
        };
        wrapped.map_err(|reason| KeyError::Encrypt { object: "a key".to_owned(), reason })
    }
}

/// The secrets of somebody who reads: private keys, a passphrase.
#[derive(Clone, Default)]
pub struct ReaderKeys {
    identities: Vec<x25519::Identity>,
    passphrase: Option<Secret>,
    /// What the passphrase is being changed to.
    next_passphrase: Option<Secret>,
}

impl ReaderKeys {
    /// Adds the identities in the text of a file, as `age -i` takes them: one each line, `#` begins a comment.
    ///
    /// # Errors
    /// [`KeyError::Identity`] naming the line, [`KeyError::NoIdentity`].
    pub fn add_identities(&mut self, text: &Secret) -> Result<(), KeyError> {
        let lines = (1..).zip(text.expose().lines().map(str::trim));
        let mut found = false;
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let identity = line.parse();
            let place = format!("line {number}");
            self.identities.push(identity.map_err(|_| KeyError::Identity { place })?);
            found = true;
        }
        if found { Ok(()) } else { Err(KeyError::NoIdentity) }
    }

    /// Sets the passphrase.
    pub fn set_passphrase(&mut self, passphrase: Secret) {
        self.passphrase = Some(passphrase);
    }

    /// Sets what the passphrase is being changed to: a change that was stopped half-way has wrapped some keys for it.
    pub fn set_next_passphrase(&mut self, passphrase: Secret) {
        self.next_passphrase = Some(passphrase);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.passphrase.is_none()
    }

    /// Whether one of them opens keys that are wrapped to the holder of this name.
    #[must_use]
    pub fn open(&self, holder: &str) -> bool {
        match holder {
            PASSPHRASE => self.passphrase.is_some(),
            _ => self.identity(holder).is_some(),
        }
    }

    fn identity(&self, holder: &str) -> Option<&x25519::Identity> {
        self.identities.iter().find(|identity| name_of(&identity.to_public()) == holder)
    }

    /// The text that was wrapped to the holder of this name. CPU-bound where it is a passphrase.
    pub(super) fn unwrap(&self, holder: &str, wrapped: &[u8]) -> Result<Secret, String> {
        if let (PASSPHRASE, Some(passphrase)) = (holder, &self.passphrase) {
            let opened = unwrapped_by(passphrase, wrapped);
            return match &self.next_passphrase {
                Some(next) => opened.or_else(|reason| unwrapped_by(next, wrapped).map_err(|_| reason)),
                None => opened,
            };
        }
        let identity = self.identity(holder).ok_or("none of them is its recipient's")?;
        decrypt_secret(identity, wrapped, MAX_WRAPPED_BYTES)
    }
}

fn unwrapped_by(passphrase: &Secret, wrapped: &[u8]) -> Result<Secret, String> {
    let mut identity = scrypt::Identity::new(passphrase.inner());
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    decrypt_secret(&identity, wrapped, MAX_WRAPPED_BYTES)
}

impl fmt::Debug for ReaderKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> =
            self.identities.iter().map(|identity| name_of(&identity.to_public())).collect();
        f.debug_struct("ReaderKeys")
            .field("identities", &names)
            .field("passphrase", &self.passphrase)
            .finish_non_exhaustive()
    }
}

/// A new private key, for tests and who has no `age-keygen`.
#[must_use]
pub fn generate_identity() -> (Secret, Recipient) {
    let identity = x25519::Identity::generate();
    let text = Secret::new(identity.to_string().expose_secret().to_owned());
    (text, Recipient(identity.to_public()))
}
