//! Reports of checks in the store: written, found again, and what they say together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use dbhaul_archive::{
    ArchiveError, BackupKey, CheckFinding, CheckLevel, CheckReport, CheckResult, CheckedPacks,
    MAX_REPORT_BYTES, Manifest, PackId, keys,
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
    /// Whether one has read packs, all or a part of them, and found nothing wrong.
    is_good: bool,
    /// Those that found damage, each unless a whole check of its level or above has found none since, the newest first.
    damage: Vec<CheckReport>,
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
        self.damage.first()
    }

    /// Whether a check that reads packs, all or a part of them, has found the backup good, and none has found damage that
    /// still counts.
    pub fn is_checked(&self) -> bool {
        self.is_good && self.damage.is_empty()
    }

    fn of(mut reports: Vec<StoredReport>, now: Timestamp) -> Self {
        let is_ahead = |stored: &StoredReport| stored.time().duration_since(now) > CLOCKS;
        reports.retain(|stored| stored.report.result == CheckResult::Damaged || !is_ahead(stored));
        reports.sort_by_key(StoredReport::time);
        // sizes and references say nothing of what is in the packs
        let reads_packs = |report: &CheckReport| report.level >= CheckLevel::Hashes;
        let is_good = |report: &CheckReport| report.result == CheckResult::Good && reads_packs(report);
        let is_refuted = |damage: &StoredReport| {
            reports.iter().any(|stored| {
                let report = &stored.report;
                let is_whole = report.result == CheckResult::Good && report.subset.is_none();
                is_whole && report.level >= damage.report.level && stored.is_after(damage)
            })
        };
        let damage = reports.iter().rev().filter(|stored| stored.report.result == CheckResult::Damaged);
        let report = |stored: &StoredReport| stored.report.clone();
        CheckState {
            is_good: reports.iter().any(|stored| is_good(&stored.report)),
            damage: damage.filter(|stored| !is_refuted(stored)).map(report).collect(),
            last: reports.last().map(report),
        }
    }
}

/// What a run knows of all backups of a store once it has found damage: each manifest and each report is read once,
/// however many backups are damaged.
#[derive(Debug, Default)]
pub struct KnownBackups {
    keys: Vec<BackupKey>,
    /// The backups that name a pack, by their places among the keys.
    named: HashMap<PackId, Vec<usize>>,
    /// The reports of damage that count, by backup.
    damage: BTreeMap<Ulid, Vec<CheckReport>>,
}

impl KnownBackups {
    /// The backups that name any of these packs, each with those that it names.
    fn sharing<'a>(&self, damaged: impl Iterator<Item = &'a PackId>) -> Vec<(BackupKey, BTreeSet<PackId>)> {
        let mut sharing: BTreeMap<usize, BTreeSet<PackId>> = BTreeMap::new();
        for pack in damaged {
            for place in self.named.get(pack).into_iter().flatten() {
                sharing.entry(*place).or_default().insert(*pack);
            }
        }
        let keyed = |(place, packs): (usize, BTreeSet<PackId>)| Some((self.keys.get(place)?.clone(), packs));
        sharing.into_iter().filter_map(keyed).collect()
    }

    /// Whether a report of a backup says of all these packs that they are damaged, and counts as long as one of this level
    /// would: what a check of a lower level has found is refuted by one that looks less closely.
    fn is_known(&self, key: &BackupKey, level: CheckLevel, packs: &BTreeSet<PackId>) -> bool {
        let mut reports = self.damage.get(&key.id).into_iter().flatten();
        reports.any(|known| {
            let objects: BTreeSet<&str> =
                known.damage.iter().map(|finding| finding.object.as_str()).collect();
            known.level >= level && packs.iter().all(|pack| objects.contains(keys::pack(*pack).as_str()))
        })
    }

    /// A report with what that one says whose place it takes, if that still counts.
    fn with_known(&self, carried: CheckReport) -> CheckReport {
        let mut reports = self.damage.get(&carried.backup).into_iter().flatten();
        let Some(known) = reports.find(|known| known.key() == carried.key()) else { return carried };
        let objects: BTreeSet<&str> = known.damage.iter().map(|finding| finding.object.as_str()).collect();
        let mut new = carried.damage;
        new.retain(|finding| !objects.contains(finding.object.as_str()));
        let damage_count = known.damage_count + new.len() as u64;
        // what is new comes first: there is not room for any number
        new.extend(known.damage.iter().cloned());
        CheckReport { finished: carried.finished, damage: new, damage_count, ..known.clone() }
    }

    /// Takes a report that was written.
    pub(crate) fn take(&mut self, report: &CheckReport) {
        let damage = self.damage.entry(report.backup).or_default();
        match report.result {
            CheckResult::Damaged => {
                damage.retain(|known| known.key() != report.key());
                damage.push(report.clone());
            }
            CheckResult::Good if report.subset.is_none() => damage.retain(|known| known.level > report.level),
            CheckResult::Good | CheckResult::Incomplete => {}
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
    /// take these for good, or refer to what lies there, until a check of their own finds otherwise.
    pub(crate) async fn carry_damage(
        &self,
        report: &CheckReport,
        others: &mut KnownBackups,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let pack = |finding: &CheckFinding| Some((keys::parse_pack(&finding.object).ok()?, finding.clone()));
        let damaged: BTreeMap<PackId, CheckFinding> = report.damage.iter().filter_map(pack).collect();
        if damaged.is_empty() {
            return Ok(());
        }
        self.look_at_new(others, cancel).await?;
        for (key, packs) in others.sharing(damaged.keys()) {
            if key.id == report.backup || others.is_known(&key, report.level, &packs) {
                continue;
            }
            // one that was forgotten meanwhile needs no report; one that cannot be read is no parent, and is told
            // wherever it is read
            let manifest =
                self.each_manifest(std::slice::from_ref(&key), cancel, |_, manifest| manifest.ok());
            let Some(manifest) = manifest.await?.into_iter().flatten().next() else { continue };
            let carried = others.with_known(carried(report, &manifest, &damaged));
            self.reading(&manifest)?.write_report(&carried).await?;
            others.take(&carried);
            self.progress
                .warning(format!("backup {} of {:?} names a damaged pack too", key.id, key.database));
        }
        Ok(())
    }

    /// Reads which packs the backups name that are not known yet, and what their reports say.
    async fn look_at_new(
        &self,
        others: &mut KnownBackups,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let known: BTreeSet<Ulid> = others.keys.iter().map(|key| key.id).collect();
        let mut new = self.listed_quietly().await?;
        new.retain(|key| !known.contains(&key.id));
        let states = self.check_states(&new, cancel).await?;
        let places: BTreeMap<Ulid, usize> = new.iter().map(|key| key.id).zip(others.keys.len()..).collect();
        let named = Mutex::new(HashMap::<PackId, Vec<usize>>::new());
        let take = |key: &BackupKey, manifest: Result<Manifest, RepositoryError>| {
            let (Ok(manifest), Some(place)) = (manifest, places.get(&key.id)) else { return };
            let mut named = named.lock().unwrap_or_else(PoisonError::into_inner);
            manifest.packs.iter().for_each(|pack| named.entry(pack.id).or_default().push(*place));
        };
        self.each_manifest(&new, cancel, take).await?;
        for (pack, places) in named.into_inner().unwrap_or_else(PoisonError::into_inner) {
            others.named.entry(pack).or_default().extend(places);
        }
        others.damage.extend(states.into_iter().map(|(id, state)| (id, state.damage)));
        others.keys.extend(new);
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
    use dbhaul_archive::{
        BackupKey, CheckFinding, CheckLevel, CheckReport, CheckResult, CheckedPacks, PackGroup, PackId, keys,
    };
    use jiff::Timestamp;
    use ulid::Ulid;

    use super::{CheckState, KnownBackups, StoredReport};

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
        check(&[report(1, References, Good, None)], false, false);
        check(&[report(1, Hashes, Good, None)], true, false);
        check(&[report(1, Hashes, Good, part)], true, false);
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

    #[test]
    fn damage_is_known_of_a_backup_where_a_report_as_close_names_the_same_packs() {
        use CheckLevel::{Hashes, References, Rows};
        use CheckResult::{Damaged, Good};
        let [one, other] = [1, 2].map(|byte| PackId::of(&[byte]));
        let damaged = |level, packs: &[PackId]| {
            let finding = |pack: &PackId| CheckFinding {
                object: keys::pack(*pack),
                problem: String::new(),
                affects: Vec::new(),
                affected_count: 0,
            };
            let damage: Vec<CheckFinding> = packs.iter().map(finding).collect();
            CheckReport { damage_count: damage.len() as u64, damage, ..report(10, level, Damaged, None) }
        };
        let key = BackupKey::new("shop", Timestamp::UNIX_EPOCH, Ulid(2));
        let mut known = KnownBackups::default();
        let is_known = |known: &KnownBackups, level, packs: &[PackId]| {
            known.is_known(&key, level, &packs.iter().copied().collect())
        };
        assert!(!is_known(&known, References, &[one]));
        known.take(&damaged(Hashes, &[one]));
        assert!(is_known(&known, References, &[one]) && is_known(&known, Hashes, &[one]));
        assert!(!is_known(&known, Rows, &[one]) && !is_known(&known, Hashes, &[one, other]));
        // what takes the place of a report keeps what that one has found
        let both = known.with_known(damaged(Hashes, &[other]));
        let mut named: Vec<&str> = both.damage.iter().map(|finding| finding.object.as_str()).collect();
        named.sort_unstable();
        let mut expected = [one, other].map(keys::pack);
        expected.sort_unstable();
        assert_eq!((named, both.damage_count), (expected.iter().map(String::as_str).collect(), 2));
        known.take(&both);
        assert!(is_known(&known, Hashes, &[one, other]));
        assert_eq!(known.with_known(damaged(Rows, &[other])).damage_count, 1);
        // a check that is less close, or of a part, refutes nothing
        known.take(&report(11, References, Good, None));
        known.take(&report(11, Rows, Good, PackGroup::new(1, 2)));
        assert!(is_known(&known, Hashes, &[one]));
        known.take(&report(11, Hashes, Good, None));
        assert!(!is_known(&known, Hashes, &[one]));
    }
}
