//! `migrate`: a database becomes another, without anything in between.

pub(crate) mod copy_format;
pub(crate) mod copy_scope;
pub(crate) mod exported_segments;
pub(crate) mod resume;

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;

use dbhaul_catalog::{ServerVersion, Toc, in_one_line};
use dbhaul_exporter::{ExportPlan, Exporter};
use dbhaul_importer::{ImportOutcome, ImportPlan, UnfinishedRun, unfinished_runs};
use dbhaul_postgres::{ConnectSettings, SnapshotInfo};
use dbhaul_progress::counted;
use dbhaul_rows::CutParameters;
use dbhaul_verifier::Report;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::command::dump::{PlannedTable, write_tables};
use crate::command::migrate::copy_format::CopyForms;
use crate::command::migrate::copy_scope::CopyScope;
use crate::command::migrate::exported_segments::{ExportedSegments, entry_segments};
use crate::command::migrate::resume::{Opened, open_source, start_over};
use crate::command::verify::copy::verify_patiently;
use crate::command::verify::{describe_live, verify_copy};
use crate::hold::{HolderProcess, end_holding};
use crate::report::explained::{Excuses, Told};
use crate::report::left_out::{left_out, told_of};
use crate::report::rows_left_out::{keys_without_rows, left_out_as_asked, write_left_out};
use crate::report::words::listed;
use crate::sides::check_migration;
use crate::source::state::{HolderRecord, SourceState};
use crate::source::throttle::Throttle;
use crate::source::{LiveDatabase, build_toc, check_families};
use crate::statistics::{settle, unavailable};
use crate::target::adapted::Adapted;
use crate::target::extensions;
use crate::target::roles::RoleWork;
use crate::target::settings::finish_database;
use crate::target::{
    Created, create_database, create_roles, import_error, import_options, new_run, planned_status, predict,
    run_import, take_from_catalog, tell_losses, write_blocked, write_losses,
};
use crate::{Context, ImportSummary, MigrateRequest, NamedReason, PipelineError, RoleReport, Status};

/// Rows travel in pieces of this size: large enough that messages cost nothing,
/// small enough that a handful for each session are no memory.
const CHUNK_BYTES: u64 = 128 << 10;

/// How long a target that a run has left may take to say whether the run's ledger is there.
const LEDGER_PATIENCE: Duration = Duration::from_secs(10);

/// A migration that is ready to run: snapshot taken, catalog read, nothing written.
pub struct Migrate {
    request: MigrateRequest,
    context: Context,
    source: LiveDatabase,
    /// Holds the snapshot beside this process.
    process: Option<HolderProcess>,
    /// The run that is resumed, if a process was to hold its snapshot.
    resumed: Option<String>,
    /// The run that is started over, if a process was to hold its snapshot.
    replaced: Option<String>,
    work: Work,
}

/// What there is to do.
struct Work {
    export: Arc<ExportPlan>,
    import: ImportPlan,
    roles: RoleWork,
    plan: MigratePlan,
}

/// What a migration will do.
#[derive(Debug, Clone, Serialize)]
pub struct MigratePlan {
    /// The source, without secrets.
    pub source: String,
    /// The target, without secrets.
    pub target: String,
    /// The target's version.
    #[serde(skip)]
    target_version: ServerVersion,
    /// The snapshot's time, by the source's clock.
    pub snapshot_time: String,
    /// The run that it goes on with, if it resumes one.
    pub resumes: Option<String>,
    /// Every table with its segments and expected bytes.
    pub tables: Vec<PlannedTable>,
    /// Whether digests are compared afterwards.
    pub verify: bool,
    /// The checks that both sides are asked then, by their names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// What will be done about roles, where that is asked for.
    pub roles: Option<RoleReport>,
    /// Why the run would be refused, each with a way out; empty if nothing is known to stand in the way.
    pub blockers: Vec<String>,
    /// What the target cannot have as it is, beside what it refuses.
    pub losses: Vec<NamedReason>,
    /// The same by object.
    #[serde(skip)]
    told: Told,
    /// Positions of sequences and filling of materialized views that are left out because a pattern for rows
    /// names them.
    pub left_out_as_asked: Vec<NamedReason>,
    /// Stages, steps and choices of the import, as text.
    pub import: String,
    /// The same with the critical path and the order of all steps; what `{:#}` prints.
    pub schedule: String,
}

/// What a migration did.
#[derive(Debug, Clone, Serialize)]
pub struct MigrateReport {
    /// The source, without secrets.
    pub source: String,
    /// The target, without secrets.
    pub target: String,
    /// Whether its database was created first.
    pub created: bool,
    /// What was written.
    #[serde(flatten)]
    pub summary: ImportSummary,
    /// The comparison made afterwards, if it was asked for.
    pub verification: Option<Report>,
    /// What was written, where nothing was compared afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<CopyScope>,
    /// Why there is none of a copy that is not whole, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified: Option<String>,
    /// Tables that were copied in binary in part, because a row was too long for COPY text.
    pub turned_to_binary: Vec<String>,
    /// Seconds it took, with the verification.
    pub elapsed_seconds: f64,
    /// What a comparison may find to differ since it was skipped.
    #[serde(skip)]
    excuses: Excuses,
}

impl MigratePlan {
    /// Done; failed, as the run would, if something is known to stand in its way.
    pub fn status(&self) -> Status {
        planned_status(&self.blockers)
    }
}

impl MigrateReport {
    /// Failed, different, skipped or done.
    pub fn status(&self) -> Status {
        self.excuses.judge(self.summary.status(), self.verification.as_ref())
    }
}

impl Migrate {
    /// Opens the source, takes the snapshot or finds that of the run to be resumed, reads the catalog,
    /// asks the target for its version, and plans.
    ///
    /// # Errors
    /// If the source cannot be read whole or the target cannot be asked, or if a run is to be resumed
    /// and the source is not proven to be what it was.
    pub async fn prepare(request: MigrateRequest, context: Context) -> Result<Self, PipelineError> {
        Box::pin(check_migration((&request.source, &request.target), &request.options, &context)).await?;
        let run = new_run();
        let opened = Box::pin(open_source(&request, &run, &context)).await?;
        let Opened { mut live, earlier, replaced, process } = opened;
        let work = Self::lay_out(&request, &run, &mut live, earlier.as_ref(), process.as_ref(), &context);
        match Box::pin(work).await {
            Ok(work) => {
                let resumed = earlier.and_then(|(run, state)| state.holder.map(|_| run.run));
                Ok(Migrate { request, context, source: live, process, resumed, replaced, work })
            }
            Err(error) => {
                live.release().await;
                end(process).await;
                Err(error)
            }
        }
    }

    async fn lay_out(
        request: &MigrateRequest,
        run: &str,
        source: &mut LiveDatabase,
        earlier: Option<&(UnfinishedRun, SourceState)>,
        process: Option<&HolderProcess>,
        context: &Context,
    ) -> Result<Work, PipelineError> {
        source.check_covered()?;
        source.check_readable(&request.selection)?;
        let roles = RoleWork::of_live(source, &request.options, &request.target, context).await?;
        let allow = request.options.allow_downgrade;
        let adapted = Box::pin(Adapted::new(&source.catalog, &request.target, allow, context)).await?;
        check_families(&source.catalog, &request.selection)?;
        let toc = build_toc(&adapted.catalog, &request.selection, adapted.target, &source.sequences)?;
        let mut export = source.export_plan(&toc);
        if let Some((_, state)) = earlier {
            state.cut(&mut export)?;
        }
        let majors = (source.catalog.server_version, adapted.target.version);
        let forms = CopyForms::choose(&mut export, request.copy_format, majors);
        let record = process.map(|process| HolderRecord {
            process_id: process.process_id(),
            source: request.source.describe(),
            limit_seconds: process.limit().as_secs(),
        });
        // of the process that stays, if there is one: this one's own ends with this one
        let snapshot = process.map_or(source.holder.id(), |process| &process.snapshot().id);
        let state = SourceState::of(source, snapshot, &export, record);
        let mut options =
            import_options(&request.options, fingerprint(source.holder.info()), source.search_path.clone());
        options.run = run.to_owned();
        options.source_state = Some(state.to_text()?);
        options.lock_wait = context.lock_wait;
        options.notes.extend(adapted.notes);
        take_from_catalog(&mut options, &source.catalog, &request.options);
        options.keys_without_rows = keys_without_rows(&source.catalog, &request.selection)?;
        let asked = (&request.selection, &request.options);
        options.notes.extend(extensions::look(&source.catalog, asked, &request.target, context).await?);
        options.is_downgrade = adapted.is_downgrade;
        settle(&mut options, adapted.target.version, unavailable(&source.catalog, &request.selection));
        let importing = |source| import_error(&request.target, source);
        let mut import = dbhaul_importer::plan(toc, &entry_segments(&export), options).map_err(importing)?;
        import.tune(&request.target, &context.cancel).await.map_err(importing)?;
        let planned_roles = roles.predict(&request.target, context).await?;
        let (options, coming) = ((&request.options, &source.catalog), planned_roles.as_ref());
        Box::pin(predict(&mut import, &request.target, options, coming, context)).await?;
        let plan = MigratePlan {
            source: request.source.describe(),
            target: request.target.describe(),
            target_version: adapted.target.version,
            snapshot_time: source.holder.info().taken_at.clone(),
            resumes: earlier.map(|(run, _)| run.run.clone()),
            tables: forms.plan(&export),
            verify: request.verify,
            checks: request.checks.checks.iter().map(|check| check.name().to_owned()).collect(),
            roles: planned_roles,
            blockers: import.blockers().to_vec(),
            losses: adapted.losses,
            told: adapted.told,
            left_out_as_asked: left_out_as_asked(&source.catalog, &request.selection)?,
            import: import.to_string(),
            schedule: format!("{import:#}"),
        };
        Ok(Work { export: Arc::new(export), import, roles, plan })
    }

    /// What will be done.
    pub fn plan(&self) -> &MigratePlan {
        &self.work.plan
    }

    /// Copies, and compares afterwards if that was asked for.
    ///
    /// # Errors
    /// If the target cannot take the database, or a server stayed away. Objects
    /// that failed alone are in the report.
    pub async fn execute(self) -> Result<MigrateReport, PipelineError> {
        let Migrate { request, context, source, mut process, resumed, replaced, work } = self;
        let Work { export, import, roles, plan } = work;
        tell_losses(&plan.losses, &context);
        if process.is_none() && source_is_unguarded(&request) {
            context.progress.notice(UNGUARDED);
        }
        let copied =
            Box::pin(copy(&request, &source, process.as_mut(), (export, import, roles), &context)).await;
        let replaced = replaced.filter(|_| !copied.as_ref().is_err_and(is_refused));
        // What is not to be resumed needs nobody to hold its snapshot, whatever becomes of the comparison.
        match process {
            // dropped, it stays: it was told to before anything was written
            Some(process) if is_resumable(&copied, &process, &request).await => {
                tell_held(&request, process, &context);
            }
            process => end(process).await,
        }
        let is_finished = copied.as_ref().is_ok_and(|copied| copied.outcome.ledger_schema.is_none());
        for run in resumed.filter(|_| is_finished).iter().chain(&replaced) {
            end_earlier(&request, run, &context).await;
        }
        let report = match copied {
            Ok(copied) => Box::pin(compare(copied, &plan, &request, &source, &context)).await,
            Err(error) => Err(error),
        };
        source.release().await;
        report
    }
}

/// What was copied, and since when.
struct Copied {
    started: std::time::Instant,
    toc: Arc<Toc>,
    created: Created,
    outcome: ImportOutcome,
    roles: Option<RoleReport>,
    turned_to_binary: Vec<String>,
}

async fn copy(
    request: &MigrateRequest,
    source: &LiveDatabase,
    process: Option<&mut HolderProcess>,
    (export, import, roles): (Arc<ExportPlan>, ImportPlan, RoleWork),
    context: &Context,
) -> Result<Copied, PipelineError> {
    let started = std::time::Instant::now();
    let toc = Arc::clone(import.toc());
    let options = (&request.options, &source.catalog);
    let roles = create_roles(&roles, &import, &request.target, options, context).await?;
    let created = create_database(&request.target, &request.options, &source.catalog, context).await?;
    if let Some(process) = process {
        process.keep().await?;
    }
    let exporter = Exporter::new(
        export,
        request.source.clone(),
        Arc::clone(&source.holder),
        request.options.jobs,
        CutParameters::fixed(CHUNK_BYTES),
        context.cancel.clone(),
    );
    let statistics = source.statistics(&request.selection, context)?;
    let throttle = Throttle::start(request.throttle, &request.source, context).await?;
    let exporter = Arc::new(ExportedSegments { exporter, statistics, throttle });
    let outcome = run_import(import, &created.target, Arc::clone(&exporter) as _, context).await;
    exporter.exporter.close().await;
    let turned_to_binary = exporter.exporter.turned_tables();
    Ok(Copied { started, toc, created, outcome: outcome?, roles, turned_to_binary })
}

async fn compare(
    copied: Copied,
    plan: &MigratePlan,
    request: &MigrateRequest,
    source: &LiveDatabase,
    context: &Context,
) -> Result<MigrateReport, PipelineError> {
    let Copied { started, toc, created, outcome, roles, turned_to_binary } = copied;
    let Created { target, mut unset, told } = created;
    unset.extend(left_out(&source.catalog));
    unset.extend(plan.losses.iter().cloned());
    let told = told.and(told_of(&source.catalog)).and(plan.told.clone());
    let excuses = Excuses::new(&source.catalog, &toc.entries, &outcome, told);
    let summary = ImportSummary::new(&outcome, unset).with_roles(roles);
    let mut summary = summary.with_left_out(plan.left_out_as_asked.clone());
    let (mut verification, mut unverified) = (None, None);
    if request.verify {
        // what failed spoils the proof of nothing else
        let compare = async || Box::pin(verify_copy(source, &target, request, &outcome, context)).await;
        match Box::pin(verify_patiently(&target, context, compare)).await {
            Ok(report) => verification = Some(report),
            Err(error) if outcome.failed.is_empty() || context.cancel.is_cancelled() => return Err(error),
            Err(error) => unverified = Some(crate::one_line(&error)),
        }
    }
    let scope = verification.is_none().then(|| {
        let into = (&target, plan.target_version);
        CopyScope::new(describe_live(source), into, (&request.selection, &request.options), &outcome)
    });
    let done = (&source.catalog, outcome.failed.is_empty());
    let refused = finish_database(&request.target, &request.options, done, context).await?;
    summary.skipped.extend(refused);
    Ok(MigrateReport {
        source: plan.source.clone(),
        target: target.describe(),
        created: request.options.create,
        summary,
        verification,
        scope,
        unverified,
        turned_to_binary,
        elapsed_seconds: started.elapsed().as_secs_f64(),
        excuses,
    })
}

/// Whether the import did not even begin.
fn is_refused(error: &PipelineError) -> bool {
    matches!(error, PipelineError::Import { source, .. } if source.has_changed_nothing())
}

/// Whether this run can be gone on with under the snapshot that a process of its own holds.
async fn is_resumable(
    copied: &Result<Copied, PipelineError>,
    process: &HolderProcess,
    request: &MigrateRequest,
) -> bool {
    match copied {
        Ok(copied) => copied.outcome.ledger_schema.is_some(),
        Err(error) if is_refused(error) || !process.is_kept() => false,
        Err(_) => may_have_ledger(&request.written(), process.run()).await,
    }
}

/// Whether a run has left its ledger on the target; where that cannot be asked it may have.
async fn may_have_ledger(target: &ConnectSettings, run: &str) -> bool {
    // with a token of its own: that the run's was cancelled may be why this is asked
    let cancel = CancellationToken::new();
    match tokio::time::timeout(LEDGER_PATIENCE, unfinished_runs(target, &cancel)).await {
        Ok(Ok(found)) => found.runs.iter().any(|found| found.run == run),
        // 3D000: there is no such database
        Ok(Err(error)) => error.sqlstate() != Some("3D000"),
        Err(_) => true,
    }
}

/// What `--resume` needs of a run whose snapshot ends with it.
const UNGUARDED: &str = "--hold-snapshot was not given: if this run is killed, --resume goes on only if nothing at all was written to the \
     source's cluster since. With --hold-snapshot it goes on whatever was written, at this price: until the run is \
     done or given up, VACUUM on the source removes no row that the snapshot sees, and nobody can alter or truncate \
     its tables";

/// Whether the snapshot of a run is held by nobody but the run: neither now nor, where it goes on with an earlier
/// one, by what that one began.
fn source_is_unguarded(request: &MigrateRequest) -> bool {
    request.hold.is_none() && !request.options.resume
}

/// Leaves the process alone that holds the snapshot, and says so: whoever gives the run up has to end it.
fn tell_held(request: &MigrateRequest, mut process: HolderProcess, context: &Context) {
    if process.has_ended() {
        context.progress.warning(format!(
            "the snapshot of {} is not held any more: the process that did has ended; --resume goes on only if the \
             source is neither written to nor restarted meanwhile",
            request.source.describe()
        ));
        return;
    }
    let id = process.process_id().map(|id| format!(" by process {id}")).unwrap_or_default();
    context.progress.warning(format!(
        "the snapshot of {} stays held{id} for {}, so that --resume can go on: if the run is given up, \
         `dbhaul cleanup --source ... --target ... --yes` lets it go, with --target at {}",
        request.source.describe(),
        counted(process.limit().as_secs() / 3600, "hour"),
        request.written().describe()
    ));
}

async fn end(process: Option<HolderProcess>) {
    if let Some(process) = process {
        process.end().await;
    }
}

/// Ends the process that an earlier run of this one has left holding the snapshot.
async fn end_earlier(request: &MigrateRequest, run: &str, context: &Context) {
    if let Err(error) = end_holding(&request.source, run, context).await {
        let message = crate::one_line(&error);
        context.progress.warning(format!("the snapshot of run {run} may still be held: {message}"));
    }
}

/// What identifies what is copied: a run resumes nothing else.
fn fingerprint(snapshot: &SnapshotInfo) -> String {
    let cluster = snapshot.system_identifier.as_deref().unwrap_or("unknown");
    format!("snapshot {} of database {} in cluster {cluster}", snapshot.transactions, snapshot.database)
}

impl Display for MigratePlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "migrate {}", self.source)?;
        writeln!(f, "  into {}", self.target)?;
        writeln!(f, "  as of {}", self.snapshot_time)?;
        if let Some(run) = &self.resumes {
            writeln!(f, "  going on with run {run}")?;
        }
        write_tables(f, &self.tables)?;
        if let Some(roles) = &self.roles {
            write!(f, "  roles:")?;
            roles.write_plan(f)?;
            writeln!(f)?;
        }
        write_losses(f, &self.losses)?;
        write_left_out(f, &self.left_out_as_asked)?;
        write!(f, "{}", if f.alternate() { &self.schedule } else { &self.import })?;
        if self.verify {
            write!(f, "\nafterwards: digests of every table compared")?;
        }
        if let Some(checks) = listed("afterwards asked of both sides", self.checks.clone()) {
            write!(f, "\n{}", in_one_line(&checks))?;
        }
        write_blocked(f, &self.blockers)
    }
}

impl Display for MigrateReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let word = match self.status() {
            Status::Failed | Status::Different => "migration INCOMPLETE",
            _ => "migrated",
        };
        writeln!(f, "{word}: {} into {}, in {:.1} s", self.source, self.target, self.elapsed_seconds)?;
        Display::fmt(&self.summary, f)?;
        if !self.turned_to_binary.is_empty() {
            let tables = self.turned_to_binary.join(", ");
            write!(f, "\n  copied in binary, because a row was too long for COPY text: {tables}")?;
        }
        if let Some(schema) = &self.summary.ledger_schema {
            write!(
                f,
                "\n  the ledger stays in schema {schema}: --resume goes on from here if the source has not \
                       changed or its snapshot is held (--hold-snapshot), {} starts over",
                start_over(self.created)
            )?;
        }
        let compared = (self.verification.as_ref(), self.unverified.as_deref(), self.scope.as_ref());
        self.excuses.write_end(f, &self.summary, compared)
    }
}
