//! `backup list`: what is in a store, what checks have found of it, and whether it is young enough.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use dbhaul_archive::{
    ArchiveError, BackupKey, CheckLevel, CheckReport, CheckResult, Manifest, PackGroup, Totals,
};
use dbhaul_catalog::in_one_line;
use dbhaul_progress::counted;
use dbhaul_repository::{AHEAD, CheckState, Repository, RepositoryError};
use dbhaul_store::StoreUrl;
use jiff::Timestamp;
use serde::Serialize;
use ulid::Ulid;

use super::check::damage_found;
use super::{reported_totals, row_count};
use crate::{Context, PipelineError, Status, format_age, format_bytes, one_line};

/// How far a backup may seem to be made in the future, by a clock that is not exact.
const CLOCK_SECONDS: i64 = 3600;

/// Asks what is in a store.
#[derive(Debug, Clone)]
pub struct ListRequest {
    /// The store.
    pub store: StoreUrl,
    /// Only backups of this database.
    pub database: Option<String>,
    /// How old the newest good backup of a database may be.
    pub max_age: Option<Duration>,
}

/// One line of `backup list`.
#[derive(Debug, Clone, Serialize)]
pub struct BackupSummary {
    /// Identity.
    pub id: String,
    /// The database's name.
    pub database: String,
    /// When the snapshot was taken.
    pub snapshot_time: Timestamp,
    /// Seconds since then.
    pub age_seconds: i64,
    /// What it adds up to; `None` if its manifest cannot be read. Large objects are no table there, but
    /// their pieces are in the digest and the sizes.
    pub totals: Option<Totals>,
    /// Tables with their rows, without large objects; `None` if its manifest cannot be read.
    pub table_count: Option<u64>,
    /// Rows of these; `None` if its manifest cannot be read.
    pub row_count: Option<u64>,
    /// Why the manifest cannot be read, or what a check has found.
    pub damage: Option<String>,
    /// Whether that is for want of a key, and no damage.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub needs_key: bool,
    /// The last check that left a report in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_check: Option<LastCheck>,
}

/// The last check of a backup.
#[derive(Debug, Clone, Serialize)]
pub struct LastCheck {
    /// When it ended.
    pub time: Timestamp,
    /// How closely it looked.
    pub level: CheckLevel,
    /// The packs of rows that it read, if not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<PackGroup>,
    /// What came of it.
    pub result: CheckResult,
}

/// All backups of a store, oldest first.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum BackupList {
    /// The backups.
    Backups(Vec<BackupSummary>),
    /// The backups, and of which databases there is no young one.
    Judged {
        /// The backups.
        backups: Vec<BackupSummary>,
        /// Databases without a good backup that is young enough.
        too_old: Vec<TooOld>,
    },
}

/// A database without a good backup that is young enough.
#[derive(Debug, Clone, Serialize)]
pub struct TooOld {
    /// The database; none where the store holds no backup at all.
    pub database: Option<String>,
    /// Its newest good backup.
    pub newest_backup: Option<String>,
    /// The age of that.
    pub age_seconds: Option<i64>,
    /// Newer backups that are damaged, or that the keys at hand do not open.
    pub newer_count: u64,
    /// How old it may be.
    pub max_age_seconds: u64,
}

/// Lists the backups of a store. One whose manifest is damaged is listed with the damage, and so is one of which a check
/// has found damage.
///
/// # Errors
/// If the store cannot be read.
pub async fn list_backups(request: ListRequest, context: Context) -> Result<BackupList, PipelineError> {
    let ListRequest { store, database, max_age } = request;
    let repository = Repository::open(&store, &context.keys, &context.progress, &context.cancel).await?;
    let now = Timestamp::now();
    let mut listed = repository.listed_backups().await?;
    listed.retain(|listed| database.as_ref().is_none_or(|name| *name == listed.key.database));
    let ahead = listed.iter().filter(|listed| listed.is_ahead).map(|listed| listed.key.id.to_string());
    let ahead: BTreeSet<String> = ahead.collect();
    let keys: Vec<BackupKey> = listed.into_iter().map(|listed| listed.key).collect();
    let mut states = repository.check_states(&keys, &context.cancel).await?;
    let summary = |key: &BackupKey, manifest: Result<Manifest, RepositoryError>| summary(key, manifest, now);
    let read = repository.each_manifest(&keys, &context.cancel, summary).await?;
    let mut backups: Vec<BackupSummary> = read.into_iter().collect::<Result<_, _>>()?;
    for backup in &mut backups {
        let state = Ulid::from_string(&backup.id).ok().and_then(|id| states.remove(&id));
        backup.add_checks(&state.unwrap_or_default());
        if ahead.contains(&backup.id) {
            backup.damage.get_or_insert_with(|| AHEAD.to_owned());
        }
    }
    backups.sort_by(|a, b| (a.snapshot_time, &a.id).cmp(&(b.snapshot_time, &b.id)));
    Ok(match max_age {
        None => BackupList::Backups(backups),
        Some(max_age) => {
            let too_old = too_old(&backups, database, max_age, now);
            BackupList::Judged { backups, too_old }
        }
    })
}

fn summary(
    key: &BackupKey,
    manifest: Result<Manifest, RepositoryError>,
    now: Timestamp,
) -> Result<BackupSummary, PipelineError> {
    let (totals, row_count, error) = match manifest {
        Ok(manifest) => (Some(reported_totals(&manifest)), Some(row_count(&manifest)), None),
        Err(error @ (RepositoryError::Archive { .. } | RepositoryError::Damaged { .. })) => {
            (None, None, Some(error))
        }
        Err(error) => return Err(error.into()),
    };
    let needs_key = |error: &RepositoryError| {
        matches!(error, RepositoryError::Archive { source: ArchiveError::NoKey { .. }, .. })
    };
    Ok(BackupSummary {
        id: key.id.to_string(),
        database: key.database.clone(),
        snapshot_time: key.time,
        age_seconds: now.duration_since(key.time).as_secs(),
        table_count: totals.map(|totals| totals.tables),
        totals,
        row_count,
        needs_key: error.as_ref().is_some_and(needs_key),
        damage: error.as_ref().map(|error| one_line(error)),
        last_check: None,
    })
}

impl BackupSummary {
    fn add_checks(&mut self, state: &CheckState) {
        self.last_check = state.last().map(LastCheck::of);
        if self.damage.is_none() {
            self.damage = state.damage().map(damage_found);
        }
    }

    /// Whether nothing is known to be wrong with it.
    fn is_good(&self) -> bool {
        self.damage.is_none()
    }

    /// Its age by the clock that makes it older: that of the server, or that of the machine that made it.
    fn age_seconds(&self, now: Timestamp) -> i64 {
        let made = Ulid::from_string(&self.id).ok().and_then(|id| i64::try_from(id.timestamp_ms()).ok());
        let made = made.and_then(|made| Timestamp::from_millisecond(made).ok());
        let made = made.map_or(self.age_seconds, |made| now.duration_since(made).as_secs());
        self.age_seconds.max(made)
    }
}

impl LastCheck {
    fn of(report: &CheckReport) -> Self {
        let CheckReport { finished, level, subset, result, .. } = report;
        LastCheck { time: *finished, level: *level, subset: *subset, result: *result }
    }
}

/// The databases whose newest good backup is older than it may be, or that have none.
fn too_old(
    backups: &[BackupSummary],
    database: Option<String>,
    max_age: Duration,
    now: Timestamp,
) -> Vec<TooOld> {
    let mut by_database: BTreeMap<&str, Vec<&BackupSummary>> = BTreeMap::new();
    for backup in backups {
        by_database.entry(&backup.database).or_default().push(backup);
    }
    let max_age_seconds = max_age.as_secs();
    if by_database.is_empty() {
        let (newest_backup, age_seconds) = (None, None);
        return vec![TooOld { database, newest_backup, age_seconds, newer_count: 0, max_age_seconds }];
    }
    let limit = i64::try_from(max_age_seconds).unwrap_or(i64::MAX);
    let judged = by_database.into_iter().filter_map(|(database, mut of)| {
        // as `latest`: by the machines that made them
        of.sort_by(|a, b| b.id.cmp(&a.id));
        let newest = of.iter().find(|backup| backup.is_good());
        let age_seconds = newest.map(|newest| newest.age_seconds(now));
        let is_young = age_seconds.is_some_and(|age| (-CLOCK_SECONDS..=limit).contains(&age));
        let newer_count = of.iter().take_while(|backup| !backup.is_good()).count() as u64;
        (!is_young).then(|| TooOld {
            database: Some(database.to_owned()),
            newest_backup: newest.map(|newest| newest.id.clone()),
            age_seconds,
            newer_count,
            max_age_seconds,
        })
    });
    judged.collect()
}

impl BackupList {
    /// The backups.
    pub fn backups(&self) -> &[BackupSummary] {
        match self {
            BackupList::Backups(backups) | BackupList::Judged { backups, .. } => backups,
        }
    }

    fn too_old(&self) -> &[TooOld] {
        match self {
            BackupList::Backups(_) => &[],
            BackupList::Judged { too_old, .. } => too_old,
        }
    }

    /// Failed if a database has no backup that is young enough, else different if a backup is damaged.
    pub fn status(&self) -> Status {
        let is_damaged = |backup: &BackupSummary| backup.damage.is_some() && !backup.needs_key;
        match () {
            () if !self.too_old().is_empty() => Status::Failed,
            () if self.backups().iter().any(is_damaged) => Status::Different,
            () => Status::Done,
        }
    }
}

impl Display for BackupList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.backups() {
            [] => f.write_str("no backups")?,
            backups => {
                write!(
                    f,
                    "{:26}  {:20}  {:>8}  {:>12}  {:>10}  {:>10}  {:29}  DATABASE",
                    "BACKUP", "TIME", "AGE", "ROWS", "STORED", "NEW", "LAST CHECK"
                )?;
                backups.iter().try_for_each(|backup| write!(f, "\n{backup}"))?;
            }
        }
        self.too_old().iter().try_for_each(|too_old| write!(f, "\n{too_old}"))
    }
}

impl Display for BackupSummary {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (age, time, database) =
            (format_age(self.age_seconds), self.snapshot_time, in_one_line(&self.database));
        write!(f, "{:26}  {time:20.0}  {age:>8}  ", self.id)?;
        if let Some(totals) = &self.totals {
            let (stored, new) = (format_bytes(totals.pack_bytes), format_bytes(totals.uploaded_bytes));
            let rows = self.row_count.unwrap_or_default();
            let check = self.last_check.as_ref().map_or_else(|| "-".to_owned(), LastCheck::to_string);
            write!(f, "{rows:>12}  {stored:>10}  {new:>10}  {check:29}  {database}")?;
            return self
                .damage
                .iter()
                .try_for_each(|damage| write!(f, "\n  DAMAGED: {}", in_one_line(damage)));
        }
        let label = if self.needs_key { "NO KEY" } else { "DAMAGED" };
        write!(f, "{label}: {}  {database}", in_one_line(self.damage.as_deref().unwrap_or_default()))
    }
}

impl Display for LastCheck {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let LastCheck { time, level, subset, .. } = self;
        write!(f, "level {level} {time:.0}")?;
        subset.map_or(Ok(()), |_| f.write_str(" part"))
    }
}

impl Display for TooOld {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let TooOld { database, newest_backup, age_seconds, newer_count, max_age_seconds } = self;
        let most = age_in_hours(i64::try_from(*max_age_seconds).unwrap_or(i64::MAX));
        let of = match database {
            Some(name) => format!("database {:?}", in_one_line(name)),
            None => {
                return write!(f, "TOO OLD: the store holds no backup (at most {most} old was asked for)");
            }
        };
        match (newest_backup, age_seconds) {
            (Some(id), Some(age)) if *age < 0 => write!(
                f,
                "TOO OLD: {of}: its newest good backup, {id}, has a time in the future: correct the clocks"
            )?,
            (Some(id), Some(age)) => {
                let age = age_in_hours(*age);
                write!(f, "TOO OLD: {of}: its newest good backup, {id}, is {age} old (at most {most})")?;
            }
            _ => write!(f, "TOO OLD: {of} has no good backup (at most {most} old was asked for)")?,
        }
        match newer_count {
            0 => Ok(()),
            count => write!(f, "; {} not good or not readable with these keys", newer(*count)),
        }
    }
}

fn newer(count: u64) -> String {
    if count == 1 {
        "1 newer backup is".to_owned()
    } else {
        format!("{} are", counted(count, "newer backup"))
    }
}

/// An age in hours, as it is asked for: a day more or less matters.
fn age_in_hours(seconds: i64) -> String {
    match seconds {
        ..3600 => format_age(seconds),
        _ => format!("{}h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::{SignedDuration, Timestamp};
    use ulid::Ulid;

    use super::{BackupList, BackupSummary, too_old};
    use crate::Status;

    fn backup(database: &str, hours: i64, damage: bool) -> BackupSummary {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let time = now - SignedDuration::from_hours(hours);
        BackupSummary {
            id: Ulid::from_parts(time.as_millisecond() as u64, 0).to_string(),
            database: database.to_owned(),
            snapshot_time: time,
            age_seconds: hours * 3600,
            totals: None,
            table_count: None,
            row_count: None,
            damage: damage.then(|| "its seal".to_owned()),
            needs_key: false,
            last_check: None,
        }
    }

    #[test]
    fn a_database_is_named_whose_newest_good_backup_is_too_old() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let check = |backups: &[BackupSummary], expected: &[(&str, Option<i64>, u64)]| {
            let found = too_old(backups, None, Duration::from_secs(26 * 3600), now);
            let found: Vec<_> = found
                .iter()
                .map(|old| (old.database.as_deref().unwrap_or("-"), old.age_seconds, old.newer_count))
                .collect();
            assert_eq!(found, expected);
        };
        check(&[], &[("-", None, 0)]);
        check(&[backup("a", 26, false), backup("b", 1, false)], &[]);
        check(&[backup("a", 27, false), backup("b", 1, false)], &[("a", Some(27 * 3600), 0)]);
        check(&[backup("a", 30, false), backup("a", 1, true)], &[("a", Some(30 * 3600), 1)]);
        check(&[backup("a", 1, true)], &[("a", None, 1)]);
        // a server's clock that is ahead makes nothing younger, one of all machines nothing young
        let ahead = BackupSummary { age_seconds: -50_000, ..backup("a", 30, false) };
        check(&[ahead], &[("a", Some(30 * 3600), 0)]);
        check(&[backup("a", -9, false)], &[("a", Some(-9 * 3600), 0)]);
    }

    #[test]
    fn damage_is_told_by_the_exit_code() {
        let list = |backups: Vec<BackupSummary>| BackupList::Backups(backups).status();
        assert_eq!(list(vec![backup("a", 1, false)]), Status::Done);
        assert_eq!(list(vec![backup("a", 1, false), backup("a", 2, true)]), Status::Different);
        assert_eq!(list(vec![BackupSummary { needs_key: true, ..backup("a", 1, true) }]), Status::Done);
    }
}
