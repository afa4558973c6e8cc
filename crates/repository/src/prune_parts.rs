//! Removing the files of Parquet of backups that are no more, in the same two phases as packs.
//!
//! A part lies in the folder of its own backup and is named by no other, so a folder goes as a whole. Its mark is an
//! object that is named by the backup; the age of the mark is the object's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use bytes::Bytes;
use dbhaul_archive::{BackupKey, keys};
use dbhaul_store::{ObjectMeta, StoreExt};
use futures::TryStreamExt;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::lease::{Sign, is_older};
use crate::prune::{PackTotals, SurveyScope};
use crate::{Repository, RepositoryError};

/// Files that are removed at a time.
const BATCH: usize = 500;

/// Files of Parquet: what a prune found of them and did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PrunedParts {
    /// In the folders of backups.
    pub used: PackTotals,
    /// Of no backup, marked now.
    pub marked: PackTotals,
    /// Marked earlier and not removed yet.
    pub waiting: PackTotals,
    /// Removed.
    pub removed: PackTotals,
    /// Of no backup, and too young to be marked: a dump may have written them.
    pub young: PackTotals,
}

impl PrunedParts {
    /// Whether there are any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The folder of a backup that is no more.
struct Folder {
    files: PackTotals,
    /// Whether all of its files are old enough to be marked.
    is_old: bool,
}

/// What lies below `parquet/`, and the marks of it.
pub(crate) struct PartSurvey {
    pub(crate) report: PrunedParts,
    folders: BTreeMap<BackupKey, Folder>,
    /// By backup, whether the grace period is over.
    marks: BTreeMap<Ulid, bool>,
    backups: BTreeSet<Ulid>,
}

impl Repository {
    /// Looks at all files of Parquet. Those that are in no backup's folder by their names are left alone.
    pub(crate) async fn survey_parts(
        &self,
        backups: &[BackupKey],
        scope: SurveyScope,
        now: SystemTime,
    ) -> Result<PartSurvey, RepositoryError> {
        let living: BTreeSet<&BackupKey> = backups.iter().collect();
        let mut report = PrunedParts::default();
        let mut folders: BTreeMap<BackupKey, Folder> = BTreeMap::new();
        let mut marks = BTreeMap::new();
        let mut objects = self.store().list_stream(keys::PARTS_AND_MARKS);
        while let Some(object) = objects.try_next().await? {
            if let Some(backup) = marked_backup(&object) {
                marks.insert(backup, is_older(&object, scope.grace, now));
                continue;
            }
            let Ok(backup) = keys::parse_parts_of(&object.key) else { continue };
            if living.contains(&backup) {
                report.used.add(object.size_bytes);
                continue;
            }
            let folder =
                folders.entry(backup).or_insert(Folder { files: PackTotals::default(), is_old: true });
            folder.files.add(object.size_bytes);
            folder.is_old &= is_older(&object, scope.young, now);
        }
        drop(objects);
        let backups = backups.iter().map(|key| key.id).collect();
        Ok(PartSurvey { report, folders, marks, backups })
    }

    /// Removes the folders whose time has come, and marks those that have no mark.
    pub(crate) async fn prune_parts(
        &self,
        mut survey: PartSurvey,
        sign: &Sign,
        dumps_at_work: bool,
        cancel: &CancellationToken,
    ) -> Result<PrunedParts, RepositoryError> {
        let due = survey.due(dumps_at_work);
        self.remove_folders(&mut survey, &due, sign, cancel).await?;
        for backup in survey.sort() {
            self.store().overwrite(&keys::part_mark(backup), Bytes::new()).await?;
        }
        Ok(survey.report)
    }

    /// Removes all files of these backups, and the marks that are of no use any more.
    pub(crate) async fn remove_folders(
        &self,
        survey: &mut PartSurvey,
        due: &[BackupKey],
        sign: &Sign,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        for backup in due {
            let folder = keys::parts_of(backup);
            let mut batch = Vec::with_capacity(BATCH);
            let mut objects = self.store().list_stream(&folder);
            while let Some(object) = objects.try_next().await? {
                batch.push(object.key);
                if batch.len() == BATCH {
                    self.remove(&std::mem::take(&mut batch), Some(sign), cancel).await?;
                }
            }
            drop(objects);
            self.remove(&batch, Some(sign), cancel).await?;
            survey.removed(backup);
        }
        self.remove(&survey.spent_marks(), Some(sign), cancel).await
    }
}

impl PartSurvey {
    /// Whether there are files of backups that are no more.
    pub(crate) fn has_unnamed(&self) -> bool {
        !self.folders.is_empty()
    }

    /// The folders of backups that are no more, each with its files, and whether all of them are old.
    pub(crate) fn folders(&self) -> impl Iterator<Item = (&BackupKey, PackTotals, bool)> {
        self.folders.iter().map(|(key, folder)| (key, folder.files, folder.is_old))
    }

    fn due(&self, dumps_at_work: bool) -> Vec<BackupKey> {
        let is_due = |key: &&BackupKey| !dumps_at_work && self.marks.get(&key.id) == Some(&true);
        self.folders.keys().filter(is_due).cloned().collect()
    }

    fn removed(&mut self, backup: &BackupKey) {
        if let Some(folder) = self.folders.remove(backup) {
            self.report.removed.count += folder.files.count;
            self.report.removed.bytes += folder.files.bytes;
        }
    }

    /// Marks of folders that are gone, and of backups that are there: their grace begins anew if they are forgotten.
    fn spent_marks(&mut self) -> Vec<String> {
        let folders: BTreeSet<Ulid> = self.folders.keys().map(|key| key.id).collect();
        let is_spent = |id: &Ulid| !folders.contains(id) || self.backups.contains(id);
        let spent: Vec<Ulid> = self.marks.keys().copied().filter(is_spent).collect();
        spent.iter().for_each(|id| _ = self.marks.remove(id));
        spent.into_iter().map(keys::part_mark).collect()
    }

    /// Counts what is left as waiting, young or marked now; returns the last.
    fn sort(&mut self) -> Vec<Ulid> {
        let mut fresh = Vec::new();
        for (key, folder) in &self.folders {
            let report = &mut self.report;
            let totals = match (self.marks.contains_key(&key.id), folder.is_old) {
                (true, _) => &mut report.waiting,
                (false, false) => &mut report.young,
                (false, true) => {
                    fresh.push(key.id);
                    &mut report.marked
                }
            };
            totals.count += folder.files.count;
            totals.bytes += folder.files.bytes;
        }
        fresh
    }

    /// What a run would do.
    pub(crate) fn foretell(mut self, dumps_at_work: bool) -> PrunedParts {
        for backup in self.due(dumps_at_work) {
            self.removed(&backup);
        }
        self.spent_marks();
        self.sort();
        self.report
    }
}

fn marked_backup(object: &ObjectMeta) -> Option<Ulid> {
    let id = object.key.strip_prefix(keys::PART_MARKS)?;
    Ulid::from_string(id).ok().filter(|id| keys::part_mark(*id) == object.key)
}
