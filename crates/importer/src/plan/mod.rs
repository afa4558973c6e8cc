//! From a TOC and its segments to steps; pure, no server.

pub(crate) mod display;
pub(crate) mod load_targets;
pub(crate) mod piece;
pub(crate) mod roles;
pub(crate) mod split;
pub(crate) mod stages;
pub(crate) mod steps;
pub(crate) mod text_dependencies;
pub(crate) mod touched_tables;
pub(crate) mod warnings;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use dbhaul_catalog::{EntryKind, QualifiedName, Toc, TocEntry, forbidden_statement, in_one_line};
use dbhaul_rows::hash_bytes_extended;

use crate::outcome::tell;
use crate::plan::load_targets::LoadTargets;
use crate::plan::split::{Split, splits};
use crate::plan::stages::{StageName, Staging};
use crate::plan::steps::Builder;
use crate::plan::text_dependencies::TextDependencies;
use crate::plan::touched_tables::{TouchedTables, describe, entry_by_id};
use crate::plan::warnings::{tangle_warning, warnings};
use crate::schedule::{Node, Scheduler};
use crate::target::{Predicted, TargetReport};
use crate::{EntrySegments, ImportError, ImportOptions, PlanProblem, SegmentRef, StatisticsMode};

/// What an import will do. Nothing has acted on it yet; `Display` prints it for people.
#[derive(Debug, Clone)]
pub struct ImportPlan {
    pub(crate) toc: Arc<Toc>,
    pub(crate) options: ImportOptions,
    /// Bytes of each segment of each entry that holds rows and is imported.
    pub(crate) segments: BTreeMap<u32, Vec<u64>>,
    /// Entries that are done in two steps.
    pub(crate) splits: BTreeMap<u32, Split>,
    /// Entries that a run with `--clean`, or one that resumes such a run, drops, in the order of dropping.
    pub(crate) drops: Vec<u32>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) warnings: Vec<String>,
    /// What the target will refuse, where that was found out when the plan was made.
    pub(crate) predicted: Option<Predicted>,
    /// Why the run would be refused, each with a way out, where that was found out when the plan was made.
    pub(crate) blockers: Vec<String>,
    /// What is said to people of what the target will refuse.
    pub(crate) told: Vec<String>,
}

/// One stage with its work, in order.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) name: StageName,
    pub(crate) steps: Vec<Step>,
    /// Gates of its schedule, which are no work; their nodes are numbered behind those of the steps.
    pub(crate) gates: Vec<Node>,
}

impl Stage {
    /// The schedule of its steps, none of which has been done.
    pub(crate) fn scheduler(&self) -> Scheduler {
        Scheduler::with_gates(self.steps.iter().map(|step| step.node.clone()).collect(), self.gates.clone())
    }
}

/// One piece of work that commits as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) work: Work,
    pub(crate) node: Node,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Work {
    /// Runs the statements of an entry, or what is left of them between the other two.
    Entry(u32),
    /// Builds the index that an entry's constraint will adopt.
    Build(u32),
    /// Validates what an entry has added.
    Validate(u32),
    /// Loads one segment of an entry.
    Segment(SegmentRef),
    /// Collects statistics of a table, or makes its pages visible to all.
    Analyze(Analyze),
    /// Sets the position of a sequence again, when nothing is left that may move it.
    Position(u32),
}

/// A table to analyze, to vacuum, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Analyze {
    /// The entry that creates or fills it.
    pub(crate) entry: u32,
    pub(crate) table: QualifiedName,
    /// Whether it has partitions of its own.
    pub(crate) is_parent: bool,
    /// Whether it is a partition: before 18 analyzing the parent analyzes it too.
    pub(crate) is_part: bool,
    pub(crate) upkeep: Upkeep,
}

/// What is done to a table once its rows are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upkeep {
    Analyze,
    /// It is vacuumed first, which marks its pages as visible to all, so that foreign keys are validated by
    /// index-only scans: where there are such, and its rows come in several transactions, which do not freeze
    /// them. For others it would cost more than the `ANALYZE`.
    VacuumAnalyze,
    /// The same where statistics come from elsewhere or not at all: without it, the validation of one foreign
    /// key can take longer than its rows.
    Vacuum,
}

impl Upkeep {
    /// The command, as people know it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Upkeep::Analyze => "ANALYZE",
            Upkeep::VacuumAnalyze => "VACUUM ANALYZE",
            Upkeep::Vacuum => "VACUUM",
        }
    }

    /// Whether the table is vacuumed.
    pub(crate) fn vacuums(self) -> bool {
        self != Upkeep::Analyze
    }

    /// Whether statistics are collected.
    pub(crate) fn analyzes(self) -> bool {
        self != Upkeep::Vacuum
    }
}

impl Work {
    /// The TOC entry it belongs to.
    pub(crate) fn entry(&self) -> u32 {
        match self {
            Work::Entry(entry) | Work::Build(entry) | Work::Validate(entry) | Work::Position(entry) => *entry,
            Work::Segment(segment) => segment.entry,
            Work::Analyze(analyze) => analyze.entry,
        }
    }

    /// Its key in the ledger.
    pub(crate) fn ledger_key(&self) -> String {
        match self {
            Work::Entry(entry) => format!("entry {entry}"),
            Work::Build(entry) => format!("build {entry}"),
            Work::Validate(entry) => format!("validate {entry}"),
            Work::Segment(SegmentRef { entry, segment }) => format!("segment {entry}/{segment}"),
            Work::Analyze(analyze) => format!("analyze {}", analyze.entry),
            Work::Position(entry) => format!("position {entry}"),
        }
    }
}

/// Lays out the import of a TOC whose rows come in these segments.
///
/// # Errors
/// [`ImportError::Plan`] if TOC and segments do not fit together; above all if an entry that holds rows
/// has no list of segments, for its rows would be missing without anybody noticing.
pub fn plan(toc: Toc, segments: &[EntrySegments], options: ImportOptions) -> Result<ImportPlan, ImportError> {
    if options.jobs == 0 {
        return Err(PlanProblem::NoJobs.into());
    }
    check_order(&toc)?;
    check_statements(&toc)?;
    let segments = match_segments(&toc, segments, &options)?;
    let touched_tables = TouchedTables::new(&toc);
    let splits = splits(&toc, &touched_tables, &segments);
    let texts = TextDependencies::new(&toc, &touched_tables);
    let load_targets = LoadTargets::new(&toc, &touched_tables);
    let mut staging = Staging::default();
    let mut entries_by_stage: BTreeMap<StageName, Vec<&TocEntry>> = BTreeMap::new();
    for entry in &toc.entries {
        let stage = staging.assign(entry, texts.reads_refreshed(entry));
        if is_wanted(&toc, entry, &options) {
            entries_by_stage.entry(stage).or_default().push(entry);
        }
    }
    let analyze = options.statistics == StatisticsMode::Analyze;
    let builder = Builder {
        toc: &toc,
        touched_tables: &touched_tables,
        texts: &texts,
        load_targets: &load_targets,
        segments: &segments,
        splits: &splits,
        analyze,
    };
    let mut stages = Vec::new();
    let mut tangled: BTreeSet<u32> = texts.tangled(&toc).map(|entry| entry.id).collect();
    for name in StageName::ALL {
        let (stage, loosened) = match name {
            StageName::Positions => (positions(&toc, &options), BTreeSet::new()),
            name => builder.stage(name, entries_by_stage.get(&name)),
        };
        tangled.extend(loosened);
        stages.push(stage);
    }
    let drops = drops(&toc, &options);
    tangled.retain(|id| entry_by_id(&toc, *id).is_some_and(|entry| is_wanted(&toc, entry, &options)));
    let warnings =
        warnings(&toc, &options, &splits).into_iter().chain(tangle_warning(&toc, &tangled)).collect();
    Ok(ImportPlan {
        toc: Arc::new(toc),
        options,
        segments,
        splits,
        drops,
        stages,
        warnings,
        predicted: None,
        blockers: Vec::new(),
        told: Vec::new(),
    })
}

impl ImportPlan {
    /// What is imported, as a table of contents.
    pub fn toc(&self) -> &Arc<Toc> {
        &self.toc
    }

    /// The options it was made with.
    pub fn options(&self) -> &ImportOptions {
        &self.options
    }

    /// Estimated bytes of all rows, as COPY text.
    pub fn total_bytes(&self) -> u64 {
        self.segments.values().flatten().sum()
    }

    /// How many steps it has in all; those of serial stages are committed in batches.
    pub fn step_count(&self) -> usize {
        self.stages.iter().map(|stage| stage.steps.len()).sum()
    }

    /// What a person should know before it runs.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Why the run would be refused, each with a way out, as far as that was asked for; see
    /// [`Self::predict`].
    pub fn blockers(&self) -> &[String] {
        &self.blockers
    }

    /// Adds a reason for which the run would be refused before it comes to the import.
    pub fn block(&mut self, reason: String) {
        self.blockers.push(reason);
    }

    /// Tells beside what the import itself will skip what the run will skip around it.
    pub fn will_skip(&mut self, object: &str, reason: &str) {
        self.told.push(format!("will skip {}: {}", in_one_line(object), in_one_line(reason)));
    }

    /// Takes over what a check of the target found out, so that the plan tells it and the run need not find
    /// it out again.
    pub fn predict(&mut self, report: &TargetReport) {
        self.blockers = report.blockers.iter().map(ToString::to_string).collect();
        let skipped = tell(&report.predicted).into_iter();
        self.told =
            skipped.map(|(object, reason)| format!("will skip {}: {reason}", in_one_line(&object))).collect();
        let is_new = |warning: &&String| !self.warnings.contains(warning);
        let more: Vec<String> =
            report.warnings.iter().filter(is_new).map(|warning| format!("warning: {warning}")).collect();
        self.told.extend(more);
        self.predicted = Some(report.refusals.clone());
    }

    /// The entry with an id that the plan itself holds.
    pub(crate) fn entry(&self, id: u32) -> Result<&TocEntry, ImportError> {
        entry_by_id(&self.toc, id).ok_or_else(|| ImportError::Internal(format!("no TOC entry {id}")))
    }

    /// The entry of a step, with the statements of that step.
    pub(crate) fn entry_of(&self, work: &Work) -> Result<Cow<'_, TocEntry>, ImportError> {
        let entry = self.entry(work.entry())?;
        let first = match (work, self.splits.get(&entry.id)) {
            (Work::Build(_), Some(Split::Build { build, .. })) => build,
            (Work::Entry(_), Some(Split::Build { adopt, .. })) => adopt,
            (Work::Entry(_), Some(Split::Validate { add, .. })) => add,
            (Work::Validate(_), Some(Split::Validate { validate, .. })) => validate,
            _ => return Ok(Cow::Borrowed(entry)),
        };
        // what follows the first statement goes with the entry itself
        let rest = entry.create.iter().skip(1).filter(|_| matches!(work, Work::Entry(_)));
        let create = std::iter::once(first).chain(rest).cloned().collect();
        let set_owner = entry.set_owner.clone().filter(|_| matches!(work, Work::Entry(_)));
        Ok(Cow::Owned(TocEntry { create, set_owner, ..entry.clone() }))
    }

    /// An entry as people know it.
    pub(crate) fn describe(&self, id: u32) -> String {
        entry_by_id(&self.toc, id).map_or_else(|| format!("TOC entry {id}"), describe)
    }

    /// A hash of what is imported and how it is cut: a run resumes only a plan that has the same.
    pub(crate) fn shape(&self) -> String {
        let mut hash = 0;
        let mut add = |text: &str| hash = hash_bytes_extended(text.as_bytes(), hash);
        for stage in &self.stages {
            for step in &stage.steps {
                add(&step.work.ledger_key());
            }
        }
        for entry in &self.toc.entries {
            add(&describe(entry));
            entry.create.iter().for_each(|statement| add(statement));
        }
        format!("{hash:016x}")
    }
}

/// The positions that are set again: with tables of the target's own, its triggers and checks may move them too.
fn positions(toc: &Toc, options: &ImportOptions) -> Stage {
    let has_others = !options.sections.pre_data || options.clean || options.allow_non_empty;
    let again: BTreeSet<u32> = toc.positions_to_set_again().map(|entry| entry.id).collect();
    let is_set = |entry: &&TocEntry| {
        entry.kind == EntryKind::SequenceSet
            && is_wanted(toc, entry, options)
            && (has_others || again.contains(&entry.id))
    };
    let step = |entry: &TocEntry| Step { work: Work::Position(entry.id), node: Node::default() };
    let steps = toc.entries.iter().filter(is_set).map(step).collect();
    Stage { name: StageName::Positions, steps, gates: Vec::new() }
}

/// Whether an entry is imported at all. Privileges go with the object they are on; a materialized view is
/// filled where rows are wanted, though it stands in post-data.
fn is_wanted(toc: &Toc, entry: &TocEntry, options: &ImportOptions) -> bool {
    match entry.kind {
        EntryKind::Acl | EntryKind::DefaultAcl if !options.privileges => false,
        EntryKind::Acl => {
            let on = entry.depends_on.first().and_then(|on| entry_by_id(toc, *on));
            options.sections.contains(on.unwrap_or(entry).section)
        }
        EntryKind::MaterializedViewData => options.sections.data,
        _ => options.sections.contains(entry.section),
    }
}

fn check_order(toc: &Toc) -> Result<(), PlanProblem> {
    for (index, entry) in toc.entries.iter().enumerate() {
        let position = index + 1;
        if entry.id as usize != position {
            return Err(PlanProblem::MisplacedEntry { entry: entry.id, position });
        }
        if let Some(&on) = entry.depends_on.iter().find(|&&on| on >= entry.id || on == 0) {
            return Err(PlanProblem::BadDependency { description: describe(entry), on });
        }
    }
    Ok(())
}

/// A catalog may have been written by anybody who can write to the store that it comes from.
fn check_statements(toc: &Toc) -> Result<(), PlanProblem> {
    match forbidden_statement(toc) {
        None => Ok(()),
        Some((entry, problem)) => {
            let description = in_one_line(&describe(entry));
            Err(PlanProblem::ForbiddenStatement { description, problem })
        }
    }
}

fn match_segments(
    toc: &Toc,
    segments: &[EntrySegments],
    options: &ImportOptions,
) -> Result<BTreeMap<u32, Vec<u64>>, PlanProblem> {
    let mut by_entry = BTreeMap::new();
    for list in segments {
        if entry_by_id(toc, list.entry).is_none_or(|entry| entry.data.is_none()) {
            return Err(PlanProblem::UnknownSegments { entry: list.entry });
        }
        if by_entry.insert(list.entry, list.segment_bytes.clone()).is_some() {
            return Err(PlanProblem::DuplicateSegments { entry: list.entry });
        }
    }
    let wanted: HashSet<u32> = toc
        .entries
        .iter()
        .filter(|entry| entry.data.is_some() && is_wanted(toc, entry, options))
        .map(|entry| entry.id)
        .collect();
    by_entry.retain(|entry, _| wanted.contains(entry));
    let missing =
        toc.entries.iter().find(|entry| wanted.contains(&entry.id) && !by_entry.contains_key(&entry.id));
    match missing {
        Some(entry) => Err(PlanProblem::MissingSegments { description: describe(entry) }),
        None => Ok(by_entry),
    }
}

fn drops(toc: &Toc, options: &ImportOptions) -> Vec<u32> {
    let droppable = |entry: &&TocEntry| entry.drop.is_some() && is_wanted(toc, entry, options);
    toc.entries.iter().rev().filter(droppable).map(|entry| entry.id).collect()
}

#[cfg(test)]
mod tests;
