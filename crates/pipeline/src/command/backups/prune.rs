//! `backup prune`: the space that no backup needs any more.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use dbhaul_progress::counted;
use dbhaul_repository::{PackTotals, PruneOptions, Pruned, PrunedParts, Repacked, Repository};
use dbhaul_store::StoreUrl;
use serde::Serialize;

use crate::{Context, PipelineError, Status, format_bytes};

/// Asks to remove packs that no backup names.
#[derive(Debug, Clone)]
pub struct PruneRequest {
    /// The store.
    pub store: StoreUrl,
    /// How long packs stay after they were marked.
    pub grace: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Remove the packs of a store without backups, too.
    pub allow_no_backup: bool,
    /// Copy what backups need of sparse packs into new ones before.
    pub repack: bool,
}

/// What a prune did.
#[derive(Debug, Clone, Serialize)]
pub struct PruneReport {
    /// The store.
    pub store: String,
    /// What came of sparse packs; `None` where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repacked: Option<Repacked>,
    /// What it found.
    #[serde(flatten)]
    pub pruned: Pruned,
    /// The grace period, in hours.
    pub grace_hours: u64,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

impl PruneReport {
    /// Done.
    pub fn status(&self) -> Status {
        Status::Done
    }
}

/// Marks packs that no backup names, and removes those that were marked longer ago than the grace period. If that was
/// asked for, what backups need of sparse packs is copied into new ones before, so that no backup names them.
///
/// # Errors
/// If the store cannot be read or written, a manifest is damaged, or another removal is at work.
pub async fn prune_store(request: PruneRequest, context: Context) -> Result<PruneReport, PipelineError> {
    let repository = match request.dry_run {
        true => Repository::open(&request.store, &context.keys, &context.progress, &context.cancel).await?,
        false => {
            Repository::open_to_write(&request.store, &context.keys, &context.progress, &context.cancel)
                .await?
        }
    };
    let PruneRequest { grace, dry_run, allow_no_backup, repack, .. } = request;
    let options = PruneOptions { grace, dry_run, allow_no_backup };
    let repacked = match repack {
        true => Some(Box::pin(repository.repack(dry_run, &context.cancel)).await?),
        false => None,
    };
    Ok(PruneReport {
        store: repository.describe(),
        repacked,
        pruned: repository.prune(&options, &context.cancel).await?,
        grace_hours: request.grace.as_secs() / 3600,
        dry_run: request.dry_run,
    })
}

impl Display for PruneReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let packs =
            |totals: PackTotals| format!("{}, {}", counted(totals.count, "pack"), format_bytes(totals.bytes));
        let Pruned { used, marked, waiting, removed, young, .. } = self.pruned;
        write!(f, "{}: {}", self.store, counted(self.pruned.backup_count, "backup"))?;
        if let Some(Repacked { sparse, freed_bytes, written, backup_count, .. }) = self.repacked {
            let backups = counted(backup_count, "backup");
            write!(f, "\n  sparse      {}", packs(sparse))?;
            match (sparse.count, self.dry_run) {
                (0, _) => {}
                (_, true) => write!(f, "; repacking {backups} frees {}", format_bytes(freed_bytes))?,
                (_, false) => {
                    write!(f, "; {backups} repacked into {}", packs(written))?;
                    write!(f, ", which frees {} when they are removed", format_bytes(freed_bytes))?;
                }
            }
        }
        write!(f, "\n  in use      {}", packs(used))?;
        let (remove, mark) = match self.dry_run {
            true => ("to remove ", "to mark   "),
            false => ("removed   ", "marked    "),
        };
        write!(f, "\n  {remove}  {}", packs(removed))?;
        write!(f, "\n  {mark}  {}", packs(marked))?;
        if marked.count > 0 {
            write!(f, "; a prune after {} removes them", counted(self.grace_hours, "hour"))?;
        }
        if waiting.count > 0 {
            write!(f, "\n  waiting     {}; marked earlier", packs(waiting))?;
        }
        if young.count > 0 {
            write!(f, "\n  too young   {}; a dump may have written them", packs(young))?;
        }
        let PrunedParts { used, marked, waiting, removed, young } = self.pruned.parts;
        let files = [
            ("in use    ", used),
            (remove, removed),
            (mark, marked),
            ("waiting   ", waiting),
            ("too young ", young),
        ];
        for (what, totals) in files.into_iter().filter(|(_, totals)| totals.count > 0) {
            let (count, bytes) = (counted(totals.count, "file"), format_bytes(totals.bytes));
            write!(f, "\n  {what}  {count} of Parquet, {bytes}")?;
        }
        for sign in &self.pruned.dumps_at_work {
            write!(f, "\na dump may be active ({sign}); nothing is removed meanwhile")?;
        }
        Ok(())
    }
}
