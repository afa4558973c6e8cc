//! `dbhaul.toml`: the backup jobs of a machine.
//!
//! A profile names a source, a store and the options of `dump`, in the words of the command line, so that there is one
//! set of options to learn and one place that checks them.

mod checks;
mod profile;
mod value;

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::path::{Path, PathBuf};

use dbhaul_pipeline::in_one_line;
use serde::{Deserialize, Serialize};

use crate::intent::Environment;
pub(crate) use checks::read_checks;
use dbhaul_pipeline::{BackupJob, UnusableJob};
use profile::Profile;

/// Names the file where no option does.
const VARIABLE: &str = "DBHAUL_CONFIG";

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// No file was named, and none lies where one is looked for.
    #[error("there is no configuration: none of {} exists", places.join(", "))]
    Missing {
        /// Where it was looked for.
        places: Vec<String>,
    },
    /// The file cannot be read.
    #[error("{}: {problem}", file.display())]
    Unusable {
        /// The file.
        file: PathBuf,
        /// Why not. Values of the file are not repeated.
        problem: String,
    },
    /// A profile cannot be used.
    #[error("profile {profile:?}: {problem}")]
    Profile {
        /// The profile.
        profile: String,
        /// Why not.
        problem: String,
    },
}

/// What a configuration says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    profile: BTreeMap<String, Profile>,
}

/// A job, or why its profile cannot be used.
pub(crate) type PlannedJob = Result<BackupJob, Box<UnusableJob>>;

/// The jobs of a configuration.
#[derive(Debug)]
pub(crate) struct Config {
    file: PathBuf,
    profiles: BTreeMap<String, Profile>,
}

impl Config {
    /// Reads the file that is named by the option or the variable, or lies in one of the usual places.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub(crate) fn read(named: Option<&Path>, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let file = match named.map(Path::to_owned).or_else(|| environment(VARIABLE).map(PathBuf::from)) {
            Some(file) => file,
            None => {
                let places = usual_places(environment);
                let found = places.iter().find(|place| place.exists()).cloned();
                found.ok_or_else(|| ConfigError::Missing {
                    places: places.iter().map(|place| place.display().to_string()).collect(),
                })?
            }
        };
        let fault = |problem: String| ConfigError::Unusable { file: file.clone(), problem };
        let text = std::fs::read_to_string(&file).map_err(|error| fault(error.to_string()))?;
        let File { profile } = toml::from_str(&text).map_err(|error| fault(told(&error, &text)))?;
        if profile.is_empty() {
            return Err(fault("it has no [profile.NAME]".to_owned()));
        }
        Ok(Config { file, profiles: profile })
    }

    /// The names of the profiles.
    pub(crate) fn names(&self) -> Vec<String> {
        self.profiles.keys().cloned().collect()
    }

    /// The job of a profile.
    ///
    /// # Errors
    /// If there is no such profile, or something in it cannot be used.
    pub(crate) fn job(&self, name: &str, environment: Environment<'_>) -> Result<BackupJob, ConfigError> {
        self.profile(name)?.job(name, environment).map_err(|problem| fault(name, problem))
    }

    /// The job of a profile; if it cannot be used, whom to tell of that.
    ///
    /// # Errors
    /// If there is no such profile.
    pub(crate) fn plan(&self, name: &str, environment: Environment<'_>) -> Result<PlannedJob, ConfigError> {
        let profile = self.profile(name)?;
        Ok(profile.job(name, environment).map_err(|problem| {
            let (notify, notify_problems) = profile.notifications(environment);
            let problem = fault(name, problem).to_string();
            Box::new(UnusableJob { name: name.to_owned(), problem, notify, notify_problems })
        }))
    }

    fn profile(&self, name: &str) -> Result<&Profile, ConfigError> {
        self.profiles.get(name).ok_or_else(|| {
            let (file, names) = (self.file.display(), self.names().join(", "));
            fault(name, format!("{file} has none of that name; it has {names}"))
        })
    }
}

fn fault(profile: &str, problem: String) -> ConfigError {
    ConfigError::Profile { profile: profile.to_owned(), problem }
}

/// The error of the parser without the lines of the file, which may hold a password.
fn told(error: &toml::de::Error, text: &str) -> String {
    let before = |start: usize| text.bytes().take(start).filter(|byte| *byte == b'\n').count();
    let line = error.span().map(|span| before(span.start) + 1);
    let message = match (error.span().and_then(|span| key_at(text, span)), expected(error.message())) {
        (Some(key), Some(known)) => format!("there is no key `{key}` here: expected {known}"),
        (Some(key), None) => format!("key `{key}`: {}", without_values(error.message())),
        (None, Some(expected)) => format!("expected {expected}"),
        (None, None) => without_values(error.message()),
    };
    match line {
        Some(line) => format!("line {line}: {message}"),
        None => message,
    }
}

/// The key that an error is about, where it is about one and not about a value.
fn key_at(text: &str, span: Range<usize>) -> Option<&str> {
    let key = text.get(span.clone())?;
    let is_word = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let is_key = text.get(span.end..)?.trim_start().starts_with('=');
    (is_word && is_key).then_some(key)
}

/// What a message says is expected, which comes from the parser or from us; what is before it may quote the file.
fn expected(message: &str) -> Option<&str> {
    Some(message.rsplit_once(", expected ")?.1)
}

/// A message that quotes nothing: what it quotes may be of the file, where anything may be a secret.
fn without_values(message: &str) -> String {
    match message.contains(['"', '`', '\'']) {
        true => "this cannot be read".to_owned(),
        false => message.to_owned(),
    }
}

fn usual_places(environment: Environment<'_>) -> Vec<PathBuf> {
    // not the directory one happens to be in: a configuration may run commands
    let home = || environment("HOME").map(|home| Path::new(&home).join(".config"));
    let config = environment("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
    let mut places: Vec<PathBuf> =
        config.into_iter().map(|directory| directory.join("dbhaul/dbhaul.toml")).collect();
    places.push(PathBuf::from("/etc/dbhaul/dbhaul.toml"));
    places
}

/// What `config check` found.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    /// The file.
    file: PathBuf,
    /// Its profiles.
    profiles: Vec<CheckedProfile>,
}

#[derive(Debug, Serialize)]
struct CheckedProfile {
    name: String,
    source: String,
    store: String,
    problem: Option<String>,
}

impl Config {
    /// Resolves every profile, its secrets too, and connects to nothing.
    pub(crate) fn check(&self, environment: Environment<'_>) -> Checked {
        let check = |name: &String| {
            let (source, store, problem) = match self.job(name, environment) {
                Ok(job) if !job.notify_problems.is_empty() => {
                    (String::new(), String::new(), Some(job.notify_problems.join("; ")))
                }
                Ok(job) => (job.dump.source.describe(), job.dump.store.to_string(), None),
                Err(ConfigError::Profile { problem, .. }) => (String::new(), String::new(), Some(problem)),
                Err(error) => (String::new(), String::new(), Some(error.to_string())),
            };
            CheckedProfile { name: name.clone(), source, store, problem }
        };
        Checked { file: self.file.clone(), profiles: self.profiles.keys().map(check).collect() }
    }
}

impl Checked {
    /// Whether every profile can be used.
    pub(crate) fn is_good(&self) -> bool {
        self.profiles.iter().all(|profile| profile.problem.is_none())
    }
}

impl Display for Checked {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        for CheckedProfile { name, source, store, problem } in &self.profiles {
            match problem {
                None => write!(f, "\n  profile {}: {source} into {store}", in_one_line(name))?,
                Some(problem) => {
                    let problem = in_one_line(problem);
                    write!(f, "\n  profile {}: cannot be used: {problem}", in_one_line(name))?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
