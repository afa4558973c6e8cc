//! Entries for rows, sequence values and contents of large objects.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::kinds::{Body, MaterializedView, Table};
use crate::render::Draft;
use crate::toc::build::Builder;
use crate::toc::naming::NamingTypes;
use crate::toc::{DataEntry, Section, TableData};
use crate::{EntryKind, Object, ObjectId, QualifiedName};

/// Bytes of a heap page.
const PAGE_BYTES: u64 = 8_192;

impl Builder<'_> {
    /// Adds what fills the database.
    pub(super) fn add_data(&mut self) {
        let configuration = self.plan.catalog.configuration_tables();
        let naming = NamingTypes::of(self.plan.catalog);
        let sequences: HashSet<ObjectId> =
            self.plan.catalog.carried_sequences().map(|object| object.id).collect();
        let mut large_objects = Vec::new();
        for place in 0..self.plan.catalog.objects.len() {
            let object = self.plan.object(place);
            let name = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
            let condition = configuration.get(&name);
            match &object.body {
                Body::Sequence(_) if sequences.contains(&object.id) => self.add_sequence_value(place, object),
                _ if object.extension.is_some() && condition.is_none() => {}
                Body::Table(table)
                    if table.holds_rows() || self.options.with_foreign_data.contains(&object.id) =>
                {
                    self.add_rows(place, object, (table, condition), &naming);
                }
                Body::LargeObject(_) => large_objects.push(place),
                _ => {}
            }
        }
        self.add_large_objects(&large_objects);
        let partitions = self.partitions();
        self.connect_post_data(&partitions);
        self.add_refreshes(&partitions);
        let is_data_only = !self.options.pre_data && !self.options.post_data;
        self.order_rows_by_foreign_keys(is_data_only);
    }

    fn add_rows(
        &mut self,
        place: usize,
        object: &Object,
        (table, condition): (&Table, Option<&Option<String>>),
        naming: &NamingTypes,
    ) {
        if self.options.without_data.contains(&object.id) {
            return;
        }
        // A foreign table can only be read by a query, and to truncate one is to empty another server's.
        let is_foreign = table.foreign.is_some();
        let all = is_foreign.then(|| "WHERE true".to_owned());
        let root = self.root_to_load_through(table);
        let mut columns = table.data_columns();
        if let Some((_, root)) = root {
            // all partitions alike: rows are compared as those of the root
            let place = |name: &str| root.columns.iter().position(|column| *column.name == *name);
            columns.sort_by_key(|column| place(&column.name));
        }
        let data = TableData {
            table: QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name),
            root: root.map(|(name, _)| name.clone()),
            columns,
            condition: condition.cloned().flatten().or(all),
            has_tids: table.has_tids(),
            created_by_toc: object.extension.is_none() && self.options.pre_data && !is_foreign,
            nests_regclass: table.data_columns().iter().any(|column| naming.has(&column.type_name)),
        };
        let needs = self.plan.makers[place].and_then(|maker| self.main[maker]).into_iter().collect();
        let draft =
            Draft { create: Vec::new(), ..Draft::new(Section::Data, EntryKind::TableData, String::new()) };
        let node = self.push(object, draft, 0, needs);
        self.entries[node].weight_bytes = self.size_bytes(object);
        self.entries[node].data = Some(DataEntry::Table(Box::new(data)));
        self.data.insert(place, node);
    }

    /// The topmost partitioned table above a partition, if any of those above it would assign rows to other
    /// partitions on the target (PostgreSQL src/bin/pg_dump/pg_dump.c, `forcePartitionRootLoad`).
    fn root_to_load_through<'t>(&'t self, table: &'t Table) -> Option<(&'t QualifiedName, &'t Table)> {
        let unstable = &self.plan.catalog.unstable_hashes;
        let mut is_forced = false;
        let mut root = None;
        let mut above = table.partition_of.as_ref().filter(|_| !unstable.is_empty());
        while let Some(of) = above {
            let Some(parent) = self.plan.relation(&of.parent).map(|place| self.plan.object(place)) else {
                break;
            };
            let Body::Table(parent_table) = &parent.body else { break };
            is_forced |= unstable.contains(&parent.id.oid);
            root = Some((&of.parent, &**parent_table));
            above = parent_table.partition_of.as_ref();
        }
        root.filter(|_| is_forced)
    }

    fn size_bytes(&self, object: &Object) -> u64 {
        let size = self.plan.catalog.relation_sizes.get(&object.id.oid);
        size.map_or(0, |size| size.heap_pages * PAGE_BYTES + size.toast_bytes)
    }

    fn add_sequence_value(&mut self, place: usize, object: &Object) {
        if self.options.without_data.contains(&object.id) {
            return;
        }
        // not whose it becomes: it stands where it stood even if its table cannot be made
        let needs: Vec<usize> =
            self.plan.makers[place].and_then(|maker| self.main[maker]).into_iter().collect();
        let draft =
            Draft { create: Vec::new(), ..Draft::new(Section::Data, EntryKind::SequenceSet, String::new()) };
        self.push(object, draft, 0, needs);
    }

    fn add_large_objects(&mut self, places: &[usize]) {
        let Some(&first) = places.first() else { return };
        let draft = Draft {
            create: Vec::new(),
            ..Draft::new(Section::Data, EntryKind::LargeObjectData, String::new())
        };
        let node = self.push(self.plan.object(first), draft, 0, self.mains(places));
        let entry = &mut self.entries[node];
        EntryKind::LargeObjectData.as_str().clone_into(&mut entry.name);
        (entry.owner, entry.object, entry.data) = (None, None, Some(DataEntry::LargeObjects));
    }

    /// The direct partitions of each partitioned table.
    fn partitions(&self) -> HashMap<usize, Vec<usize>> {
        let mut partitions: HashMap<usize, Vec<usize>> = HashMap::new();
        for (place, object) in self.plan.catalog.objects.iter().enumerate() {
            if let Body::Table(table) = &object.body
                && let Some(of) = &table.partition_of
                && let Some(parent) = self.plan.relation(&of.parent)
            {
                partitions.entry(parent).or_default().push(place);
            }
        }
        partitions
    }

    /// The nodes that fill a table and its partitions.
    fn filling(&self, place: usize, partitions: &HashMap<usize, Vec<usize>>) -> Vec<usize> {
        let mut nodes = Vec::new();
        let mut open = vec![place];
        while let Some(table) = open.pop() {
            nodes.extend(self.data.get(&table));
            open.extend(partitions.get(&table).into_iter().flatten());
        }
        nodes
    }

    /// Lets indexes, constraints and the like wait for the rows of their
    /// tables, and what rests on a partitioned table's index for its completion.
    fn connect_post_data(&mut self, partitions: &HashMap<usize, Vec<usize>>) {
        for place in 0..self.plan.drafts.len() {
            let Some(main) = self.main[place] else { continue };
            let owns_index = match &self.plan.object(place).body {
                Body::Index(_) => true,
                Body::Constraint(constraint) => constraint.index.is_some(),
                _ => false,
            };
            let mut waits = Vec::new();
            let mut weight_bytes = 0;
            for &need in &self.plan.needs[place] {
                waits.extend(self.filling(need, partitions));
                if owns_index {
                    weight_bytes = weight_bytes.max(self.size_bytes(self.plan.object(need)));
                } else {
                    waits.extend(self.attachments(need));
                }
            }
            if self.entries[main].section == Section::PostData {
                self.nodes[main].needs.extend(waits);
                self.entries[main].weight_bytes = weight_bytes;
            }
        }
    }

    /// Fills materialized views after everything they read, with privileges in place.
    fn add_refreshes(&mut self, partitions: &HashMap<usize, Vec<usize>>) {
        let mut refreshes = Vec::new();
        let catalog = self.plan.catalog;
        for (place, object) in catalog.objects.iter().enumerate() {
            let Body::MaterializedView(view) = &object.body else { continue };
            let (Some(main), None) = (self.main[place], &object.extension) else { continue };
            if !view.populated || self.options.without_data.contains(&object.id) {
                continue;
            }
            let sql = MaterializedView::refresh_statement(object);
            let node = self.push(
                object,
                Draft::new(Section::PostData, EntryKind::MaterializedViewData, sql),
                0,
                vec![main],
            );
            self.data.insert(place, node);
            refreshes.push((place, node));
        }
        for (place, node) in refreshes {
            let needs = self.everything_below(place, partitions);
            self.nodes[node].needs.extend(needs.into_iter().filter(|&need| need != node));
        }
    }

    /// All nodes of all objects that one needs, directly or not.
    fn everything_below(&self, place: usize, partitions: &HashMap<usize, Vec<usize>>) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([place]);
        let mut open = vec![place];
        let mut nodes = BTreeSet::new();
        while let Some(object) = open.pop() {
            nodes.extend(self.main[object]);
            if object != place {
                nodes.extend(self.filling(object, partitions));
                nodes.extend(self.after.get(&object).into_iter().flatten());
            }
            let later = self.plan.later_needs.get(&object).into_iter().flatten();
            let shells = self.plan.shell_needs.get(&object).into_iter().flatten();
            for &need in self.plan.needs[object].iter().chain(later).chain(shells) {
                if seen.insert(need) {
                    open.push(need);
                }
            }
        }
        nodes
    }

    /// Without definitions in between, foreign keys are in force while rows
    /// arrive: referenced tables come first, as far as there is an order. So it
    /// is always with the keys of an extension's tables.
    fn order_rows_by_foreign_keys(&mut self, is_data_only: bool) {
        let mut needs: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for object in &self.plan.catalog.objects {
            let Body::Constraint(constraint) = &object.body else { continue };
            if !is_data_only && object.extension.is_none() {
                continue;
            }
            let Some(referenced) =
                constraint.referenced_table.as_ref().and_then(|name| self.plan.relation(name))
            else {
                continue;
            };
            let table = self.plan.relation(&constraint.table).and_then(|table| self.data.get(&table));
            if let (Some(&table), Some(&referenced)) = (table, self.data.get(&referenced))
                && table != referenced
            {
                needs[table].push(referenced);
            }
        }
        for members in crate::order::loops(&needs) {
            for &member in &members {
                needs[member].retain(|need| members.binary_search(need).is_err());
            }
        }
        for (node, list) in needs.into_iter().enumerate() {
            self.nodes[node].needs.extend(list);
        }
    }
}
