//! From entries to the nodes of a scheduler: what needs what, what locks what, what is how large.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dbhaul_catalog::{Class, DataEntry, EntryKind, ObjectId, QualifiedName, Section, Toc, TocEntry};

use crate::SegmentRef;
use crate::plan::load_targets::LoadTargets;
use crate::plan::split::Split;
use crate::plan::stages::StageName;
use crate::plan::text_dependencies::{Reads, TextDependencies};
use crate::plan::touched_tables::{TouchedTables, entry_by_id};
use crate::plan::{Analyze, Stage, Step, Upkeep, Work};
use crate::schedule::{Lock, LockMode, Node, NodeId, loosen};

/// Turns the entries of a stage into steps.
pub(crate) struct Builder<'a> {
    pub(crate) toc: &'a Toc,
    pub(crate) touched_tables: &'a TouchedTables,
    pub(crate) texts: &'a TextDependencies,
    pub(crate) load_targets: &'a LoadTargets,
    pub(crate) segments: &'a BTreeMap<u32, Vec<u64>>,
    pub(crate) splits: &'a BTreeMap<u32, Split>,
    pub(crate) analyze: bool,
}

/// Where the parts of a parallel stage stand in its list of steps.
#[derive(Default)]
struct Places {
    /// Segments that fill a table.
    rows: HashMap<ObjectId, Vec<NodeId>>,
    /// Those of them that may have to wait for other rows or for definitions.
    late_rows: HashMap<ObjectId, Vec<NodeId>>,
    /// The others, which wait for nothing.
    free_rows: Vec<NodeId>,
    /// The gate that opens when those have ended.
    gate: NodeId,
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
    /// A stage with its steps in TOC order, those that analyze behind the others; with the entries that do
    /// not wait for all that they should, since that waits for them.
    pub(crate) fn stage(&self, name: StageName, entries: Option<&Vec<&TocEntry>>) -> (Stage, BTreeSet<u32>) {
        let gates = Vec::new();
        let Some(entries) = entries else {
            return (Stage { name, steps: Vec::new(), gates }, BTreeSet::new());
        };
        if name.is_serial() {
            let step = |entry: &&TocEntry| Step { work: Work::Entry(entry.id), node: Node::default() };
            return (Stage { name, steps: entries.iter().map(step).collect(), gates }, BTreeSet::new());
        }
        let mut steps = Vec::new();
        let mut places = Places::default();
        self.add_work(entries, &mut steps, &mut places);
        self.add_analyzes(entries, &mut steps, &mut places);
        places.gate = steps.len();
        let mut nodes: Vec<Node> = steps.iter().map(|step| self.node(&step.work, &places)).collect();
        let loosened = loosen(&mut nodes).into_iter().map(|id| steps[id].work.entry()).collect();
        for (step, node) in steps.iter_mut().zip(nodes) {
            step.node = node;
        }
        self.weigh_turns(&mut steps);
        let is_waited_for = steps.iter().any(|step| step.node.after.contains(&places.gate));
        let gate = Node { after: places.free_rows, ..Node::default() };
        (Stage { name, steps, gates: is_waited_for.then_some(gate).into_iter().collect() }, loosened)
    }

    /// The foreign keys of one table are validated one after the other, so each begins a chain as long as
    /// all of them; ranked so, what they wait for comes early enough for other work to go beside them.
    fn weigh_turns(&self, steps: &mut [Step]) {
        let referencing = |work: &Work| match work {
            Work::Validate(entry) => self.splits.get(entry).and_then(Split::referencing),
            _ => None,
        };
        let mut turns: HashMap<ObjectId, u64> = HashMap::new();
        for step in steps.iter() {
            if let Some(table) = referencing(&step.work) {
                *turns.entry(table).or_default() += step.node.weight_bytes;
            }
        }
        for step in steps {
            if let Some(bytes) = referencing(&step.work).and_then(|table| turns.get(&table)) {
                step.node.queued_bytes = bytes - step.node.weight_bytes;
            }
        }
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
                None => {
                    let works: &[Work] = match self.splits.get(&entry.id) {
                        None => &[Work::Entry(entry.id)],
                        Some(Split::Build { .. }) => &[Work::Build(entry.id), Work::Entry(entry.id)],
                        Some(Split::Validate { .. }) => &[Work::Entry(entry.id), Work::Validate(entry.id)],
                    };
                    steps.extend(works.iter().map(|work| Step { work: work.clone(), node: Node::default() }));
                }
            }
            let added: Vec<NodeId> = (first..steps.len()).collect();
            if entry.data.is_some() || entry.kind == EntryKind::MaterializedViewData {
                let is_free = self.waits_for_nothing(entry, places);
                for table in self.load_targets.tables(entry) {
                    places.rows.entry(table).or_default().extend(&added);
                    if !is_free {
                        places.late_rows.entry(table).or_default().extend(&added);
                    }
                }
                places.free_rows.extend(added.iter().filter(|_| is_free));
                *places.row_bytes.entry(TouchedTables::key(entry)).or_default() += self.entry_bytes(entry.id);
            }
            if matches!(entry.kind, EntryKind::Index | EntryKind::Constraint | EntryKind::Statistics) {
                for table in self.touched_tables.tables(entry.id) {
                    places.analyzed_after.entry(table).or_default().extend(&added);
                }
            }
            places.entries.insert(entry.id, added);
        }
    }

    /// The indexes that rows may name: a `regclass` is read as the name of what is there. Those of tables
    /// with such rows wait for rows themselves, so that waiting for them could have no end.
    fn indexes_to_name(&self, places: &Places) -> Vec<NodeId> {
        let entries = || self.toc.entries.iter();
        let naming: BTreeSet<ObjectId> = entries()
            .filter(|entry| names_relations(entry))
            .flat_map(|entry| {
                let tables =
                    self.touched_tables.with_descendants(self.load_targets.tables(entry).into_iter());
                tables.into_iter().chain([TouchedTables::key(entry)])
            })
            .collect();
        let is_free = |entry: &&TocEntry| {
            matches!(entry.kind, EntryKind::Index | EntryKind::Constraint)
                && self.texts.of_entry(entry.id).is_none()
                && self
                    .touched_tables
                    .with_descendants(self.touched_tables.tables(entry.id))
                    .is_disjoint(&naming)
        };
        let free = entries().filter(is_free).filter_map(|entry| places.entries.get(&entry.id));
        free.flatten().copied().collect()
    }

    /// Whether an entry fills a table as soon as there is a session for it. Such rows are on no loop, so
    /// that whatever waits for all of them can wait together.
    fn waits_for_nothing(&self, entry: &TocEntry, places: &Places) -> bool {
        entry.data.is_some()
            && !names_relations(entry)
            && self.texts.of_rows(entry).is_none()
            && self.dependencies(entry, places).is_empty()
    }

    /// Every table that is filled, and every partitioned table above one; without statistics only those that have
    /// to be vacuumed.
    fn add_analyzes(&self, entries: &[&TocEntry], steps: &mut Vec<Step>, places: &mut Places) {
        let filled: HashSet<ObjectId> = entries
            .iter()
            .filter(|entry| filled_table(entry).is_some())
            .map(|entry| TouchedTables::key(entry))
            .collect();
        // a partitioned table has no rows of its own; a parent by inheritance has
        let parents: BTreeMap<ObjectId, u32> =
            self.touched_tables.parents().filter(|(parent, _)| !filled.contains(parent)).collect();
        let parts: BTreeSet<ObjectId> = parents.keys().flat_map(|parent| self.parts_of(*parent)).collect();
        let linked = self.linked_by_foreign_keys(entries);
        let mut add = |table: ObjectId, analyze: Analyze| {
            places.analyzes.insert(table, steps.len());
            steps.push(Step { work: Work::Analyze(analyze), node: Node::default() });
        };
        for entry in entries {
            let key = TouchedTables::key(entry);
            if let Some(table) = filled_table(entry) {
                let is_part = parts.contains(&key);
                let is_frozen = self.segments.get(&entry.id).is_none_or(|segments| segments.len() <= 1);
                let upkeep = match (!is_frozen && linked.contains(&key), self.analyze) {
                    (true, true) => Upkeep::VacuumAnalyze,
                    (true, false) => Upkeep::Vacuum,
                    (false, true) => Upkeep::Analyze,
                    (false, false) => continue,
                };
                add(key, Analyze { entry: entry.id, table, is_parent: false, is_part, upkeep });
            }
        }
        for (&parent, &creator) in parents.iter().filter(|_| self.analyze) {
            let Some(entry) = entry_by_id(self.toc, creator) else { continue };
            let Some(schema) = &entry.schema else { continue };
            if self.parts_of(parent).any(|part| filled.contains(&part)) {
                let table = QualifiedName::new(schema, &entry.name);
                let is_part = parts.contains(&parent);
                let upkeep = Upkeep::Analyze;
                add(parent, Analyze { entry: creator, table, is_parent: true, is_part, upkeep });
            }
        }
    }

    /// Both sides of every foreign key that is validated.
    fn linked_by_foreign_keys(&self, entries: &[&TocEntry]) -> BTreeSet<ObjectId> {
        let foreign_keys = entries.iter().filter(|entry| entry.kind == EntryKind::ForeignKey);
        self.touched_tables
            .with_descendants(foreign_keys.flat_map(|entry| self.touched_tables.tables(entry.id)))
    }

    /// All descendants of a table.
    fn parts_of(&self, parent: ObjectId) -> impl Iterator<Item = ObjectId> + use<> {
        let family = self.touched_tables.with_descendants(std::iter::once(parent));
        family.into_iter().filter(move |&table| table != parent)
    }

    fn node(&self, work: &Work, places: &Places) -> Node {
        match work {
            Work::Segment(segment) => self.segment_node(segment.entry, places),
            Work::Entry(entry) => self.entry_node(*entry, places),
            Work::Build(entry) => self.build_node(*entry, places),
            Work::Validate(entry) => self.validate_node(*entry, places),
            Work::Analyze(analyze) => self.analyze_node(analyze, places),
            Work::Position(_) => Node::default(),
        }
    }

    fn segment_node(&self, entry: u32, places: &Places) -> Node {
        let Some(toc_entry) = entry_by_id(self.toc, entry) else { return Node::default() };
        let table = TouchedTables::key(toc_entry);
        let reads = self.texts.of_rows(toc_entry);
        let is_before = |other: &ObjectId| !self.texts.is_read_by(table, *other);
        let mut after = reads.map(|reads| rows_read(reads, places, is_before)).unwrap_or_default();
        if names_relations(toc_entry) {
            after.extend(self.indexes_to_name(places));
        }
        Node {
            needs: self.dependencies(toc_entry, places),
            after,
            locks: self
                .load_targets
                .tables(toc_entry)
                .into_iter()
                .map(|table| Lock { table, mode: LockMode::Write })
                .collect(),
            // the whole table's: so that its segments go together and its indexes start early
            weight_bytes: self.entry_bytes(entry),
            queued_bytes: 0,
        }
    }

    fn whole_entry_node(&self, entry: u32, places: &Places) -> Node {
        let Some(toc_entry) = entry_by_id(self.toc, entry) else { return Node::default() };
        let mut needs = self.dependencies(toc_entry, places);
        let tables: BTreeSet<ObjectId> = self.touched_tables.tables(entry).collect();
        let family = self.touched_tables.with_descendants(tables.iter().copied());
        if toc_entry.kind != EntryKind::MaterializedViewData {
            needs.extend(family.iter().flat_map(|table| places.rows.get(table)).flatten());
        }
        let validates = toc_entry.kind == EntryKind::ForeignKey;
        let mut after: Vec<NodeId> = match validates {
            true => family.iter().filter_map(|table| places.analyzes.get(table).copied()).collect(),
            false => Vec::new(),
        };
        let own = places.entries.get(&entry).map(Vec::as_slice).unwrap_or_default();
        let read = self.texts.of_entry(entry).map(|reads| match toc_entry.kind {
            // one that is not filled yet cannot be read, so that waiting for all of them would gain nothing
            EntryKind::MaterializedViewData => {
                rows_read(&Reads { anything: false, ..reads.clone() }, places, |_| true)
            }
            _ => rows_read(reads, places, |_| true),
        });
        if is_of_domain(toc_entry) {
            after.extend(self.all_rows(places));
        }
        after.extend(read.into_iter().flatten().filter(|node| !own.contains(node)));
        let locks = match lock_mode(toc_entry) {
            Some(mode @ LockMode::Exclusive) => {
                family.iter().map(|&table| Lock { table, mode }).collect::<Vec<_>>()
            }
            Some(mode) => tables.iter().map(|&table| Lock { table, mode }).collect(),
            None => Vec::new(),
        };
        Node { needs, after, locks, weight_bytes: work_bytes(toc_entry, &family, places), queued_bytes: 0 }
    }

    /// The loads of all tables.
    fn all_rows(&self, places: &Places) -> impl Iterator<Item = NodeId> {
        let loads = self.toc.entries.iter().filter(|entry| entry.data.is_some());
        loads.filter_map(|entry| places.entries.get(&entry.id)).flatten().copied()
    }

    /// The first of the two steps of an entry.
    fn first_step(entry: u32, places: &Places) -> Option<NodeId> {
        places.entries.get(&entry)?.first().copied()
    }

    /// As the entry it belongs to, but under the lock of an index.
    fn build_node(&self, entry: u32, places: &Places) -> Node {
        let Node { needs, after, .. } = self.whole_entry_node(entry, places);
        let tables: BTreeSet<ObjectId> = self.touched_tables.tables(entry).collect();
        let locks = tables.iter().map(|&table| Lock { table, mode: LockMode::Index }).collect();
        let Some(toc_entry) = entry_by_id(self.toc, entry) else { return Node::default() };
        Node { needs, after, locks, weight_bytes: work_bytes(toc_entry, &tables, places), queued_bytes: 0 }
    }

    fn validate_node(&self, entry: u32, places: &Places) -> Node {
        let Some(Split::Validate { referencing, .. }) = self.splits.get(&entry) else {
            return Node::default();
        };
        let Node { after, weight_bytes, .. } = self.whole_entry_node(entry, places);
        let lock = |table: ObjectId| {
            let mode = if table == *referencing { LockMode::Maintain } else { LockMode::Reference };
            Lock { table, mode }
        };
        let locks = self.touched_tables.tables(entry).map(lock).collect();
        let added = Self::first_step(entry, places);
        Node { needs: added.into_iter().collect(), after, locks, weight_bytes, queued_bytes: 0 }
    }

    /// What is left for the entry itself is done in no time.
    fn entry_node(&self, entry: u32, places: &Places) -> Node {
        let whole = self.whole_entry_node(entry, places);
        match self.splits.get(&entry) {
            None => whole,
            Some(Split::Validate { .. }) => Node { after: Vec::new(), weight_bytes: 0, ..whole },
            Some(Split::Build { .. }) => {
                let built = Self::first_step(entry, places);
                Node { needs: whole.needs.into_iter().chain(built).collect(), weight_bytes: 0, ..whole }
            }
        }
    }

    fn analyze_node(&self, analyze: &Analyze, places: &Places) -> Node {
        let Some(toc_entry) = entry_by_id(self.toc, analyze.entry) else { return Node::default() };
        let table = TouchedTables::key(toc_entry);
        let family = self.touched_tables.with_descendants(std::iter::once(table));
        let rows = |table: &ObjectId| places.rows.get(table).into_iter().flatten().copied();
        let own_first = |tables: &BTreeSet<ObjectId>| -> Vec<NodeId> {
            tables.iter().flat_map(|table| places.analyzed_after.get(table)).flatten().copied().collect()
        };
        let parts = family.iter().filter(|part| **part != table);
        let mut after: Vec<NodeId> = own_first(&family);
        after.extend(parts.clone().flat_map(rows));
        after.extend(parts.filter_map(|part| places.analyzes.get(part).copied()));
        let locks = family.iter().map(|&table| Lock { table, mode: LockMode::Maintain }).collect();
        Node { needs: rows(&table).collect(), after, locks, weight_bytes: 0, queued_bytes: 0 }
    }

    /// The steps of the entries that an entry depends on, as far as they are of this stage.
    fn dependencies(&self, entry: &TocEntry, places: &Places) -> Vec<NodeId> {
        entry.depends_on.iter().flat_map(|on| places.entries.get(on)).flatten().copied().collect()
    }

    fn entry_bytes(&self, entry: u32) -> u64 {
        self.segments.get(&entry).into_iter().flatten().sum()
    }
}

/// The steps after which everything is there that functions read: rows of the tables that `is_before` lets
/// through, and the queries of views. Rows that wait for nothing are before all others.
fn rows_read(reads: &Reads, places: &Places, is_before: impl Fn(&ObjectId) -> bool) -> Vec<NodeId> {
    let named = reads.tables.iter().filter(|_| !reads.anything);
    let named = named.filter(|table| is_before(table)).filter_map(|table| places.rows.get(table));
    let late = places.late_rows.iter().filter(|(table, _)| reads.anything && is_before(table));
    let late = late.map(|(_, rows)| rows);
    let views = reads.views.iter().filter_map(|view| places.entries.get(view));
    let gate = reads.anything.then_some(places.gate);
    named.chain(late).chain(views).flatten().copied().chain(gate).collect()
}

/// What building an entry is worth beside loading rows: a rough fraction of its tables.
fn work_bytes(entry: &TocEntry, family: &BTreeSet<ObjectId>, places: &Places) -> u64 {
    let divisor = match entry.kind {
        _ if entry.weight_bytes > 0 => return entry.weight_bytes,
        EntryKind::Index | EntryKind::Constraint | EntryKind::ForeignKey => 4,
        EntryKind::CheckConstraint => 8,
        _ => return 0,
    };
    family.iter().filter_map(|table| places.row_bytes.get(table)).sum::<u64>() / divisor
}

/// Whether an entry adds a check to a domain, which rows need not satisfy if it is not valid: what is loaded behind it
/// would have to, in whatever column, array or composite type its domain lies.
fn is_of_domain(entry: &TocEntry) -> bool {
    entry.kind == EntryKind::CheckConstraint
        && entry.object.is_some_and(|object| object.class == Class::PG_TYPE)
        && entry.section == Section::PostData
}

/// Whether the rows of an entry may name relations by a `regclass`.
fn names_relations(entry: &TocEntry) -> bool {
    matches!(&entry.data, Some(DataEntry::Table(table)) if table.names_relations())
}

/// The relation that an entry fills with rows of its own.
fn filled_table(entry: &TocEntry) -> Option<QualifiedName> {
    match &entry.data {
        Some(DataEntry::Table(data)) => Some(data.table.clone()),
        Some(DataEntry::LargeObjects) => None,
        None if entry.kind == EntryKind::MaterializedViewData => {
            Some(QualifiedName::new(entry.schema.clone()?, &entry.name))
        }
        None => None,
    }
}

/// How the statements of an entry lock its tables.
fn lock_mode(entry: &TocEntry) -> Option<LockMode> {
    match entry.kind {
        EntryKind::SequenceSet => None,
        EntryKind::Index => Some(LockMode::Index),
        EntryKind::Statistics | EntryKind::Comment | EntryKind::SecurityLabel => Some(LockMode::Maintain),
        _ => Some(LockMode::Exclusive),
    }
}
