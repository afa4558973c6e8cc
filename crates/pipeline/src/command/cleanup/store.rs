//! `cleanup --store`: what failed dumps have left in a store, listed and removed.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use dbhaul_progress::counted;
use dbhaul_repository::{LeftFolder, LeftPack, Repository, SweepOptions, Swept};
use dbhaul_store::StoreUrl;
use serde::Serialize;

use crate::{Context, PipelineError, Status, format_bytes};

/// Asks to remove what failed dumps have left in a store.
#[derive(Debug, Clone)]
pub struct StoreCleanupRequest {
    /// The store.
    pub store: StoreUrl,
    /// What is younger is kept.
    pub grace: Duration,
    /// Remove; otherwise only list.
    pub remove: bool,
}

/// What a cleanup of a store found, and whether it removed it.
#[derive(Debug, Clone, Serialize)]
pub struct StoreCleanupReport {
    /// The store.
    pub store: String,
    /// What it found.
    #[serde(flatten)]
    pub swept: Swept,
    /// The grace period, in hours.
    pub grace_hours: u64,
    /// Whether it was removed; otherwise it was only listed.
    pub removed: bool,
}

impl StoreCleanupReport {
    /// Done.
    pub fn status(&self) -> Status {
        Status::Done
    }
}

/// Lists the packs and files of Parquet of a store that no committed backup names and that are older than a grace period;
/// removes them if that was asked for. Nothing is removed while a dump is at work, which may rely on any pack, nor if a
/// manifest cannot be read.
///
/// # Errors
/// If the store cannot be read, a manifest is damaged, or a dump is at work.
pub async fn cleanup_store(
    request: StoreCleanupRequest,
    context: Context,
) -> Result<StoreCleanupReport, PipelineError> {
    let Context { keys, progress, cancel, .. } = &context;
    let repository = match request.remove {
        true => Repository::open_to_write(&request.store, keys, progress, cancel).await?,
        false => Repository::open(&request.store, keys, progress, cancel).await?,
    };
    let options = SweepOptions { grace: request.grace, dry_run: !request.remove };
    Ok(StoreCleanupReport {
        store: repository.describe(),
        swept: Box::pin(repository.sweep(&options, cancel)).await?,
        grace_hours: request.grace.as_secs() / 3600,
        removed: request.remove,
    })
}

impl Display for StoreCleanupReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (store, hours) = (&self.store, counted(self.grace_hours, "hour"));
        let Swept { packs, folders, young_pack_count, young_file_count, .. } = &self.swept;
        let is_clean = packs.is_empty() && folders.is_empty();
        match (is_clean, self.removed) {
            (true, _) => write!(f, "{store}: no pack to remove")?,
            (false, true) => write!(f, "removed from {store}: {}", self.totals())?,
            (false, false) => write!(f, "would be removed from {store}: {}", self.totals())?,
        }
        if !self.removed {
            self.write_objects(f)?;
        }
        write!(f, "\n{} kept, with all that belongs to them", counted(self.swept.backup_count, "backup"))?;
        if *young_pack_count > 0 {
            let packs = counted(*young_pack_count, "pack");
            write!(f, "\n{packs} of no backup kept: younger than {hours}")?;
        }
        if *young_file_count > 0 {
            let files = counted(*young_file_count, "file");
            write!(f, "\n{files} of Parquet of no backup kept: of a dump younger than {hours}")?;
        }
        for sign in &self.swept.dumps_at_work {
            write!(f, "\na dump may be active ({sign}); nothing is removed meanwhile")?;
        }
        if !self.removed && !is_clean {
            write!(f, "\nnothing was removed: --yes does it")?;
        }
        Ok(())
    }
}

impl StoreCleanupReport {
    /// `3 packs, 12 MiB; 2 files of Parquet, 1 MiB`
    fn totals(&self) -> String {
        let Swept { packs, pack_bytes, folders, .. } = &self.swept;
        let mut parts = Vec::new();
        if !packs.is_empty() {
            parts.push(format!("{}, {}", counted(packs.len(), "pack"), format_bytes(*pack_bytes)));
        }
        if !folders.is_empty() {
            let count: u64 = folders.iter().map(|folder| folder.files.count).sum();
            let bytes = folders.iter().map(|folder| folder.files.bytes).sum();
            parts.push(format!("{} of Parquet, {}", counted(count, "file"), format_bytes(bytes)));
        }
        parts.join("; ")
    }

    fn write_objects(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for LeftPack { key, bytes } in &self.swept.packs {
            write!(f, "\n  {key}  {}", format_bytes(*bytes))?;
        }
        for LeftFolder { key, files } in &self.swept.folders {
            write!(f, "\n  {key}  {}, {}", counted(files.count, "file"), format_bytes(files.bytes))?;
        }
        Ok(())
    }
}
