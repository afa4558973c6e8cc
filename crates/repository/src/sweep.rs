//! Removing at once what failed dumps have left: packs and files of Parquet that no backup names, and signs of processes
//! that are gone.
//!
//! What no backup names is found and removed as a [prune](Repository::prune) does it. But nothing is marked: what is older
//! than a grace period goes in the first run, and for that no dump may be at work.

use std::time::{Duration, SystemTime};

use dbhaul_archive::{BackupKey, PackId, keys};
use dbhaul_store::StoreExt;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::lease::{Sign, is_ahead, is_living, is_sign};
use crate::prune::{Survey, SurveyScope};
use crate::{PackTotals, Repository, RepositoryError};

/// How to sweep.
#[derive(Debug, Clone, Copy)]
pub struct SweepOptions {
    /// What is younger stays.
    pub grace: Duration,
    /// Only say what would be removed.
    pub dry_run: bool,
}

/// A pack that no backup names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftPack {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

/// The files of Parquet of a backup that there is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftFolder {
    /// What their keys begin with.
    pub key: String,
    /// The files.
    #[serde(flatten)]
    pub files: PackTotals,
}

/// What a sweep found, and removed if that was asked for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Swept {
    /// Committed backups, all of whose objects are kept.
    pub backup_count: u64,
    /// Packs that no backup names and that are older than the grace period.
    pub packs: Vec<LeftPack>,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Packs that no backup names and that are kept because they are younger.
    pub young_pack_count: u64,
    /// Files of Parquet of backups that there are not, all of them older than the grace period.
    pub folders: Vec<LeftFolder>,
    /// Files of Parquet of no backup that are kept because they, or others of the same dump, are younger.
    pub young_file_count: u64,
    /// Signs of dumps and removals that are gone.
    pub stale_signs: Vec<String>,
    /// Signs of dumps that may be at work: nothing is removed meanwhile.
    pub dumps_at_work: Vec<String>,
}

impl Repository {
    /// Removes what no backup names and what is older than the grace period, at once.
    ///
    /// # Errors
    /// If the store cannot be read or written, a manifest is damaged, or a dump or another removal is at work.
    pub async fn sweep(
        &self,
        options: &SweepOptions,
        cancel: &CancellationToken,
    ) -> Result<Swept, RepositoryError> {
        let SweepOptions { grace, dry_run } = *options;
        let scope = SurveyScope { grace, young: grace, allow_no_backup: dry_run };
        if dry_run {
            let now = self.clock.now();
            let survey = self.survey(scope, now, self.signs(keys::SESSIONS, now).await?, cancel).await?;
            let mut swept = Swept::new(&survey);
            swept.stale_signs = self.stale_signs(now, false).await?;
            return Ok(swept);
        }
        let sign = self.tombstone(cancel).await?;
        let swept = self.sweep_under(&sign, scope, cancel).await;
        sign.end(cancel).await;
        swept
    }

    async fn sweep_under(
        &self,
        sign: &Sign,
        scope: SurveyScope,
        cancel: &CancellationToken,
    ) -> Result<Swept, RepositoryError> {
        let now = sign.now().await?;
        let mut survey = self.survey(scope, now, Vec::new(), cancel).await?;
        let mut swept = Swept::new(&survey);
        swept.stale_signs = self.stale_signs(now, true).await?;
        let (packs, folders) = (old_packs(&survey), old_folders(&survey));
        if !packs.is_empty() || !folders.is_empty() {
            self.remove_packs(&mut survey, &packs, sign, cancel).await?;
        }
        self.remove_marks(&mut survey, cancel).await?;
        self.remove_folders(&mut survey.parts, &folders, sign, cancel).await?;
        self.remove(&swept.stale_signs, Some(sign), cancel).await?;
        Ok(swept)
    }

    /// The signs that count no more. One that is dated ahead does not once it was seen that nobody renews it.
    async fn stale_signs(&self, now: SystemTime, is_observed: bool) -> Result<Vec<String>, RepositoryError> {
        let mut stale = Vec::new();
        for prefix in [keys::SESSIONS, keys::TRASH] {
            for sign in self.store().list(prefix).await? {
                let counts = is_living(&sign, now) && !(is_observed && is_ahead(&sign, now));
                if is_sign(&sign.key, prefix) && !counts {
                    stale.push(sign.key);
                }
            }
        }
        Ok(stale)
    }
}

fn old_packs(survey: &Survey) -> Vec<PackId> {
    let old = survey.unnamed.iter().filter(|(_, (_, is_old))| *is_old);
    old.map(|(id, _)| *id).collect()
}

fn old_folders(survey: &Survey) -> Vec<BackupKey> {
    let old = survey.parts.folders().filter(|(_, _, is_old)| *is_old);
    old.map(|(backup, ..)| backup.clone()).collect()
}

impl Swept {
    /// What a survey has found.
    fn new(survey: &Survey) -> Self {
        let mut swept = Swept {
            backup_count: survey.report.backup_count,
            dumps_at_work: survey.report.dumps_at_work.clone(),
            ..Swept::default()
        };
        for (id, (bytes, is_old)) in &survey.unnamed {
            match is_old {
                true => swept.take(LeftPack { key: keys::pack(*id), bytes: *bytes }),
                false => swept.young_pack_count += 1,
            }
        }
        for (backup, files, is_old) in survey.parts.folders() {
            match is_old {
                true => swept.folders.push(LeftFolder { key: keys::parts_of(backup), files }),
                false => swept.young_file_count += files.count,
            }
        }
        swept
    }

    fn take(&mut self, pack: LeftPack) {
        self.pack_bytes = self.pack_bytes.saturating_add(pack.bytes);
        self.packs.push(pack);
    }
}
