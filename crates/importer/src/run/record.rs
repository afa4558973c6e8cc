//! What has become of each entry so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use dbhaul_catalog::{DataEntry, TocEntry, in_one_line};
use dbhaul_rows::RowDigest;

use super::attempt::StepError;
use super::context::Context;
use super::entry::{SHOWN, guards_rows, rows_rely_on};
use crate::ledger::{DoneStep, DoneSteps};
use crate::plan::{Analyze, Work};
use crate::subject::{LeftOut, of_record};
use crate::target::wanted;
use crate::{Cause, Failed, ImportOutcome, LoadedTable, Part, Skipped, Subject};

/// What has become of each entry so far; owned by the one task that directs the run.
#[derive(Default)]
pub(crate) struct Record {
    digests: BTreeMap<u32, BTreeMap<u32, RowDigest>>,
    /// Entries that failed or were skipped: what needs them cannot be made.
    broken: BTreeSet<u32>,
    /// Those of them that were known before the run began.
    predicted: BTreeSet<u32>,
    /// Steps that the ledger must hold at the end.
    committed: BTreeMap<String, Work>,
    failed: Vec<Failed>,
    skipped: Vec<Skipped>,
    resumed_steps: u64,
}

impl Record {
    /// The record of a run that is about to begin: what the target is known to refuse is skipped already.
    pub(crate) fn new(context: &Context) -> Self {
        let mut record = Record::default();
        let mut seen = BTreeSet::new();
        for entry in wanted(&context.plan).filter(|entry| context.is_refused(entry.id)) {
            if let Some(cause) = context.predicted.refused(entry.id)
                && seen.insert(entry.id)
            {
                record.broken.insert(entry.id);
                record.predicted.insert(entry.id);
                record.skip(entry, Part::of(entry.kind), cause.clone());
            }
        }
        record
    }

    /// Whether an entry failed or was skipped.
    pub(crate) fn is_broken(&self, entry: u32) -> bool {
        self.broken.contains(&entry)
    }

    /// Whether an entry is skipped for a reason that was known before the run began.
    pub(crate) fn is_predicted(&self, entry: u32) -> bool {
        self.predicted.contains(&entry)
    }

    /// Whether everything so far succeeded or was left out for a reason known.
    pub(crate) fn has_failures(&self) -> bool {
        !self.failed.is_empty()
    }

    /// Notes a step that is committed.
    pub(crate) fn finished(&mut self, context: &Context, work: &Work, done: &DoneStep) {
        match work {
            Work::Segment(segment) => {
                self.digests.entry(segment.entry).or_default().insert(segment.segment, done.digest);
            }
            Work::Entry(entry) | Work::Build(entry) | Work::Validate(entry) => {
                if let Some(record) = &done.left_out {
                    self.skip_parts(context, *entry, record);
                }
            }
            Work::Position(_) => {}
            Work::Analyze(_) => return, // statistics that a restart of the target lost are no loss of data
        }
        self.committed.insert(work.ledger_key(), work.clone());
    }

    /// Notes a step that an earlier process of this run had committed.
    pub(crate) fn resumed(&mut self, context: &Context, work: &Work, done: &DoneStep) {
        self.resumed_steps += 1;
        self.finished(context, work, done);
    }

    /// Notes a step that failed for good.
    pub(crate) fn failed(&mut self, context: &Context, work: &Work, error: &StepError) {
        self.fail(context, work, error.cause(remedy(context, work)));
    }

    /// Notes planner statistics that could not be copied, of a relation or of all that were left: as
    /// failed, or as skipped where the importing role may not set them.
    pub(crate) fn statistics_missing(&mut self, relation: &str, error: &StepError) {
        let (subject, cause) = (Subject::Statistics { of: relation.to_owned() }, error.cause(None));
        match error.sqlstate() {
            Some("42501") => self.skipped.push(Skipped::statistics(subject, cause)),
            _ => self.failed.push(Failed { subject, part: Part::Statistics, segment: None, cause }),
        }
    }

    /// Notes an entry that was left out though nothing is wrong with it otherwise.
    pub(crate) fn left_out(&mut self, work: &Work, entry: &TocEntry, cause: Cause) {
        self.broken.insert(entry.id);
        self.skip(entry, part_of(work, entry), cause);
    }

    /// Notes a table whose statistics could not be gathered, as where it has a foreign table under it
    /// whose server is out of reach. No rows and no definitions are lost with them. What fails for the values
    /// in the table fails on the source too, so that nothing is missing that was there.
    pub(crate) fn not_analyzed(&mut self, context: &Context, work: &Work, error: &StepError) {
        if let Work::Analyze(analyze) = work {
            if error.is_of_values() {
                context.progress.warning(not_gathered(&analyze.table.sql(), error));
                return;
            }
            let subject = Subject::Analyze { entry: analyze.entry, table: analyze.table.clone() };
            self.skipped.push(Skipped::statistics(subject, error.cause(None)));
        }
    }

    /// Notes a step that is skipped because of an entry it needs.
    pub(crate) fn skipped_for(&mut self, context: &Context, work: &Work, on: u32) {
        if matches!(work, Work::Analyze(_)) || !self.broken.insert(work.entry()) {
            return;
        }
        let cause = Cause::NotMade { on: in_one_line(&context.plan.describe(on)) };
        let is_on = |failed: &Failed| failed.subject.place() == (false, on);
        let is_told = self.predicted.contains(&on) || self.failed.iter().any(is_on);
        match context.plan.entry(work.entry()) {
            Ok(entry) if is_told || !rows_rely_on(&context.plan, entry) => {
                self.skip(entry, part_of(work, entry), cause);
            }
            // rows that nobody was told of would be lost, or go without what protects them
            _ => self.fail_whole(context, work, cause),
        }
    }

    /// The first entry that an entry depends on and that is not there.
    pub(crate) fn broken_dependency(&self, context: &Context, entry: &TocEntry) -> Option<u32> {
        let does_without = |on: &u32| self.predicted.contains(on) && context.predicted.is_possible(entry.id);
        entry.depends_on.iter().copied().find(|on| self.broken.contains(on) && !does_without(on))
    }

    /// Notes as failed what was committed but is not in the ledger any more.
    pub(crate) fn compare_with(&mut self, context: &Context, found: &DoneSteps) {
        let lost: Vec<Work> = self
            .committed
            .iter()
            .filter(|(key, _)| found.get(key).is_none())
            .map(|(_, work)| work.clone())
            .collect();
        for work in lost {
            self.committed.remove(&work.ledger_key());
            self.digests.remove(&work.entry());
            self.fail(context, &work, Cause::Lost);
        }
    }

    /// What is handed back to the caller.
    pub(crate) fn into_outcome(mut self, context: &Context) -> ImportOutcome {
        let mut outcome = ImportOutcome {
            run: context.ledger.run.clone(),
            resumed_steps: self.resumed_steps,
            retried_attempts: context.retried_attempts.load(Ordering::Relaxed),
            ..ImportOutcome::default()
        };
        for (&entry, segments) in &context.plan.segments {
            let digests = self.digests.remove(&entry).unwrap_or_default();
            if self.broken.contains(&entry) || digests.len() != segments.len() {
                continue;
            }
            let digest = digests.into_values().collect();
            match context.plan.entry(entry).ok().and_then(|entry| entry.data.as_ref()) {
                Some(DataEntry::Table(data)) => {
                    outcome.tables.push(LoadedTable { entry, table: data.table.clone(), digest });
                }
                _ => outcome.large_objects = Some(outcome.large_objects.unwrap_or_default().merged(digest)),
            }
        }
        outcome.failed = self.failed;
        outcome.skipped = self.skipped;
        // what was predicted came first; as a list people read it by the order of the objects
        outcome.skipped.sort_by_key(|skipped| skipped.subject.place());
        outcome
    }

    fn fail(&mut self, context: &Context, work: &Work, cause: Cause) {
        self.fail_whole(context, work, cause);
        if let (Work::Segment(segment), Some(failed)) = (work, self.failed.last_mut()) {
            failed.segment = Some(segment.segment);
        }
    }

    /// As [`Self::fail`], of all segments.
    fn fail_whole(&mut self, context: &Context, work: &Work, cause: Cause) {
        if !matches!(work, Work::Analyze(_)) {
            self.broken.insert(work.entry());
        }
        let (subject, part) = match (work, context.plan.entry(work.entry())) {
            (Work::Analyze(Analyze { entry, table, .. }), _) => {
                (Subject::Analyze { entry: *entry, table: table.clone() }, Part::Statistics)
            }
            (_, Ok(entry)) => (Subject::of(entry), part_of(work, entry)),
            (_, Err(_)) => (Subject::NoEntry { id: work.entry() }, Part::Definition),
        };
        self.failed.push(Failed { subject, part, segment: None, cause });
    }

    /// Notes what was left out of an entry that is there otherwise, part by part.
    fn skip_parts(&mut self, context: &Context, entry: u32, record: &str) {
        let Ok(entry) = context.plan.entry(entry) else { return };
        let known = context.prepare(entry);
        // what this process knows says more than what is recorded of it
        let left_out = match known.recorded().as_deref() == Some(record) {
            true => known.left_out,
            false => of_record(record, entry.kind),
        };
        self.skipped.extend(left_out.into_iter().map(|left_out| Skipped::new(entry, left_out)));
    }

    fn skip(&mut self, entry: &TocEntry, part: Part, cause: Cause) {
        self.skipped.push(Skipped::new(entry, LeftOut::whole(part, cause)));
    }
}

/// What of the object of an entry a step makes.
fn part_of(work: &Work, entry: &TocEntry) -> Part {
    match work {
        Work::Validate(_) => Part::Validation,
        Work::Segment(_) | Work::Entry(_) | Work::Build(_) | Work::Analyze(_) | Work::Position(_) => {
            Part::of(entry.kind)
        }
    }
}

/// What is to be done about an object that failed.
fn remedy(context: &Context, work: &Work) -> Option<String> {
    let entry = match work {
        Work::Validate(_) => context.plan.entry_of(work).ok()?.into_owned(),
        Work::Entry(id) | Work::Build(id) => context.plan.entry(*id).ok()?.clone(),
        Work::Segment(_) | Work::Analyze(_) | Work::Position(_) => return None,
    };
    if !SHOWN.contains(&entry.kind) {
        return None;
    }
    let until_then = match guards_rows(&context.plan, &entry) {
        true => " (until then it protects no rows)",
        false => "",
    };
    let statements = entry.create.join("; ");
    let or_run = match statements.contains('\n') {
        true => String::new(),
        false => format!(", or run: {statements}"),
    };
    Some(format!("to do{until_then}: remove the cause, then run again with --resume{or_run}"))
}

/// What is said of a table that `ANALYZE` fails on for its values.
pub(super) fn not_gathered(table: &str, error: &StepError) -> String {
    let text = error.to_string();
    let first_line = text.lines().next().unwrap_or_default();
    format!(
        "ANALYZE {} failed because of values in the table, as on the source: {first_line}; its rows and definitions \
         were copied, planner statistics are missing",
        in_one_line(table)
    )
}
