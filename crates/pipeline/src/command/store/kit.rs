//! `store recovery-kit`: a page to print, with which backups can be restored years later.

use std::fmt::{self, Display, Formatter};

use base64::Engine;
use dbhaul_repository::KeyStore;
use dbhaul_store::StoreUrl;
use serde::Serialize;

use crate::{Context, PipelineError, quoted_for_shell};

/// Columns of base64, as `age -a` writes them.
const COLUMNS: usize = 64;

/// What a page says, without secrets: the keys on it are encrypted to their holders.
#[derive(Debug, Clone, Serialize)]
pub struct RecoveryKit {
    /// The store; a directory by its absolute path, for who reads this knows nothing of where it was printed.
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
        store: lasting_name(store).unwrap_or_else(|| keys.describe()),
        id: keys.id().to_string(),
        fingerprint,
        keys: wrapped.into_iter().map(|(key, bytes)| (key, armored(&bytes))).collect(),
    })
}

/// The absolute path of a directory; `None` for other stores, whose names are the same everywhere.
fn lasting_name(store: &StoreUrl) -> Option<String> {
    let StoreUrl::Directory(path) = store else { return None };
    std::path::absolute(path).ok().map(|path| path.display().to_string())
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
        let place = quoted_for_shell(store);
        writeln!(f, "    dbhaul restore --store {place} --database NAME --target postgres://HOST/NAME \\")?;
        writeln!(f, "        --identity-file me.txt --store-fingerprint {fingerprint}\n")?;
        writeln!(f, "With a passphrase, --passphrase-file takes the place of --identity-file.")?;
        writeln!(f, "Without dbhaul, the rows of a pack, with the commands age and zstd:\n")?;
        writeln!(f, "    age -d -i me.txt KEYS > keys.txt")?;
        writeln!(f, "    age -d -i keys.txt PACK | zstd -dc\n")?;
        writeln!(f, "KEYS is an object under keys/ of the store, or one of these texts in a file.")?;
        write!(f, "They are encrypted; keep a print of them as safe as the store.")?;
        keys.iter().try_for_each(|(key, text)| write!(f, "\n\n{key}\n{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{RecoveryKit, StoreUrl, lasting_name};

    #[test]
    fn the_command_of_a_page_can_be_pasted_into_a_shell() {
        let url = "s3://b/shop/?endpoint=http://127.0.0.1:7390&region=us-east-1";
        let (id, fingerprint) = ("ID".to_owned(), "8f0c".to_owned());
        let kit = RecoveryKit { store: url.to_owned(), id, fingerprint, keys: Vec::new() };
        let page = kit.to_string();
        assert!(page.contains(&format!("store        {url}\n")), "{page}");
        assert!(page.contains(&format!(" --store '{url}' --database NAME")), "{page}");
        assert!(page.ends_with("\nThey are encrypted; keep a print of them as safe as the store."), "{page}");
    }

    #[test]
    fn a_directory_is_named_by_its_absolute_path() {
        let named = lasting_name(&StoreUrl::Directory("st/my store".into())).unwrap();
        let here = std::env::current_dir().unwrap();
        assert_eq!(named, here.join("st/my store").display().to_string());
        assert_eq!(lasting_name(&StoreUrl::parse("s3://b/shop").unwrap()), None);
    }
}
