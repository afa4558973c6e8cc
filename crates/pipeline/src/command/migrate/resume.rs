//! Opening the source of a migration: anew, with a process that holds its snapshot, or as an earlier run
//! of the same migration saw it.

use dbhaul_importer::UnfinishedRun;
use dbhaul_postgres::{Error, SnapshotHolder};
use dbhaul_progress::{Phase, counted};
use jiff::{SignedDuration, Timestamp};

use crate::hold::{HolderProcess, application_name};
use crate::source::lock_wait::{self, Waiting};
use crate::source::state::SourceState;
use crate::source::{LiveDatabase, SNAPSHOT_ATTEMPTS};
use crate::target::import_error;
use crate::{Context, HoldProgram, MigrateRequest, PipelineError};

/// The source of a migration, opened.
pub(crate) struct Opened {
    pub(crate) live: LiveDatabase,
    /// What an earlier process wrote down, if this one resumes its run.
    pub(crate) earlier: Option<(UnfinishedRun, SourceState)>,
    /// A run that is started over, if a process was to hold its snapshot.
    pub(crate) replaced: Option<String>,
    /// The process that holds the snapshot, if this one started it.
    pub(crate) process: Option<HolderProcess>,
}

/// Opens the source as the request wants it.
///
/// # Errors
/// If it cannot be read, or if a run is to be resumed and the source is not proven to be what it was.
pub(crate) async fn open_source(
    request: &MigrateRequest,
    run: &str,
    context: &Context,
) -> Result<Opened, PipelineError> {
    context.progress.phase_started(Phase::Introspect, None, None);
    let opened = Box::pin(open(request, run, context)).await?;
    context.progress.phase_finished(Phase::Introspect);
    Ok(opened)
}

async fn open(request: &MigrateRequest, run: &str, context: &Context) -> Result<Opened, PipelineError> {
    let found = find_earlier(request, context).await?;
    if let Some(earlier) = found.as_ref().filter(|_| request.options.resume) {
        let text = earlier.source_state.as_deref().ok_or_else(|| not_a_migration(earlier))?;
        let state = SourceState::parse(text)?;
        if request.hold.is_some() && state.holder.is_none() {
            context.progress.warning(
                "--hold-snapshot is ignored: the run was begun without it, so that its snapshot went with the \
                 process that began it, and there is none left to hold; should this one be stopped too, --resume \
                 goes on only if nothing is written to the source's cluster meanwhile",
            );
        }
        let live = Box::pin(reopen(request, &state, context)).await?;
        return Ok(Opened { live, earlier: Some((earlier.clone(), state)), replaced: None, process: None });
    }
    let (live, process) = match &request.hold {
        Some(program) => {
            let (live, process) = Box::pin(open_held(request, program, run, context)).await?;
            (live, Some(process))
        }
        None => (LiveDatabase::open(&request.source, &request.selection, "source", context).await?, None),
    };
    Ok(Opened { live, earlier: None, replaced: found.filter(is_held).map(|found| found.run), process })
}

fn is_held(run: &UnfinishedRun) -> bool {
    let state = run.source_state.as_deref().and_then(|text| SourceState::parse(text).ok());
    state.is_some_and(|state| state.holder.is_some())
}

/// The unfinished run that is to be resumed or started over, if there is one.
async fn find_earlier(
    request: &MigrateRequest,
    context: &Context,
) -> Result<Option<UnfinishedRun>, PipelineError> {
    if !request.options.resume && !request.options.clean {
        return Ok(None);
    }
    let target = request.written();
    match dbhaul_importer::unfinished_runs(&target, &context.cancel).await {
        Ok(found) => Ok(found.runs.into_iter().next()),
        // 3D000: the run was stopped before it had created the database
        Err(error) if request.options.create && error.sqlstate() == Some("3D000") => Ok(None),
        Err(error) => Err(import_error(&target, error)),
    }
}

/// Takes a snapshot in a process of its own, and sees the source as of it.
async fn open_held(
    request: &MigrateRequest,
    program: &HoldProgram,
    run: &str,
    context: &Context,
) -> Result<(LiveDatabase, HolderProcess), PipelineError> {
    let mut attempt = 1;
    loop {
        let mut process = HolderProcess::start(program, run, &context.cancel).await?;
        let adopted = SnapshotHolder::adopt(&request.source, process.snapshot(), &context.cancel).await;
        let adopted = adopted.map_err(|source| PipelineError::server("cannot share the snapshot", source))?;
        let holder = adopted.ok_or_else(|| PipelineError::Hold {
            reason: "it holds a snapshot of another server than this one connects to".to_owned(),
        })?;
        let live =
            Box::pin(LiveDatabase::under(holder, &request.source, &request.selection, "source", context))
                .await?;
        // The process first: had this run's own session its locks already, somebody could queue for a
        // table behind them, and the process behind him, for as long as this run waits for it.
        let name = application_name(run);
        let locking = process.lock(live.tables_with_rows());
        let locking = lock_wait::with_news(locking, Waiting::Named(&name), &request.source, context);
        let mut changed = lock_wait::limited(locking, &request.source, context).await?;
        if changed.is_empty() {
            changed = live.hold_tables("source", context).await?;
        }
        if changed.is_empty() {
            return Ok((live, process));
        }
        live.release().await;
        process.end().await;
        if attempt == SNAPSHOT_ATTEMPTS {
            return Err(PipelineError::Unsteady { server: request.source.describe(), tables: changed });
        }
        attempt += 1;
    }
}

/// Sees the source as an earlier process saw it: under its snapshot while somebody holds it, else under a
/// new one if nothing was written since.
async fn reopen(
    request: &MigrateRequest,
    state: &SourceState,
    context: &Context,
) -> Result<LiveDatabase, PipelineError> {
    let connecting = |source| PipelineError::server("cannot connect to the source", source);
    let held = match SnapshotHolder::adopt(&request.source, &state.snapshot, &context.cancel).await {
        Ok(held) => held,
        Err(Error::SnapshotGone { .. }) => None,
        Err(error) => return Err(connecting(error)),
    };
    let is_held = held.is_some();
    let holder = match held {
        Some(holder) => holder,
        None => SnapshotHolder::open(&request.source, &context.cancel).await.map_err(connecting)?,
    };
    let mut live =
        Box::pin(LiveDatabase::under(holder, &request.source, &request.selection, "source", context)).await?;
    let change = if is_held { None } else { state.change(&live) };
    let changed = match change {
        Some(change) => Some(change),
        None => {
            let changed = live.hold_tables("source", context).await?;
            changed.into_iter().next_back().map(|table| format!("{table} was rewritten since"))
        }
    };
    if let Some(change) = changed {
        live.release().await;
        return Err(lost(request, state, &change));
    }
    let how = match is_held {
        true => format!("its snapshot is still held{}", until(state)),
        false => "nothing was written to its cluster since".to_owned(),
    };
    context.progress.notice(format!("the source is what it was when the run began: {how}"));
    live.sequences.clone_from(&state.sequences);
    Ok(live)
}

/// How long the process that holds the snapshot does so: from the end of the run that began, which was not
/// before the snapshot, and whoever resumes it cannot make it more.
fn until(state: &SourceState) -> String {
    let Some(holder) = &state.holder else { return String::new() };
    let hours = counted(holder.limit_seconds / 3600, "hour");
    let least = state.snapshot.taken_at.parse::<Timestamp>().ok().and_then(|taken_at| {
        let limit = SignedDuration::from_secs(i64::try_from(holder.limit_seconds).ok()?);
        taken_at.checked_add(limit).ok()
    });
    let least = least.map(|least| format!(", at least until {least:.0}")).unwrap_or_default();
    format!(", for {hours} after the run that took it was stopped{least}; --resume does not make that longer")
}

fn lost(request: &MigrateRequest, state: &SourceState, change: &str) -> PipelineError {
    let snapshot = &state.snapshot;
    let held = match &state.holder {
        Some(holder) => format!(
            "; the process that held its snapshot (process {}, for {} after the run) is gone",
            holder.process_id.map_or("unknown".to_owned(), |id| id.to_string()),
            counted(holder.limit_seconds / 3600, "hour")
        ),
        None => String::new(),
    };
    PipelineError::Request {
        problem: format!(
            "the run on the target cannot be resumed: it copies {} as of {}, and that state is gone: \
             {change}{held}",
            request.source.describe(),
            snapshot.taken_at
        ),
        help: format!(
            "start over with {}, or with an empty target; with --hold-snapshot a process of its own keeps the \
             snapshot, and a run can be resumed whatever is written meanwhile",
            start_over(request.options.create)
        ),
    }
}

/// The options that start a migration over: `--create` creates nothing that is there already.
pub(crate) fn start_over(is_created: bool) -> &'static str {
    match is_created {
        true => {
            "--clean --if-exists in place of --create, and with --target at the database that was created"
        }
        false => "--clean --if-exists",
    }
}

fn not_a_migration(earlier: &UnfinishedRun) -> PipelineError {
    PipelineError::Request {
        problem: format!(
            "the unfinished run {} on the target imports {}, and is no migration",
            earlier.run, earlier.source_fingerprint
        ),
        help: "resume it with `dbhaul restore --resume`, or start over with --clean --if-exists".to_owned(),
    }
}
