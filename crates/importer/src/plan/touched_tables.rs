//! Which tables each TOC entry touches, and which tables are parts of others.

use std::collections::{BTreeSet, HashMap};

use dbhaul_catalog::{Class, EntryKind, ObjectId, QualifiedName, Section, Toc, TocEntry, quote_identifier};

/// What entries touch. Tables are named by their address in the source catalog.
#[derive(Debug, Default)]
pub(crate) struct TouchedTables {
    tables: HashMap<u32, BTreeSet<ObjectId>>,
    children: HashMap<ObjectId, BTreeSet<ObjectId>>,
    relation_entries: HashMap<ObjectId, u32>,
}

impl TouchedTables {
    /// Reads a TOC whose dependencies stand before their dependants.
    pub(crate) fn new(toc: &Toc) -> Self {
        let mut touched_tables = TouchedTables::default();
        for entry in &toc.entries {
            touched_tables.add(toc, entry);
        }
        touched_tables
    }

    /// The address that stands for what an entry creates or fills.
    pub(crate) fn key(entry: &TocEntry) -> ObjectId {
        entry.object.unwrap_or(ObjectId::new(Class(0), entry.id))
    }

    /// The tables an entry locks, without their descendants.
    pub(crate) fn tables(&self, entry: u32) -> impl Iterator<Item = ObjectId> {
        self.tables.get(&entry).into_iter().flatten().copied()
    }

    /// The tables and all their partitions and inheritance children.
    pub(crate) fn with_descendants(&self, tables: impl Iterator<Item = ObjectId>) -> BTreeSet<ObjectId> {
        let mut found = BTreeSet::new();
        let mut stack: Vec<_> = tables.collect();
        while let Some(table) = stack.pop() {
            if found.insert(table) {
                stack.extend(self.children.get(&table).into_iter().flatten());
            }
        }
        found
    }

    /// Tables that have partitions or children, with the entry that creates them.
    pub(crate) fn parents(&self) -> impl Iterator<Item = (ObjectId, u32)> {
        let mut parents: Vec<_> = self
            .children
            .keys()
            .filter_map(|table| Some((*table, *self.relation_entries.get(table)?)))
            .collect();
        parents.sort_by_key(|(_, entry)| *entry);
        parents.into_iter()
    }

    fn add(&mut self, toc: &Toc, entry: &TocEntry) {
        // nothing that a sequence is on is scheduled by it
        let is_relation = entry.kind.is_relation() && entry.kind != EntryKind::Sequence;
        let is_filled = entry.data.is_some() || entry.kind == EntryKind::MaterializedViewData;
        let mut tables = BTreeSet::new();
        if is_relation || is_filled {
            tables.insert(TouchedTables::key(entry));
        } else if entry.section != Section::PreData || entry.kind == EntryKind::TableAttach {
            tables.extend(entry.depends_on.iter().flat_map(|on| self.tables.get(on)).flatten());
        }
        if is_relation {
            self.relation_entries.insert(TouchedTables::key(entry), entry.id);
        }
        match entry.kind {
            EntryKind::Table | EntryKind::ForeignTable => self.add_inherited(toc, entry),
            EntryKind::TableAttach => self.add_attached(toc, entry),
            _ => {}
        }
        self.tables.insert(entry.id, tables);
    }

    /// A table that is created as a child or partition of another depends on it. So does one with a
    /// column of the other's row type: taking that for a child costs a little waiting and no more.
    fn add_inherited(&mut self, toc: &Toc, entry: &TocEntry) {
        let tables = entry.depends_on.iter().filter_map(|on| entry_by_id(toc, *on));
        for parent in tables.filter(|on| on.kind == EntryKind::Table) {
            self.children.entry(TouchedTables::key(parent)).or_default().insert(TouchedTables::key(entry));
        }
    }

    /// `ALTER TABLE parent ATTACH PARTITION child` depends on both and carries the child's name.
    fn add_attached(&mut self, toc: &Toc, entry: &TocEntry) {
        let tables: Vec<_> = entry
            .depends_on
            .iter()
            .filter_map(|on| entry_by_id(toc, *on))
            .filter(|on| on.kind == EntryKind::Table || on.kind == EntryKind::ForeignTable)
            .collect();
        for parent in tables.iter().filter(|on| !is_child(entry, on)) {
            for child in tables.iter().filter(|on| is_child(entry, on)) {
                self.children
                    .entry(TouchedTables::key(parent))
                    .or_default()
                    .insert(TouchedTables::key(child));
            }
        }
    }
}

/// Whether a table is the one that `ALTER TABLE parent ATTACH PARTITION child` attaches: that one's name it has.
pub(crate) fn is_child(attach: &TocEntry, table: &TocEntry) -> bool {
    table.object.is_some() && table.object == attach.object
        || table.schema == attach.schema && table.name == attach.name
}

/// The entry with an id; ids are positions from 1.
pub(crate) fn entry_by_id(toc: &Toc, id: u32) -> Option<&TocEntry> {
    toc.entries.get((id as usize).checked_sub(1)?)
}

/// An entry as people know it: `INDEX public.film_title_idx`, `TABLE public."Film"`, `ACL TABLE public.film`,
/// `CONSTRAINT public.film film_pkey`.
pub(crate) fn describe(entry: &TocEntry) -> String {
    describe_named(entry.kind, entry.schema.as_deref(), &entry.name)
}

/// As [`describe`], by what an entry is called.
pub(crate) fn describe_named(kind: EntryKind, schema: Option<&str>, name: &str) -> String {
    if name.starts_with(&format!("{kind} ")) {
        return name.to_owned();
    }
    match (kind, schema) {
        // their names are addresses that hold the schema already
        (EntryKind::Acl | EntryKind::Comment | EntryKind::SecurityLabel, _) => format!("{kind} {name}"),
        // their names say more than one name
        (
            EntryKind::Constraint
            | EntryKind::CheckConstraint
            | EntryKind::ForeignKey
            | EntryKind::Default
            | EntryKind::Trigger
            | EntryKind::Rule
            | EntryKind::Policy
            | EntryKind::Function
            | EntryKind::Procedure
            | EntryKind::Aggregate
            | EntryKind::Operator
            | EntryKind::OperatorClass
            | EntryKind::OperatorFamily
            | EntryKind::Cast
            | EntryKind::Transform
            | EntryKind::UserMapping
            | EntryKind::DefaultAcl,
            Some(schema),
        ) => format!("{kind} {}.{name}", quote_identifier(schema)),
        (_, Some(schema)) => format!("{kind} {}", QualifiedName::new(schema, name)),
        (
            EntryKind::Cast
            | EntryKind::Transform
            | EntryKind::UserMapping
            | EntryKind::DefaultAcl
            | EntryKind::LargeObjectData,
            None,
        ) => format!("{kind} {name}"),
        (_, None) => format!("{kind} {}", quote_identifier(name)),
    }
}
