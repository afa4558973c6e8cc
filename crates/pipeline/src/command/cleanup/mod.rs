//! `cleanup`: what unfinished runs have left behind, listed and removed.

pub(crate) mod store;

use std::fmt::{self, Display, Formatter};

use dbhaul_catalog::{in_one_line, quote_identifier};
use dbhaul_importer::{UnfinishedRun, UnfinishedRuns, remove_ledger, unfinished_runs};
use dbhaul_postgres::ConnectSettings;
use dbhaul_progress::counted;
use serde::Serialize;

use crate::hold::{HeldRun, Origin, end_holding, held_runs, held_runs_and_work, holding_sessions};
use crate::sides::check_side;
use crate::source::state::SourceState;
use crate::target::import_error;
use crate::{Context, PipelineError, Status};

/// Asks to remove what unfinished runs have left behind.
#[derive(Debug, Clone)]
pub struct CleanupRequest {
    /// The database that was written. Without it, only the source is cleaned up.
    pub target: Option<ConnectSettings>,
    /// The database that was read, to end sessions that hold a snapshot of it.
    pub source: Option<ConnectSettings>,
    /// Remove; otherwise only list.
    pub remove: bool,
}

/// What a cleanup found, and whether it removed it.
#[derive(Debug, Clone, Serialize)]
pub struct CleanupReport {
    /// The target, without secrets; none if only the source was looked at.
    pub target: Option<String>,
    /// Every unfinished run.
    pub runs: Vec<LeftRun>,
    /// What is said of schemas on the target that look like ledgers and were not read, since whoever owns them may
    /// have put anything there.
    pub unread: Vec<String>,
    /// The source, without secrets, if only it was looked at.
    pub source: Option<String>,
    /// Snapshots of the source that are held for runs of which there is nothing on this target. Where only the
    /// source was looked at: all, and they were let go if `removed`.
    pub held_for_others: Vec<HeldRun>,
    /// Whether it was removed; otherwise it was only listed.
    pub removed: bool,
}

/// An unfinished run and what there is of it.
#[derive(Debug, Clone, Serialize)]
pub struct LeftRun {
    /// Its identifier.
    pub run: String,
    /// The schema of its ledger.
    pub schema: String,
    /// What it imports.
    pub imports: String,
    /// Steps that it had committed: their objects and rows stay.
    pub done_step_count: u64,
    /// Who was to hold a snapshot of the source for it: process and source. The ledger does not tell whether
    /// it still does.
    pub holder: Option<String>,
    /// Sessions on the source that do; not known unless the source was given.
    pub holding_session_count: Option<u64>,
}

impl CleanupReport {
    fn write_unread(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.unread.iter().try_for_each(|unread| write!(f, "\n{}", in_one_line(unread)))
    }

    /// Done.
    pub fn status(&self) -> Status {
        Status::Done
    }
}

/// Lists what unfinished runs have left on the target, and the sessions on the source that hold their
/// snapshots; removes it if that was asked for. What the runs have loaded stays.
///
/// # Errors
/// If a server cannot be asked, if a run is at work, or if the source is not the one on which a run's snapshot
/// may be held: without the run's ledger nothing would tell of it.
pub async fn cleanup(request: CleanupRequest, context: Context) -> Result<CleanupReport, PipelineError> {
    for (role, side) in [("source", &request.source), ("target", &request.target)] {
        if let Some(side) = side {
            Box::pin(check_side((role, side), &context)).await?;
        }
    }
    let target = match (&request.target, &request.source) {
        (Some(target), _) => target,
        (None, Some(source)) => return Box::pin(cleanup_source(source, request.remove, &context)).await,
        (None, None) => {
            return Err(PipelineError::Request {
                problem: "neither --source nor --target was given".to_owned(),
                help: "give --target, --source, or both".to_owned(),
            });
        }
    };
    let importing = |source| import_error(target, source);
    let UnfinishedRuns { runs: found, unread } =
        unfinished_runs(target, &context.cancel).await.map_err(importing)?;
    let mut runs = Vec::new();
    for run in found {
        let holding_session_count = match &request.source {
            Some(source) => Some(count_holding(source, &run, &context).await?),
            None => None,
        };
        runs.push(LeftRun { holding_session_count, ..left(run) });
    }
    let held_for_others = match &request.source {
        Some(source) => {
            let mut held = held_runs(source, &context).await?;
            held.retain(|held| runs.iter().all(|left| left.run != held.run));
            held
        }
        None => Vec::new(),
    };
    if request.remove {
        if request.source.is_none() {
            refuse_without_source(&runs)?;
        }
        for left in &runs {
            // first the ledger: it is refused while the run is at work, and then nothing is touched
            remove_ledger(target, &left.run, &context.cancel).await.map_err(importing)?;
            if let Some(source) = &request.source {
                end_holding(source, &left.run, &context).await?;
            }
        }
    }
    Ok(CleanupReport {
        target: Some(target.describe()),
        runs,
        unread,
        source: None,
        held_for_others,
        removed: request.remove,
    })
}

/// Lists the snapshots that are held on a source, and lets them go if that was asked for. Whoever asks so says that
/// none of the runs is to be resumed: where they have written is not known here.
async fn cleanup_source(
    source: &ConnectSettings,
    remove: bool,
    context: &Context,
) -> Result<CleanupReport, PipelineError> {
    let (held_for_others, at_work) = held_runs_and_work(source, context).await?;
    if remove && !held_for_others.is_empty() {
        if at_work > 0 {
            return Err(PipelineError::Request {
                problem: format!(
                    "nothing was removed: {} active on {}, and a run may need its snapshot",
                    match at_work {
                        1 => "1 session of dbhaul is".to_owned(),
                        count => format!("{count} sessions of dbhaul are"),
                    },
                    source.describe()
                ),
                help: "run it again when no command of dbhaul's reads that database; with --target as well, only what \
                       belongs to the runs that wrote there is ended"
                    .to_owned(),
            });
        }
        for held in &held_for_others {
            end_holding(source, &held.run, context).await?;
        }
    }
    let source = Some(source.describe());
    Ok(CleanupReport {
        target: None,
        runs: Vec::new(),
        unread: Vec::new(),
        source,
        held_for_others,
        removed: remove,
    })
}

/// The sessions on the source that hold a run's snapshot. Where there are none, it is made sure that the run
/// has none elsewhere: its ledger is all that tells of them.
async fn count_holding(
    source: &ConnectSettings,
    run: &UnfinishedRun,
    context: &Context,
) -> Result<u64, PipelineError> {
    let count = holding_sessions(source, &run.run, context).await?;
    let Some(SourceState { snapshot, holder: Some(holder), .. }) = state(run).filter(|_| count == 0) else {
        return Ok(count);
    };
    let Some(why) = Origin::ask(source, context).await?.strangeness(&snapshot, &holder.source) else {
        return Ok(count);
    };
    Err(PipelineError::Request {
        problem: format!(
            "nothing was removed: {} is not where a snapshot may be held for run {}: {why}",
            source.describe(),
            run.run
        ),
        help: format!("give the source of the run as --source: {}", holder.source),
    })
}

/// Only the source knows whether a snapshot is still held.
fn refuse_without_source(runs: &[LeftRun]) -> Result<(), PipelineError> {
    let Some((LeftRun { run, schema, .. }, holder)) =
        runs.iter().find_map(|run| Some((run, run.holder.as_ref()?)))
    else {
        return Ok(());
    };
    Err(PipelineError::Request {
        problem: format!(
            "nothing was removed: run {run} had its snapshot held by {holder}, and only the source can tell \
             whether it still is"
        ),
        help: format!(
            "name the source with --source: what is still held is let go, and where nothing is, only the ledger \
             is removed; if the source is gone for good, DROP SCHEMA {} CASCADE on the target removes the ledger",
            quote_identifier(schema)
        ),
    })
}

fn state(run: &UnfinishedRun) -> Option<SourceState> {
    run.source_state.as_deref().and_then(|text| SourceState::parse(text).ok())
}

fn left(run: UnfinishedRun) -> LeftRun {
    let holder = state(&run).and_then(|state| state.holder).map(|holder| {
        let process = holder.process_id.map_or("unknown".to_owned(), |id| id.to_string());
        format!("process {process} of the machine that began the run, on {}", holder.source)
    });
    LeftRun {
        run: run.run,
        schema: run.schema,
        imports: run.source_fingerprint,
        done_step_count: run.done_step_count,
        holder,
        holding_session_count: None,
    }
}

impl Display for CleanupReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(source) = &self.source {
            return self.write_source(f, source);
        }
        let target = self.target.as_deref().unwrap_or_default();
        if self.runs.is_empty() {
            write!(f, "{target}: no unfinished run, nothing to remove")?;
            self.write_unread(f)?;
            return self.write_held(f);
        }
        let word = if self.removed { "removed from" } else { "would be removed from" };
        write!(f, "{word} {target}:")?;
        for run in &self.runs {
            let LeftRun { run, schema, imports, done_step_count, holder, holding_session_count } = run;
            write!(
                f,
                "\n  the ledger of run {}, schema {}: {}, {} done",
                in_one_line(run),
                in_one_line(schema),
                in_one_line(imports),
                counted(*done_step_count, "step")
            )?;
            match (holding_session_count, holder) {
                (Some(0), _) | (None, None) => {}
                (Some(count), _) => write!(f, "\n  {} holding its snapshot", counted(*count, "session"))?,
                (None, Some(holder)) => {
                    write!(
                        f,
                        "\n  NOT the process that may still hold its snapshot, {holder}: give --source"
                    )?;
                }
            }
        }
        write!(f, "\nwhat the runs have loaded stays; without its ledger a run cannot be resumed")?;
        if !self.removed {
            write!(f, "\nnothing was removed: --yes does it")?;
        }
        self.write_unread(f)?;
        self.write_held(f)
    }
}

impl CleanupReport {
    /// What a look at the source alone has found.
    fn write_source(&self, f: &mut Formatter<'_>, source: &str) -> fmt::Result {
        if self.held_for_others.is_empty() {
            return write!(f, "{source}: no snapshot is held, nothing to remove");
        }
        let word = if self.removed { "let go on" } else { "held on" };
        write!(f, "{word} {source}:")?;
        for HeldRun { run, pid, since } in &self.held_for_others {
            write!(f, "\n  the snapshot of run {run}, by server process {pid}, since {since}")?;
        }
        match self.removed {
            true => {
                write!(f, "\nthese runs can be resumed only if nothing was written to the source meanwhile")
            }
            false => {
                write!(f, "\nnothing was removed: --yes lets them go, for runs that are not to be resumed")
            }
        }
    }

    /// Another target may wait for such a run to be resumed, so that nobody but a person can tell.
    fn write_held(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.held_for_others.iter().try_for_each(|HeldRun { run, pid, since }| {
            write!(
                f,
                "\nthe source holds a snapshot for run {run}, of which there is nothing here, since {since}: if it \
                 was begun with --create, its --target here is the database that it created; if it is not to be \
                 resumed, SELECT pg_terminate_backend({pid}) on the source lets it go"
            )
        })
    }
}
