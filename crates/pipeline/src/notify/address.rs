//! Addresses that may hold secrets.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use url::Url;

/// An `http` or `https` URL, of which only the host is ever shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

/// Why a text is no address. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an http:// or https:// URL with a host")]
pub struct AddressError;

impl Address {
    /// The host, for messages.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The address of something below this one.
    pub(crate) fn below(&self, path: &str) -> Self {
        let mut below = self.0.clone();
        below.set_path(&format!("{}/{path}", self.0.path().trim_end_matches('/')));
        Address(below)
    }

    /// The whole of it, to send to.
    pub(super) fn reveal(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text.trim()).map_err(|_| AddressError)?;
        match matches!(url.scheme(), "http" | "https") && url.has_host() {
            true => Ok(Address(url)),
            false => Err(AddressError),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.host())
    }
}

/// A label of a group of metrics as parts of a path. A name that a path may change, such as `..` or one with a slash, is in
/// base64, as the push gateway reads it (its README, "URL").
pub(super) fn label(label: &str, name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    match !name.is_empty() && name.chars().all(is_plain) {
        true => format!("{label}/{name}"),
        // of an empty name there would be no part of the path
        false if name.is_empty() => format!("{label}@base64/="),
        false => format!("{label}@base64/{}", URL_SAFE.encode(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, label};

    #[test]
    fn no_name_leads_elsewhere() {
        assert_eq!(label("database", "app_1-x"), "database/app_1-x");
        assert_eq!(label("database", ".."), "database@base64/Li4=");
        assert_eq!(label("database", "a/b"), "database@base64/YS9i");
        assert_eq!(label("database", ""), "database@base64/=");
    }

    #[test]
    fn only_the_host_is_shown() {
        let address: Address = "https://user:s3cret@hc.example/ping/5f0c-uuid?token=x".parse().unwrap();
        assert_eq!(format!("{address:?}"), "Address(hc.example)");
        assert_eq!(
            address.below("fail").reveal(),
            "https://user:s3cret@hc.example/ping/5f0c-uuid/fail?token=x"
        );
        for wrong in ["", "hc.example/ping", "ftp://hc.example", "file:///etc/passwd", "https://"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
