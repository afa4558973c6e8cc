//! Carrying a job out.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use dbhaul_progress::one_line;
use dbhaul_repository::{BackupRef, RepositoryError};
use dbhaul_store::StoreUrl;
use jiff::Timestamp;

use super::databases::{CLOSED, Closed};
use super::overlap::{Turn, take_turn};
use super::{BackupJob, JobCheck, JobReport, Sources, Step, StepKind, StepResult, UnusableJob};
use crate::command::backups::check::{CheckRequest, CheckedBackups, check_backups};
use crate::command::backups::forget::{ForgetChoice, ForgetRequest, forget_backups};
use crate::command::backups::prune::{PruneRequest, prune_store};
use crate::command::dump::Dump;
use crate::notify::{Notifications, Notifier};
use crate::{Context, DumpRequest, PipelineError, Status, default_jobs};

/// Runs a job to its end: a step that fails does not keep the later ones from being taken, except that nothing of a
/// database is forgotten whose dump or check failed. Whoever is to be told is told of the beginning and of the end, also if the
/// user stops it.
///
/// # Errors
/// If the user stops it. Whatever fails is in the report.
pub async fn run_job(job: BackupJob, context: Context) -> Result<JobReport, PipelineError> {
    let notifier = notifier(&job.name, job.notify.clone(), &job.notify_problems, &context);
    notifier.begun().await;
    let context = Context { keys: Arc::new(job.keys.clone()), lock_wait: job.lock_wait, ..context };
    let mut run = Run { started: Timestamp::now(), steps: Vec::new(), context };
    let stopped = run.carry_out(&job).await.err();
    let report =
        JobReport { job: job.name, started: run.started, finished: Timestamp::now(), steps: run.steps };
    notifier.ended(&report).await;
    match stopped {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// Tells of a job that cannot begin: a secret that is no longer there must not end in silence. Of a beginning nobody is
/// told.
pub async fn tell_unusable(job: UnusableJob, context: &Context) -> JobReport {
    let UnusableJob { name, problem, notify, notify_problems } = job;
    let notifier = notifier(&name, notify, &notify_problems, context);
    let report = JobReport::unusable(name, problem);
    notifier.ended(&report).await;
    report
}

/// Who tells of a job; warns of those who cannot be told.
fn notifier(name: &str, to: Notifications, problems: &[String], context: &Context) -> Notifier {
    for problem in problems {
        context.progress.warning(format!("job {name:?}: {problem}"));
    }
    Notifier::new(name.to_owned(), to, context.progress.clone(), context.cancel.clone())
}

struct Run {
    started: Timestamp,
    steps: Vec<Step>,
    context: Context,
}

impl Run {
    /// Fails only if the user stops it.
    async fn carry_out(&mut self, job: &BackupJob) -> Result<(), PipelineError> {
        let begun = Instant::now();
        match job.sources(&self.context).await {
            Ok(Sources { open, closed, unmatched }) => {
                for error in unmatched {
                    self.failed(None, StepKind::Prepare, begun, error)?;
                }
                for database in closed {
                    self.leave_closed(&database)?;
                }
                for source in open {
                    self.back_up(job, source).await?;
                }
            }
            Err(error) => self.failed(None, StepKind::Prepare, begun, error)?,
        }
        let Some(grace) = job.prune else { return Ok(()) };
        let request = PruneRequest {
            store: job.dump.store.clone(),
            grace,
            dry_run: false,
            allow_no_backup: false,
            repack: false,
        };
        let pruning = Box::pin(prune_store(request, self.context.clone()));
        let pruned = async {
            match pruning.await {
                // the other one, or the next night, does it
                Err(PipelineError::Repository(
                    error @ (RepositoryError::RemovalAtWork { .. } | RepositoryError::StoreChanged { .. }),
                )) => Ok(StepResult::Left { reason: one_line(&error) }),
                pruned => pruned.map(|report| StepResult::Pruned(Box::new(report))),
            }
        };
        self.step(None, StepKind::Prune, pruned).await.map(drop)
    }

    /// Notes that a database refuses connections: no run can back it up, and nobody is to take it for backed up.
    fn leave_closed(&mut self, database: &Closed) -> Result<(), PipelineError> {
        let name = database.name.as_str();
        if database.is_named {
            return self.failed(Some(name), StepKind::Dump, Instant::now(), database.refused());
        }
        self.not_done(name, StepKind::Dump, &format!("the database {CLOSED}"));
        Ok(())
    }

    /// One database: dump, check, then forget.
    async fn back_up(&mut self, job: &BackupJob, request: DumpRequest) -> Result<(), PipelineError> {
        let database = request.source.database().to_owned();
        let begun = Instant::now();
        let turn = take_turn(&request.source, &request.store, job.overlap, &self.context).await;
        let _held = match turn {
            Ok(Turn::Ours(held)) => held,
            Ok(Turn::Taken) => {
                let reason = "another backup of this database into this store is running".to_owned();
                self.took(Some(&database), StepKind::Dump, begun, StepResult::NotDone { reason });
                return Ok(());
            }
            Err(error) => return self.failed(Some(&database), StepKind::Prepare, begun, error),
        };
        let context = self.context.clone();
        let store = request.store.clone();
        let dumping = async move {
            let dump = Box::pin(Dump::prepare_to_execute(request, context)).await?;
            Box::pin(dump.execute()).await.map(|report| StepResult::Dumped(Box::new(report)))
        };
        let dumped = self.step(Some(&database), StepKind::Dump, dumping).await?;
        let checked = match job.check {
            Some(check) => self.check(check, &database, &store).await?,
            None => Status::Done,
        };
        let Some(policy) = job.keep.clone() else { return Ok(()) };
        let failed = match (dumped, checked) {
            (Status::Failed, _) => Some("nothing is forgotten after a dump that failed"),
            (_, Status::Done) => None,
            _ => Some("nothing is forgotten after a check that failed"),
        };
        if let Some(reason) = failed {
            self.not_done(&database, StepKind::Forget, reason);
            return Ok(());
        }
        let request = ForgetRequest {
            store,
            database: Some(database.clone()),
            choice: ForgetChoice::Policy(policy),
            allow_shrunk: false,
            dry_run: false,
        };
        let forgetting = Box::pin(forget_backups(request, self.context.clone()));
        self.step(Some(&database), StepKind::Forget, async { forgetting.await.map(StepResult::Forgot) })
            .await
            .map(drop)
    }

    /// Checks the backup that the last step has made, if it has.
    async fn check(
        &mut self,
        JobCheck { level, subset }: JobCheck,
        database: &str,
        store: &StoreUrl,
    ) -> Result<Status, PipelineError> {
        let Some(Step { result: StepResult::Dumped(dumped), .. }) = self.steps.last() else {
            return Ok(self.not_done(database, StepKind::Check, "there is no new backup"));
        };
        let backups = CheckedBackups::One {
            backup: BackupRef::Id(dumped.backup.clone()),
            database: Some(database.to_owned()),
        };
        let (store, jobs) = (store.clone(), default_jobs());
        let request = CheckRequest { store, backups, level, subset, target: None, jobs, record: true };
        let checking = Box::pin(check_backups(request, self.context.clone()));
        let checked = async { checking.await.map(|summary| StepResult::Checked(Box::new(summary))) };
        self.step(Some(database), StepKind::Check, checked).await
    }

    /// Notes that a step was not begun.
    fn not_done(&mut self, database: &str, kind: StepKind, reason: &str) -> Status {
        let result = StepResult::NotDone { reason: reason.to_owned() };
        self.took(Some(database), kind, Instant::now(), result)
    }

    /// Takes a step and notes what came of it.
    async fn step(
        &mut self,
        database: Option<&str>,
        kind: StepKind,
        doing: impl Future<Output = Result<StepResult, PipelineError>>,
    ) -> Result<Status, PipelineError> {
        let begun = Instant::now();
        match doing.await {
            Ok(result) => Ok(self.took(database, kind, begun, result)),
            Err(error) => self.failed(database, kind, begun, error).map(|()| Status::Failed),
        }
    }

    /// Notes that a step failed, and goes on unless the user has stopped the run.
    fn failed(
        &mut self,
        database: Option<&str>,
        kind: StepKind,
        begun: Instant,
        error: PipelineError,
    ) -> Result<(), PipelineError> {
        let result = StepResult::Failed { error: one_line(&error), help: error.help() };
        self.took(database, kind, begun, result);
        match error.status() == Status::Interrupted || self.context.cancel.is_cancelled() {
            true => Err(error),
            false => Ok(()),
        }
    }

    fn took(&mut self, database: Option<&str>, kind: StepKind, begun: Instant, result: StepResult) -> Status {
        let database = database.map(str::to_owned);
        let step = Step { database, step: kind, elapsed_seconds: begun.elapsed().as_secs_f64(), result };
        let status = step.status();
        self.steps.push(step);
        status
    }
}
