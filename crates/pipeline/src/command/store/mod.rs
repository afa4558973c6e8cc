//! `store init`, who can open an encrypted store, and what a store can do.

mod keys;
mod kit;
mod probe;

use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::path::{Path, PathBuf};

use dbhaul_archive::{Holder, WriterKey};
use dbhaul_repository::NewStore;
use dbhaul_store::StoreUrl;
use serde::Serialize;

use crate::{Context, PipelineError};

pub use keys::{KeyChange, KeyList, KeyReport, ListedGeneration, change_keys, list_keys};
pub use kit::{RecoveryKit, recovery_kit};
pub use probe::{ProbeReport, ProbedAbility, probe_store};

/// Asks for a store to be made.
#[derive(Debug)]
pub struct InitRequest {
    /// An empty place.
    pub store: StoreUrl,
    /// Who can read its backups; nobody's key is needed where there is none.
    pub holders: Vec<Holder>,
    /// Where the writer key goes, if it is encrypted.
    pub writer_key_out: Option<PathBuf>,
}

/// A store that was made.
#[derive(Debug, Clone, Serialize)]
pub struct InitReport {
    /// The store.
    pub store: String,
    /// Its identity.
    pub id: String,
    /// The fingerprint of its keys; `None` where it is not encrypted.
    pub fingerprint: Option<String>,
    /// Whom its keys are wrapped for.
    pub holders: Vec<String>,
    /// The file that writers need.
    pub writer_key: Option<PathBuf>,
}

/// Makes a store in an empty place. The writer key is written first: without it nothing could be backed up.
///
/// # Errors
/// If something lies at the place, or at the file.
pub async fn init_store(request: InitRequest, context: Context) -> Result<InitReport, PipelineError> {
    let holders = request.holders.iter().map(Holder::name).collect();
    let new = NewStore::prepare(&request.store, request.holders, &context.progress, &context.cancel).await?;
    let written = match (new.writer_key(), &request.writer_key_out) {
        (Some(key), Some(file)) => {
            write_key(file, key)?;
            Some(file)
        }
        _ => None,
    };
    let report = InitReport {
        store: new.describe(),
        id: new.id().to_string(),
        fingerprint: new.fingerprint().map(|fingerprint| fingerprint.to_string()),
        holders,
        writer_key: written.cloned(),
    };
    if let Err(error) = new.create().await {
        // it would open nothing
        if let Some(file) = written {
            let _ = std::fs::remove_file(file);
        }
        return Err(error.into());
    }
    Ok(report)
}

/// Writes a writer key into a file that must not exist yet and that its owner alone can read.
pub(super) fn write_key(file: &Path, key: &WriterKey) -> Result<(), PipelineError> {
    let failed = |source| PipelineError::Output { place: file.display().to_string(), source };
    let text = key.to_text().map_err(|error| failed(std::io::Error::other(error)))?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file).map_err(failed)?;
    // a umask takes away, even from the owner
    #[cfg(unix)]
    opened.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(failed)?;
    let written = opened.write_all(text.expose().as_bytes()).and_then(|()| opened.sync_all());
    written.map_err(failed)
}

impl Display for InitReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "created a store in {}\n  identity     {}", self.store, self.id)?;
        let Some(fingerprint) = &self.fingerprint else { return write!(f, "\n  not encrypted") };
        write!(f, "\n  fingerprint  {fingerprint}\n  readers      {}", self.holders.join(", "))?;
        if let Some(file) = &self.writer_key {
            write!(f, "\n  writer key   {}: give it to what makes backups", file.display())?;
        }
        write!(
            f,
            "\nkeep the fingerprint with the private key; `dbhaul store recovery-kit` prints a page to keep with both"
        )
    }
}
