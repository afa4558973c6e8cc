//! A parallel stage: one task directs, the others each do one step over a session.

use dbhaul_catalog::EntryKind;
use std::collections::HashMap;
use std::sync::Arc;

use dbhaul_postgres::Session;
use dbhaul_progress::{Phase, Task};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, StepError};
use super::builds::{self, Builds, Watched};
use super::context::Context;
use super::entry::{AnalyzeAttempt, EntryAttempt, why_left_out};
use super::record::Record;
use super::segment::SegmentAttempt;
use super::together::{self, Ended, Member};
use crate::ImportError;
use crate::plan::stages::StageName;
use crate::plan::touched_tables::describe;
use crate::plan::{Stage, Step, Work};
use crate::schedule::{NodeId, Scheduler};

/// How steps that went together ended, and the session they leave for the next one.
struct StepsEnd {
    slot: Option<Session>,
    ended: Vec<Ended>,
}

/// Runs a stage: whatever may run runs, over at most as many sessions as the plan has jobs.
pub(super) async fn run(
    context: &Arc<Context>,
    stage: &Stage,
    record: &mut Record,
) -> Result<(), ImportError> {
    if stage.steps.is_empty() {
        return Ok(());
    }
    let mut director = Director::new(context, stage, record);
    director.settle_what_is_known()?;
    let watching = CancellationToken::new();
    let mut watchers = JoinSet::new();
    watchers.spawn(builds::watch(Arc::clone(context), Arc::clone(&director.builds), watching.clone()));
    let result = director.direct().await;
    watching.cancel();
    while watchers.join_next().await.is_some() {}
    if result.is_ok() {
        director.finish_phases();
    }
    result
}

struct Director<'a> {
    context: &'a Arc<Context>,
    stage: &'a Stage,
    record: &'a mut Record,
    scheduler: Scheduler,
    sessions: Vec<Session>,
    tasks: HashMap<TaskKey, RunningTask>,
    open_in_phase: HashMap<Phase, u64>,
    builds: Arc<Builds>,
}

/// What a progress task stands for: all segments of an entry, or one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum TaskKey {
    Rows(u32),
    Step(NodeId),
}

struct RunningTask {
    task: Arc<Task>,
    open_steps: usize,
    failure: Option<String>,
}

impl<'a> Director<'a> {
    fn new(context: &'a Arc<Context>, stage: &'a Stage, record: &'a mut Record) -> Self {
        let mut open_in_phase: HashMap<Phase, u64> = HashMap::new();
        for step in &stage.steps {
            *open_in_phase.entry(phase(stage, &step.work)).or_default() += 1;
        }
        let bytes = Some(context.plan.total_bytes());
        let of_post_data = |step: &&Step| phase(stage, &step.work) == Phase::PostData;
        let worth = Some(stage.steps.iter().filter(of_post_data).map(|step| step.node.weight_bytes).sum());
        let phases =
            [(Phase::Data, bytes), (Phase::PostData, worth), (Phase::Refresh, None), (Phase::Analyze, None)];
        for (name, bytes) in phases {
            if let Some(&count) = open_in_phase.get(&name) {
                context.progress.phase_started(name, Some(count), bytes);
            }
        }
        let scheduler = stage.scheduler();
        Director {
            context,
            stage,
            record,
            scheduler,
            sessions: Vec::new(),
            tasks: HashMap::new(),
            open_in_phase,
            builds: Arc::default(),
        }
    }

    /// Takes out what an earlier process has done, and what needs entries that are not there.
    fn settle_what_is_known(&mut self) -> Result<(), ImportError> {
        for (id, step) in self.stage.steps.iter().enumerate() {
            if let Some(done) = self.context.done.get(&step.work.ledger_key()) {
                self.record.resumed(self.context, &step.work, done);
                self.scheduler.finish(id);
                self.count_down(id);
            }
        }
        for (id, step) in self.stage.steps.iter().enumerate() {
            let is_done = self.context.done.get(&step.work.ledger_key()).is_some();
            let entry = self.context.plan.entry(step.work.entry())?;
            if self.record.is_predicted(entry.id) && !is_done {
                // whatever needs it is known to be skipped too, and what only waits for it need not
                self.scheduler.finish(id);
                self.count_down(id);
                continue;
            }
            if let Some(on) = self.record.broken_dependency(self.context, entry).filter(|_| !is_done) {
                self.record.skipped_for(self.context, &step.work, on);
                self.skip_dependants(id);
            }
        }
        Ok(())
    }

    async fn direct(&mut self) -> Result<(), ImportError> {
        let mut running: JoinSet<StepsEnd> = JoinSet::new();
        let mut fatal: Option<ImportError> = None;
        loop {
            while fatal.is_none()
                && !self.context.cancel.is_cancelled()
                && running.len() < self.context.plan.options.jobs
                && let Some(first) = self.scheduler.start_next()
            {
                let others = together::companions(self.context, self.stage, &mut self.scheduler, first);
                self.spawn(&mut running, first, &others)?;
            }
            match running.join_next().await {
                None => break,
                Some(Ok(StepsEnd { slot, ended })) => {
                    self.sessions.extend(slot);
                    for end in ended {
                        if let Err(error) = self.ended(end) {
                            self.stop(&mut fatal, error);
                        }
                    }
                }
                Some(Err(error)) => {
                    self.stop(&mut fatal, ImportError::Internal(format!("a worker ended: {error}")));
                }
            }
        }
        if self.context.cancel.is_cancelled() && !self.scheduler.is_done() {
            return Err(ImportError::Cancelled);
        }
        fatal.map_or(Ok(()), Err)?;
        self.fail_loops();
        Ok(())
    }

    /// Takes note of the error that ends the run, the first of several. What is dropped for it was not
    /// interrupted by anybody.
    fn stop(&self, fatal: &mut Option<ImportError>, error: ImportError) {
        if fatal.is_none() && !error.is_cancelled() {
            self.context.progress.stopping(error.to_string().lines().next().unwrap_or_default());
        }
        fatal.get_or_insert(error);
    }

    fn spawn(
        &mut self,
        running: &mut JoinSet<StepsEnd>,
        first: NodeId,
        others: &[NodeId],
    ) -> Result<(), ImportError> {
        let mut members = Vec::with_capacity(1 + others.len());
        for id in std::iter::once(first).chain(others.iter().copied()) {
            let work = self.stage.steps[id].work.clone();
            let task = self.task(id, &work);
            let attempt = self.attempt(&work, Arc::clone(&task))?;
            let task = Some(task).filter(|_| !matches!(work, Work::Segment(_)));
            let attempt = Box::new(Watched { attempt, task, builds: Arc::clone(&self.builds) });
            members.push(Member { id, work, attempt });
        }
        let mut slot = self.sessions.pop();
        let context = Arc::clone(self.context);
        running.spawn(async move {
            let ended = together::run(&context, &mut slot, members).await;
            StepsEnd { slot, ended }
        });
        Ok(())
    }

    fn attempt(&self, work: &Work, task: Arc<Task>) -> Result<Box<dyn Attempt>, ImportError> {
        let entry = self.context.plan.entry_of(work)?;
        let key = work.ledger_key();
        Ok(match work {
            Work::Segment(segment) => {
                Box::new(SegmentAttempt::new(self.context, &entry, *segment, key, Some(task)))
            }
            Work::Entry(_) | Work::Build(_) | Work::Validate(_) | Work::Position(_) => {
                Box::new(EntryAttempt::new(self.context, &entry, key))
            }
            Work::Analyze(analyze) => Box::new(AnalyzeAttempt::new(self.context, analyze, key)),
        })
    }

    /// Takes note of how a step ended; an error ends the run.
    fn ended(&mut self, (id, result): Ended) -> Result<(), ImportError> {
        let work = &self.stage.steps[id].work;
        match result {
            Ok(done) => {
                self.record.finished(self.context, work, &done);
                self.end_task(id, None);
                self.scheduler.finish(id);
                self.count_down(id);
            }
            Err(error) if error.is_cancelled() => return Err(ImportError::Cancelled),
            Err(error) if error.is_outage() => {
                self.end_task(id, Some(error.to_string()));
                return Err(error.into_import_error(self.context.plan.what(work)));
            }
            Err(error) => {
                self.end_task(id, Some(error.to_string()));
                let entry = self.context.plan.entry(work.entry())?;
                match why_left_out(&self.context.plan, work, entry, &error) {
                    _ if matches!(work, Work::Analyze(_)) && error.sqlstate().is_some() => {
                        self.record.not_analyzed(self.context, work, &error);
                    }
                    Some(cause) => self.record.left_out(work, entry, cause),
                    None => self.record.failed(self.context, work, &error),
                }
                self.skip_dependants(id);
            }
        }
        Ok(())
    }

    fn skip_dependants(&mut self, id: NodeId) {
        let on = self.stage.steps[id].work.entry();
        self.count_down(id);
        for skipped in self.scheduler.fail(id) {
            self.record.skipped_for(self.context, &self.stage.steps[skipped].work, on);
            self.count_down(skipped);
        }
    }

    /// A loop that the TOC's order rules out would otherwise end the stage early, as if all were well.
    fn fail_loops(&mut self) {
        for id in self.scheduler.waiting() {
            let error = StepError::Loop;
            self.record.failed(self.context, &self.stage.steps[id].work, &error);
            self.count_down(id);
        }
    }

    /// The progress task that a step reports to, begun with the first step of its entry.
    fn task(&mut self, id: NodeId, work: &Work) -> Arc<Task> {
        let key = task_key(id, work);
        if let Some(running) = self.tasks.get(&key) {
            return Arc::clone(&running.task);
        }
        let (open_steps, bytes) = match self.context.plan.segments.get(&work.entry()) {
            Some(segments) if matches!(work, Work::Segment(_)) => self.open_segments(work.entry(), segments),
            _ => (1, Some(self.stage.steps[id].node.weight_bytes).filter(|bytes| *bytes > 0)),
        };
        let (kind, name) = names(self.context, work);
        let task = Arc::new(self.context.progress.task(&kind, &name, bytes));
        self.tasks.insert(key, RunningTask { task: Arc::clone(&task), open_steps, failure: None });
        task
    }

    /// How many segments of an entry are to be loaded in this process, and their bytes.
    fn open_segments(&self, entry: u32, segments: &[u64]) -> (usize, Option<u64>) {
        let open = (0_u32..).zip(segments).filter(|(segment, _)| !self.is_done_before(entry, *segment));
        let bytes: Vec<u64> = open.map(|(_, bytes)| *bytes).collect();
        (bytes.len(), Some(bytes.iter().sum()))
    }

    fn is_done_before(&self, entry: u32, segment: u32) -> bool {
        let key = Work::Segment(crate::SegmentRef { entry, segment }).ledger_key();
        self.context.done.get(&key).is_some()
    }

    fn end_task(&mut self, id: NodeId, failure: Option<String>) {
        let key = task_key(id, &self.stage.steps[id].work);
        let Some(running) = self.tasks.get_mut(&key) else { return };
        running.open_steps = running.open_steps.saturating_sub(1);
        running.failure = running.failure.take().or(failure);
        if running.open_steps > 0 {
            return;
        }
        let Some(RunningTask { task, failure, .. }) = self.tasks.remove(&key) else { return };
        // a worker drops its handle before it reports its end, so this is the last one
        if let Some(task) = Arc::into_inner(task) {
            match failure {
                None => task.finish(),
                Some(message) => task.fail(message.lines().next().unwrap_or_default()),
            }
        }
    }

    /// Ends a phase with its last step.
    fn count_down(&mut self, id: NodeId) {
        let name = phase(self.stage, &self.stage.steps[id].work);
        if let Some(open) = self.open_in_phase.get_mut(&name) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.open_in_phase.remove(&name);
                self.context.progress.phase_finished(name);
            }
        }
    }

    fn finish_phases(&mut self) {
        for (name, _) in std::mem::take(&mut self.open_in_phase) {
            self.context.progress.phase_finished(name);
        }
    }
}

fn task_key(id: NodeId, work: &Work) -> TaskKey {
    match work {
        Work::Segment(segment) => TaskKey::Rows(segment.entry),
        _ => TaskKey::Step(id),
    }
}

fn phase(stage: &Stage, work: &Work) -> Phase {
    match work {
        _ if stage.name == StageName::Refresh => Phase::Refresh,
        Work::Segment(_) => Phase::Data,
        Work::Entry(_) | Work::Build(_) | Work::Validate(_) | Work::Position(_) => Phase::PostData,
        Work::Analyze(_) => Phase::Analyze,
    }
}

/// Kind and name of a progress task.
fn names(context: &Context, work: &Work) -> (String, String) {
    if let Work::Analyze(analyze) = work {
        return (analyze.upkeep.as_str().to_owned(), analyze.table.to_string());
    }
    match context.plan.entry(work.entry()) {
        Ok(entry) => {
            let kind = match work {
                Work::Build(_) => EntryKind::Index.as_str(),
                Work::Validate(_) => "VALIDATE",
                _ => entry.kind.as_str(),
            };
            let whole = describe(entry);
            let name = whole.strip_prefix(entry.kind.as_str()).unwrap_or(&whole);
            (kind.to_owned(), name.trim_start().to_owned())
        }
        Err(_) => ("TOC entry".to_owned(), work.entry().to_string()),
    }
}
