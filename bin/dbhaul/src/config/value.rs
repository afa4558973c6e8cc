//! Values that may be secrets: written down, or in the environment, a file or what a command prints.

use std::fmt;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::intent::Environment;

/// Bytes of a secret, at most.
const MAX_BYTES: usize = 64 << 10;

/// A text, or where it is kept.
#[derive(Clone, Deserialize)]
#[serde(untagged, expecting = "a text, or a table with one of `env`, `file` and `command`")]
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
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?
            }
            Value::Kept(Kept::Command(command)) => printed(command)?,
        };
        match text.trim() {
            "" => Err("it is empty".to_owned()),
            text if text.len() > MAX_BYTES => Err("it is longer than 64 KiB".to_owned()),
            text => Ok(text.to_owned()),
        }
    }
}

/// What a command prints; of the command only the first word is told, since the rest may hold a secret.
fn printed(command: &str) -> Result<String, String> {
    let name = command.split_whitespace().next().unwrap_or_default();
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("the command {name:?} could not be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("the command {name:?} failed: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("the command {name:?} printed what is not UTF-8"))
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
