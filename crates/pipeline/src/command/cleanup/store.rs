//! `cleanup --store`: packs that no backup names, listed and removed.

use std::collections::HashSet;
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, SystemTime};

use dbhaul_archive::{BackupKey, Manifest, PackId, keys};
use dbhaul_progress::counted;
use dbhaul_store::{ObjectMeta, StoreExt, StoreUrl};
use serde::Serialize;

use crate::{Context, PipelineError, Status, format_bytes};
use dbhaul_repository::{Repository, RepositoryError, is_ahead, is_living};

/// Asks to remove packs that failed dumps have left in a store.
#[derive(Debug, Clone)]
pub struct StoreCleanupRequest {
    /// The store.
    pub store: StoreUrl,
    /// Younger packs are kept.
    pub grace: Duration,
    /// Remove; otherwise only list.
    pub remove: bool,
}

/// What a cleanup of a store found, and whether it removed it.
#[derive(Debug, Clone, Serialize)]
pub struct StoreCleanupReport {
    /// The store.
    pub store: String,
    /// Committed backups, all of whose packs are kept.
    pub backup_count: u64,
    /// Packs that no backup names and that are older than the grace period.
    pub packs: Vec<LeftPack>,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Packs that no backup names and that are kept because they are younger.
    pub young_pack_count: u64,
    /// The grace period, in hours.
    pub grace_hours: u64,
    /// Signs of dumps and cleanups that are gone.
    pub stale_signs: Vec<String>,
    /// Signs of dumps that may be at work: nothing is removed meanwhile.
    pub dumps_at_work: Vec<String>,
    /// Whether it was removed; otherwise it was only listed.
    pub removed: bool,
}

/// A pack that no backup names.
#[derive(Debug, Clone, Serialize)]
pub struct LeftPack {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

impl StoreCleanupReport {
    /// Done.
    pub fn status(&self) -> Status {
        Status::Done
    }
}

/// Lists the packs of a store that no committed backup names and that are older than a grace period; removes them if
/// that was asked for. Nothing is removed while a dump is at work, which may rely on any pack, nor if a manifest
/// cannot be read.
///
/// # Errors
/// If the store cannot be read, a manifest is damaged, or a dump is at work.
pub async fn cleanup_store(
    request: StoreCleanupRequest,
    context: Context,
) -> Result<StoreCleanupReport, PipelineError> {
    let repository = match request.remove {
        true => {
            Repository::open_to_write(&request.store, &context.keys, &context.progress, &context.cancel)
                .await?
        }
        false => Repository::open(&request.store, &context.keys, &context.progress, &context.cancel).await?,
    };
    if !request.remove {
        return look(&repository, &request, SystemTime::now(), &context).await.map(|(report, _)| report);
    }
    let tombstone = repository.tombstone(&context.cancel).await?;
    let removed = async {
        let now = tombstone.now().await?;
        let (mut report, backups) = look(&repository, &request, now, &context).await?;
        // one that an older dbhaul has committed meanwhile, which leaves no sign
        if repository.backup_keys_to_remove().await? != backups {
            return Err(PipelineError::Request {
                problem: format!(
                    "nothing was removed: a backup was made in {} meanwhile",
                    repository.describe()
                ),
                help: "run it again".to_owned(),
            });
        }
        let packs: Vec<String> = report.packs.iter().map(|pack| pack.key.clone()).collect();
        repository.remove(&packs, Some(&tombstone), &context.cancel).await?;
        repository.store().delete_many(&report.stale_signs).await?;
        report.removed = true;
        Ok(report)
    };
    let removed = removed.await;
    tombstone.end(&context.cancel).await;
    removed
}

/// What there is to remove, and the backups that were looked at.
async fn look(
    repository: &Repository,
    request: &StoreCleanupRequest,
    now: SystemTime,
    context: &Context,
) -> Result<(StoreCleanupReport, Vec<BackupKey>), PipelineError> {
    let backups = repository.backup_keys_to_remove().await?;
    let named = named_packs(repository, &backups, context).await?;
    let mut report = StoreCleanupReport {
        store: repository.describe(),
        backup_count: backups.len() as u64,
        packs: Vec::new(),
        pack_bytes: 0,
        young_pack_count: 0,
        grace_hours: request.grace.as_secs() / 3600,
        stale_signs: Vec::new(),
        dumps_at_work: Vec::new(),
        removed: false,
    };
    let take = |id: PackId, object: ObjectMeta| {
        if named.contains(&id) {
            return;
        }
        let age = object.modified.and_then(|modified| now.duration_since(modified).ok());
        if age.is_none_or(|age| age < request.grace) {
            report.young_pack_count += 1;
            return;
        }
        report.pack_bytes = report.pack_bytes.saturating_add(object.size_bytes);
        report.packs.push(LeftPack { key: object.key, bytes: object.size_bytes });
    };
    repository.each_pack(take).await?;
    for prefix in [keys::SESSIONS, keys::TRASH] {
        for sign in repository.store().list(prefix).await? {
            let is_sign = sign.key.strip_prefix(prefix).is_some_and(|id| ulid::Ulid::from_string(id).is_ok());
            // that nobody renews it was seen before anything is removed
            let is_left_over = request.remove && is_ahead(&sign, now);
            match is_living(&sign, now) && !is_left_over {
                false if is_sign => report.stale_signs.push(sign.key),
                true if is_sign && prefix == keys::SESSIONS => report.dumps_at_work.push(sign.key),
                _ => {}
            }
        }
    }
    Ok((report, backups))
}

/// The packs of all backups. One whose manifest cannot be read may name any: then nothing is known.
async fn named_packs(
    repository: &Repository,
    backups: &[BackupKey],
    context: &Context,
) -> Result<HashSet<PackId>, PipelineError> {
    let mut named = HashSet::new();
    let packs = |_: &BackupKey, manifest: Result<Manifest, RepositoryError>| {
        manifest.map(|manifest| manifest.packs.into_iter().map(|pack| pack.id).collect::<Vec<PackId>>())
    };
    for packs in repository.each_manifest(backups, &context.cancel, packs).await? {
        named.extend(packs?);
    }
    Ok(named)
}

impl Display for StoreCleanupReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let StoreCleanupReport { store, packs, young_pack_count, grace_hours, .. } = self;
        let size = format_bytes(self.pack_bytes);
        match (packs.len(), self.removed) {
            (0, _) => write!(f, "{store}: no pack to remove")?,
            (count, true) => write!(f, "removed from {store}: {}, {size}", counted(count, "pack"))?,
            (count, false) => {
                write!(f, "would be removed from {store}: {}, {size}", counted(count, "pack"))?;
                packs.iter().try_for_each(|LeftPack { key, bytes }| {
                    write!(f, "\n  {key}  {}", format_bytes(*bytes))
                })?;
            }
        }
        write!(f, "\n{} kept with all packs of theirs", counted(self.backup_count, "backup"))?;
        if *young_pack_count > 0 {
            let packs = counted(*young_pack_count, "pack");
            write!(f, "\n{packs} of no backup kept: younger than {}", counted(*grace_hours, "hour"))?;
        }
        for sign in &self.dumps_at_work {
            write!(f, "\na dump may be active ({sign}); nothing is removed meanwhile")?;
        }
        if !self.removed && !packs.is_empty() {
            write!(f, "\nnothing was removed: --yes does it")?;
        }
        Ok(())
    }
}
