//! `backup check`: what of the backups of a store can be relied on.

mod report;
mod restored;
mod subset;

use std::time::Instant;

use dbhaul_archive::{BackupKey, CheckLevel, CheckResult};
use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::{Phase, one_line};
use dbhaul_repository::{
    BackupCheck, BackupRef, CheckScope, HashedPacks, KnownBackups, Repository, RepositoryError,
};
use dbhaul_store::StoreUrl;
use jiff::Timestamp;

use crate::{Context, PipelineError, Status};

pub(crate) use report::damage_found;
pub use report::{CheckOutcome, CheckSummary, CheckedBackup};
pub use subset::{CheckSubset, SubsetError};

/// Asks what of backups can be relied on.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// The store.
    pub store: StoreUrl,
    /// Which backups.
    pub backups: CheckedBackups,
    /// How closely.
    pub level: CheckLevel,
    /// Read only these packs of rows; of levels 1 and 2.
    pub subset: Option<CheckSubset>,
    /// The server on which a scratch database is made; needed by level 3.
    pub target: Option<ConnectSettings>,
    /// Sessions that load at the same time, with level 3.
    pub jobs: usize,
    /// Write a report into the store.
    pub record: bool,
}

/// Which backups are checked.
#[derive(Debug, Clone)]
pub enum CheckedBackups {
    /// One of them.
    One {
        /// Which.
        backup: BackupRef,
        /// Only backups of this database count for [`BackupRef::Latest`].
        database: Option<String>,
    },
    /// All of them.
    All {
        /// Only of this database.
        database: Option<String>,
    },
}

/// Checks backups. What is damaged is in the summary.
///
/// # Errors
/// If the store cannot be read, the only backup that was asked for cannot be checked, or the user stops it.
pub async fn check_backups(request: CheckRequest, context: Context) -> Result<CheckSummary, PipelineError> {
    let started = Instant::now();
    let repository = open(&request, &context).await?;
    let (keys, passed_over, is_one) = match &request.backups {
        CheckedBackups::One { backup, database } => {
            (vec![repository.find(backup, database.as_deref()).await?], None, true)
        }
        CheckedBackups::All { database } => {
            let (mut keys, passed_over) = repository.backup_keys_to_check().await?;
            keys.retain(|key| database.as_ref().is_none_or(|name| *name == key.database));
            if keys.is_empty() {
                let (store, database) = (repository.describe(), database.clone());
                return Err(RepositoryError::NoBackup { store, database }.into());
            }
            (keys, passed_over, false)
        }
    };
    let group = request.subset.map(|subset| subset.on(Timestamp::now()));
    let scope = CheckScope { level: request.level, group };
    context.progress.phase_started(Phase::Verify, None, None);
    let (mut seen, mut backups) = (Seen::default(), Vec::new());
    for key in keys {
        let check = Box::pin(check_one(&repository, &key, (&request, &scope), &mut seen, &context));
        let outcome = match check.await {
            Ok(outcome) => outcome,
            Err(error) if is_one || error.status() == Status::Interrupted => return Err(error),
            Err(PipelineError::Repository(RepositoryError::NoBackup { .. })) => CheckOutcome::Forgotten,
            Err(error) => CheckOutcome::NotChecked { reason: one_line(&error), help: error.help() },
        };
        backups.push(CheckedBackup::new(&key, outcome));
    }
    context.progress.phase_finished(Phase::Verify);
    Ok(CheckSummary {
        store: repository.describe(),
        level: request.level,
        subset: group,
        backups,
        passed_over,
        elapsed_seconds: started.elapsed().as_secs_f64(),
    })
}

/// What a run has read already, of which backups have much in common.
#[derive(Default)]
struct Seen {
    hashed: HashedPacks,
    backups: KnownBackups,
}

async fn open(request: &CheckRequest, context: &Context) -> Result<Repository, PipelineError> {
    let (store, Context { keys, progress, cancel, .. }) = (&request.store, context);
    Ok(match request.record {
        true => Repository::open_to_write(store, keys, progress, cancel).await?,
        false => Repository::open(store, keys, progress, cancel).await?,
    })
}

async fn check_one(
    repository: &Repository,
    key: &BackupKey,
    (request, scope): (&CheckRequest, &CheckScope),
    seen: &mut Seen,
    context: &Context,
) -> Result<CheckOutcome, PipelineError> {
    let checked = Box::pin(repository.check_backup(key, scope, &mut seen.hashed, &context.cancel)).await;
    let mut check = checked.map_err(|error| needs_a_private_key(error, request.level))?;
    if request.level == CheckLevel::Restored && check.report.result == CheckResult::Good {
        let target = request.target.as_ref().ok_or_else(no_target)?;
        Box::pin(restored::restore_and_compare(&mut check, (request, target), context)).await?;
    }
    let (mut recorded, mut not_recorded) = (None, None);
    if request.record {
        match check.record(&mut seen.backups, &context.cancel).await {
            Ok(key) => recorded = Some(key),
            Err(error) if error.is_cancelled() => return Err(error.into()),
            Err(error) => not_recorded = Some(one_line(&error)),
        }
    }
    let BackupCheck { report, .. } = check;
    Ok(CheckOutcome::Checked { report: Box::new(report), recorded, not_recorded })
}

fn no_target() -> PipelineError {
    PipelineError::Request {
        problem: "level 3 restores the backup, and no server was named for that".to_owned(),
        help: "name one with --target".to_owned(),
    }
}

/// Says which level it was that asked for rows.
fn needs_a_private_key(error: RepositoryError, level: CheckLevel) -> PipelineError {
    match error {
        RepositoryError::NoDataKey { store } => PipelineError::Request {
            problem: format!(
                "level {level} needs a private key or a passphrase: the rows in {store} cannot be read with a writer key"
            ),
            help: "name the file of a private key with --identity-file, or of a passphrase with --passphrase-file; \
                   level 1 needs neither"
                .to_owned(),
        },
        error => error.into(),
    }
}
