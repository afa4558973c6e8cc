//! What is meant by `backup list` and `backup check`.

use dbhaul_pipeline::{CheckLevel, CheckRequest, CheckedBackups, ListRequest, default_jobs};

use super::sides::Places;
use super::{Environment, Job, Request, UsageError, backup_ref, job};
use crate::args::{CheckArgs, ListArgs};

pub(super) fn list(args: ListArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let ListArgs { store, keys, database, max_age, output } = args;
    let places = Places::new(environment).store(store.store).reader_keys(&keys)?;
    let request = ListRequest { store: places.require_store()?, database, max_age };
    job(Request::ListBackups(request), false, None, output, places)
}

pub(super) fn check(args: CheckArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let is_restored = args.level == CheckLevel::Restored;
    if !is_restored {
        let given = [
            ("--target", args.target.target.is_some()),
            ("--role", args.role.is_some()),
            ("--jobs", args.jobs.is_some()),
        ];
        if let Some((flag, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            return Err(UsageError::new(format!("{flag} is for --level 3, which restores the backup")));
        }
    }
    if args.subset.is_some() && !matches!(args.level, CheckLevel::Hashes | CheckLevel::Rows) {
        return Err(UsageError::new("--subset is for levels 1 and 2, which read packs of rows"));
    }
    let places = Places::new(environment)
        .target(args.target.target, args.role)
        .store(args.store.store)
        .reader_keys(&args.keys)?;
    let database = args.backup.database;
    let request = CheckRequest {
        store: places.require_store()?,
        backups: match args.all {
            true => CheckedBackups::All { database },
            false => CheckedBackups::One {
                backup: backup_ref(args.id.or(args.backup.backup).as_deref())?,
                database,
            },
        },
        level: args.level,
        subset: args.subset,
        target: if is_restored { Some(places.require_target()?) } else { None },
        jobs: args.jobs.unwrap_or_else(default_jobs),
        record: args.record,
    };
    job(Request::Check(Box::new(request)), false, Some(args.report), args.output, places)
}
