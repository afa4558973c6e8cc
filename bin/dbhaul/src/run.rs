//! Carries a request out.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use dbhaul_pipeline::{
    Context, Dump, JobReport, Migrate, OutputPlace, PipelineError, ReportCommand, Restore, RunRecord, Script,
    ScriptRequest, Status, change_keys, check_backups, cleanup, cleanup_store, convert_backup, export,
    forget_backups, import_rows, init_store, list_backups, list_keys, pin_backups, preflight, probe_store,
    prune_store, recovery_kit, run_job, show_backup, show_definitions, show_toc, tell_unusable, verify,
};

use serde::Serialize;

use crate::holder;
use crate::intent::{BackupView, PlannedJobs, Request};
use crate::output::{self, Outcome};

/// Runs a command to its end, or only plans it. `begun` is set before anything is changed.
///
/// # Errors
/// Whatever stops the command. What went wrong with single objects is in the outcome.
pub(crate) async fn run(
    request: Request,
    dry_run: bool,
    verbose: bool,
    context: Context,
    (begun, record): (&AtomicBool, &(dyn Fn() -> RunRecord + Sync)),
) -> Result<Outcome, PipelineError> {
    match request {
        Request::Preflight(request) => {
            let report = Box::pin(preflight(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Dump(request) => {
            if dry_run {
                return Ok(Outcome::listing(Box::pin(Dump::prepare(request, context)).await?.plan()));
            }
            let dump = Box::pin(Dump::prepare_to_execute(request, context)).await?;
            let report = Box::pin(dump.execute()).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Restore(request) => {
            let restore = Box::pin(Restore::prepare(request, context)).await?;
            if dry_run {
                return Ok(Outcome::plan(restore.plan(), restore.plan().status(), verbose));
            }
            begun.store(true, Ordering::Relaxed);
            let report = Box::pin(restore.execute()).await?;
            Ok(Outcome::comparison(&report, report.status(), ReportCommand::Restore, record()))
        }
        Request::Migrate(request) => {
            let migrate = Box::pin(Migrate::prepare(request, context)).await?;
            if dry_run {
                return Ok(Outcome::plan(migrate.plan(), migrate.plan().status(), verbose));
            }
            begun.store(true, Ordering::Relaxed);
            let report = Box::pin(migrate.execute()).await?;
            Ok(Outcome::comparison(&report, report.status(), ReportCommand::Migrate, record()))
        }
        Request::Verify(request) => {
            let report = Box::pin(verify(request, context)).await?;
            Ok(Outcome::comparison(&report, report.status(), ReportCommand::Verify, record()))
        }
        Request::Cleanup(request) => {
            let report = Box::pin(cleanup(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::CleanupStore(request) => {
            let report = Box::pin(cleanup_store(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::HoldSnapshot(request) => {
            Box::pin(holder::run(request, context)).await?;
            Ok(Outcome::nothing())
        }
        Request::ListBackups(request) => {
            let list = Box::pin(list_backups(request, context)).await?;
            Ok(Outcome::judged(&list, list.status()))
        }
        Request::Check(request) => {
            let summary = Box::pin(check_backups(*request, context)).await?;
            Ok(Outcome::report(&summary, summary.status()))
        }
        Request::ShowBackup { store, backup, database, view } => {
            let database = database.as_deref();
            Ok(match view {
                BackupView::Summary => {
                    Outcome::listing(&show_backup(&store, &backup, database, context).await?)
                }
                BackupView::Toc(selection) => {
                    Outcome::listing(&show_toc(&store, &backup, database, &selection, context).await?)
                }
                BackupView::Definitions(selection) => {
                    let definitions = show_definitions(&store, &backup, database, &selection, context);
                    Outcome::sql(&definitions.await?)
                }
            })
        }
        Request::RunJobs(jobs) => run_jobs(jobs, context).await,
        Request::Forget(request) => {
            let report = Box::pin(forget_backups(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::ConvertBackup(request) => {
            let report = Box::pin(convert_backup(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Prune(request) => {
            let report = Box::pin(prune_store(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Pin { store, backups, database, is_pinned } => {
            let pinned = pin_backups(&store, &backups, database.as_deref(), is_pinned, context).await?;
            Ok(Outcome::listing(&Pinned { pinned, is_pinned }))
        }
        Request::InitStore(request) => {
            let report = Box::pin(init_store(request, context)).await?;
            Ok(Outcome::report(&report, Status::Done))
        }
        Request::ListKeys(store) => Ok(Outcome::listing(&Box::pin(list_keys(&store, context)).await?)),
        Request::ChangeKeys(store, change) => {
            let report = Box::pin(change_keys(&store, change, context)).await?;
            Ok(Outcome::report(&report, Status::Done))
        }
        Request::ProbeStore(store) => {
            let report = Box::pin(probe_store(&store, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::RecoveryKit(store) => Ok(Outcome::listing(&Box::pin(recovery_kit(&store, context)).await?)),
        Request::Script(request, file) => script(request, file, dry_run, context).await,
        Request::ImportRows(request) => {
            let report = Box::pin(import_rows(request, context)).await?;
            Ok(Outcome::report(&report, report.status()))
        }
        Request::Export(request, file) => {
            let to_stdout = file.is_none();
            let report = Box::pin(export(request, place(file)?, context)).await?;
            let outcome = Outcome::report(&report, report.status());
            Ok(if to_stdout { outcome.beside_data() } else { outcome })
        }
    }
}

/// Where data goes: into a file, or to standard output.
fn place(file: Option<PathBuf>) -> Result<OutputPlace, PipelineError> {
    const STANDARD_OUTPUT: &str = "standard output";
    let Some(file) = file else {
        let failed = |source| PipelineError::Output { place: STANDARD_OUTPUT.to_owned(), source };
        return Ok(OutputPlace::Stream(output::stdout_stream().map_err(failed)?, STANDARD_OUTPUT));
    };
    Ok(OutputPlace::File(file))
}

async fn script(
    request: ScriptRequest,
    file: Option<PathBuf>,
    dry_run: bool,
    context: Context,
) -> Result<Outcome, PipelineError> {
    let script = Box::pin(Script::prepare(request, context)).await?;
    if dry_run {
        return Ok(Outcome::listing(script.plan()));
    }
    let to_stdout = file.is_none();
    let report = Box::pin(script.execute(place(file)?)).await?;
    let outcome = Outcome::report(&report, report.status());
    Ok(if to_stdout { outcome.beside_data() } else { outcome })
}

/// What `backup pin` and `backup unpin` did.
#[derive(Serialize)]
struct Pinned {
    #[serde(rename = "backups")]
    pinned: Vec<String>,
    is_pinned: bool,
}

impl Display for Pinned {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let verb = if self.is_pinned { "pinned" } else { "unpinned" };
        write!(f, "{verb} {}", self.pinned.join(", "))
    }
}

/// Runs jobs one after the other; one that fails does not keep the later ones from running.
async fn run_jobs(
    PlannedJobs { jobs, are_refused }: PlannedJobs,
    context: Context,
) -> Result<Outcome, PipelineError> {
    let mut reports = Jobs { jobs: Vec::new() };
    for job in jobs {
        reports.jobs.push(match job {
            Ok(job) => Box::pin(run_job(job, context.clone())).await?,
            Err(unusable) => Box::pin(tell_unusable(*unusable, &context)).await,
        });
    }
    let status = match are_refused {
        true => Status::Misused,
        false => reports.jobs.iter().map(JobReport::status).max().unwrap_or(Status::Failed),
    };
    Ok(Outcome::report(&reports, status))
}

/// What `backup run` did.
#[derive(Serialize)]
struct Jobs {
    jobs: Vec<JobReport>,
}

impl Display for Jobs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (place, job) in self.jobs.iter().enumerate() {
            write!(f, "{}{job}", if place == 0 { "" } else { "\n\n" })?;
        }
        Ok(())
    }
}
