//! Arguments about stores themselves and the keys that open them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::groups::{OutputArgs, StoreArgs};

/// What a writer of an encrypted store needs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Keys of an encrypted store")]
pub(crate) struct WriterKeyArgs {
    /// The writer key file: it makes, lists and removes backups, and reads no rows [env: DBHAUL_WRITER_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) writer_key: Option<PathBuf>,
    /// Refuse the store unless its keys have this fingerprint [env: DBHAUL_STORE_FINGERPRINT]
    ///
    /// `store init` and `store recovery-kit` print it, and a writer key file holds it. Without it, keys that
    /// somebody else has put into the store in the place of yours would be believed.
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) store_fingerprint: Option<String>,
}

/// What a reader of an encrypted store needs.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Keys of an encrypted store")]
pub(crate) struct ReaderKeyArgs {
    /// The file of a private key, as `age-keygen` writes it [env: DBHAUL_IDENTITY_FILE]
    #[arg(long, value_name = "FILE", conflicts_with = "identity_command")]
    pub(crate) identity_file: Option<PathBuf>,
    /// A command that prints the private key; a shell runs it
    #[arg(long, value_name = "COMMAND")]
    pub(crate) identity_command: Option<String>,
    /// The file of the passphrase [env: DBHAUL_PASSPHRASE_FILE]
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) writer: WriterKeyArgs,
}

/// `store`.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Make a store in an empty place
    ///
    /// An encrypted one takes recipients of age, or a passphrase: their keys restore backups. What makes
    /// backups needs only the writer key file, which cannot read rows.
    Init(Box<InitArgs>),
    /// Show or change who can open an encrypted store
    Key {
        /// What to do.
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Print a page with what a restore needs beside the private key
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
    /// Let the passphrase in this file open the store
    #[arg(long, value_name = "FILE", help_heading = "Who can read")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Encrypt nothing
    #[arg(long, help_heading = "Who can read",
          conflicts_with_all = ["recipient", "recipients_file", "passphrase_file", "writer_key_out"])]
    pub(crate) unencrypted: bool,
    /// Write the writer key, which `dump` needs, into this new file
    #[arg(long, value_name = "FILE", help_heading = "Who can read")]
    pub(crate) writer_key_out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Whom keys are wrapped for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Who can read")]
pub(crate) struct RecipientArgs {
    /// Let the private key of this recipient of age open the store: age1...; may be given again
    #[arg(long, value_name = "RECIPIENT")]
    pub(crate) recipient: Vec<String>,
    /// The same for each line of this file
    #[arg(long, value_name = "FILE")]
    pub(crate) recipients_file: Option<PathBuf>,
}

/// `store key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// List the key generations and whom they are wrapped for; with a key, verify them too
    List(Box<KeyListArgs>),
    /// Let somebody else open the store, all backups included
    Add(Box<KeyAddArgs>),
    /// Remove the keys that are wrapped for one
    ///
    /// Who has read them before still has them: rotate the keys afterwards.
    Remove(Box<KeyRemoveArgs>),
    /// Make new keys for what is written from now on
    ///
    /// Backups that are there stay encrypted to the older keys. The next backup of each database is full.
    Rotate(Box<KeyRotateArgs>),
    /// Write the writer key file once more
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
    #[arg(long, value_name = "RECIPIENT", help_heading = "Who can read")]
    pub(crate) recipient: Option<String>,
    /// Let the passphrase in this file open the store
    #[arg(long, value_name = "FILE", help_heading = "Who can read", conflicts_with = "recipient")]
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
    #[command(flatten)]
    pub(crate) store: StoreArgs,
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
    /// Let the passphrase in this file open the store
    #[arg(long, value_name = "FILE", help_heading = "Who can read")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    /// Write the new writer key, which `dump` needs from now on, into this new file
    #[arg(long, value_name = "FILE", help_heading = "Who can read")]
    pub(crate) writer_key_out: PathBuf,
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
    /// The new file
    #[arg(long, value_name = "FILE", help_heading = "Who can read")]
    pub(crate) writer_key_out: PathBuf,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
