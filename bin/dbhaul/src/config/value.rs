//! Values that may be secrets: written down, or in the environment, a file or what a command prints.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;

use crate::intent::Environment;
use crate::shell::{Bounds, printed};

/// Bytes of a secret, at most.
const MAX_BYTES: usize = 64 << 10;

/// A text, or where it is kept.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a table with one of env, file and command")]
pub(super) enum Value {
    /// The text itself.
    Text(String),
    /// Where it is kept.
    Kept(Kept),
}

/// Where a text is kept.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Kept {
    /// In a variable of the environment.
    Env(String),
    /// In a file.
    File(std::path::PathBuf),
    /// On the standard output of a command, which `sh` runs.
    Command(String),
}

impl Value {
    /// The text, without white space around it.
    pub(super) fn read(&self, environment: Environment<'_>) -> Result<String, String> {
        let text = match self {
            Value::Text(text) => text.clone(),
            Value::Kept(Kept::Env(name)) => {
                environment(name).ok_or_else(|| format!("the variable {name} is not set"))?
            }
            Value::Kept(Kept::File(file)) => {
                text_of(file).map_err(|error| format!("{}: {error}", file.display()))?
            }
            Value::Kept(Kept::Command(command)) => printed(command, Stdio::null(), BOUNDS)?,
        };
        match text.trim() {
            _ if text.len() > MAX_BYTES => Err("it is longer than 64 KiB".to_owned()),
            "" => Err("it is empty".to_owned()),
            text => Ok(text.to_owned()),
        }
    }
}

/// What a command may take.
const BOUNDS: Bounds = Bounds { bytes: MAX_BYTES, patience: Duration::from_secs(60) };

/// The text of a file, or so much of it that it is too long.
fn text_of(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    Ok(text)
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Value::Text(_) => "Text(..)",
            Value::Kept(Kept::Env(_)) => "Env(..)",
            Value::Kept(Kept::File(_)) => "File(..)",
            Value::Kept(Kept::Command(_)) => "Command(..)",
        })
    }
}
