//! What has become of each entry so far.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use dbhaul_catalog::{DataEntry, TocEntry, in_one_line};
use dbhaul_rows::RowDigest;

use super::attempt::StepError;
use super::context::Context;
use super::entry::{SHOWN, guards_rows, rows_rely_on};
use crate::ledger::{DoneStep, DoneSteps};
use crate::plan::Work;
use crate::run::prepared::Part;
use crate::target::wanted;
use crate::{Failed, ImportOutcome, LoadedTable, Skipped};

/// What has become of each entry so far; owned by the one task that directs the run.
#[derive(Default)]
pub(crate) struct Record {
    digests: BTreeMap<u32, BTreeMap<u32, RowDigest>>,
    /// Entries that failed or were skipped: what needs them cannot be made.
    broken: BTreeSet<u32>,
    /// Those of them that were known before the run began.
    foretold: BTreeSet<u32>,
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
            if seen.insert(entry.id) {
                let reason = context.foretold.refused(entry.id).unwrap_or_default();
                record.broken.insert(entry.id);
                record.foretold.insert(entry.id);
                record.skip(context, entry.id, reason.to_owned());
            }
        }
        record
    }

    /// Whether an entry failed or was skipped.
    pub(crate) fn is_broken(&self, entry: u32) -> bool {
        self.broken.contains(&entry)
    }

    /// Whether an entry is skipped for a reason that was known before the run began.
    pub(crate) fn is_foretold(&self, entry: u32) -> bool {
        self.foretold.contains(&entry)
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
                if let Some(reason) = &done.left_out {
                    self.skip_parts(context, *entry, reason);
                }
            }
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
        let remedy = remedy(context, work).map(|remedy| format!("\n{remedy}")).unwrap_or_default();
        self.fail(context, work, format!("{error}{remedy}"));
    }

    /// Notes planner statistics that could not be copied, of a relation or of all that were left: as
    /// failed, or as skipped where the importing role may not set them.
    pub(crate) fn statistics_missing(&mut self, relation: &str, error: &StepError) {
        let description = format!("STATISTICS DATA {relation}");
        match error.sqlstate() {
            Some("42501") => {
                let reason = error.to_string();
                self.skipped.push(Skipped { entry: 0, kind: None, description, part: Part::Whole, reason });
            }
            _ => self.failed.push(Failed { entry: 0, description, segment: None, error: error.to_string() }),
        }
    }

    /// Notes an entry that was left out though nothing is wrong with it otherwise.
    pub(crate) fn left_out(&mut self, context: &Context, entry: u32, reason: String) {
        self.broken.insert(entry);
        self.skip(context, entry, reason);
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
            let description = format!("ANALYZE {}", analyze.table);
            let (entry, part) = (analyze.entry, Part::Whole);
            self.skipped.push(Skipped { entry, kind: None, description, part, reason: error.to_string() });
        }
    }

    /// Notes a step that is skipped because of an entry it needs.
    pub(crate) fn skipped_for(&mut self, context: &Context, work: &Work, on: u32) {
        if matches!(work, Work::Analyze(_)) || !self.broken.insert(work.entry()) {
            return;
        }
        let reason = format!("needs {}, which was not made", in_one_line(&context.plan.describe(on)));
        let rows_rely =
            context.plan.entry(work.entry()).is_ok_and(|entry| rows_rely_on(&context.plan, entry));
        let is_told = self.foretold.contains(&on) || self.failed.iter().any(|failed| failed.entry == on);
        if rows_rely && !is_told {
            // rows that nobody was told of would be lost, or go without what protects them
            let (description, entry) = (context.plan.describe(work.entry()), work.entry());
            self.failed.push(Failed { entry, description, segment: None, error: reason });
        } else {
            self.skip(context, work.entry(), reason);
        }
    }

    /// The first entry that an entry depends on and that is not there.
    pub(crate) fn broken_dependency(&self, context: &Context, entry: &TocEntry) -> Option<u32> {
        let does_without = |on: &u32| self.foretold.contains(on) && context.foretold.is_possible(entry.id);
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
            let error = "the target lost this step, which it had committed: it was restarted after a crash; \
                         resume the run";
            self.fail(context, &work, error.to_owned());
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
        // what was foretold came first; as a list people read it by the order of the objects
        outcome.skipped.sort_by_key(|skipped| (skipped.entry == 0, skipped.entry));
        outcome
    }

    fn fail(&mut self, context: &Context, work: &Work, error: String) {
        let entry = work.entry();
        let (description, segment) = match work {
            Work::Analyze(analyze) => (format!("ANALYZE {}", analyze.table), None),
            Work::Segment(segment) => (context.plan.describe(entry), Some(segment.segment)),
            Work::Entry(_) | Work::Build(_) | Work::Validate(_) => (context.plan.describe(entry), None),
        };
        if !matches!(work, Work::Analyze(_)) {
            self.broken.insert(entry);
        }
        self.failed.push(Failed { entry, description, segment, error });
    }

    /// Notes what was left out of an entry that is there otherwise, part by part where that is known.
    fn skip_parts(&mut self, context: &Context, entry: u32, text: &str) {
        let prepared = context.plan.entry(entry).map(|entry| (entry, context.prepare(entry)));
        match prepared {
            Ok((entry, prepared)) if prepared.left_out_text().as_deref() == Some(text) => {
                let skipped = prepared.left_out.into_iter().map(|left_out| Skipped::new(entry, left_out));
                self.skipped.extend(skipped);
            }
            _ => self.skip(context, entry, text.to_owned()),
        }
    }

    fn skip(&mut self, context: &Context, entry: u32, reason: String) {
        let description = context.plan.describe(entry);
        let kind = context.plan.entry(entry).ok().map(|entry| entry.kind);
        self.skipped.push(Skipped { entry, kind, description, part: Part::Whole, reason });
    }
}

/// What is to be done about an object that failed.
fn remedy(context: &Context, work: &Work) -> Option<String> {
    let entry = match work {
        Work::Validate(_) => context.plan.entry_of(work).ok()?.into_owned(),
        Work::Entry(id) | Work::Build(id) => context.plan.entry(*id).ok()?.clone(),
        Work::Segment(_) | Work::Analyze(_) => return None,
    };
    if !SHOWN.contains(&entry.kind) {
        return None;
    }
    let until_then = match guards_rows(&context.plan, &entry) {
        true => ", until which it protects no rows",
        false => "",
    };
    let statements = entry.create.join("; ");
    let or_run = match statements.contains('\n') {
        true => String::new(),
        false => format!(", or run: {statements}"),
    };
    Some(format!("to do{until_then}: mend what stands in its way, then go on with --resume{or_run}"))
}

/// What is said of a table that `ANALYZE` fails on for its values.
pub(super) fn not_gathered(table: &str, error: &StepError) -> String {
    let text = error.to_string();
    let first_line = text.lines().next().unwrap_or_default();
    format!(
        "ANALYZE {} fails for the values in the table, as on the source: {first_line}; rows and definitions \
         are there, planner statistics are not",
        in_one_line(table)
    )
}
