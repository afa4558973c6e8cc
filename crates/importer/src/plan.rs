//! From a TOC and its segments to steps; pure, no server.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use dbhaul_catalog::{DataEntry, ObjectId, QualifiedName, Toc, TocEntry};
use dbhaul_rows::hash_bytes_extended;

use crate::footprint::{Footprint, describe, entry_by_id};
use crate::schedule::{Lock, LockMode, Node, NodeId};
use crate::stages::{StageName, Staging};
use crate::{EntrySegments, ImportError, ImportOptions, PlanProblem, SegmentRef};

/// What an import will do. Nothing has acted on it yet; `Display` prints it for people.
#[derive(Debug, Clone)]
pub struct ImportPlan {
    pub(crate) toc: Arc<Toc>,
    pub(crate) options: ImportOptions,
    /// Bytes of each segment of each entry that holds rows and is imported.
    pub(crate) segments: BTreeMap<u32, Vec<u64>>,
    /// Entries that `--clean` drops, in the order of dropping.
    pub(crate) drops: Vec<u32>,
    pub(crate) stages: Vec<Stage>,
    pub(crate) warnings: Vec<String>,
}

/// One stage with its work, in order.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    pub(crate) name: StageName,
    pub(crate) steps: Vec<Step>,
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
    /// Runs the statements of an entry.
    Entry(u32),
    /// Loads one segment of an entry.
    Segment(SegmentRef),
    /// Collects statistics of a table.
    Analyze(Analyze),
}

/// A table to analyze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Analyze {
    /// The entry that creates or fills it.
    pub(crate) entry: u32,
    pub(crate) table: QualifiedName,
    /// Whether it has partitions of its own.
    pub(crate) is_parent: bool,
    /// Whether it is a partition: before 18 analyzing the parent analyzes it too.
    pub(crate) is_part: bool,
}

impl Work {
    /// The TOC entry it belongs to.
    pub(crate) fn entry(&self) -> u32 {
        match self {
            Work::Entry(entry) => *entry,
            Work::Segment(segment) => segment.entry,
            Work::Analyze(analyze) => analyze.entry,
        }
    }

    /// Its key in the ledger.
    pub(crate) fn ledger_key(&self) -> String {
        match self {
            Work::Entry(entry) => format!("entry {entry}"),
            Work::Segment(SegmentRef { entry, segment }) => format!("segment {entry}/{segment}"),
            Work::Analyze(analyze) => format!("analyze {}", analyze.entry),
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
    let segments = match_segments(&toc, segments, &options)?;
    let footprint = Footprint::new(&toc);
    let mut staging = Staging::default();
    let mut entries_by_stage: BTreeMap<StageName, Vec<&TocEntry>> = BTreeMap::new();
    for entry in &toc.entries {
        let stage = staging.assign(entry);
        if is_wanted(entry, &options) {
            entries_by_stage.entry(stage).or_default().push(entry);
        }
    }
    let builder = Builder { toc: &toc, footprint: &footprint, segments: &segments, options: &options };
    let stages = StageName::ALL
        .into_iter()
        .map(|name| Stage { name, steps: builder.steps(name, entries_by_stage.get(&name)) })
        .collect();
    let drops = drops(&toc, &options);
    let warnings = warnings(&toc, &options);
    Ok(ImportPlan { toc: Arc::new(toc), options, segments, drops, stages, warnings })
}

impl ImportPlan {
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

    /// The entry with an id that the plan itself holds.
    pub(crate) fn entry(&self, id: u32) -> Result<&TocEntry, ImportError> {
        entry_by_id(&self.toc, id).ok_or_else(|| ImportError::Internal(format!("no TOC entry {id}")))
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

/// Whether an entry is imported at all.
fn is_wanted(entry: &TocEntry, options: &ImportOptions) -> bool {
    options.sections.contains(entry.section)
        && (options.privileges || !matches!(entry.kind.as_str(), "ACL" | "DEFAULT ACL"))
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
        .filter(|entry| entry.data.is_some() && is_wanted(entry, options))
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
    let droppable = |entry: &&TocEntry| entry.drop.is_some() && is_wanted(entry, options);
    match options.clean {
        true => toc.entries.iter().rev().filter(droppable).map(|entry| entry.id).collect(),
        false => Vec::new(),
    }
}

fn warnings(toc: &Toc, options: &ImportOptions) -> Vec<String> {
    let loads_existing = toc.entries.iter().any(|entry| match &entry.data {
        Some(DataEntry::Table(table)) => !table.created_by_toc || !options.sections.pre_data,
        _ => false,
    });
    if options.sections.data && loads_existing && !options.sections.pre_data {
        return vec![
            "rows go into tables that exist already: their triggers fire, and foreign keys among them may \
             refuse rows that arrive before those they refer to"
                .to_owned(),
        ];
    }
    Vec::new()
}

struct Builder<'a> {
    toc: &'a Toc,
    footprint: &'a Footprint,
    segments: &'a BTreeMap<u32, Vec<u64>>,
    options: &'a ImportOptions,
}

/// Where the parts of a parallel stage stand in its list of steps.
#[derive(Default)]
struct Places {
    /// Segments that fill a table.
    rows: HashMap<ObjectId, Vec<NodeId>>,
    /// Bytes of those segments.
    row_bytes: HashMap<ObjectId, u64>,
    /// The steps of an entry: all segments, or the one that runs its statements.
    entries: HashMap<u32, Vec<NodeId>>,
    /// The step that analyzes a table.
    analyzes: HashMap<ObjectId, NodeId>,
    /// Indexes, unique constraints and extended statistics of a table.
    analyzed_after: HashMap<ObjectId, Vec<NodeId>>,
}

impl Builder<'_> {
    fn steps(&self, name: StageName, entries: Option<&Vec<&TocEntry>>) -> Vec<Step> {
        let Some(entries) = entries else { return Vec::new() };
        if name.is_serial() {
            let step = |entry: &&TocEntry| Step { work: Work::Entry(entry.id), node: Node::default() };
            return entries.iter().map(step).collect();
        }
        let mut steps = Vec::new();
        let mut places = Places::default();
        self.add_work(entries, &mut steps, &mut places);
        if self.options.analyze {
            self.add_analyzes(entries, &mut steps, &mut places);
        }
        for step in &mut steps {
            step.node = self.node(&step.work, &places);
        }
        steps
    }

    /// Segments and entries, in TOC order.
    fn add_work(&self, entries: &[&TocEntry], steps: &mut Vec<Step>, places: &mut Places) {
        for entry in entries {
            let first = steps.len();
            match self.segments.get(&entry.id) {
                Some(segments) => steps.extend((0_u32..).take(segments.len()).map(|segment| {
                    let segment = SegmentRef { entry: entry.id, segment };
                    Step { work: Work::Segment(segment), node: Node::default() }
                })),
                None => steps.push(Step { work: Work::Entry(entry.id), node: Node::default() }),
            }
            let added: Vec<NodeId> = (first..steps.len()).collect();
            if entry.data.is_some() || entry.kind == "MATERIALIZED VIEW DATA" {
                places.rows.entry(Footprint::key(entry)).or_default().extend(&added);
                *places.row_bytes.entry(Footprint::key(entry)).or_default() += self.entry_bytes(entry.id);
            }
            if matches!(entry.kind.as_str(), "INDEX" | "CONSTRAINT" | "STATISTICS") {
                for table in self.footprint.tables(entry.id) {
                    places.analyzed_after.entry(table).or_default().extend(&added);
                }
            }
            places.entries.insert(entry.id, added);
        }
    }

    /// Every table that is filled, and every partitioned table above one.
    fn add_analyzes(&self, entries: &[&TocEntry], steps: &mut Vec<Step>, places: &mut Places) {
        let filled: HashSet<ObjectId> = entries
            .iter()
            .filter(|entry| filled_table(entry).is_some())
            .map(|entry| Footprint::key(entry))
            .collect();
        // a partitioned table has no rows of its own; a parent by inheritance has
        let parents: BTreeMap<ObjectId, u32> =
            self.footprint.parents().filter(|(parent, _)| !filled.contains(parent)).collect();
        let parts: BTreeSet<ObjectId> = parents.keys().flat_map(|parent| self.parts_of(*parent)).collect();
        let mut add = |table: ObjectId, analyze: Analyze| {
            places.analyzes.insert(table, steps.len());
            steps.push(Step { work: Work::Analyze(analyze), node: Node::default() });
        };
        for entry in entries {
            let key = Footprint::key(entry);
            if let Some(table) = filled_table(entry) {
                let is_part = parts.contains(&key);
                add(key, Analyze { entry: entry.id, table, is_parent: false, is_part });
            }
        }
        for (&parent, &creator) in &parents {
            let Some(entry) = entry_by_id(self.toc, creator) else { continue };
            let Some(schema) = &entry.schema else { continue };
            if self.parts_of(parent).any(|part| filled.contains(&part)) {
                let table = QualifiedName::new(schema, &entry.name);
                let is_part = parts.contains(&parent);
                add(parent, Analyze { entry: creator, table, is_parent: true, is_part });
            }
        }
    }

    /// All descendants of a table.
    fn parts_of(&self, parent: ObjectId) -> impl Iterator<Item = ObjectId> + use<> {
        let family = self.footprint.with_descendants(std::iter::once(parent));
        family.into_iter().filter(move |&table| table != parent)
    }

    fn node(&self, work: &Work, places: &Places) -> Node {
        match work {
            Work::Segment(segment) => self.segment_node(segment.entry, places),
            Work::Entry(entry) => self.entry_node(*entry, places),
            Work::Analyze(analyze) => self.analyze_node(analyze, places),
        }
    }

    fn segment_node(&self, entry: u32, places: &Places) -> Node {
        let Some(toc_entry) = entry_by_id(self.toc, entry) else { return Node::default() };
        Node {
            needs: self.dependencies(toc_entry, places),
            after: Vec::new(),
            locks: vec![Lock { table: Footprint::key(toc_entry), mode: LockMode::Write }],
            // the whole table's: so that its segments go together and its indexes start early
            weight_bytes: self.entry_bytes(entry),
        }
    }

    fn entry_node(&self, entry: u32, places: &Places) -> Node {
        let Some(toc_entry) = entry_by_id(self.toc, entry) else { return Node::default() };
        let mut needs = self.dependencies(toc_entry, places);
        let tables: BTreeSet<ObjectId> = self.footprint.tables(entry).collect();
        let family = self.footprint.with_descendants(tables.iter().copied());
        if toc_entry.kind != "MATERIALIZED VIEW DATA" {
            needs.extend(family.iter().flat_map(|table| places.rows.get(table)).flatten());
        }
        let validates = toc_entry.kind == "FK CONSTRAINT";
        let after = match validates {
            true => family.iter().filter_map(|table| places.analyzes.get(table).copied()).collect(),
            false => Vec::new(),
        };
        let locks = match lock_mode(toc_entry) {
            Some(mode @ LockMode::Exclusive) => {
                family.iter().map(|&table| Lock { table, mode }).collect::<Vec<_>>()
            }
            Some(mode) => tables.iter().map(|&table| Lock { table, mode }).collect(),
            None => Vec::new(),
        };
        Node { needs, after, locks, weight_bytes: work_bytes(toc_entry, &family, places) }
    }

    fn analyze_node(&self, analyze: &Analyze, places: &Places) -> Node {
        let Some(toc_entry) = entry_by_id(self.toc, analyze.entry) else { return Node::default() };
        let table = Footprint::key(toc_entry);
        let family = self.footprint.with_descendants(std::iter::once(table));
        let rows = |table: &ObjectId| places.rows.get(table).into_iter().flatten().copied();
        let own_first = |tables: &BTreeSet<ObjectId>| -> Vec<NodeId> {
            tables.iter().flat_map(|table| places.analyzed_after.get(table)).flatten().copied().collect()
        };
        let parts = family.iter().filter(|part| **part != table);
        let mut after: Vec<NodeId> = own_first(&family);
        after.extend(parts.clone().flat_map(rows));
        after.extend(parts.filter_map(|part| places.analyzes.get(part).copied()));
        let locks = family.iter().map(|&table| Lock { table, mode: LockMode::Maintain }).collect();
        Node { needs: rows(&table).collect(), after, locks, weight_bytes: 0 }
    }

    /// The steps of the entries that an entry depends on, as far as they are of this stage.
    fn dependencies(&self, entry: &TocEntry, places: &Places) -> Vec<NodeId> {
        entry.depends_on.iter().flat_map(|on| places.entries.get(on)).flatten().copied().collect()
    }

    fn entry_bytes(&self, entry: u32) -> u64 {
        self.segments.get(&entry).into_iter().flatten().sum()
    }
}

/// What building an entry is worth beside loading rows: a rough fraction of its tables.
fn work_bytes(entry: &TocEntry, family: &BTreeSet<ObjectId>, places: &Places) -> u64 {
    let divisor = match entry.kind.as_str() {
        _ if entry.weight_bytes > 0 => return entry.weight_bytes,
        "INDEX" | "CONSTRAINT" => 4,
        "FK CONSTRAINT" | "CHECK CONSTRAINT" => 8,
        _ => return 0,
    };
    family.iter().filter_map(|table| places.row_bytes.get(table)).sum::<u64>() / divisor
}

/// The relation that an entry fills with rows of its own.
fn filled_table(entry: &TocEntry) -> Option<QualifiedName> {
    match &entry.data {
        Some(DataEntry::Table(data)) => Some(data.table.clone()),
        Some(DataEntry::LargeObjects) => None,
        None if entry.kind == "MATERIALIZED VIEW DATA" => {
            Some(QualifiedName::new(entry.schema.clone()?, &entry.name))
        }
        None => None,
    }
}

/// How the statements of an entry lock its tables.
fn lock_mode(entry: &TocEntry) -> Option<LockMode> {
    match entry.kind.as_str() {
        "SEQUENCE SET" => None,
        "INDEX" => Some(LockMode::Index),
        "STATISTICS" | "COMMENT" | "SECURITY LABEL" => Some(LockMode::Maintain),
        _ => Some(LockMode::Exclusive),
    }
}
