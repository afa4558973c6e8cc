//! `store recovery-kit`: a page to print, with which backups can be restored years later.

use std::fmt::{self, Display, Formatter};

use base64::Engine;
use dbhaul_repository::KeyStore;
use dbhaul_store::StoreUrl;
use serde::Serialize;

use crate::{Context, PipelineError};

/// Columns of base64, as `age -a` writes them.
const COLUMNS: usize = 64;

/// What a page says, without secrets: the keys on it are encrypted to their holders.
#[derive(Debug, Clone, Serialize)]
pub struct RecoveryKit {
    /// The store.
    pub store: String,
    /// Its identity.
    pub id: String,
    /// Its fingerprint.
    pub fingerprint: String,
    /// The wrapped keys: the key of the object, and the object as armored text of age.
    pub keys: Vec<(String, String)>,
}

/// The recovery kit of a store.
///
/// # Errors
/// Without a key, which says what the fingerprint is.
pub async fn recovery_kit(store: &StoreUrl, context: Context) -> Result<RecoveryKit, PipelineError> {
    let keys = KeyStore::open(store, &context.keys, false, &context.progress, &context.cancel).await?;
    let none = || dbhaul_repository::RepositoryError::NoKeys { store: keys.describe() };
    let fingerprint = keys.fingerprint().ok_or_else(none)?.to_string();
    let wrapped = keys.wrapped().await?;
    Ok(RecoveryKit {
        store: keys.describe(),
        id: keys.id().to_string(),
        fingerprint,
        keys: wrapped.into_iter().map(|(key, bytes)| (key, armored(&bytes))).collect(),
    })
}

fn armored(bytes: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut armored = "-----BEGIN AGE ENCRYPTED FILE-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(COLUMNS));
        armored.push_str(line);
        armored.push('\n');
        rest = tail;
    }
    armored + "-----END AGE ENCRYPTED FILE-----"
}

impl Display for RecoveryKit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { store, id, fingerprint, keys } = self;
        writeln!(f, "RECOVERY KIT of a store of backups made by dbhaul\n")?;
        writeln!(f, "store        {store}\nidentity     {id}\nfingerprint  {fingerprint}\n")?;
        writeln!(
            f,
            "To restore the newest backup of a database, with the private key in the file me.txt:\n"
        )?;
        writeln!(f, "    dbhaul restore --store {store} --database NAME --target postgres://HOST/NAME \\")?;
        writeln!(f, "        --identity-file me.txt --store-fingerprint {fingerprint}\n")?;
        writeln!(f, "With a passphrase, --passphrase-file takes the place of --identity-file.")?;
        writeln!(f, "Without dbhaul, the rows of a pack, with the commands age and zstd:\n")?;
        writeln!(f, "    age -d -i me.txt KEYS > keys.txt")?;
        writeln!(f, "    age -d -i keys.txt PACK | zstd -dc\n")?;
        writeln!(f, "KEYS is an object under keys/ of the store, or one of these texts in a file. They are")?;
        write!(f, "encrypted; print them all the same only where the store itself could lie.")?;
        keys.iter().try_for_each(|(key, text)| write!(f, "\n\n{key}\n{text}"))
    }
}
