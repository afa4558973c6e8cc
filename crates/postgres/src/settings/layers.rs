//! Keywords from several places, the nearer beating the farther.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;

use super::error::SettingsError;
use super::keywords::{KEYWORDS, Keyword, Support, find, similar};
use super::{keyword_string, service, uri};

/// Where keywords were written.
enum Origin<'a> {
    Uri,
    KeywordString,
    Service(&'a str),
}

impl Origin<'_> {
    /// The keyword in this place among them, counted from 1.
    fn keyword(&self, number: usize) -> String {
        match self {
            // Its places are not those of what was written.
            Origin::Uri => "a parameter of the connection URI".to_owned(),
            other => format!("connection keyword {number} of {other}"),
        }
    }
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Uri | Origin::KeywordString => f.write_str("the connection string"),
            Origin::Service(name) => write!(f, "service {name}"),
        }
    }
}

/// The value of each keyword that was given anywhere. An empty value is none.
pub(super) struct Layers {
    values: HashMap<&'static str, String>,
}

impl Layers {
    /// Collects explicit settings, then the service's, then the environment's.
    pub(super) fn collect(
        explicit: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let explicit = explicit.trim();
        let is_uri = uri::is_uri(explicit);
        let pairs = if is_uri {
            uri::parse(explicit)?
        } else if explicit.contains("://") {
            let problem = "it begins with neither postgres:// nor postgresql://".to_owned();
            return Err(SettingsError::Uri { problem });
        } else {
            keyword_string::parse(explicit)?
        };
        let mut layers = Layers { values: HashMap::new() };
        layers.add(pairs, &if is_uri { Origin::Uri } else { Origin::KeywordString })?;
        layers.add_service(environment)?;
        layers.add_environment(environment)?;
        Ok(layers)
    }

    pub(super) fn get(&self, keyword: &'static str) -> Option<&str> {
        self.values.get(keyword).map(String::as_str)
    }

    /// Adds the pairs of one place; inside it the last one wins.
    fn add(&mut self, pairs: Vec<(String, String)>, origin: &Origin<'_>) -> Result<(), SettingsError> {
        let mut layer = HashMap::new();
        for (index, (name, value)) in pairs.into_iter().enumerate() {
            let Some(keyword) = find(&name) else {
                return Err(SettingsError::UnknownKeyword {
                    place: origin.keyword(index + 1),
                    similar: similar(&name),
                });
            };
            check_support(keyword, &value, &origin.to_string())?;
            check_holds_no_other(keyword.name, &value, origin)?;
            layer.insert(keyword.name, value);
        }
        for (name, value) in layer.into_iter().filter(|(_, value)| !value.is_empty()) {
            self.values.entry(name).or_insert(value);
        }
        Ok(())
    }

    fn add_service(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<(), SettingsError> {
        let from_environment = || environment("PGSERVICE").filter(|service| !service.is_empty());
        let Some(name) = self.get("service").map(str::to_owned).or_else(from_environment) else {
            return Ok(());
        };
        let pairs = service::find(&name, &self.service_files(environment))?;
        self.add(pairs, &Origin::Service(&name))
    }

    fn service_files(&self, environment: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let named = self.get("servicefile").map(str::to_owned).or_else(|| environment("PGSERVICEFILE"));
        match (named, environment("HOME")) {
            (Some(file), _) => files.push(PathBuf::from(file)),
            (None, Some(home)) => files.push(PathBuf::from(home).join(".pg_service.conf")),
            (None, None) => {}
        }
        let system = environment("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".to_owned());
        files.push(PathBuf::from(system).join("pg_service.conf"));
        files
    }

    fn add_environment(&mut self, environment: &dyn Fn(&str) -> Option<String>) -> Result<(), SettingsError> {
        for keyword in KEYWORDS {
            let Some(variable) = keyword.variable else { continue };
            let Some(value) = environment(variable).filter(|value| !value.is_empty()) else { continue };
            if matches!(keyword.support, Support::UnsupportedIfAsked(_))
                || self.values.contains_key(keyword.name)
            {
                continue;
            }
            check_support(keyword, &value, &format!("environment variable {variable}"))?;
            self.values.insert(keyword.name, value);
        }
        Ok(())
    }
}

/// What messages about a connection name.
const SHOWN: [&str; 12] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "service",
    "servicefile",
    "passfile",
    "sslcert",
    "sslkey",
    "sslrootcert",
    "sslcrl",
];

/// Refuses a name that seems to have swallowed what stands behind it, which may be a password.
fn check_holds_no_other(
    keyword: &'static str,
    value: &str,
    origin: &Origin<'_>,
) -> Result<(), SettingsError> {
    if matches!(origin, Origin::Uri) || !SHOWN.contains(&keyword) || !value.contains('=') {
        return Ok(());
    }
    let problem = format!(
        "the value of {keyword} in {origin} holds an =: put a space before the next keyword, and close quotes; \
         a name with an = can be given in a URI, as %3D"
    );
    Err(SettingsError::KeywordString { problem })
}

fn check_support(keyword: &'static Keyword, value: &str, origin: &str) -> Result<(), SettingsError> {
    match keyword.support {
        Support::Used | Support::Ignored => Ok(()),
        _ if value.is_empty() => Ok(()),
        Support::Only(values) if values.contains(&value) => Ok(()),
        Support::Only(values) => Err(SettingsError::InvalidValue {
            keyword: keyword.name,
            expected: format!("supported; possible: {}", values.join(", ")),
        }),
        Support::Unsupported(reason) | Support::UnsupportedIfAsked(reason) => {
            Err(SettingsError::UnsupportedKeyword {
                keyword: keyword.name,
                origin: origin.to_owned(),
                reason,
            })
        }
    }
}
