//! Texts that nobody is shown.

use std::fmt;

use age::secrecy::{ExposeSecret, SecretString};

/// A key or a passphrase. `Debug` shows nothing of it, and its memory is cleared when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text, to be written to a file of its owner's.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// As the crate `age` takes it.
    pub(super) fn inner(&self) -> SecretString {
        self.0.clone()
    }
}

impl From<SecretString> for Secret {
    fn from(text: SecretString) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
