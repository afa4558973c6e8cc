//! `backup forget`, `backup pin` and `backup unpin`: which backups stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use dbhaul_archive::{BackupKey, Manifest};
use dbhaul_catalog::in_one_line;
use dbhaul_progress::counted;
use dbhaul_repository::{
    AHEAD, BackupRef, Candidate, CheckState, Decision, KeepPolicy, Reason, Repository, RepositoryError,
};
use dbhaul_store::StoreUrl;
use jiff::Timestamp;
use serde::Serialize;
use ulid::Ulid;

use super::check::damage_found;
use super::row_count;
use crate::{Context, PipelineError, Status, one_line};

/// Asks to forget backups of a store.
#[derive(Debug, Clone)]
pub struct ForgetRequest {
    /// The store.
    pub store: StoreUrl,
    /// Only backups of this database.
    pub database: Option<String>,
    /// Which ones.
    pub choice: ForgetChoice,
    /// Forget although the newest backup holds less than half the rows of the one before.
    pub allow_shrunk: bool,
    /// Only say what would be forgotten.
    pub dry_run: bool,
}

/// Which backups are forgotten.
#[derive(Debug, Clone)]
pub enum ForgetChoice {
    /// All that a policy does not keep.
    Policy(KeepPolicy),
    /// These, by the beginnings of their identities.
    Ids(Vec<String>),
}

/// What was forgotten, and why the others were kept.
#[derive(Debug, Clone, Serialize)]
pub struct ForgetReport {
    /// The store.
    pub store: String,
    /// The backups by database, cluster and selection: each group has places of its own in the policy.
    pub groups: Vec<BackupGroup>,
    /// Backups that were forgotten, or would be.
    pub forgotten_count: u64,
    /// Backups that are kept.
    pub kept_count: u64,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

/// Backups of the same database of the same cluster with the same selection, newest first.
#[derive(Debug, Clone, Serialize)]
pub struct BackupGroup {
    /// The database.
    pub database: String,
    /// The cluster it is of, as its `system_identifier`; empty where that is not known.
    pub system_identifier: String,
    /// What was selected of it; empty for everything.
    pub selection: Vec<String>,
    /// The backups.
    pub backups: Vec<JudgedBackup>,
}

/// A backup with what becomes of it.
#[derive(Debug, Clone, Serialize)]
pub struct JudgedBackup {
    /// Identity.
    pub id: String,
    /// When the snapshot was taken.
    pub snapshot_time: Timestamp,
    /// Rows of its tables; `None` if its manifest cannot be read.
    pub row_count: Option<u64>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it is forgotten.
    pub is_forgotten: bool,
    /// Why it is kept.
    pub reasons: Vec<Reason>,
    /// Why its manifest cannot be read, or what a check has found.
    pub damage: Option<String>,
    /// Whether a check has found it good; `None` where nobody asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_checked: Option<bool>,
}

/// What is known of a backup before it is judged.
struct Known {
    key: BackupKey,
    /// `None` if the manifest cannot be read.
    rows: Option<u64>,
    selection: Vec<String>,
    system_identifier: String,
    is_complete: bool,
    tags: Vec<String>,
    damage: Option<String>,
    is_checked: Option<bool>,
}

impl ForgetReport {
    fn keeps_any_by_a_rule(&self) -> bool {
        let mut backups = self.groups.iter().flat_map(|group| &group.backups);
        backups.any(|backup| backup.reasons.iter().any(Reason::is_of_a_rule))
    }

    /// Done.
    pub fn status(&self) -> Status {
        Status::Done
    }
}

/// Forgets backups: removes their manifests. Their packs stay until a prune.
///
/// # Errors
/// If the store cannot be read or written, a backup that was named is pinned or not there, or the newest backup of a
/// database holds less than half the rows of the one before.
pub async fn forget_backups(request: ForgetRequest, context: Context) -> Result<ForgetReport, PipelineError> {
    let repository = open(&request.store, request.dry_run, &context).await?;
    let mut listed = repository.listed_backups().await?;
    listed.retain(|listed| request.database.as_ref().is_none_or(|name| *name == listed.key.database));
    let ahead: BTreeSet<Ulid> =
        listed.iter().filter(|listed| listed.is_ahead).map(|listed| listed.key.id).collect();
    let keys: Vec<BackupKey> = listed.into_iter().map(|listed| listed.key).collect();
    if let (Some(database), true) = (&request.database, keys.is_empty()) {
        let database = Some(database.clone());
        return Err(RepositoryError::NoBackup { store: repository.describe(), database }.into());
    }
    let pinned = repository.pinned().await?;
    let mut known = known(&repository, &keys, &context).await?;
    for backup in known.iter_mut().filter(|backup| ahead.contains(&backup.key.id)) {
        backup.damage.get_or_insert_with(|| AHEAD.to_owned());
    }
    if let ForgetChoice::Policy(policy) = &request.choice {
        judge_by_checks(&repository, policy, &keys, &mut known, &context).await?;
    }
    let named = match &request.choice {
        ForgetChoice::Ids(ids) => Some(named(&repository, &request, ids, &pinned).await?),
        ForgetChoice::Policy(_) => None,
    };
    let mut groups: BTreeMap<(String, String, Vec<String>), Vec<Known>> = BTreeMap::new();
    for backup in known {
        let (database, system) = (backup.key.database.clone(), backup.system_identifier.clone());
        groups.entry((database, system, backup.selection.clone())).or_default().push(backup);
    }
    let accepted = repository.accepted().await?;
    let mut report = ForgetReport {
        store: repository.describe(),
        groups: Vec::new(),
        forgotten_count: 0,
        kept_count: 0,
        dry_run: request.dry_run,
    };
    let (mut forgotten, mut newly_accepted) = (Vec::new(), Vec::new());
    for ((database, system_identifier, selection), backups) in groups {
        let keys: BTreeMap<Ulid, BackupKey> =
            backups.iter().map(|known| (known.key.id, known.key.clone())).collect();
        let judged = match (&request.choice, &named) {
            (ForgetChoice::Policy(policy), _) => by_policy(policy, backups, &pinned),
            (ForgetChoice::Ids(_), named) => by_name(backups, named.as_ref()),
        };
        if named.is_none() {
            match newest_if_shrunk(&judged, &accepted) {
                Some((newest, _)) if request.allow_shrunk => newly_accepted.push(newest),
                Some((newest, rows)) => return Err(shrunk(&database, newest, rows)),
                None => {}
            }
        }
        forgotten.extend(
            judged.iter().filter(|(judged, _)| judged.is_forgotten).map(|(_, id)| &keys[id]).cloned(),
        );
        let backups = judged.into_iter().map(|(judged, _)| judged).collect();
        report.groups.push(BackupGroup { database, system_identifier, selection, backups });
    }
    report.forgotten_count = forgotten.len() as u64;
    if named.is_none() && !forgotten.is_empty() && !report.keeps_any_by_a_rule() {
        return Err(PipelineError::Request {
            problem: "nothing was forgotten: no rule of the policy keeps any backup".to_owned(),
            help: "correct the policy: is a tag misspelt?".to_owned(),
        });
    }
    report.kept_count = keys.len() as u64 - report.forgotten_count;
    if !request.dry_run {
        // the oldest first: if it is stopped half way, what remains is what a shorter policy would have left
        forgotten.sort_by_key(|key| key.id);
        for backup in newly_accepted {
            repository.accept(backup).await?;
        }
        // one may have been pinned since
        let pinned = repository.pinned().await?;
        if let Some(key) = forgotten.iter().find(|key| pinned.contains(&key.id)) {
            return Err(is_pinned(key.id));
        }
        repository.forget(&forgotten, &context.cancel).await?;
    }
    Ok(report)
}

/// Pins backups, so that no policy forgets them, or unpins them; returns their identities.
///
/// # Errors
/// If the store cannot be written, or there is no such backup.
pub async fn pin_backups(
    store: &StoreUrl,
    backups: &[BackupRef],
    database: Option<&str>,
    is_pinned: bool,
    context: Context,
) -> Result<Vec<String>, PipelineError> {
    let repository = open(store, false, &context).await?;
    let mut found = Vec::new();
    for backup in backups {
        found.push(repository.find(backup, database).await?);
    }
    for key in &found {
        match is_pinned {
            true => repository.pin(key).await?,
            false => repository.unpin(key).await?,
        }
    }
    Ok(found.into_iter().map(|key| key.id.to_string()).collect())
}

async fn open(store: &StoreUrl, only_reads: bool, context: &Context) -> Result<Repository, PipelineError> {
    Ok(match only_reads {
        true => Repository::open(store, &context.keys, &context.progress, &context.cancel).await?,
        false => Repository::open_to_write(store, &context.keys, &context.progress, &context.cancel).await?,
    })
}

async fn known(
    repository: &Repository,
    keys: &[BackupKey],
    context: &Context,
) -> Result<Vec<Known>, PipelineError> {
    let known = |key: &BackupKey, manifest: Result<Manifest, RepositoryError>| match manifest {
        Ok(manifest) => Known {
            key: key.clone(),
            rows: Some(row_count(&manifest)),
            system_identifier: manifest.source.system_identifier,
            is_complete: manifest.excluded.is_empty(),
            selection: manifest.selection,
            tags: manifest.tags,
            damage: None,
            is_checked: None,
        },
        Err(error) => Known {
            key: key.clone(),
            rows: None,
            system_identifier: String::new(),
            is_complete: false,
            selection: Vec::new(),
            tags: Vec::new(),
            damage: Some(one_line(&error)),
            is_checked: None,
        },
    };
    Ok(repository.each_manifest(keys, &context.cancel, known).await?)
}

/// Notes what checks have found. One that is known to be damaged is none for the sake of which others may go.
async fn judge_by_checks(
    repository: &Repository,
    policy: &KeepPolicy,
    keys: &[BackupKey],
    known: &mut [Known],
    context: &Context,
) -> Result<(), PipelineError> {
    let states = repository.check_states(keys, &context.cancel).await?;
    for backup in known {
        let state = states.get(&backup.key.id);
        let damage = state.and_then(CheckState::damage).map(damage_found);
        backup.damage = backup.damage.take().or(damage);
        backup.is_checked = policy.only_checked.then(|| state.is_some_and(CheckState::is_checked));
    }
    Ok(())
}

/// The backups that were named, none of them pinned.
async fn named(
    repository: &Repository,
    request: &ForgetRequest,
    ids: &[String],
    pinned: &BTreeSet<Ulid>,
) -> Result<BTreeSet<Ulid>, PipelineError> {
    let mut named = BTreeSet::new();
    for id in ids {
        let key = repository.find(&BackupRef::Id(id.clone()), request.database.as_deref()).await?;
        if pinned.contains(&key.id) {
            return Err(is_pinned(key.id));
        }
        named.insert(key.id);
    }
    Ok(named)
}

fn by_policy(policy: &KeepPolicy, backups: Vec<Known>, pinned: &BTreeSet<Ulid>) -> Vec<(JudgedBackup, Ulid)> {
    let candidates = backups.iter().map(|known| Candidate {
        id: known.key.id,
        snapshot_time: known.key.time,
        is_complete: known.is_complete,
        tags: known.tags.clone(),
        is_pinned: pinned.contains(&known.key.id),
        counts: known.damage.is_none() && known.is_checked != Some(false),
    });
    let decisions = policy.decide(candidates.collect());
    let mut known: BTreeMap<Ulid, Known> = backups.into_iter().map(|known| (known.key.id, known)).collect();
    let judged = decisions.into_iter().filter_map(|Decision { candidate, reasons }| {
        let known = known.remove(&candidate.id)?;
        Some((judged(known, reasons.is_empty(), reasons), candidate.id))
    });
    judged.collect()
}

fn by_name(mut backups: Vec<Known>, named: Option<&BTreeSet<Ulid>>) -> Vec<(JudgedBackup, Ulid)> {
    backups.sort_by_key(|known| std::cmp::Reverse(known.key.id));
    let judged = backups.into_iter().map(|known| {
        let id = known.key.id;
        let is_forgotten = named.is_some_and(|named| named.contains(&id));
        (judged(known, is_forgotten, Vec::new()), id)
    });
    judged.collect()
}

fn judged(known: Known, is_forgotten: bool, reasons: Vec<Reason>) -> JudgedBackup {
    JudgedBackup {
        id: known.key.id.to_string(),
        snapshot_time: known.key.time,
        row_count: known.rows,
        tags: known.tags,
        is_forgotten,
        reasons,
        damage: known.damage,
        is_checked: known.is_checked,
    }
}

fn is_pinned(id: Ulid) -> PipelineError {
    PipelineError::Request {
        problem: format!("nothing was forgotten: backup {id} is pinned"),
        help: format!("unpin it first: dbhaul backup unpin {id} --store ..."),
    }
}

/// The newest backup, if it holds less than half the rows of one that is to be forgotten: the database may have been
/// emptied by mistake, and then the older ones are what somebody will need. Backups before one whose rows somebody has
/// accepted are not looked at. With the rows of both.
fn newest_if_shrunk(
    judged: &[(JudgedBackup, Ulid)],
    accepted: &BTreeSet<Ulid>,
) -> Option<(Ulid, (u64, u64))> {
    let mut readable = judged.iter().filter_map(|(judged, id)| Some((judged, *id, judged.row_count?)));
    let (_, newest, now) = readable.next()?;
    if accepted.contains(&newest) {
        return None;
    }
    let since = judged.iter().map(|(_, id)| *id).filter(|id| accepted.contains(id)).max();
    let most = readable
        .filter(|(judged, id, _)| judged.is_forgotten && since.is_none_or(|since| *id >= since))
        .map(|(_, _, rows)| rows)
        .max()?;
    (now.saturating_mul(2) < most).then_some((newest, (now, most)))
}

fn shrunk(database: &str, newest: Ulid, (now, then): (u64, u64)) -> PipelineError {
    PipelineError::Request {
        problem: format!(
            "nothing was forgotten: the newest backup of database {database:?}, {newest}, holds {}, and one that would be \
             forgotten {}",
            counted(now, "row"),
            counted(then, "row")
        ),
        help:
            "find out whether the database lost rows; --allow-shrunk accepts it and forgets the older backups"
                .to_owned(),
    }
}

impl ForgetReport {
    /// It on one line.
    pub(crate) fn summary(&self) -> String {
        let (forgotten, kept) = (counted(self.forgotten_count, "backup"), counted(self.kept_count, "backup"));
        match self.dry_run {
            true => format!("would forget {forgotten} and keep {kept}; nothing was changed"),
            false => format!("forgot {forgotten}, kept {kept}"),
        }
    }
}

impl Display for ForgetReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            let selection = match group.selection.is_empty() {
                true => String::new(),
                false => format!(" ({})", group.selection.join(" ")),
            };
            writeln!(f, "{}{}", in_one_line(&group.database), in_one_line(&selection))?;
            for backup in &group.backups {
                write!(f, "{}", Line(backup))?;
            }
        }
        write!(f, "{}", self.summary())?;
        match self.dry_run || self.forgotten_count == 0 {
            true => Ok(()),
            false => {
                write!(f, "\n`dbhaul backup prune --store ...` frees the space that no backup needs any more")
            }
        }
    }
}

/// One backup on a line.
struct Line<'a>(&'a JudgedBackup);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let JudgedBackup { id, snapshot_time, row_count, is_forgotten, reasons, damage, is_checked, .. } =
            self.0;
        let verb = if *is_forgotten { "forget" } else { "keep" };
        let rows = row_count.map_or_else(|| "not readable".to_owned(), |rows| counted(rows, "row"));
        write!(f, "  {verb:<6}  {id}  {snapshot_time}  {rows}")?;
        if !reasons.is_empty() {
            let reasons: Vec<String> = reasons.iter().map(Reason::to_string).collect();
            write!(f, "  {}", in_one_line(&reasons.join(", ")))?;
        }
        if *is_checked == Some(false) && damage.is_none() {
            write!(f, "  (no check has found it good)")?;
        }
        if let Some(damage) = damage {
            write!(f, "\n          {}", in_one_line(damage))?;
        }
        writeln!(f)
    }
}
