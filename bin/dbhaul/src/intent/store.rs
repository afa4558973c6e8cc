//! Requests about stores themselves.

use dbhaul_pipeline::{Holder, InitRequest, KeyChange};

use super::sides::Places;
use super::{Environment, Job, Request, UsageError, job, keys};
use crate::args::{
    InitArgs, KeyAddArgs, KeyCommand, KeyListArgs, KeyRemoveArgs, KeyRemoveGenerationArgs, KeyRotateArgs,
    KeyWriterArgs, StoreCommand,
};

/// `store`.
pub(super) fn store(command: StoreCommand, environment: Environment<'_>) -> Result<Job, UsageError> {
    match command {
        StoreCommand::Init(args) => init(*args, environment),
        StoreCommand::Key { command } => key(command, environment),
        StoreCommand::RecoveryKit(args) => {
            let KeyListArgs { store, keys, output } = *args;
            let places = Places::new(environment).store(store.store).reader_keys(&keys)?;
            job(Request::RecoveryKit(places.require_store()?), false, None, output, places)
        }
        StoreCommand::Probe(args) => {
            let places = Places::new(environment).store(args.place.or(args.store.store));
            job(Request::ProbeStore(places.require_store()?), false, None, args.output, places)
        }
    }
}

fn init(args: InitArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment).store(args.place.or(args.store.store));
    let passphrase_file = args.passphrase_file.as_deref().map(|file| ("--passphrase-file", file));
    let holders = keys::holders(&args.recipients, passphrase_file)?;
    match (args.unencrypted, holders.is_empty(), &args.writer_key_out) {
        (false, true, _) => {
            return Err(UsageError::new(
                "say who can read the backups: --recipient, --recipients-file or --passphrase-file; or --unencrypted",
            ));
        }
        (false, false, None) => {
            return Err(UsageError::new(
                "--writer-key-out is missing: `dump` needs the writer key, which is written into a new file",
            ));
        }
        _ => {}
    }
    let request =
        InitRequest { store: places.require_store()?, holders, writer_key_out: args.writer_key_out };
    job(Request::InitStore(request), false, None, args.output, places)
}

fn key(command: KeyCommand, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment);
    let (change, places, output) = match command {
        KeyCommand::List(args) => {
            let KeyListArgs { store, keys, output } = *args;
            let places = places.store(store.store).reader_keys(&keys)?;
            return job(Request::ListKeys(places.require_store()?), false, None, output, places);
        }
        KeyCommand::Add(args) => {
            let KeyAddArgs { store, recipient, new_passphrase_file, keys: own, output } = *args;
            let holder = match (recipient, new_passphrase_file) {
                (Some(text), _) => Holder::Recipient(keys::recipient(&text)?),
                (None, Some(file)) => Holder::Passphrase(keys::passphrase("--new-passphrase-file", &file)?),
                (None, None) => {
                    return Err(UsageError::new("say whom to add: --recipient or --new-passphrase-file"));
                }
            };
            (KeyChange::Add(holder), places.store(store.store).reader_keys(&own)?, output)
        }
        KeyCommand::Remove(args) => {
            let KeyRemoveArgs { holder, unverified, store, keys: own, output } = *args;
            let name = holder.parse().map(|recipient| Holder::Recipient(recipient).name());
            let change = KeyChange::Remove { holder: name.unwrap_or(holder), unverified };
            (change, places.store(store.store).reader_keys(&own)?, output)
        }
        KeyCommand::Rotate(args) => {
            let KeyRotateArgs { store, recipients, new_passphrase_file, writer_key_out, keys: own, output } =
                *args;
            let passphrase = new_passphrase_file.as_deref().map(|file| ("--new-passphrase-file", file));
            let holders = keys::holders(&recipients, passphrase)?;
            let change = KeyChange::Rotate { holders, writer_key_out };
            (change, places.store(store.store).reader_keys(&own)?, output)
        }
        KeyCommand::RemoveGeneration(args) => {
            let KeyRemoveGenerationArgs { generation, store, keys: own, output } = *args;
            let change = KeyChange::RemoveGeneration { generation };
            (change, places.store(store.store).reader_keys(&own)?, output)
        }
        KeyCommand::Writer(args) => {
            let KeyWriterArgs { store, writer_key_out, keys: own, output } = *args;
            (KeyChange::Writer { writer_key_out }, places.store(store.store).reader_keys(&own)?, output)
        }
    };
    let store = places.require_store()?;
    job(Request::ChangeKeys(store, change), false, None, output, places)
}
