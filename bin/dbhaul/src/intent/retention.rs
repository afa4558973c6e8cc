//! What is meant about which backups stay.

use std::time::Duration;

use dbhaul_pipeline::{
    ConvertRequest, ForgetChoice, ForgetRequest, KeepPolicy, PruneRequest, RowStore, TimeZone, default_jobs,
};

use super::sides::Places;
use super::{Environment, Job, Request, UsageError, backup_ref, job};
use crate::args::{
    ConvertBackupArgs, DEFAULT_COMPRESSION_LEVEL, ForgetArgs, PinArgs, PolicyArgs, PruneArgs, RowStoreName,
};

pub(super) fn forget(args: ForgetArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment).store(args.store.store).writer_keys(&args.keys)?;
    let choice = match args.ids.is_empty() {
        true => ForgetChoice::Policy(policy(args.policy)?),
        false => ForgetChoice::Ids(args.ids),
    };
    let request = ForgetRequest {
        store: places.require_store()?,
        database: args.database,
        choice,
        allow_shrunk: args.allow_shrunk,
        dry_run: args.dry_run,
    };
    job(Request::Forget(request), args.dry_run, Some(args.report), args.output, places)
}

pub(super) fn convert(args: ConvertBackupArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment).store(args.store.store);
    let request = ConvertRequest {
        store: places.require_store()?,
        backup: backup_ref(args.id.or(args.backup.backup).as_deref())?,
        database: args.backup.database,
        row_store: match args.format {
            RowStoreName::Store => RowStore::Packs,
            RowStoreName::Parquet => RowStore::Parquet,
        },
        jobs: args.jobs.unwrap_or_else(default_jobs),
        compression_level: args.compression_level.unwrap_or(DEFAULT_COMPRESSION_LEVEL),
    };
    job(Request::ConvertBackup(request), false, Some(args.report), args.output, places)
}

pub(super) fn prune(args: PruneArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment).store(args.store.store).reader_keys(&args.keys)?;
    let request = PruneRequest {
        store: places.require_store()?,
        grace: Duration::from_secs(args.grace_hours.saturating_mul(3600)),
        dry_run: args.dry_run,
        allow_no_backup: args.allow_no_backup,
        repack: args.repack,
    };
    job(Request::Prune(request), args.dry_run, Some(args.report), args.output, places)
}

pub(super) fn pin(args: PinArgs, is_pinned: bool, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment).store(args.store.store).writer_keys(&args.keys)?;
    let backup = |id: &String| {
        let problem = "is neither `latest` nor the beginning of a backup's identity";
        backup_ref(Some(id)).map_err(|_| UsageError::new(format!("{id:?} {problem}")))
    };
    let backups = args.ids.iter().map(backup).collect::<Result<_, _>>()?;
    let (store, database) = (places.require_store()?, args.database);
    let request = Request::Pin { store, backups, database, is_pinned };
    job(request, false, None, args.output, places)
}

/// The policy; one that keeps nothing is refused.
fn policy(args: PolicyArgs) -> Result<KeepPolicy, UsageError> {
    let fault = |problem: String| UsageError::new(problem);
    let within = args.keep_within.as_deref().map(KeepPolicy::parse_span).transpose();
    let zone = match args.time_zone.as_deref() {
        None => TimeZone::UTC,
        Some(name) => {
            TimeZone::get(name).map_err(|_| fault(format!("--time-zone: there is no time zone {name:?}")))?
        }
    };
    let policy = KeepPolicy {
        last: args.keep_last.unwrap_or_default(),
        hourly: args.keep_hourly.unwrap_or_default(),
        daily: args.keep_daily.unwrap_or_default(),
        weekly: args.keep_weekly.unwrap_or_default(),
        monthly: args.keep_monthly.unwrap_or_default(),
        yearly: args.keep_yearly.unwrap_or_default(),
        within: within.map_err(|error| fault(format!("--keep-within: {error}")))?,
        tags: args.keep_tag,
        at_least: args.keep_at_least.unwrap_or(1),
        only_checked: args.keep_checked,
        zone,
    };
    policy
        .not_empty()
        .map_err(|error| fault(format!("{error}: give at least one --keep-... option, or name backups")))
}
