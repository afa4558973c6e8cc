//! Removing packs that no backup names, in two phases.
//!
//! The first run that finds such a pack *marks* it; a later run removes it, if the mark is older than a grace period, no
//! backup names the pack by then and no dump is at work. So whoever reads a backup that was just forgotten can go on,
//! and a dump whose sign was not seen has the grace period to end. A run may be killed at any point: the next one goes on.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use dbhaul_archive::{BackupKey, Manifest, PackId, keys};
use dbhaul_retry::RetryPolicy;
use dbhaul_store::{ObjectMeta, StoreExt};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::lease::{SIGN_LIFE, Sign, is_older};
use crate::prune_parts::{PartSurvey, PrunedParts};
use crate::{Repository, RepositoryError};

/// Objects that are removed at a time.
const BATCH: usize = 500;

/// Packs of one mark, at most.
const MARK_PACKS: usize = 100_000;

/// Bytes of a mark, at most: its packs, each in 68 bytes.
const MAX_MARK_BYTES: u64 = 16 << 20;

/// Marks that are read, at most: a store with more is none that this made.
const MAX_MARKS: usize = 10_000;

/// How to prune.
#[derive(Debug, Clone, Copy)]
pub struct PruneOptions {
    /// Marks that are younger are left for a later run.
    pub grace: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Remove packs of a store that holds no backup, too: its backups may merely not be visible.
    pub allow_no_backup: bool,
}

/// Packs and what they add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PackTotals {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a prune found and did, or would do.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Pruned {
    /// Backups of the store, all of whose packs are kept.
    pub backup_count: u64,
    /// Packs that backups name.
    pub used: PackTotals,
    /// Packs that no backup names and that were marked now.
    pub marked: PackTotals,
    /// Packs that were marked earlier and are not removed yet.
    pub waiting: PackTotals,
    /// Packs that were removed.
    pub removed: PackTotals,
    /// Packs that no backup names and that are too young to be marked: a dump may have written them.
    pub young: PackTotals,
    /// Reports and pins of backups that are gone, removed.
    pub orphan_count: u64,
    /// Signs of dumps that may be at work. While there are any, nothing is removed.
    pub dumps_at_work: Vec<String>,
    /// The same of the files of backups in Parquet.
    #[serde(skip_serializing_if = "PrunedParts::is_empty")]
    pub parts: PrunedParts,
}

impl PackTotals {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What a mark says.
#[derive(Debug, Serialize, Deserialize)]
struct MarkText {
    packs: Vec<PackId>,
}

/// A mark of an earlier run.
#[derive(Debug)]
struct Mark {
    key: String,
    packs: Vec<PackId>,
    is_due: bool,
    /// Whether a backup names one of its packs again: their grace begins anew when no backup does any more.
    is_spent: bool,
}

/// What a look at a store is to find out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SurveyScope {
    /// Marks that are younger are left for a later run.
    pub(crate) grace: Duration,
    /// Packs that are younger may be of a dump whose sign was not seen.
    pub(crate) young: Duration,
    /// Whether a store that holds no backup is looked at.
    pub(crate) allow_no_backup: bool,
}

/// Where everything stands when a run begins.
pub(crate) struct Survey {
    pub(crate) backups: Vec<BackupKey>,
    pub(crate) report: Pruned,
    marks: Vec<Mark>,
    /// Packs that no backup names, with their sizes and whether they are old enough to be marked.
    pub(crate) unnamed: BTreeMap<PackId, (u64, bool)>,
    orphans: Vec<String>,
    pub(crate) parts: PartSurvey,
}

impl Repository {
    /// Marks packs that no backup names, and removes those that were marked longer ago than the grace period.
    ///
    /// # Errors
    /// If the store cannot be read or written, a manifest is damaged, or another prune is at work.
    pub async fn prune(
        &self,
        options: &PruneOptions,
        cancel: &CancellationToken,
    ) -> Result<Pruned, RepositoryError> {
        let PruneOptions { grace, allow_no_backup, .. } = *options;
        let scope = SurveyScope { grace, young: SIGN_LIFE, allow_no_backup };
        if options.dry_run {
            let now = self.clock.now();
            let survey = self.survey(scope, now, self.signs(keys::SESSIONS, now).await?, cancel).await?;
            return Ok(survey.foretell());
        }
        let sign = self.removal(cancel).await?;
        let pruned = self.prune_under(&sign, scope, cancel).await;
        sign.end(cancel).await;
        pruned
    }

    async fn prune_under(
        &self,
        sign: &Sign,
        scope: SurveyScope,
        cancel: &CancellationToken,
    ) -> Result<Pruned, RepositoryError> {
        let at_work = self.living(keys::SESSIONS, sign, cancel).await?;
        let mut survey = self.survey(scope, sign.now().await?, at_work, cancel).await?;
        let due = survey.due();
        let are_dumps_at_work = !survey.report.dumps_at_work.is_empty();
        if !are_dumps_at_work && (!due.is_empty() || survey.parts.has_unnamed()) {
            self.remove_packs(&mut survey, &due, sign, cancel).await?;
        }
        self.remove_marks(&mut survey, cancel).await?;
        self.mark(&mut survey).await?;
        self.remove(&survey.orphans, Some(sign), cancel).await?;
        survey.report.orphan_count = survey.orphans.len() as u64;
        survey.report.parts = self.prune_parts(survey.parts, sign, are_dumps_at_work, cancel).await?;
        Ok(survey.report)
    }

    /// Removes these packs, unless a backup came or went since the store was looked at.
    pub(crate) async fn remove_packs(
        &self,
        survey: &mut Survey,
        due: &[PackId],
        sign: &Sign,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        // one that a dump has committed whose sign was taken away meanwhile, or an older dbhaul, which leaves none
        if self.backup_keys_to_remove().await? != survey.backups {
            return Err(RepositoryError::StoreChanged { store: self.describe() });
        }
        let packs: Vec<String> = due.iter().map(|id| keys::pack(*id)).collect();
        self.remove(&packs, Some(sign), cancel).await?;
        for id in due {
            if let Some((bytes, _)) = survey.unnamed.remove(id) {
                survey.report.removed.add(bytes);
            }
        }
        Ok(())
    }

    /// Looks at everything in the store that no backup names.
    pub(crate) async fn survey(
        &self,
        scope: SurveyScope,
        now: SystemTime,
        at_work: Vec<ObjectMeta>,
        cancel: &CancellationToken,
    ) -> Result<Survey, RepositoryError> {
        let backups = self.backup_keys_to_remove().await?;
        let mut named = HashSet::new();
        let packs = |_: &BackupKey, manifest: Result<Manifest, RepositoryError>| {
            manifest.map(|manifest| manifest.packs.into_iter().map(|pack| pack.id).collect::<Vec<PackId>>())
        };
        for packs in self.each_manifest(&backups, cancel, packs).await? {
            named.extend(packs?);
        }
        let mut report = Pruned { backup_count: backups.len() as u64, ..Pruned::default() };
        let unnamed = self.unnamed_packs(&named, (scope.young, now), &mut report).await?;
        let parts = self.survey_parts(&backups, scope, now).await?;
        let has_unnamed = !unnamed.is_empty() || parts.has_unnamed();
        // while a dump is at work, which may be the first of the store, nothing is removed anyway
        if backups.is_empty() && has_unnamed && at_work.is_empty() && !scope.allow_no_backup {
            return Err(RepositoryError::NoBackupLeft { store: self.describe() });
        }
        let marks = self.marks(&named, scope.grace, now).await?;
        report.dumps_at_work = at_work.into_iter().map(|sign| sign.key).collect();
        let orphans = self.orphans(&backups, now).await?;
        Ok(Survey { backups, report, marks, unnamed, orphans, parts })
    }

    async fn unnamed_packs(
        &self,
        named: &HashSet<PackId>,
        (young, now): (Duration, SystemTime),
        report: &mut Pruned,
    ) -> Result<BTreeMap<PackId, (u64, bool)>, RepositoryError> {
        let mut unnamed = BTreeMap::new();
        let take = |id: PackId, object: ObjectMeta| {
            if named.contains(&id) {
                report.used.add(object.size_bytes);
            } else {
                unnamed.insert(id, (object.size_bytes, is_older(&object, young, now)));
            }
        };
        self.each_pack(take).await?;
        Ok(unnamed)
    }

    async fn marks(
        &self,
        named: &HashSet<PackId>,
        grace: Duration,
        now: SystemTime,
    ) -> Result<Vec<Mark>, RepositoryError> {
        let mut marks = Vec::new();
        for object in self.store().list(keys::MARKS).await? {
            if marks.len() == MAX_MARKS {
                let reason = format!("there are more than {MAX_MARKS} of them");
                return Err(RepositoryError::Damaged { what: "the marks of packs".to_owned(), reason });
            }
            if object.size_bytes > MAX_MARK_BYTES {
                self.progress.warning(format!("{} in the store is too long to be a mark", object.key));
                continue;
            }
            // what another run has just removed is none
            let Some(text) = self.store().get_optional_at_most(&object.key, MAX_MARK_BYTES).await? else {
                continue;
            };
            // one that cannot be read marks nothing, and goes when its time has come
            let packs: Vec<PackId> = match serde_json::from_slice(&text) {
                Ok(MarkText { packs }) => packs,
                Err(error) => {
                    self.progress.warning(format!("{} in the store cannot be read: {error}", object.key));
                    Vec::new()
                }
            };
            let is_spent = packs.iter().any(|id| named.contains(id));
            marks.push(Mark { is_due: is_older(&object, grace, now), key: object.key, packs, is_spent });
        }
        Ok(marks)
    }

    /// Reports, pins and the like of backups that are no more. One that was written not long ago may be of a backup that
    /// was made since these were listed.
    async fn orphans(&self, backups: &[BackupKey], now: SystemTime) -> Result<Vec<String>, RepositoryError> {
        let living: HashSet<Ulid> = backups.iter().map(|key| key.id).collect();
        let mut orphans = Vec::new();
        for prefix in [keys::REPORTS, keys::PINS, keys::ACCEPTED] {
            let mut objects = self.store().list_stream(prefix);
            while let Some(object) = objects.try_next().await? {
                let name = object.key.strip_prefix(prefix).and_then(|rest| rest.split('/').next());
                let id = name.and_then(|name| Ulid::from_string(name).ok());
                if id.is_some_and(|id| !living.contains(&id)) && is_older(&object, SIGN_LIFE, now) {
                    orphans.push(object.key);
                }
            }
        }
        Ok(orphans)
    }

    /// Removes the marks that have had their time.
    pub(crate) async fn remove_marks(
        &self,
        survey: &mut Survey,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let done = survey.take_done_marks();
        let done: Vec<String> = done.into_iter().map(|mark| mark.key).collect();
        self.remove(&done, None, cancel).await
    }

    /// Marks what no backup names and no mark yet.
    async fn mark(&self, survey: &mut Survey) -> Result<(), RepositoryError> {
        let fresh = survey.sort_unnamed();
        for packs in fresh.chunks(MARK_PACKS) {
            let text = serde_json::to_vec(&MarkText { packs: packs.to_vec() }).map_err(|error| {
                RepositoryError::Damaged { what: "a mark of packs".to_owned(), reason: error.to_string() }
            })?;
            // nobody else has its name, and a request that comes twice is not refused so
            self.store().overwrite(&keys::mark(Ulid::generate()), Bytes::from(text)).await?;
        }
        Ok(())
    }

    /// Removes objects under a sign, which is renewed before each attempt: one that comes after a sleep of the machine
    /// could remove what a dump relies on since.
    ///
    /// # Errors
    /// [`RepositoryError::SignLapsed`]; if the store fails, or the user stops it.
    pub(crate) async fn remove(
        &self,
        objects: &[String],
        sign: Option<&Sign>,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let store = self.single_attempt();
        for batch in objects.chunks(BATCH) {
            let mut attempts = RetryPolicy::default().attempts();
            loop {
                if cancel.is_cancelled() {
                    return Err(RepositoryError::Cancelled);
                }
                if let Some(sign) = sign {
                    sign.renew().await?;
                }
                let Err(error) = store.delete_many(batch).await else { break };
                if let Some(sign) = sign.filter(|_| error.leaves_doubt()) {
                    sign.doubt();
                }
                let Some(pause) = attempts.failed(error.is_transient()) else { return Err(error.into()) };
                self.progress.warning(format!("{error}; {pause}"));
                pause.wait(cancel).await.map_err(|_| RepositoryError::Cancelled)?;
            }
        }
        Ok(())
    }
}

impl Survey {
    /// Packs that a mark old enough names, and no backup.
    fn due(&self) -> Vec<PackId> {
        let due: BTreeSet<PackId> = self
            .marks
            .iter()
            .filter(|mark| mark.is_due)
            .flat_map(|mark| mark.packs.iter().copied())
            .collect();
        due.into_iter().filter(|id| self.unnamed.contains_key(id)).collect()
    }

    /// The marks that have had their time: all of their packs are gone, or a backup names one of them again. What else
    /// such a one has marked is marked anew.
    fn take_done_marks(&mut self) -> Vec<Mark> {
        let Survey { marks, unnamed, .. } = self;
        let is_done = |mark: &Mark| mark.is_spent || mark.packs.iter().all(|id| !unnamed.contains_key(id));
        let (done, waiting) = marks.drain(..).partition(is_done);
        *marks = waiting;
        done
    }

    /// Counts the packs that no backup names as waiting, young or marked now; returns the last.
    fn sort_unnamed(&mut self) -> Vec<PackId> {
        let marked: HashSet<PackId> = self.marks.iter().flat_map(|mark| mark.packs.iter().copied()).collect();
        let mut fresh = Vec::new();
        for (id, (bytes, is_old)) in &self.unnamed {
            match (marked.contains(id), is_old) {
                (true, _) => self.report.waiting.add(*bytes),
                (false, false) => self.report.young.add(*bytes),
                (false, true) => {
                    self.report.marked.add(*bytes);
                    fresh.push(*id);
                }
            }
        }
        fresh
    }

    /// What a run would do.
    fn foretell(mut self) -> Pruned {
        if self.report.dumps_at_work.is_empty() {
            for id in self.due() {
                if let Some((bytes, _)) = self.unnamed.remove(&id) {
                    self.report.removed.add(bytes);
                }
            }
        }
        self.take_done_marks();
        self.sort_unnamed();
        self.report.orphan_count = self.orphans.len() as u64;
        self.report.parts = self.parts.foretell(!self.report.dumps_at_work.is_empty());
        self.report
    }
}
