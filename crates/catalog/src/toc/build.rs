//! From a catalog to entries in restorable order.

use std::collections::HashMap;

use crate::adapt::for_majors_up_to;
use crate::kinds::Body;
use crate::render::{Draft, Part, Target};
use crate::toc::plan::Plan;
use crate::toc::repair::shell_draft;
use crate::{
    Catalog, EntryKind, Identity, Object, ObjectId, Section, SharedText, SystemPrivileges, Toc, TocEntry,
    TocError, TocOptions, order, quote_identifier,
};

impl Toc {
    /// Puts a catalog in restorable order.
    ///
    /// Every object's statements become entries, followed by entries for
    /// comments, labels, privileges, rows and sequence values. Loops of
    /// dependencies are taken apart where `pg_dump` takes them apart; any other
    /// loop is an error that names its members.
    pub fn build(catalog: &Catalog, target: &Target, options: &TocOptions) -> Result<Toc, TocError> {
        // Names are quoted for a known target before; a script may be read by any.
        let adapted = options.up_to_major.map(|newest| for_majors_up_to(catalog, newest));
        let plan = Plan::new(adapted.as_deref().unwrap_or(catalog), target)?;
        let mut builder = Builder::new(plan, options, *target);
        builder.add_objects();
        builder.add_data();
        builder.add_annotations();
        builder.add_privileges();
        builder.finish()
    }

    /// Tables that no order of statements makes, each with what the expression of a generated column names and only
    /// statements behind the table's make: a target refuses these tables.
    ///
    /// # Errors
    /// As [`Toc::build`].
    pub fn tables_in_vain(catalog: &Catalog, target: &Target) -> Result<Vec<(Identity, Identity)>, TocError> {
        let is_generated = |object: &Object| matches!(&object.body, Body::Table(table) if table.columns.iter().any(|column| column.is_generated()));
        if !catalog.objects.iter().any(is_generated) {
            return Ok(Vec::new());
        }
        let plan = Plan::new(catalog, target)?;
        let names =
            |&(table, need): &(usize, usize)| (plan.object(table).identity(), plan.object(need).identity());
        Ok(plan.in_vain.iter().map(names).collect())
    }
}

/// What gives an entry its place.
pub(super) struct Node {
    pub(super) key: Key,
    pub(super) needs: Vec<usize>,
    /// The section by which the entry is wanted or not.
    pub(super) home: Section,
    /// What the object is that the entry belongs to.
    about: EntryKind,
}

/// What decides where no dependency does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    section: Section,
    pub(super) priority: u8,
    name: SharedText,
    schema: SharedText,
    more: SharedText,
    /// The main part before what follows it.
    step: u32,
}

/// Gathers nodes.
pub(super) struct Builder<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) options: &'a TocOptions,
    pub(super) target: Target,
    pub(super) nodes: Vec<Node>,
    /// The entry of each node, until the end without number.
    pub(super) entries: Vec<TocEntry>,
    /// The node of each maker's main part.
    pub(super) main: Vec<Option<usize>>,
    /// The nodes of the parts that follow it.
    pub(super) after: HashMap<usize, Vec<usize>>,
    /// The node that fills each table or materialized view.
    pub(super) data: HashMap<usize, usize>,
    /// The node of each object's privileges.
    pub(super) acl: HashMap<usize, usize>,
    shells: HashMap<usize, usize>,
    /// For an index: the nodes that attach others to it, and those others.
    attached: HashMap<usize, Vec<(usize, usize)>>,
}

impl<'a> Builder<'a> {
    fn new(plan: Plan<'a>, options: &'a TocOptions, target: Target) -> Self {
        let count = plan.drafts.len();
        // Room for an annotation and rows of each, most of which is never touched.
        let room = count + 2 * plan.drafts.iter().map(Vec::len).sum::<usize>();
        Builder {
            plan,
            options,
            target,
            nodes: Vec::with_capacity(room),
            entries: Vec::with_capacity(room),
            main: vec![None; count],
            after: HashMap::new(),
            data: HashMap::new(),
            acl: HashMap::new(),
            shells: HashMap::new(),
            attached: HashMap::new(),
        }
    }

    /// Adds an entry that belongs to an object.
    pub(super) fn push(&mut self, object: &Object, draft: Draft, step: u32, needs: Vec<usize>) -> usize {
        let schema = object.schema.clone().unwrap_or_default();
        let key = Key {
            section: draft.section,
            priority: draft.kind.priority(),
            name: SharedText::from(&object.name),
            schema,
            more: object.body.discriminator().map(SharedText::from).unwrap_or_default(),
            step,
        };
        // Large objects are wanted where rows are, even empty ones.
        let home = if draft.kind == EntryKind::LargeObject { Section::Data } else { draft.section };
        self.add_node(entry(object, draft), Node { key, needs, home, about: object.body.kind() })
    }

    fn add_node(&mut self, entry: TocEntry, node: Node) -> usize {
        self.entries.push(entry);
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Adds the privileges of an object of the server's own.
    pub(super) fn push_system_acl(&mut self, system: &SystemPrivileges, statements: Vec<String>) {
        let key = Key {
            section: Section::PostData,
            priority: EntryKind::Acl.priority(),
            name: SharedText::from(&system.address),
            schema: SharedText::default(),
            more: system.column.as_ref().map(SharedText::from).unwrap_or_default(),
            step: 0,
        };
        let entry = TocEntry {
            id: 0,
            section: Section::PostData,
            kind: EntryKind::Acl,
            schema: None,
            name: system.address.clone(),
            owner: Some(SharedText::from(&system.owner)),
            create: statements,
            set_owner: None,
            drop: None,
            depends_on: Vec::new(),
            object: None,
            data: None,
            weight_bytes: 0,
            adoption: None,
        };
        let node = Node { key, needs: Vec::new(), home: Section::PreData, about: EntryKind::Acl };
        self.add_node(entry, node);
    }

    /// Adds an entry that stands right behind another of the same object.
    pub(super) fn push_behind(&mut self, node: usize, object: &Object, draft: Draft, step: u32) -> usize {
        let key = Key { step, ..self.nodes[node].key.clone() };
        let home = self.nodes[node].home;
        self.add_node(entry(object, draft), Node { key, needs: vec![node], home, about: object.body.kind() })
    }

    fn add_objects(&mut self) {
        for place in self.plan.shells.clone() {
            let object = self.plan.object(place);
            let node = self.push(object, shell_draft(object), 0, Vec::new());
            self.shells.insert(place, node);
        }
        for place in 0..self.plan.drafts.len() {
            let object = self.plan.object(place);
            for number in 0..self.plan.drafts[place].len() {
                let draft = self.plan.drafts[place][number].take_statements();
                let step = u32::try_from(number + 1).unwrap_or(u32::MAX);
                match (draft.part, self.main[place]) {
                    (Part::After, Some(main)) => self.add_part(place, object, draft, step, main),
                    _ => self.main[place] = Some(self.push(object, draft, step, Vec::new())),
                }
            }
        }
        for place in 0..self.plan.drafts.len() {
            self.connect(place);
        }
        self.keep_indexes_of_keys();
    }

    /// Leaves an index to go with its table where it cannot go before: a partition of it belongs to a key,
    /// which cannot go before it either.
    fn keep_indexes_of_keys(&mut self) {
        let is_key = |place: usize| matches!(self.plan.object(place).body, Body::Constraint(_));
        let parents: Vec<usize> = self.attached.keys().copied().filter(|&place| !is_key(place)).collect();
        for place in parents {
            let keys = self.attached_below(place).into_iter().any(|(_, child)| is_key(child));
            if let (true, Some(main)) = (keys, self.main[place]) {
                self.entries[main].drop = None;
            }
        }
    }

    fn add_part(&mut self, place: usize, object: &Object, draft: Draft, step: u32, main: usize) {
        let kind = draft.kind;
        let mut needs = vec![main];
        if kind == EntryKind::Comment {
            // What it is about may be a part of its own: a domain's constraint.
            needs.extend(self.after.get(&place).into_iter().flatten());
        }
        let node = self.push(object, draft, step, needs);
        self.after.entry(place).or_default().push(node);
        if kind == EntryKind::IndexAttach {
            for &parent in self.plan.later_needs.get(&place).map(Vec::as_slice).unwrap_or_default() {
                self.attached.entry(parent).or_default().push((node, place));
            }
        }
    }

    /// Adds what the entries of an object need.
    fn connect(&mut self, place: usize) {
        let Some(main) = self.main[place] else { return };
        let mut needs = self.mains(&self.plan.needs[place]);
        for shell in self.plan.shell_needs.get(&place).into_iter().flatten() {
            needs.extend(self.shells.get(shell));
        }
        if let Some(shell) = self.shells.get(&place) {
            needs.push(*shell);
            let schema = self.plan.object(place).schema.as_deref();
            let schema = schema.and_then(|name| self.plan.schema(name)).and_then(|schema| self.main[schema]);
            self.nodes[*shell].needs.extend(schema);
        }
        self.nodes[main].needs.extend(needs);
        let later = self.mains(self.plan.later_needs.get(&place).map(Vec::as_slice).unwrap_or_default());
        let parts = self.after.get(&place).cloned().unwrap_or_default();
        let drafts = self.plan.drafts[place].iter().filter(|draft| draft.part == Part::After);
        let required: Vec<Vec<usize>> =
            drafts.map(|draft| draft.requires.iter().filter_map(|id| self.main_of(*id)).collect()).collect();
        for (node, required) in parts.into_iter().zip(required) {
            self.nodes[node].needs.extend(later.iter().copied().chain(required).filter(|&need| need != node));
        }
    }

    /// The main nodes of some makers.
    pub(super) fn mains(&self, places: &[usize]) -> Vec<usize> {
        places.iter().filter_map(|&place| self.main[place]).collect()
    }

    /// The main node of the maker of an object.
    pub(super) fn main_of(&self, id: ObjectId) -> Option<usize> {
        self.plan.maker_of(id).and_then(|place| self.main[place])
    }

    /// The nodes that complete an index of a partitioned table: its partitions' attachments.
    pub(super) fn attachments(&self, place: usize) -> Vec<usize> {
        self.attached_below(place).into_iter().map(|(node, _)| node).collect()
    }

    /// The nodes that attach to an index, at any level, with what they attach.
    fn attached_below(&self, place: usize) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut open = vec![place];
        while let Some(parent) = open.pop() {
            for &(node, child) in self.attached.get(&parent).into_iter().flatten() {
                found.push((node, child));
                open.push(child);
            }
        }
        found
    }

    fn finish(mut self) -> Result<Toc, TocError> {
        let mut needs: Vec<Vec<usize>> =
            self.nodes.iter_mut().map(|node| std::mem::take(&mut node.needs)).collect();
        for list in &mut needs {
            list.sort_unstable();
            list.dedup();
        }
        let keys: Vec<&Key> = self.nodes.iter().map(|node| &node.key).collect();
        let order = order::sort(&keys, &needs).map_err(|stuck| self.loop_error(&stuck, &needs))?;
        let wanted = |place: usize| {
            let node = &self.nodes[place];
            self.options.wants(node.home) && self.options.wants_entry(self.entries[place].kind, node.about)
        };
        let mut ids: Vec<Option<u32>> = vec![None; self.nodes.len()];
        for (id, &node) in (1..).zip(order.iter().filter(|&&node| wanted(node))) {
            ids[node] = Some(id);
        }
        // In place: of a large database there is no room for the entries twice.
        let mut entries = self.entries;
        for (node, entry) in entries.iter_mut().enumerate() {
            entry.id = ids[node].unwrap_or_default();
            entry.depends_on = needs[node].iter().filter_map(|&need| ids[need]).collect();
            entry.depends_on.sort_unstable();
            if !self.options.owners {
                entry.set_owner = None;
            }
        }
        entries.retain(|entry| entry.id > 0);
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(Toc { entries })
    }

    fn loop_error(&self, stuck: &[usize], needs: &[Vec<usize>]) -> TocError {
        let loops = order::loops(needs);
        let nodes = loops.first().map_or(stuck, Vec::as_slice);
        let ids = nodes.iter().filter_map(|&node| self.entries[node].object);
        let mut members: Vec<_> = ids
            .filter_map(|id| self.plan.index.object(self.plan.catalog, id))
            .map(Object::identity)
            .collect();
        members.sort();
        members.dedup();
        TocError::Loop { members }
    }
}

fn entry(object: &Object, draft: Draft) -> TocEntry {
    let set_owner = draft.address.as_ref().filter(|_| draft.has_owner).zip(object.owner.as_ref());
    TocEntry {
        id: 0,
        section: draft.section,
        kind: draft.kind,
        schema: object.schema.clone(),
        name: entry_name(object),
        owner: object.owner.clone(),
        create: draft.create,
        set_owner: set_owner
            .map(|(address, owner)| format!("ALTER {address} OWNER TO {}", quote_identifier(owner))),
        drop: draft.drop.map(Box::new),
        depends_on: Vec::new(),
        object: Some(object.id),
        data: None,
        weight_bytes: 0,
        adoption: draft.adoption,
    }
}

/// The name as `pg_restore -l` prints it: parts of tables follow the table's
/// name, functions show their arguments.
fn entry_name(object: &Object) -> String {
    let name = &object.name;
    match (&object.body, object.body.discriminator()) {
        (_, None) => name.clone(),
        (
            Body::Constraint(_) | Body::ColumnDefault(_) | Body::Trigger(_) | Body::Rule(_) | Body::Policy(_),
            Some(table),
        ) => format!("{table} {name}"),
        (_, Some(more)) if more.starts_with('(') => format!("{name}{more}"),
        (Body::Function(_) | Body::Aggregate(_), Some(arguments)) => format!("{name}({arguments})"),
        (_, Some(more)) => format!("{name} {more}"),
    }
}
