//! Checking a backup to know what of it can be relied on: unlike a reader, which stops at the first thing that is wrong,
//! a check names every object that is, and what lies in it.
//!
//! What holds of a whole backup is what a [reader](crate::CheckedBackup) compares, and rows are read as
//! [`Repository::read_rows`] does; here is only what goes on after an error.

mod findings;
mod parts;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dbhaul_archive::{
    BackupKey, CheckFinding, CheckLevel, CheckReport, CheckResult, CheckedPacks, Manifest, PackGroup, PackId,
    PackKind, PackSummary, Segment, TableEntry, keys, tables_with_primary_key,
};
use dbhaul_catalog::Catalog;
use dbhaul_progress::one_line;
use dbhaul_rows::RowDigest;
use dbhaul_store::StoreExt;
use futures::stream::{StreamExt, iter};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::check::{PACKS_AT_ONCE, stop_if_cancelled};
use crate::check_reports::KnownBackups;
use crate::rows_check::{PackRows, add, compare_table};
use crate::{Repository, RepositoryError};

/// How closely to look, and at what.
#[derive(Debug, Clone, Copy)]
pub struct CheckScope {
    /// How closely. A level of [`CheckLevel::Restored`] is [`CheckLevel::Rows`] here, which knows no server.
    pub level: CheckLevel,
    /// Read these packs of rows only; none: all.
    pub group: Option<PackGroup>,
}

/// Packs whose stored bytes were compared with their names in this run, and what is wrong with them: backups share packs.
pub type HashedPacks = HashMap<PackId, Option<String>>;

/// What a check has found.
#[derive(Debug)]
pub struct BackupCheck {
    /// The backup.
    pub key: BackupKey,
    /// Its catalog, if that could be read.
    pub catalog: Option<Catalog>,
    /// Its manifest, if that could be read.
    pub manifest: Option<Manifest>,
    /// The report, as far as the check has come.
    pub report: CheckReport,
    repository: Repository,
}

/// A check at work.
struct Check<'a> {
    repository: Repository,
    manifest: &'a Manifest,
    packs: BTreeMap<PackId, PackSummary>,
    /// What is wrong, by object.
    damage: BTreeMap<String, CheckFinding>,
    /// What could not be read, by object.
    unread: BTreeMap<String, CheckFinding>,
    /// Packs that one of these is about.
    bad: BTreeSet<PackId>,
    /// Whether a list of a table cannot be relied on, though its pack is as it was written.
    has_broken_lists: bool,
    /// Packs that were read.
    seen: BTreeSet<PackId>,
    read: CheckedPacks,
    not_compared: Vec<String>,
}

impl Repository {
    /// Checks a backup. Whatever is damaged is in the report; packs that `hashed` has are not hashed again.
    ///
    /// # Errors
    /// If it cannot be checked: the store cannot be read, a key is missing, a newer dbhaul wrote it, the user stops it.
    /// [`RepositoryError::NoBackup`] if it was forgotten meanwhile.
    pub async fn check_backup(
        &self,
        key: &BackupKey,
        scope: &CheckScope,
        hashed: &mut HashedPacks,
        cancel: &CancellationToken,
    ) -> Result<BackupCheck, RepositoryError> {
        let started = Timestamp::now();
        let manifest = match self.manifest(key).await {
            Ok(manifest) => manifest,
            Err(error) => {
                self.still_there(key).await?;
                return match error.is_damage() {
                    true => Ok(self.unreadable(key, scope, started, &error)),
                    false => Err(error),
                };
            }
        };
        let repository = self.reading(&manifest)?;
        if scope.level >= CheckLevel::Rows {
            repository.require_rows()?;
        }
        let mut check = Check::new(repository, &manifest);
        let catalog = check.references(cancel).await?;
        let mut row_count = None;
        if scope.level >= CheckLevel::Hashes {
            row_count = check.packs_of_rows(scope, catalog.is_some(), hashed, cancel).await?;
            let rows_of_parts = Box::pin(check.parts(scope, cancel)).await?;
            row_count = row_count.map(|count| count + rows_of_parts);
        }
        check.name_what_lies_there(cancel).await?;
        let report = check.report(self.config().id, scope, started, row_count);
        let repository = check.repository;
        repository.metadata.clear();
        if report.result != CheckResult::Good {
            self.still_there(key).await?;
        }
        Ok(BackupCheck { key: key.clone(), catalog, manifest: Some(manifest), report, repository })
    }

    /// Fails if a backup was forgotten: then nothing is wrong with what is no longer there.
    async fn still_there(&self, key: &BackupKey) -> Result<(), RepositoryError> {
        let store = self.store();
        match store.head_optional(&key.to_string()).await {
            // with the store itself gone, or out of sight, nothing was forgotten
            Ok(None) if store.head_optional(keys::REPO_CONFIG).await.is_ok_and(|repo| repo.is_some()) => {
                let database = Some(key.database.clone());
                Err(RepositoryError::NoBackup { store: self.describe(), database })
            }
            // that it cannot be looked up is no news of it
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// What is known of a backup whose manifest is damaged.
    fn unreadable(
        &self,
        key: &BackupKey,
        scope: &CheckScope,
        started: Timestamp,
        error: &RepositoryError,
    ) -> BackupCheck {
        let damage = CheckFinding {
            object: key.to_string(),
            problem: one_line(error),
            affects: vec!["the whole backup".to_owned()],
            affected_count: 1,
        };
        let report = CheckReport {
            format_version: CheckReport::VERSION,
            repo: self.config().id,
            backup: key.id,
            level: scope.level,
            subset: None,
            result: CheckResult::Damaged,
            started,
            finished: Timestamp::now(),
            dbhaul_version: env!("CARGO_PKG_VERSION").to_owned(),
            read_packs: CheckedPacks::default(),
            packs: CheckedPacks::default(),
            row_count: None,
            damage: vec![damage],
            damage_count: 1,
            unread: Vec::new(),
            unread_count: 0,
            not_compared: Vec::new(),
        };
        BackupCheck { key: key.clone(), catalog: None, manifest: None, report, repository: self.clone() }
    }
}

impl BackupCheck {
    /// Adds what was found when the backup was used, and ends the report with it.
    pub fn add(&mut self, damage: Vec<CheckFinding>, unread: Vec<CheckFinding>, not_compared: Vec<String>) {
        let report = &mut self.report;
        report.damage_count += damage.len() as u64;
        report.unread_count += unread.len() as u64;
        report.damage.extend(damage);
        report.unread.extend(unread);
        report.not_compared.extend(not_compared);
        report.result = result(report.damage_count, report.unread_count);
        report.finished = Timestamp::now();
    }

    /// Writes the report into the store, and one for each other backup that names a damaged pack; returns the key of the
    /// first. What `others` has of them is not read again.
    ///
    /// # Errors
    /// If the store cannot be read or written, or the user stops it.
    pub async fn record(
        &self,
        others: &mut KnownBackups,
        cancel: &CancellationToken,
    ) -> Result<String, RepositoryError> {
        let key = self.repository.write_report(&self.report).await?;
        others.take(&self.report);
        self.repository.carry_damage(&self.report, others, cancel).await?;
        Ok(key)
    }
}

/// A finding about one object.
pub(crate) fn finding(object: impl Into<String>, problem: impl Into<String>) -> CheckFinding {
    let (object, problem) = (object.into(), problem.into());
    CheckFinding { object, problem, affects: Vec::new(), affected_count: 0 }
}

fn result(damage_count: u64, unread_count: u64) -> CheckResult {
    match (damage_count, unread_count) {
        (0, 0) => CheckResult::Good,
        (0, _) => CheckResult::Incomplete,
        _ => CheckResult::Damaged,
    }
}

impl<'a> Check<'a> {
    fn new(repository: Repository, manifest: &'a Manifest) -> Self {
        // what another backup has kept there would hide what the store returns now
        repository.metadata.clear();
        Check {
            repository,
            manifest,
            packs: manifest.packs.iter().map(|pack| (pack.id, *pack)).collect(),
            damage: BTreeMap::new(),
            unread: BTreeMap::new(),
            bad: BTreeSet::new(),
            has_broken_lists: false,
            seen: BTreeSet::new(),
            read: CheckedPacks::default(),
            not_compared: Vec::new(),
        }
    }

    /// Whether anything is wrong so far.
    fn is_good(&self) -> bool {
        self.damage.is_empty() && self.unread.is_empty()
    }

    fn count_read(&mut self, pack: &PackSummary) {
        self.seen.insert(pack.id);
        self.read.count += 1;
        self.read.bytes += pack.bytes;
    }

    /// Level 0: everything that is named is there, and fits together. Returns the catalog if it can be relied on, and
    /// the lists too.
    async fn references(&mut self, cancel: &CancellationToken) -> Result<Option<Catalog>, RepositoryError> {
        let repository = self.repository.clone();
        for source in repository.compare_packs(self.manifest).await? {
            self.note("packs".to_owned(), repository.error(source))?;
        }
        let is_wanted = |pack: &&PackSummary| pack.kind == PackKind::Meta && !self.bad.contains(&pack.id);
        let meta: Vec<PackSummary> = self.manifest.packs.iter().filter(is_wanted).copied().collect();
        let mut reads = iter(&meta)
            .map(|pack| {
                let read = repository.check_pack(pack, cancel);
                async move { (pack, read.await) }
            })
            .buffer_unordered(PACKS_AT_ONCE);
        while let Some((pack, read)) = reads.next().await {
            match read {
                Ok(()) => self.count_read(pack),
                Err(error) => self.note(keys::pack(pack.id), error)?,
            }
        }
        drop(reads);
        if !repository.codec().opens(PackKind::Data) {
            self.not_compared.push(
                "places of rows with the indexes of their packs: a writer key does not open these".to_owned(),
            );
        }
        let is_meta = |id: &PackId| self.packs.get(id).is_none_or(|pack| pack.kind == PackKind::Meta);
        if self.bad.iter().any(is_meta) {
            self.not_compared
                .push("catalog and lists of tables, since packs of metadata are damaged".to_owned());
            return Ok(None);
        }
        let catalog = match repository.checked_contents(self.manifest).await {
            Ok(catalog) => catalog,
            Err(error) => {
                self.note("the catalog".to_owned(), error)?;
                return Ok(None);
            }
        };
        if !self.bad.is_empty() {
            self.not_compared
                .push("places of rows with the indexes of their packs, since packs are missing".to_owned());
            return Ok(Some(catalog));
        }
        let keyed = tables_with_primary_key(&catalog);
        let mut pass = |_: &TableEntry, _: &[Segment]| Ok(());
        let lists = repository.check_lists(self.manifest, &keyed, &self.packs, cancel, &mut pass);
        match Box::pin(lists).await {
            Ok(()) => Ok(Some(catalog)),
            Err(error) => {
                self.has_broken_lists = true;
                self.note("the lists of tables".to_owned(), error)?;
                Ok(None)
            }
        }
    }

    /// Levels 1 and 2. Rows are read where lists and catalog can be relied on; else bytes are compared with names, so
    /// that what is damaged has a name. Returns how many rows were read.
    async fn packs_of_rows(
        &mut self,
        scope: &CheckScope,
        has_lists: bool,
        hashed: &mut HashedPacks,
        cancel: &CancellationToken,
    ) -> Result<Option<u64>, RepositoryError> {
        let is_wanted = |pack: &&PackSummary| {
            pack.kind == PackKind::Data
                && !self.bad.contains(&pack.id)
                && scope.group.is_none_or(|group| group.contains(pack.id))
        };
        let packs: Vec<PackSummary> = self.manifest.packs.iter().filter(is_wanted).copied().collect();
        if scope.level == CheckLevel::Hashes {
            return self.hashes(&packs, hashed, cancel).await.map(|()| None);
        }
        let row_count = match has_lists {
            true => Box::pin(self.rows(&packs, cancel)).await?,
            false => None,
        };
        if row_count.is_none() {
            self.not_compared
                .push("rows, since they, or the lists that say where they are, cannot be read".to_owned());
            let left =
                packs.iter().filter(|pack| !self.seen.contains(&pack.id) && !self.bad.contains(&pack.id));
            let left: Vec<PackSummary> = left.copied().collect();
            return self.hashes(&left, hashed, cancel).await.map(|()| None);
        }
        self.documents(scope, cancel).await?;
        Ok(row_count)
    }

    /// Compares the stored bytes of these packs with their names.
    async fn hashes(
        &mut self,
        packs: &[PackSummary],
        hashed: &mut HashedPacks,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let repository = self.repository.clone();
        let (known, fresh): (Vec<PackSummary>, Vec<PackSummary>) =
            packs.iter().partition(|pack| hashed.contains_key(&pack.id));
        for pack in known {
            let key = keys::pack(pack.id);
            match hashed.get(&pack.id).cloned().flatten() {
                None => self.count_read(&pack),
                Some(problem) => {
                    self.bad.insert(pack.id);
                    self.damage.insert(key.clone(), finding(key, problem));
                }
            }
        }
        let mut reads = iter(fresh)
            .map(|pack| {
                let repository = &repository;
                async move { (pack, hash(repository, &pack, cancel).await) }
            })
            .buffer_unordered(PACKS_AT_ONCE);
        while let Some((pack, read)) = reads.next().await {
            match read {
                Ok(()) => {
                    hashed.insert(pack.id, None);
                    self.count_read(&pack);
                }
                Err(error) => {
                    if error.is_damage() {
                        hashed.insert(pack.id, Some(one_line(&error)));
                    }
                    self.note(keys::pack(pack.id), error)?;
                }
            }
        }
        Ok(())
    }

    /// Reads the rows in these packs, and if those are all compares what they add up to; nothing where a list that says
    /// where they are is broken.
    async fn rows(
        &mut self,
        packs: &[PackSummary],
        cancel: &CancellationToken,
    ) -> Result<Option<u64>, RepositoryError> {
        let repository = self.repository.clone();
        let manifest = self.manifest;
        let tables: Vec<&TableEntry> = manifest.tables.iter().collect();
        let mut digests = vec![RowDigest::default(); tables.len()];
        let wanted: Vec<&PackSummary> = packs.iter().collect();
        let mut take = |pack: &PackSummary, found: PackRows| match found {
            Ok(found) => {
                add(&mut digests, found);
                self.count_read(pack);
                Ok(())
            }
            Err(error) => {
                // whatever part of it is wrong, it is this pack that has to come back
                self.bad.insert(pack.id);
                self.note(keys::pack(pack.id), error)
            }
        };
        if let Err(error) = repository.each_pack_of_rows(&tables, &wanted, cancel, &mut take).await {
            self.has_broken_lists = true;
            self.note("the lists of tables".to_owned(), error)?;
            return Ok(None);
        }
        let data_count = manifest.packs.iter().filter(|pack| pack.kind == PackKind::Data).count();
        if self.is_good() && packs.len() == data_count {
            let in_packs = tables.iter().zip(&digests).filter(|(table, _)| table.parts.is_empty());
            for (table, digest) in in_packs {
                if let Err(error) = compare_table(table, *digest) {
                    self.note(format!("table {}", table.qualified_name()), error)?;
                }
            }
        }
        Ok(Some(digests.iter().map(|digest| digest.row_count).sum()))
    }

    /// Opens the pieces of what nothing else has read: roles and planner statistics.
    async fn documents(
        &mut self,
        scope: &CheckScope,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let repository = self.repository.clone();
        let mut opener = repository.codec().opener().map_err(|source| repository.error(source))?;
        let manifest = self.manifest;
        let parts = [("the roles", &manifest.roles), ("the planner statistics", &manifest.statistics)];
        for (name, document) in parts {
            for place in document.iter().flat_map(|document| &document.pieces) {
                stop_if_cancelled(cancel)?;
                let is_data = self.packs.get(&place.pack).is_some_and(|pack| pack.kind == PackKind::Data);
                let is_left_out = is_data && scope.group.is_some_and(|group| !group.contains(place.pack));
                if is_left_out || self.bad.contains(&place.pack) {
                    continue;
                }
                if let Err(error) = repository.piece(&mut opener, place).await {
                    self.note(name.to_owned(), error)?;
                }
            }
        }
        Ok(())
    }

    fn report(
        &self,
        repo: ulid::Ulid,
        scope: &CheckScope,
        started: Timestamp,
        row_count: Option<u64>,
    ) -> CheckReport {
        let sizes = self.packs.values().map(|pack| pack.bytes);
        let sizes = sizes.chain(self.manifest.parts().map(|(_, part)| part.bytes));
        let packs = sizes.fold(CheckedPacks::default(), |sum, bytes| CheckedPacks {
            count: sum.count + 1,
            bytes: sum.bytes + bytes,
        });
        let list = |found: &BTreeMap<String, CheckFinding>| found.values().cloned().collect::<Vec<_>>();
        let (damage, unread) = (list(&self.damage), list(&self.unread));
        let (damage_count, unread_count) = (damage.len() as u64, unread.len() as u64);
        CheckReport {
            format_version: CheckReport::VERSION,
            repo,
            backup: self.manifest.id,
            level: scope.level,
            subset: scope.group,
            result: result(damage_count, unread_count),
            started,
            finished: Timestamp::now(),
            dbhaul_version: env!("CARGO_PKG_VERSION").to_owned(),
            read_packs: self.read,
            packs,
            row_count,
            damage,
            damage_count,
            unread,
            unread_count,
            not_compared: self.not_compared.clone(),
        }
    }
}

async fn hash(
    repository: &Repository,
    pack: &PackSummary,
    cancel: &CancellationToken,
) -> Result<(), RepositoryError> {
    stop_if_cancelled(cancel)?;
    let task = repository.progress.task("PACK", &pack.id.to_string(), Some(pack.bytes));
    let hashed = repository.hash_pack(pack).await;
    match &hashed {
        Ok(()) => {
            task.advance(0, pack.bytes);
            task.finish();
        }
        Err(error) => task.fail(one_line(error)),
    }
    hashed
}
