//! Keys of a store: out of files, commands and the environment.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use dbhaul_pipeline::{Holder, Recipient, Secret, StoreKeys, WriterKey};

use super::{Environment, UsageError};
use crate::args::{ReaderKeyArgs, RecipientArgs, WriterKeyArgs};
use crate::shell::Bounds;

/// What a reader brings. The environment counts where no flag names a key of its kind.
pub(super) fn of_reader(args: &ReaderKeyArgs, environment: Environment<'_>) -> Result<StoreKeys, UsageError> {
    let mut keys = of_writer(&args.writer, environment)?;
    let none_typed = args.identity_file.is_none()
        && args.identity_command.is_none()
        && args.passphrase_file.is_none()
        && args.passphrase_command.is_none();
    let from_environment = |name: &str| variable(environment, name).filter(|_| none_typed).map(PathBuf::from);
    let identity_file = args.identity_file.clone().or_else(|| from_environment("DBHAUL_IDENTITY_FILE"));
    let passphrase_file = args.passphrase_file.clone().or_else(|| from_environment("DBHAUL_PASSPHRASE_FILE"));
    if let Some(file) = identity_file {
        let flag = format!("--identity-file {}", file.display());
        add_identities(&mut keys, &flag, &read(&flag, &file)?)?;
    }
    if let Some(command) = &args.identity_command {
        add_identities(&mut keys, "--identity-command", &printed("--identity-command", command)?)?;
    }
    if let Some(file) = passphrase_file {
        keys.reader.set_passphrase(passphrase("--passphrase-file", &file)?);
    }
    if let Some(command) = &args.passphrase_command {
        let flag = "--passphrase-command";
        keys.reader.set_passphrase(line(flag, &printed(flag, command)?)?);
    }
    Ok(keys)
}

/// What a writer brings.
pub(super) fn of_writer(args: &WriterKeyArgs, environment: Environment<'_>) -> Result<StoreKeys, UsageError> {
    let mut keys = StoreKeys::default();
    let writer = args.writer_key.clone();
    if let Some(file) = writer.or_else(|| variable(environment, "DBHAUL_WRITER_KEY").map(PathBuf::from)) {
        let flag = format!("--writer-key {}", file.display());
        let parsed = WriterKey::parse(&read(&flag, &file)?);
        keys.writer = Some(parsed.map_err(|error| UsageError::new(format!("{flag}: {error}")))?);
    }
    let typed = args.store_fingerprint.clone();
    if let Some(text) = typed.or_else(|| variable(environment, "DBHAUL_STORE_FINGERPRINT")) {
        let parsed = text.parse();
        keys.fingerprint =
            Some(parsed.map_err(|error| UsageError::new(format!("--store-fingerprint: {error}")))?);
    }
    Ok(keys)
}

/// Whom keys are wrapped for, each once.
pub(super) fn holders(
    args: &RecipientArgs,
    passphrase_file: Option<(&str, &Path)>,
) -> Result<Vec<Holder>, UsageError> {
    let mut recipients = Vec::new();
    for text in &args.recipient {
        recipients.push(recipient(text)?);
    }
    if let Some(file) = &args.recipients_file {
        let flag = format!("--recipients-file {}", file.display());
        let parsed = Recipient::parse_file(read(&flag, file)?.expose());
        recipients.extend(parsed.map_err(|error| UsageError::new(format!("{flag}: {error}")))?);
    }
    let mut holders: Vec<Holder> = recipients.into_iter().map(Holder::Recipient).collect();
    if let Some((flag, file)) = passphrase_file {
        holders.push(Holder::Passphrase(passphrase(flag, file)?));
    }
    let mut names = std::collections::BTreeSet::new();
    holders.retain(|holder| names.insert(holder.name()));
    Ok(holders)
}

/// A recipient of the command line.
pub(super) fn recipient(text: &str) -> Result<Recipient, UsageError> {
    text.parse().map_err(|_| {
        UsageError::new("--recipient: a recipient of age starts with age1 (a private key has no place here)")
    })
}

/// A passphrase: the file's text without the line's end.
pub(super) fn passphrase(flag: &str, file: &Path) -> Result<Secret, UsageError> {
    let flag = format!("{flag} {}", file.display());
    line(&flag, &read(&flag, file)?)
}

/// A passphrase out of what holds it.
fn line(flag: &str, text: &Secret) -> Result<Secret, UsageError> {
    let line = text.expose().strip_suffix('\n').unwrap_or(text.expose());
    match line.strip_suffix('\r').unwrap_or(line) {
        several if several.contains('\n') => {
            Err(UsageError::new(format!("{flag}: it holds several lines; a passphrase is one")))
        }
        blank if blank.trim().is_empty() => Err(UsageError::new(format!("{flag}: the passphrase is empty"))),
        passphrase => Ok(Secret::new(passphrase.to_owned())),
    }
}

fn add_identities(keys: &mut StoreKeys, flag: &str, text: &Secret) -> Result<(), UsageError> {
    keys.reader.add_identities(text).map_err(|error| UsageError::new(format!("{flag}: {error}")))
}

/// The most bytes of a file of keys.
const MAX_BYTES: u64 = 1 << 20;

fn read(flag: &str, file: &Path) -> Result<Secret, UsageError> {
    let fault = |reason: String| UsageError::new(format!("{flag}: {reason}"));
    let opened = File::open(file).map_err(|error| fault(error.to_string()))?;
    let mut text = String::new();
    opened.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(|error| fault(error.to_string()))?;
    match text.len() as u64 > MAX_BYTES {
        true => Err(fault("it is longer than 1 MiB".to_owned())),
        false => Ok(Secret::new(text)),
    }
}

/// What a command may take, which may ask the person for something.
const BOUNDS: Bounds = Bounds { bytes: MAX_BYTES as usize, patience: Duration::from_secs(600) };

fn printed(flag: &str, command: &str) -> Result<Secret, UsageError> {
    let text = crate::shell::printed(command, Stdio::inherit(), BOUNDS);
    text.map(Secret::new).map_err(|problem| UsageError::new(format!("{flag}: {problem}")))
}

fn variable(environment: Environment<'_>, name: &str) -> Option<String> {
    environment(name).filter(|value| !value.is_empty())
}
