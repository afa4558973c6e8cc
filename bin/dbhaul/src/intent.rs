//! The second stage of arguments: what was typed, with the environment, becomes a request.
//!
//! Everything that is wrong with the arguments is found out here, before
//! anything is touched, and ends in exit code 2.

mod check;
mod compare;
mod keys;
mod retention;
mod roles;
mod rows;
mod script;
mod selection;
mod sides;
mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use clap_complete::Shell;
use dbhaul_pipeline::{
    BackupRef, CheckRequest, CleanupRequest, ConvertRequest, CopyChoice, DumpRequest, ExportRequest,
    ForgetRequest, HoldProgram, HoldRequest, ImportRowsRequest, InitRequest, KeyChange, ListRequest,
    MigrateRequest, ParentRef, PreflightRequest, PruneRequest, RestoreRequest, RowStore, Scratch,
    ScriptRequest, Selection, StatisticsMode, StoreCleanupRequest, StoreKeys, StoreUrl, ThrottleOptions,
    VerifyRequest, VerifySide, WriteOptions, default_compression_helpers, default_jobs,
};
use thiserror::Error;

use crate::args::{
    BackupCommand, CleanupArgs, Cli, Command, Compress, ConfigCommand, ConvertArgs, CopyFormatName,
    DEFAULT_COMPRESSION_LEVEL, DumpArgs, DumpFormat, LetterArgs, MigrateArgs, OutputArgs, PreflightArgs,
    ProgressMode, ReportAction, ReportArgs, RestoreArgs, RoleArgs, RunArgs, ScratchArgs, SelectionArgs,
    StatisticsName, ThrottleArgs, VerifyArgs, WriteArgs, level_of_rows,
};
use crate::config::{Checked, Config, ConfigError, PlannedJob};
use crate::report_file::ReportFile;
use selection::selection;
use sides::Places;

/// The arguments contradict each other, or name something that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem}")]
pub(crate) struct UsageError {
    /// What is wrong, without secrets.
    pub(crate) problem: String,
}

impl UsageError {
    /// A problem is one line, whatever a name or a path in it holds: none can begin another.
    fn new(problem: impl Into<String>) -> Self {
        UsageError { problem: problem.into().replace('\n', "\\n").replace('\r', "\\r") }
    }
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Intent {
    /// Print completions.
    Completions(Shell),
    /// Print the manual, or write its pages into a directory.
    Man(Option<PathBuf>, Vec<String>),
    /// Tell whether a configuration can be used; as JSON.
    CheckConfig(Checked, bool),
    /// Write a report in other forms.
    Convert(PathBuf, Vec<ReportFile>),
    /// Run a command.
    Run(Box<Job>),
}

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Job {
    /// The command's request.
    pub(crate) request: Request,
    /// Print the plan only.
    pub(crate) dry_run: bool,
    /// Where the report goes beside standard output.
    pub(crate) report_files: Vec<ReportFile>,
    /// How to speak.
    pub(crate) output: OutputArgs,
    /// How long a lock on a table of the source is waited for.
    pub(crate) lock_wait: Option<Duration>,
    /// What opens the store, where it is encrypted.
    pub(crate) keys: StoreKeys,
    /// What a person should know about the arguments, one line each.
    pub(crate) warnings: Vec<String>,
}

/// A request of one of the commands.
#[derive(Debug)]
pub(crate) enum Request {
    /// `preflight`.
    Preflight(PreflightRequest),
    /// `dump`.
    Dump(DumpRequest),
    /// `restore`.
    Restore(RestoreRequest),
    /// `migrate`.
    Migrate(MigrateRequest),
    /// `verify`.
    Verify(VerifyRequest),
    /// `cleanup`.
    Cleanup(CleanupRequest),
    /// `cleanup --store`.
    CleanupStore(StoreCleanupRequest),
    /// `hold-snapshot`.
    HoldSnapshot(HoldRequest),
    /// `backup list`.
    ListBackups(ListRequest),
    /// `backup check`.
    Check(Box<CheckRequest>),
    /// `backup show`.
    ShowBackup {
        /// The store.
        store: StoreUrl,
        /// Which backup.
        backup: BackupRef,
        /// Only of this database.
        database: Option<String>,
        /// What of it.
        view: BackupView,
    },
    /// `backup run`.
    RunJobs(PlannedJobs),
    /// `backup forget`.
    Forget(ForgetRequest),
    /// `backup convert`.
    ConvertBackup(ConvertRequest),
    /// `backup prune`.
    Prune(PruneRequest),
    /// `backup pin` and `backup unpin`.
    Pin {
        /// The store.
        store: StoreUrl,
        /// The backups.
        backups: Vec<BackupRef>,
        /// The database whose backups are meant, where the store holds several.
        database: Option<String>,
        /// Pin them; otherwise unpin them.
        is_pinned: bool,
    },
    /// `store init`.
    InitStore(InitRequest),
    /// `store key list`.
    ListKeys(StoreUrl),
    /// `store key`, all else.
    ChangeKeys(StoreUrl, KeyChange),
    /// `store recovery-kit`.
    RecoveryKit(StoreUrl),
    /// `store probe`.
    ProbeStore(StoreUrl),
    /// `dump --format sql` and `backup export`: into a file, or to standard output.
    Script(ScriptRequest, Option<PathBuf>),
    /// `export`: into a file, or to standard output.
    Export(ExportRequest, Option<PathBuf>),
    /// `import`.
    ImportRows(ImportRowsRequest),
}

/// What to show of a backup.
#[derive(Debug)]
pub(crate) enum BackupView {
    /// Its tables and totals.
    Summary,
    /// The entries of its TOC.
    Toc(Selection),
    /// Its definitions.
    Definitions(Selection),
}

/// The jobs of `backup run`.
#[derive(Debug)]
pub(crate) struct PlannedJobs {
    /// In the order in which they run.
    pub(crate) jobs: Vec<PlannedJob>,
    /// Whether a profile that was asked for by its name cannot be used: nothing runs then, and all jobs are such.
    pub(crate) are_refused: bool,
}

/// Asked for a variable of the environment.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Intent {
    /// Gives arguments their meaning.
    ///
    /// # Errors
    /// Whatever makes them unusable.
    pub(crate) fn resolve(cli: Cli, environment: Environment<'_>) -> Result<Self, UsageError> {
        let job = match cli.command {
            Command::Preflight(args) => preflight(*args, environment),
            Command::Dump(args) => dump(*args, environment),
            Command::Restore(args) => restore(*args, environment),
            Command::Migrate(args) => migrate(*args, environment),
            Command::Verify(args) => verify(*args, environment),
            Command::Export(args) => rows::export(*args, environment),
            Command::Import(args) => rows::import(*args, environment),
            Command::Cleanup(args) => cleanup(*args, environment),
            Command::HoldSnapshot { run } => hold_snapshot(run, environment),
            Command::Backup { command } => backup(command, environment),
            Command::Store { command } => store::store(command, environment),
            Command::Config { command: ConfigCommand::Check { config, json } } => {
                let read = Config::read(config.config.as_deref(), environment);
                let config = read.map_err(|error| UsageError::new(error.to_string()))?;
                return Ok(Intent::CheckConfig(config.check(environment), json));
            }
            Command::Report { action: ReportAction::Convert(args) } => return convert(args),
            Command::Completions { shell } => return Ok(Intent::Completions(shell)),
            Command::Man { command, dir } => return Ok(Intent::Man(dir, command)),
        };
        Ok(Intent::Run(Box::new(job?)))
    }
}

fn convert(args: ConvertArgs) -> Result<Intent, UsageError> {
    let outputs = report_files(args.outputs, "")?;
    if let Some(output) = outputs.iter().find(|output| !output.form.needs_comparison()) {
        let file = output.path.display();
        return Err(UsageError::new(format!("{file}: a report is converted into .html, .md or .xml")));
    }
    Ok(Intent::Convert(args.input, outputs))
}

/// Files of these names; `option` stands before the name in a problem.
fn report_files(paths: Vec<PathBuf>, option: &str) -> Result<Vec<ReportFile>, UsageError> {
    let mut files: Vec<ReportFile> = Vec::new();
    for path in paths {
        let name = path.display().to_string();
        let problem = |problem: &str| UsageError::new(format!("{option}{name}: {problem}"));
        let file = ReportFile::new(path).map_err(|what| problem(&what))?;
        if files.contains(&file) {
            return Err(problem("is given twice"));
        }
        files.push(file);
    }
    Ok(files)
}

fn preflight(args: PreflightArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment)
        .source(args.source.source, args.acting.source_role)
        .target(args.target.target, args.acting.target_role)
        .store(args.store.store)
        .writer_keys(&args.keys)?;
    let request = PreflightRequest {
        source: places.require_source()?,
        target: places.optional_target()?,
        store: places.optional_store()?,
        selection: selection(&args.selection)?,
        options: write_options(&args.write, &args.selection, &args.roles, false)?,
    };
    if let Some(target) = &request.target {
        sides::check_distinct(&request.source, target, request.options.create)?;
    }
    job(Request::Preflight(request), false, Some(args.report), args.output, places)
}

fn dump(args: DumpArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    if args.format == DumpFormat::Sql {
        return script::of_dump(args, environment);
    }
    script::refuse_without_format(&args.script)?;
    let letters = LetterArgs { dbname: args.letters.dbname.or(args.named_database), ..args.letters };
    let places = Places::new(environment)
        .source(args.source.source, args.role)
        .store(args.store.store)
        .writer_keys(&args.keys)?
        .source_letters(&letters)?;
    let jobs = args.jobs.unwrap_or_else(default_jobs);
    let request = DumpRequest {
        source: places.require_source()?,
        store: places.require_store()?,
        selection: selection(&args.selection)?,
        jobs,
        parent: parent_ref(args.parent.as_deref(), args.full)?,
        compression_level: compression_level(args.compress)?,
        compression_helpers: args.compression_helpers.unwrap_or_else(|| default_compression_helpers(jobs)),
        roles: roles::recorded(&args.roles),
        statistics: args.statistics,
        tags: args.tags,
        throttle: throttle_options(&args.throttle),
        row_store: if args.format == DumpFormat::Parquet { RowStore::Parquet } else { RowStore::Packs },
    };
    let job = job(Request::Dump(request), args.dry_run, Some(args.report), args.output, places)?;
    Ok(Job { lock_wait: args.throttle.lock_wait_timeout, ..job })
}

/// The level of zstd of a backup.
fn compression_level(given: Option<Compress>) -> Result<i32, UsageError> {
    let level = given.map_or(Ok(DEFAULT_COMPRESSION_LEVEL), level_of_rows);
    level.map_err(|problem| UsageError::new(format!("--compress: {problem}")))
}

fn restore(args: RestoreArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment)
        .target(args.target.target, args.role)
        .store(args.store.store)
        .reader_keys(&args.keys)?
        .target_letters(&args.letters)?;
    let request = RestoreRequest {
        store: places.require_store()?,
        backup: backup_ref(args.backup.backup.as_deref())?,
        database: args.backup.database,
        target: places.require_target()?,
        selection: selection(&args.selection)?,
        options: write_options(&args.write, &args.selection, &args.roles, args.resume)?,
        verify: args.verify,
    };
    if args.resume && args.write.clean {
        return Err(UsageError::new("--resume keeps what an earlier run has loaded and --clean drops it"));
    }
    job(Request::Restore(request), args.dry_run, Some(args.report), args.output, places)
}

fn migrate(args: MigrateArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment)
        .source(args.source.source, args.acting.source_role)
        .target(args.target.target, args.acting.target_role);
    places.check_both_named()?;
    let request = MigrateRequest {
        source: places.require_source()?,
        target: places.require_target()?,
        selection: selection(&args.selection)?,
        options: write_options(&args.write, &args.selection, &args.roles, args.resume)?,
        verify: args.verify,
        checks: compare::checks(args.check.as_deref())?,
        copy_format: match args.copy_format {
            CopyFormatName::Auto => CopyChoice::Auto,
            CopyFormatName::Text => CopyChoice::Text,
            CopyFormatName::Binary => CopyChoice::Binary,
        },
        hold: match args.hold_snapshot && !args.dry_run {
            true => Some(hold_program(args.hold_hours, places.source_variables())?),
            false => None,
        },
        throttle: throttle_options(&args.throttle),
    };
    if args.resume && args.write.clean {
        return Err(UsageError::new("--resume keeps what an earlier run has loaded and --clean drops it"));
    }
    sides::check_distinct(&request.source, &request.target, request.options.create)?;
    let job = job(Request::Migrate(request), args.dry_run, Some(args.report), args.output, places)?;
    Ok(Job { lock_wait: args.throttle.lock_wait_timeout, ..job })
}

/// This program, to be run once more. Where the source is goes into its environment: others may read a
/// command line.
fn hold_program(hours: u64, source: Vec<(&str, String)>) -> Result<HoldProgram, UsageError> {
    let program = std::env::current_exe()
        .map_err(|error| UsageError::new(format!("--hold-snapshot: cannot find this program: {error}")))?;
    let variable = |(name, value): (&str, String)| (name.into(), value.into());
    Ok(HoldProgram {
        program,
        arguments: vec!["hold-snapshot".into()],
        environment: source.into_iter().map(variable).collect(),
        limit: Duration::from_secs(hours * 3600),
    })
}

fn hold_snapshot(run: String, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment);
    let request = Request::HoldSnapshot(HoldRequest { source: places.require_source()?, run });
    let output = OutputArgs { json: false, progress: ProgressMode::None, quiet: true, verbose: 0 };
    job(request, false, None, output, places)
}

fn cleanup(args: CleanupArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    if let Some(store) = args.store {
        let places = Places::new(environment).store(Some(store)).writer_keys(&args.keys)?;
        let request = StoreCleanupRequest {
            store: places.require_store()?,
            grace: Duration::from_secs(args.grace_hours.saturating_mul(3600)),
            remove: args.yes,
        };
        return job(Request::CleanupStore(request), false, None, args.output, places);
    }
    let places = Places::new(environment)
        .source(args.source.source, args.acting.source_role)
        .target(args.target.target, args.acting.target_role);
    let source = places.optional_source()?;
    let target = match source {
        Some(_) => places.optional_target()?,
        None => Some(places.require_target()?),
    };
    let request = CleanupRequest { target, source, remove: args.yes };
    job(Request::Cleanup(request), false, None, args.output, places)
}

fn verify(args: VerifyArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let places = Places::new(environment)
        .source(args.source.source, args.acting.source_role)
        .target(args.target.target, args.acting.target_role)
        .store(args.store.store);
    let places = places.verify_letters(&args.letters, &args.backup)?;
    let (left, right) =
        places.verify_sides(args.backup.backup.as_deref(), args.backup.database, &args.other)?;
    let places = match (&left, &right) {
        (VerifySide::Live(_), VerifySide::Live(_)) => places.no_keys(&args.keys)?,
        (VerifySide::Backup { store, .. }, _) | (_, VerifySide::Backup { store, .. }) => {
            let store = store.to_string();
            places.store(Some(store)).reader_keys(&args.keys)?
        }
    };
    let selected = selection(&args.selection)?;
    let mode = compare::mode(&args.compare, &selected)?;
    let request = VerifyRequest {
        computed: compare::computed(&args.compare, (&left, &right), &mode)?,
        repair_sql: compare::repair_sql(&args.compare, &right)?,
        max_seconds: args.compare.max_seconds,
        shown: compare::shown(&args.compare, (&left, &right))?,
        left,
        right,
        jobs: args.jobs.unwrap_or_else(default_jobs),
        owners: args.selection.owners,
        privileges: args.selection.privileges,
        database: args.create,
        role_map: roles::map(&args.map)?,
        scratch: match args.scratch {
            ScratchArgs { no_scratch: true, .. } => Scratch::Never,
            ScratchArgs { scratch: true, .. } => Scratch::Always,
            ScratchArgs { .. } => Scratch::WhereWritable,
        },
        mode,
        checks: compare::checks(args.compare.check.as_deref())?,
        accept: compare::accept(&args.compare)?,
        selection: selected,
    };
    job(Request::Verify(request), false, Some(args.report), args.output, places)
}

fn jobs(args: RunArgs, environment: Environment<'_>) -> Result<Job, UsageError> {
    let wrong = |error: ConfigError| UsageError::new(error.to_string());
    let config = Config::read(args.config.config.as_deref(), environment).map_err(wrong)?;
    let names = if args.all { config.names() } else { args.names };
    let planned = names.iter().map(|name| config.plan(name, environment));
    let mut jobs: Vec<PlannedJob> = planned.collect::<Result<_, _>>().map_err(wrong)?;
    // with --all, one that cannot be used must not keep the others from running: it is reported as failed
    let are_refused = !args.all && jobs.iter().any(Result::is_err);
    if are_refused {
        jobs.retain(Result::is_err);
    }
    let request = Request::RunJobs(PlannedJobs { jobs, are_refused });
    job(request, false, Some(args.report), args.output, Places::new(environment))
}

fn backup(command: BackupCommand, environment: Environment<'_>) -> Result<Job, UsageError> {
    match command {
        BackupCommand::List(args) => check::list(*args, environment),
        BackupCommand::Check(args) => check::check(*args, environment),
        BackupCommand::Show(args) => {
            let places = Places::new(environment).store(args.store.store).reader_keys(&args.keys)?;
            let selection = selection(&args.selection)?;
            let view = match (args.toc, args.ddl) {
                (true, _) => BackupView::Toc(selection),
                (_, true) => BackupView::Definitions(selection),
                _ if selection == Selection::default() => BackupView::Summary,
                _ => return Err(UsageError::new("a selection of objects needs --toc or --ddl")),
            };
            let request = Request::ShowBackup {
                store: places.require_store()?,
                backup: backup_ref(args.id.or(args.backup.backup).as_deref())?,
                database: args.backup.database,
                view,
            };
            job(request, false, None, args.output, places)
        }
        BackupCommand::Export(args) => script::of_backup(*args, environment),
        BackupCommand::Run(args) => jobs(*args, environment),
        BackupCommand::Forget(args) => retention::forget(*args, environment),
        BackupCommand::Convert(args) => retention::convert(*args, environment),
        BackupCommand::Prune(args) => retention::prune(*args, environment),
        BackupCommand::Pin(args) => retention::pin(*args, true, environment),
        BackupCommand::Unpin(args) => retention::pin(*args, false, environment),
    }
}

fn job(
    request: Request,
    dry_run: bool,
    report: Option<ReportArgs>,
    output: OutputArgs,
    places: Places<'_>,
) -> Result<Job, UsageError> {
    let paths = report.map(|report| report.report_files).unwrap_or_default();
    if dry_run && !paths.is_empty() {
        return Err(UsageError::new("--dry-run makes no report: leave out --report"));
    }
    let report_files = report_files(paths, "--report ")?;
    let compares = matches!(request, Request::Verify(_) | Request::Migrate(_) | Request::Restore(_));
    if let Some(file) = report_files.iter().find(|file| file.form.needs_comparison() && !compares) {
        let file = file.path.display();
        return Err(UsageError::new(format!(
            "--report {file}: .html, .md and .xml are of `verify`, `migrate` and `restore`; this command writes .json or .txt"
        )));
    }
    let (keys, warnings) = places.into_parts();
    Ok(Job { request, dry_run, report_files, output, lock_wait: None, keys, warnings })
}

fn write_options(
    args: &WriteArgs,
    selection: &SelectionArgs,
    roles: &RoleArgs,
    resume: bool,
) -> Result<WriteOptions, UsageError> {
    Ok(WriteOptions {
        jobs: args.jobs.unwrap_or_else(default_jobs),
        set_owners: selection.owners,
        privileges: selection.privileges,
        clean: args.clean,
        if_exists: args.if_exists,
        create: args.create,
        resume,
        allow_non_empty: args.allow_non_empty,
        allow_read_only: args.allow_read_only,
        disable_triggers: args.disable_triggers,
        statistics: match args.statistics {
            _ if args.no_analyze => StatisticsMode::None,
            StatisticsName::Analyze => StatisticsMode::Analyze,
            StatisticsName::Copy => StatisticsMode::Copy,
            StatisticsName::None => StatisticsMode::None,
        },
        allow_downgrade: args.allow_downgrade,
        roles: roles::created(roles),
        role_map: roles::map(&roles.map)?,
        maintenance_work_mem_bytes: args.maintenance_work_mem,
        index_workers: args.index_workers,
    })
}

fn throttle_options(args: &ThrottleArgs) -> ThrottleOptions {
    ThrottleOptions {
        max_rate_bytes: args.max_rate,
        max_source_load: args.max_source_load,
        max_standby_lag_bytes: args.max_standby_lag,
    }
}

fn parent_ref(id: Option<&str>, full: bool) -> Result<ParentRef, UsageError> {
    match id {
        None if full => Ok(ParentRef::None),
        None => Ok(ParentRef::Newest),
        Some(id) => match backup_ref(Some(id)) {
            Ok(BackupRef::Id(id)) => Ok(ParentRef::Id(id)),
            Ok(BackupRef::Latest) => Ok(ParentRef::Newest),
            Err(_) => {
                let problem = "is neither `latest` nor the beginning of a backup's identity";
                Err(UsageError::new(format!("--parent {id:?} {problem}")))
            }
        },
    }
}

fn backup_ref(text: Option<&str>) -> Result<BackupRef, UsageError> {
    match text {
        None | Some("latest") => Ok(BackupRef::Latest),
        Some(id) if !id.is_empty() && id.len() <= 26 && id.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            Ok(BackupRef::Id(id.to_owned()))
        }
        Some(other) => Err(UsageError::new(format!(
            "--backup {other:?} is neither `latest` nor the beginning of a backup's identity"
        ))),
    }
}
