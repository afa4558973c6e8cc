//! Arguments about stores themselves and the keys that open them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::groups::{OutputArgs, StoreArgs};

/// What a writer of an encrypted store needs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Keys of an encrypted store")]
pub(crate) struct WriterKeyArgs {
    /// The writer key file, which can make, list and remove backups but not read rows [env: DBHAUL_WRITER_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) writer_key: Option<PathBuf>,
    /// Refuse the store unless its keys have this fingerprint [env: DBHAUL_STORE_FINGERPRINT]
    ///
    /// `store init` and `store recovery-kit` print it, and a writer key file holds it. Without it, dbhaul
    /// cannot notice that somebody replaced the keys in the store.
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) store_fingerprint: Option<String>,
}

/// What a reader of an encrypted store needs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Keys of an encrypted store")]
pub(crate) struct ReaderKeyArgs {
    /// The file with the private key, as age-keygen writes it [env: DBHAUL_IDENTITY_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "identity_command")]
    pub(crate) identity_file: Option<PathBuf>,
    /// A shell command that prints the private key
    #[arg(long, value_name = "COMMAND")]
    pub(crate) identity_command: Option<String>,
    /// The file with the passphrase [env: DBHAUL_PASSPHRASE_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_command")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// A shell command that prints the passphrase
    #[arg(long, value_name = "COMMAND")]
    pub(crate) passphrase_command: Option<String>,
    #[command(flatten)]
    pub(crate) writer: WriterKeyArgs,
}

/// `store`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Create a store in an empty directory or prefix
    ///
    /// An encrypted store needs recipients of age or a passphrase, whose keys restore backups. Making backups
    /// needs only the writer key file, which cannot read rows.
    Init(Box<InitArgs>),
    /// List or change the keys of an encrypted store
    Key {
        /// What to do.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Print a page with everything that a restore needs besides the private key
    RecoveryKit(Box<KeyListArgs>),
    /// Find out what a store can do, and what that means for backups in it
    ///
    /// Writes a few small objects and one of 8 MiB below sessions/, looks what becomes of them, and deletes them. Ends
    /// with 1 if the store lacks something that dbhaul needs. No key is needed.
    Probe(Box<ProbeArgs>),
}

/// `store probe`.
#[derive(Debug, Args)]
pub(crate) struct ProbeArgs {
    /// The same as --store
    #[arg(value_name = "STORE", conflicts_with = "store")]
    pub(crate) place: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `store init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The same as --store
    #[arg(value_name = "STORE", conflicts_with = "store")]
    pub(crate) place: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) recipients: RecipientArgs,
    /// A file with a passphrase that can open the store
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Create a store that is not encrypted
    #[arg(long, help_heading = "Keys",
          conflicts_with_all = ["recipient", "recipients_file", "passphrase_file", "writer_key_out"])]
    pub(crate) unencrypted: bool,
    /// Write the writer key, which `dump` needs, into this file, which must not exist
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    pub(crate) writer_key_out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Whom keys are wrapped for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Keys")]
pub(crate) struct RecipientArgs {
    /// A recipient of age (age1...) whose private key can open the store; may be given several times
    #[arg(long, value_name = "RECIPIENT")]
    pub(crate) recipient: Vec<String>,
    /// A file with one recipient per line
    #[arg(long, value_name = "FILE")]
    pub(crate) recipients_file: Option<PathBuf>,
}

/// `store key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the key generations and their holders; with a key, verify them too
    List(Box<KeyListArgs>),
    /// Add a key holder, who can then read all backups
    Add(Box<KeyAddArgs>),
    /// Remove a key holder
    ///
    /// The holder may have kept a copy of the keys: rotate the keys afterwards.
    Remove(Box<KeyRemoveArgs>),
    /// Create new keys for future backups
    ///
    /// Existing backups stay encrypted with the older keys. The next backup of each database is full.
    Rotate(Box<KeyRotateArgs>),
    /// Remove a key generation that no backup uses, after two rotations at the same time
    ///
    /// Where two key generations follow the same one, nothing new can be backed up. `store key list` with a key marks
    /// them. The one that no backup uses can be removed, and no other generation can.
    RemoveGeneration(Box<KeyRemoveGenerationArgs>),
    /// Write the writer key file again
    Writer(Box<KeyWriterArgs>),
}

/// `store key list`, `store recovery-kit`.
#[derive(Debug, Args)]
pub(crate) struct KeyListArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `store key add`.
#[derive(Debug, Args)]
pub(crate) struct KeyAddArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The recipient of age: age1...
    #[arg(long, value_name = "RECIPIENT", help_heading = "Keys")]
    pub(crate) recipient: Option<String>,
    /// A file with a passphrase that can open the store
    ///
    /// It takes the place of the passphrase that the store has, if --passphrase-file or --passphrase-command gives that
    /// one.
    #[arg(long, value_name = "FILE", help_heading = "Keys", conflicts_with = "recipient")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `store key remove`.
#[derive(Debug, Args)]
pub(crate) struct KeyRemoveArgs {
    /// A recipient (age1...), or what `store key list` calls it
    #[arg(value_name = "HOLDER")]
    pub(crate) holder: String,
    /// Remove it without a key that proves that another holder can open the store
    #[arg(long)]
    pub(crate) unverified: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `store key rotate`.
#[derive(Debug, Args)]
pub(crate) struct KeyRotateArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) recipients: RecipientArgs,
    /// A file with a passphrase that can open the store
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Write the new writer key, which `dump` needs from now on, into this file, which must not exist
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    pub(crate) writer_key_out: PathBuf,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `store key remove-generation`.
#[derive(Debug, Args)]
pub(crate) struct KeyRemoveGenerationArgs {
    /// The generation, as `store key list` shows it
    #[arg(value_name = "GENERATION")]
    pub(crate) generation: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `store key writer`.
#[derive(Debug, Args)]
pub(crate) struct KeyWriterArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The file to write, which must not exist
    #[arg(long, value_name = "FILE", help_heading = "Keys")]
    pub(crate) writer_key_out: PathBuf,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
