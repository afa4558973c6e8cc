//! `require_auth`: which ways of logging in a server may ask for.
//!
//! Source of the rules: PostgreSQL 18, src/interfaces/libpq/fe-connect.c, `pqConnectOptions2`.

use std::fmt;

use super::error::SettingsError;

/// A way of logging in, as `require_auth` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    /// The password in clear text.
    Password,
    /// A salted MD5 hash of the password.
    Md5,
    /// GSSAPI.
    Gss,
    /// SSPI.
    Sspi,
    /// SCRAM, where both sides prove that they know the password.
    ScramSha256,
    /// OAuth.
    Oauth,
    /// No authentication: `trust`, or a certificate.
    None,
}

const METHODS: [(&str, AuthMethod); 7] = [
    ("password", AuthMethod::Password),
    ("md5", AuthMethod::Md5),
    ("gss", AuthMethod::Gss),
    ("sspi", AuthMethod::Sspi),
    ("scram-sha-256", AuthMethod::ScramSha256),
    ("oauth", AuthMethod::Oauth),
    ("none", AuthMethod::None),
];

/// `require_auth`: the ways of logging in that are allowed, or those that are not. By default all are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RequireAuth {
    named: Vec<AuthMethod>,
    /// Whether all but the named ones are allowed.
    is_negative: bool,
}

impl RequireAuth {
    /// Reads names separated by commas, all of them or none with `!` before it.
    pub(crate) fn parse(text: &str) -> Result<Self, SettingsError> {
        if text.is_empty() {
            return Ok(RequireAuth::default());
        }
        let refuse = |expected: String| SettingsError::InvalidValue { keyword: "require_auth", expected };
        let mut required = RequireAuth { named: Vec::new(), is_negative: text.starts_with('!') };
        for name in text.split(',') {
            let bare = name.strip_prefix('!').unwrap_or(name);
            let found = METHODS.iter().find(|(known, _)| *known == bare);
            let Some((_, method)) = found else {
                let names = METHODS.map(|(name, _)| name).join(", ");
                return Err(refuse(format!("a list of methods separated by commas; known are {names}")));
            };
            if name.starts_with('!') != required.is_negative {
                return Err(refuse("a list of methods with ! before all of them or before none".to_owned()));
            }
            if required.named.contains(method) {
                return Err(refuse(format!("a list that names each method once: {bare} stands in it twice")));
            }
            required.named.push(*method);
        }
        Ok(required)
    }

    /// Whether a server may ask for this.
    pub(crate) fn allows(&self, method: AuthMethod) -> bool {
        self.is_unrestricted() || self.named.contains(&method) != self.is_negative
    }

    fn is_unrestricted(&self) -> bool {
        self.named.is_empty()
    }
}

impl fmt::Display for RequireAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.named.iter().enumerate() {
            let name = METHODS.iter().find(|(_, known)| known == method).map_or("", |(name, _)| name);
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}{name}", if self.is_negative { "!" } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_back_as_themselves() {
        for text in ["", "password", "md5,scram-sha-256,none", "!none", "!password,!md5", "gss,sspi,oauth"] {
            assert_eq!(RequireAuth::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_libpq_refuses_is_refused() {
        for text in [
            "scram",
            "password,",
            ",",
            "!",
            "password,!md5",
            "!md5,password",
            "md5,md5",
            "!none,!none",
            " md5",
            "SCRAM-SHA-256",
        ] {
            assert!(RequireAuth::parse(text).is_err(), "{text}");
        }
    }
}
