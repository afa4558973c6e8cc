//! One profile, and the job that it makes.

use std::path::PathBuf;
use std::time::Duration;

use dbhaul_pipeline::{
    Address, BackupJob, CheckLevel, CheckSubset, DumpRequest, JobCheck, KeepCount, KeepPolicy, Notifications,
    Overlap, StoreKeys, TimeZone,
};
use serde::Deserialize;

use super::value::Value;
use crate::app::hide_secrets;
use crate::args::{Cli, Command, DumpFormat, Refused};
use crate::intent::{Environment, Intent, Request};

/// Hours that packs stay after they were marked, as with `backup prune`.
const GRACE_HOURS: u64 = 23;

/// A profile as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// The database, or one of the server whose databases are backed up.
    source: Option<Value>,
    /// Patterns of names of databases of that server.
    databases: Option<Vec<String>>,
    /// The store.
    store: Option<Value>,
    /// Options of `dbhaul dump`.
    #[serde(default)]
    dump: Vec<String>,
    /// How the new backup is checked.
    #[serde(default)]
    check: Check,
    /// Which backups stay.
    keep: Option<Keep>,
    /// How space is freed.
    prune: Option<Prune>,
    /// What to do while another run is at work.
    #[serde(default)]
    overlap: OverlapName,
    /// Whom to tell.
    #[serde(default)]
    notify: Notify,
}

/// The dump of a job, with what is beside the request.
struct Dump {
    request: DumpRequest,
    lock_wait: Option<Duration>,
    keys: StoreKeys,
}

/// A policy as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Keep {
    last: Option<Count>,
    hourly: Option<Count>,
    daily: Option<Count>,
    weekly: Option<Count>,
    monthly: Option<Count>,
    yearly: Option<Count>,
    within: Option<String>,
    tag: Vec<String>,
    at_least: Option<u32>,
    checked: bool,
    time_zone: Option<String>,
}

/// A number of backups, or all.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a number of backups, or the word unlimited in quotes")]
enum Count {
    Number(u32),
    Text(String),
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected true, false, or a table with level and subset")]
enum Check {
    Wanted(bool),
    How(HowChecked),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HowChecked {
    level: Option<u8>,
    subset: Option<String>,
}

impl Default for Check {
    fn default() -> Self {
        Check::Wanted(true)
    }
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected true, false, or a table with grace-hours")]
enum Prune {
    Wanted(bool),
    Grace(Grace),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Grace {
    grace_hours: u64,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OverlapName {
    #[default]
    Skip,
    Wait,
    Run,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Notify {
    ping: Option<Value>,
    webhook: Option<Value>,
    metrics_file: Option<PathBuf>,
    push_gateway: Option<Value>,
}

impl Profile {
    /// The job, with its secrets; an error names the key.
    pub(super) fn job(&self, name: &str, environment: Environment<'_>) -> Result<BackupJob, String> {
        let databases = self.databases.clone();
        if databases.as_ref().is_some_and(|patterns| patterns.iter().all(|pattern| pattern.trim().is_empty()))
        {
            return Err("databases: it names none; leave it out for the database of the source".to_owned());
        }
        let check = self.check.resolved().map_err(|error| format!("check: {error}"))?;
        let reads_packs = check.as_ref().is_some_and(|check| check.level >= CheckLevel::Hashes);
        if self.keep.as_ref().is_some_and(|keep| keep.checked) && !reads_packs {
            return Err(
                "keep.checked: nothing would ever be forgotten, since `check` is below level 1".to_owned()
            );
        }
        let (notify, problems) = self.notifications(environment);
        let Dump { request, lock_wait, keys } = self.dump(environment)?;
        Ok(BackupJob {
            name: name.to_owned(),
            dump: request,
            lock_wait,
            keys,
            databases: databases.unwrap_or_default(),
            check,
            keep: self
                .keep
                .as_ref()
                .map(Keep::policy)
                .transpose()
                .map_err(|error| format!("keep: {error}"))?,
            prune: self.grace(),
            overlap: match self.overlap {
                OverlapName::Skip => Overlap::Skip,
                OverlapName::Wait => Overlap::Wait,
                OverlapName::Run => Overlap::Run,
            },
            notify,
            notify_problems: problems,
        })
    }

    /// Whom to tell, which does not depend on whether anything else can be used; and those who cannot be told.
    pub(super) fn notifications(&self, environment: Environment<'_>) -> (Notifications, Vec<String>) {
        self.notify.resolved(environment)
    }

    /// What `dbhaul dump` makes of the source, the store and the options.
    fn dump(&self, environment: Environment<'_>) -> Result<Dump, String> {
        let read = |key: &str, value: &Option<Value>| {
            let value = value.as_ref().ok_or_else(|| format!("{key} is missing"))?;
            value.read(environment).map_err(|error| format!("{key}: {error}"))
        };
        let (source, store) = (read("source", &self.source)?, read("store", &self.store)?);
        let places = [format!("--source={source}"), format!("--store={store}")];
        let arguments = ["dbhaul", "dump"].map(str::to_owned).into_iter().chain(self.dump.iter().cloned());
        let cli = match Cli::read(arguments.chain(places)) {
            Ok(Ok(cli)) if makes_script(&cli) => {
                return Err(
                    "dump: a job makes backups in a store, and no scripts: leave --format out".to_owned()
                );
            }
            Ok(Ok(cli)) => cli,
            Ok(Err(Refused { problem, .. })) => return Err(format!("dump: {problem}")),
            Err(mut error) => {
                hide_secrets(&mut error, &self.dump);
                return Err(format!("dump: {}", first_line(&error)));
            }
        };
        match Intent::resolve(cli, environment) {
            Ok(Intent::Run(job)) => match (job.request, job.dry_run, job.report_files.is_empty()) {
                (Request::Dump(_), true, _) => Err("dump: --dry-run makes no backup".to_owned()),
                (Request::Dump(_), _, false) => Err("dump: --report is not for a job".to_owned()),
                (Request::Dump(request), false, true) => {
                    Ok(Dump { request, lock_wait: job.lock_wait, keys: job.keys })
                }
                _ => Err("dump: a job makes backups in a store: leave --format out".to_owned()),
            },
            Ok(_) => Err("dump: these options make no backup".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn grace(&self) -> Option<Duration> {
        let hours = match &self.prune {
            // who forgets wants the space
            None => self.keep.as_ref().map(|_| GRACE_HOURS),
            Some(Prune::Wanted(wanted)) => wanted.then_some(GRACE_HOURS),
            Some(Prune::Grace(grace)) => Some(grace.grace_hours),
        };
        hours.map(|hours| Duration::from_secs(hours.saturating_mul(3600)))
    }
}

fn makes_script(cli: &Cli) -> bool {
    matches!(&cli.command, Command::Dump(args) if args.format == DumpFormat::Sql)
}

impl Check {
    fn resolved(&self) -> Result<Option<JobCheck>, String> {
        let how = match self {
            Check::Wanted(false) => return Ok(None),
            Check::Wanted(true) => return Ok(Some(JobCheck::default())),
            Check::How(how) => how,
        };
        let level = how.level.map_or(Ok(JobCheck::default().level), CheckLevel::try_from)?;
        let subset = how.subset.as_ref().map(|text| text.parse::<CheckSubset>());
        let subset = subset.transpose().map_err(|error| error.to_string())?;
        match (level, subset) {
            (CheckLevel::Restored, _) => Err("level 3 is not for a job: run `dbhaul backup check --level 3 \
                                              --target ...` where there is a server for it"
                .to_owned()),
            (CheckLevel::References, Some(_)) => {
                Err("subset is for levels 1 and 2, which read packs of rows".to_owned())
            }
            (level, subset) => Ok(Some(JobCheck { level, subset })),
        }
    }
}

impl Keep {
    fn policy(&self) -> Result<KeepPolicy, String> {
        let count = |count: &Option<Count>| match count {
            None => Ok(KeepCount::None),
            Some(Count::Number(number)) => number.to_string().parse(),
            Some(Count::Text(text)) => text.parse(),
        };
        let policy = || {
            Ok(KeepPolicy {
                last: count(&self.last)?,
                hourly: count(&self.hourly)?,
                daily: count(&self.daily)?,
                weekly: count(&self.weekly)?,
                monthly: count(&self.monthly)?,
                yearly: count(&self.yearly)?,
                within: self.within.as_deref().map(KeepPolicy::parse_span).transpose()?,
                tags: self.tag.clone(),
                at_least: self.at_least.unwrap_or(1).max(1),
                only_checked: self.checked,
                zone: TimeZone::UTC,
            })
        };
        let mut policy: KeepPolicy = policy()
            .and_then(KeepPolicy::not_empty)
            .map_err(|error: dbhaul_pipeline::PolicyError| error.to_string())?;
        if let Some(name) = &self.time_zone {
            policy.zone = TimeZone::get(name).map_err(|_| format!("there is no time zone {name:?}"))?;
        }
        Ok(policy)
    }
}

impl Notify {
    /// Whom to tell; and those who cannot be told, with the reason. No backup may fail for that.
    fn resolved(&self, environment: Environment<'_>) -> (Notifications, Vec<String>) {
        let mut problems = Vec::new();
        let mut address = |key: &str, value: &Option<Value>| -> Option<Address> {
            let text = value.as_ref()?.read(environment);
            let read = text.and_then(|text| {
                text.parse().map_err(|error: dbhaul_pipeline::AddressError| error.to_string())
            });
            read.map_err(|problem| problems.push(format!("notify.{key}: {problem}"))).ok()
        };
        let notifications = Notifications {
            ping: address("ping", &self.ping),
            webhook: address("webhook", &self.webhook),
            push_gateway: address("push-gateway", &self.push_gateway),
            metrics_file: self.metrics_file.clone(),
        };
        (notifications, problems)
    }
}

/// What clap has to say of an option, without usage and tips.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}
