//! Reports of checks in the store: written, found again, and what they say together.

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_archive::{
    ArchiveError, BackupKey, CheckFinding, CheckReport, CheckResult, CheckedPacks, MAX_REPORT_BYTES,
    Manifest, PackId, keys,
};
use dbhaul_progress::one_line;
use dbhaul_store::{ErrorKind, StoreExt};
use futures::stream::{StreamExt, TryStreamExt, iter};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::access::blocking;
use crate::{Repository, RepositoryError};

/// Reports that are read at the same time.
const REPORTS_AT_ONCE: usize = 8;

/// How far the clocks of machines that check may be apart. A good report from beyond that would hide for years what is
/// found until then.
const CLOCKS: SignedDuration = SignedDuration::from_hours(24);

/// What the reports of a backup say together.
#[derive(Debug, Clone, Default)]
pub struct CheckState {
    /// The newest of those that found nothing wrong.
    good: Option<CheckReport>,
    /// The newest that found damage, if no whole check of its level or above has found none since.
    damage: Option<CheckReport>,
    /// The newest of all.
    last: Option<CheckReport>,
}

/// A report, and when the store took it.
#[derive(Debug, Clone)]
struct StoredReport {
    report: CheckReport,
    /// By the store's clock; a copy of a store may have all of them from one day.
    stored: Option<Timestamp>,
}

impl StoredReport {
    /// When it was made, by the machine that checked. A report is not made after it was stored: what a clock that is
    /// ahead says must hide nothing that comes later.
    fn time(&self) -> Timestamp {
        self.stored.map_or(self.report.finished, |stored| stored.min(self.report.finished))
    }

    /// Whether it was made later than another, by the machines and by the store.
    fn is_after(&self, other: &StoredReport) -> bool {
        let was_stored_later = match (self.stored, other.stored) {
            (Some(own), Some(others)) => own >= others,
            _ => true,
        };
        was_stored_later && self.time() > other.time()
    }
}

impl CheckState {
    /// The newest report.
    pub fn last(&self) -> Option<&CheckReport> {
        self.last.as_ref()
    }

    /// The newest report that found damage, if no whole check of its level or above has found none since.
    pub fn damage(&self) -> Option<&CheckReport> {
        self.damage.as_ref()
    }

    /// Whether a check has found the backup good, and none has found damage that still counts.
    pub fn is_checked(&self) -> bool {
        self.good.is_some() && self.damage.is_none()
    }

    fn of(mut reports: Vec<StoredReport>, now: Timestamp) -> Self {
        let is_ahead = |stored: &StoredReport| stored.time().duration_since(now) > CLOCKS;
        reports.retain(|stored| stored.report.result == CheckResult::Damaged || !is_ahead(stored));
        reports.sort_by_key(StoredReport::time);
        let newest = |result| reports.iter().rev().find(|stored| stored.report.result == result);
        let is_refuted = |damage: &StoredReport| {
            reports.iter().any(|stored| {
                let report = &stored.report;
                let is_whole = report.result == CheckResult::Good && report.subset.is_none();
                is_whole && report.level >= damage.report.level && stored.is_after(damage)
            })
        };
        let mut damage = reports.iter().rev().filter(|stored| stored.report.result == CheckResult::Damaged);
        let report = |stored: &StoredReport| stored.report.clone();
        CheckState {
            good: newest(CheckResult::Good).map(report),
            damage: damage.find(|stored| !is_refuted(stored)).map(report),
            last: reports.last().map(report),
        }
    }
}

impl Repository {
    /// Writes a report, in place of an older one of its name; returns its key.
    pub(crate) async fn write_report(&self, report: &CheckReport) -> Result<String, RepositoryError> {
        let key = report.key();
        let (report, codec, store) = (report.clone(), self.codec.clone(), self.describe());
        let seal = move || report.seal(&codec).map_err(|source| RepositoryError::Archive { store, source });
        let bytes = blocking("writer of a report", seal).await?;
        self.store().overwrite(&key, bytes).await?;
        Ok(key)
    }

    /// Writes what a check has found of damaged packs down for every other backup that names one of them: nobody shall
    /// take these for good, or refer to what lies there, until a check of their own finds otherwise. A backup that is
    /// known to be damaged has its own report.
    pub(crate) async fn carry_damage(
        &self,
        report: &CheckReport,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let pack = |finding: &CheckFinding| Some((keys::parse_pack(&finding.object).ok()?, finding.clone()));
        let damaged: BTreeMap<PackId, CheckFinding> = report.damage.iter().filter_map(pack).collect();
        if damaged.is_empty() {
            return Ok(());
        }
        let mut others = self.backup_keys().await?;
        let states = self.check_states(&others, cancel).await?;
        let is_known = |key: &BackupKey| states.get(&key.id).is_some_and(|state| state.damage().is_some());
        others.retain(|key| key.id != report.backup && !is_known(key));
        let shares = |key: &BackupKey, manifest: Result<Manifest, RepositoryError>| {
            // one that cannot be read is no parent, and is told wherever it is read
            let shares = manifest.ok()?.packs.iter().any(|pack| damaged.contains_key(&pack.id));
            shares.then(|| key.clone())
        };
        for key in self.each_manifest(&others, cancel, shares).await?.into_iter().flatten() {
            let manifest = self.manifest(&key).await?;
            let carried = carried(report, &manifest, &damaged);
            self.reading(&manifest)?.write_report(&carried).await?;
            self.progress
                .warning(format!("backup {} of {:?} names a damaged pack too", key.id, key.database));
        }
        Ok(())
    }

    /// What the reports of these backups say; there is nothing for a backup without any. A report that cannot be read is
    /// told and passed over: whoever may write to the store may have put it there.
    ///
    /// # Errors
    /// If the store fails, or the user stops it.
    pub async fn check_states(
        &self,
        backups: &[BackupKey],
        cancel: &CancellationToken,
    ) -> Result<BTreeMap<Ulid, CheckState>, RepositoryError> {
        let wanted: BTreeSet<Ulid> = backups.iter().map(|key| key.id).collect();
        // of a single one no others need be listed
        let prefix = match backups {
            [] => return Ok(BTreeMap::new()),
            [one] => keys::reports_of(one.id),
            _ => keys::REPORTS.to_owned(),
        };
        let mut found = Vec::new();
        let mut objects = self.store().list_stream(&prefix);
        while let Some(object) = objects.try_next().await? {
            let report = keys::parse_check_report(&object.key);
            if report.is_some_and(|(backup, _)| wanted.contains(&backup)) {
                let stored = object.modified.and_then(|modified| Timestamp::try_from(modified).ok());
                found.push((object.key, stored));
            }
        }
        drop(objects);
        let reads = iter(found).map(async |(key, stored)| {
            if cancel.is_cancelled() {
                return Err(RepositoryError::Cancelled);
            }
            Ok(self.report(key).await?.map(|report| StoredReport { report, stored }))
        });
        let mut reads = reads.buffer_unordered(REPORTS_AT_ONCE);
        let mut reports: BTreeMap<Ulid, Vec<StoredReport>> = BTreeMap::new();
        while let Some(stored) = reads.try_next().await? {
            if let Some(stored) = stored {
                reports.entry(stored.report.backup).or_default().push(stored);
            }
        }
        let now = Timestamp::now();
        Ok(reports.into_iter().map(|(id, reports)| (id, CheckState::of(reports, now))).collect())
    }

    /// A report, if it can be read with the keys at hand and is one.
    async fn report(&self, key: String) -> Result<Option<CheckReport>, RepositoryError> {
        let bytes = match self.store().get_at_most(&key, MAX_REPORT_BYTES).await {
            Ok(bytes) => bytes,
            // another check has just put a newer one there, or somebody has put a long object there
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Damaged => {
                self.progress.warning(format!("a report in the store is passed over: {}", one_line(&error)));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let (keyring, repo) = (self.keyring.clone(), self.config().id);
        let opened =
            blocking("reader of a report", move || Ok(CheckReport::open(&key, &bytes, repo, &keyring)))
                .await?;
        match opened {
            Ok(report) => Ok(Some(report)),
            // whoever cannot read the report cannot read the manifest either, and is told of that
            Err(ArchiveError::NoKey { .. }) => Ok(None),
            Err(error) => {
                self.progress.warning(format!("a report in the store is passed over: {error}"));
                Ok(None)
            }
        }
    }
}

/// The report of a backup that shares damaged packs with the one that was checked.
fn carried(
    report: &CheckReport,
    manifest: &Manifest,
    damaged: &BTreeMap<PackId, CheckFinding>,
) -> CheckReport {
    let damage: Vec<CheckFinding> = manifest
        .packs
        .iter()
        .filter_map(|pack| damaged.get(&pack.id))
        .map(|finding| CheckFinding {
            problem: format!("{} (found by a check of backup {})", finding.problem, report.backup),
            affects: Vec::new(),
            affected_count: 0,
            ..finding.clone()
        })
        .collect();
    CheckReport {
        backup: manifest.id,
        read_packs: CheckedPacks::default(),
        packs: CheckedPacks {
            count: manifest.packs.len() as u64,
            bytes: manifest.packs.iter().map(|pack| pack.bytes).sum(),
        },
        row_count: None,
        damage_count: damage.len() as u64,
        damage,
        unread: Vec::new(),
        unread_count: 0,
        not_compared: vec![format!("anything but packs that a check of backup {} has read", report.backup)],
        ..report.clone()
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_archive::{CheckLevel, CheckReport, CheckResult, CheckedPacks, PackGroup};
    use jiff::Timestamp;
    use ulid::Ulid;

    use super::{CheckState, StoredReport};

    fn report(second: i64, level: CheckLevel, result: CheckResult, subset: Option<PackGroup>) -> CheckReport {
        let finished = Timestamp::from_second(second).unwrap();
        CheckReport {
            format_version: CheckReport::VERSION,
            repo: Ulid(1),
            backup: Ulid(2),
            level,
            subset,
            result,
            started: finished,
            finished,
            dbhaul_version: String::new(),
            read_packs: CheckedPacks::default(),
            packs: CheckedPacks::default(),
            row_count: None,
            damage: Vec::new(),
            damage_count: 0,
            unread: Vec::new(),
            unread_count: 0,
            not_compared: Vec::new(),
        }
    }

    #[test]
    fn damage_counts_until_a_whole_check_as_close_finds_none() {
        use CheckLevel::{Hashes, References, Rows};
        use CheckResult::{Damaged, Good, Incomplete};
        let part = PackGroup::new(2, 20);
        let check = |reports: &[CheckReport], is_checked: bool, is_damaged: bool| {
            let stored = |report: &CheckReport| StoredReport { report: report.clone(), stored: None };
            let reports: Vec<StoredReport> = reports.iter().map(stored).collect();
            let state = CheckState::of(reports.clone(), Timestamp::from_second(100).unwrap());
            let found = (state.is_checked(), state.damage().is_some());
            assert_eq!(found, (is_checked, is_damaged), "{reports:?}");
        };
        let damaged = report(10, Hashes, Damaged, part);
        check(&[], false, false);
        check(&[report(1, References, Good, None)], true, false);
        check(&[report(1, Hashes, Incomplete, None)], false, false);
        check(std::slice::from_ref(&damaged), false, true);
        check(&[report(11, References, Good, None), damaged.clone()], false, true);
        check(&[report(11, Hashes, Good, part), damaged.clone()], false, true);
        check(&[report(9, Hashes, Good, None), damaged.clone()], false, true);
        check(&[report(11, Hashes, Good, None), damaged.clone()], true, false);
        check(&[report(11, Rows, Good, None), damaged.clone()], true, false);
        // damage of a higher level that is older than that of a lower one which a check has refuted
        let rows = report(5, Rows, Damaged, None);
        check(&[rows, damaged.clone(), report(11, Hashes, Good, None)], false, true);
        // a clock that was wrong for a day
        check(&[report(1_000_000, Hashes, Good, None), damaged], false, true);
    }

    #[test]
    fn a_clock_of_a_machine_hides_nothing_that_the_store_took_later() {
        use CheckResult::{Damaged, Good};
        // when each was made as its machine says, and when the store took it
        let check = |good: (i64, i64), damaged: (i64, i64), is_damaged: bool| {
            let stored = |(made, stored): (i64, i64), result| StoredReport {
                report: report(made, CheckLevel::Hashes, result, None),
                stored: Some(Timestamp::from_second(stored).unwrap()),
            };
            let reports = vec![stored(good, Good), stored(damaged, Damaged)];
            let state = CheckState::of(reports, Timestamp::from_second(1000).unwrap());
            assert_eq!(state.damage().is_some(), is_damaged, "{good:?} {damaged:?}");
        };
        check((20, 20), (10, 10), false);
        check((10, 10), (20, 20), true);
        // the machine of one of them is ahead, for hours or for years
        for ahead in [5_000, 1_000_000_000] {
            check((ahead, 10), (20, 20), true);
            check((20, 20), (ahead, 10), false);
        }
        // or behind
        check((20, 20), (5, 30), true);
        // a copy of the store has all of them from one day
        check((20, 900), (10, 900), false);
        check((10, 900), (20, 900), true);
    }
}
