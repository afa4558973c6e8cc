//! Values that may be secrets: written down, or in the environment, a file or what a command prints.

use std::fmt;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

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

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command prints; of the command only the first word is told, since the rest may hold a secret.
fn printed(command: &str) -> Result<String, String> {
    let name = command.split_whitespace().next().unwrap_or_default().to_owned();
    let fault = |problem: String| format!("the command {name:?} {problem}");
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| fault(format!("could not be run: {error}")))?;
    let output = child.stdout.take();
    let (sender, printed) = mpsc::channel();
    // not joined: what a command has left in the background may hold its output open for ever
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = output.map(|output| output.take(MAX_BYTES as u64 + 1).read_to_end(&mut text));
        drop(sender.send(read.unwrap_or(Ok(0)).map(|_| text)));
    });
    let text = match printed.recv_timeout(PATIENCE) {
        Ok(text) => text.map_err(|error| fault(format!("could not be read from: {error}")))?,
        Err(_) => {
            // it is gone, or goes now
            let _ = child.kill();
            let _ = child.wait();
            return Err(fault(format!("did not end within {} seconds", PATIENCE.as_secs())));
        }
    };
    if text.len() > MAX_BYTES {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| fault(format!("could not be waited for: {error}")))?;
    match text.len() > MAX_BYTES {
        true => Err(fault("printed more than 64 KiB".to_owned())),
        false if !status.success() => Err(fault(format!("failed: {status}"))),
        false => String::from_utf8(text).map_err(|_| fault("printed what is not UTF-8".to_owned())),
    }
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
