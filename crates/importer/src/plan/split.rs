//! Entries done in two steps, so that less waits for their locks.
//!
//! A key's index is built under a lock that lets other indexes of the table be built beside it; the
//! constraint then adopts the index in no time. A foreign key is added unvalidated, and validated under
//! locks that let other foreign keys to the same table be validated beside it. What is there at the end is
//! what one statement makes. For small tables a step more costs more than it saves.

use std::collections::{BTreeMap, HashMap};

use dbhaul_catalog::{EntryKind, ObjectId, QualifiedName, Toc, TocEntry};

use crate::plan::touched_tables::TouchedTables;

/// Tables with fewer bytes are left alone.
const LEAST_BYTES: u64 = 8 << 20;

/// How an entry is done in two steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Split {
    /// Before the entry itself its index is built.
    Build {
        /// What builds it.
        build: String,
        /// What takes the place of the entry's first statement.
        adopt: String,
    },
    /// After the entry itself it is validated.
    Validate {
        /// What takes the place of the entry's only statement.
        add: String,
        /// What validates it.
        validate: String,
        /// The table that is read; the other one is only looked up.
        referencing: ObjectId,
    },
}

/// The entries worth splitting. Decided by the TOC and the bytes of rows alone, so that a resumed run
/// decides alike.
pub(crate) fn splits(
    toc: &Toc,
    touched_tables: &TouchedTables,
    segments: &BTreeMap<u32, Vec<u64>>,
) -> BTreeMap<u32, Split> {
    let mut bytes: HashMap<ObjectId, u64> = HashMap::new();
    let mut indexes: HashMap<ObjectId, usize> = HashMap::new();
    let mut tables: HashMap<String, ObjectId> = HashMap::new();
    for entry in &toc.entries {
        if let Some(segments) = segments.get(&entry.id) {
            *bytes.entry(TouchedTables::key(entry)).or_default() += segments.iter().sum::<u64>();
        }
        if let (EntryKind::Table, Some(schema)) = (entry.kind, &entry.schema) {
            tables.insert(QualifiedName::new(schema, &entry.name).sql(), TouchedTables::key(entry));
        }
        if matches!(entry.kind, EntryKind::Index | EntryKind::Constraint) {
            touched_tables.tables(entry.id).for_each(|table| *indexes.entry(table).or_default() += 1);
        }
    }
    let is_large = |table: &ObjectId| bytes.get(table).is_some_and(|bytes| *bytes >= LEAST_BYTES);
    let split = |entry: &TocEntry| match entry.kind {
        EntryKind::Constraint => {
            let has_more = |table: &ObjectId| indexes.get(table).is_some_and(|count| *count > 1);
            let is_worth = touched_tables.tables(entry.id).any(|table| is_large(&table) && has_more(&table));
            let adoption = entry.adoption.as_ref().filter(|_| is_worth)?;
            Some(Split::Build { build: adoption.build.clone(), adopt: adoption.adopt.clone() })
        }
        EntryKind::ForeignKey => {
            // of partitioned tables the parts have rows of their own in the catalogs, which a later
            // validation of the whole does not reach on every version
            let is_plain = touched_tables.with_descendants(touched_tables.tables(entry.id)).len()
                == touched_tables.tables(entry.id).count();
            validation(entry, &tables)
                .filter(|split| is_plain && split.referencing().is_some_and(|table| is_large(&table)))
        }
        _ => None,
    };
    toc.entries.iter().filter_map(|entry| Some((entry.id, split(entry)?))).collect()
}

impl Split {
    /// The table whose rows are validated, if that is what is done.
    pub(crate) fn referencing(&self) -> Option<ObjectId> {
        match self {
            Split::Validate { referencing, .. } => Some(*referencing),
            Split::Build { .. } => None,
        }
    }
}

/// How a foreign key is validated by itself, unless it is not to be validated at all.
fn validation(entry: &TocEntry, tables: &HashMap<String, ObjectId>) -> Option<Split> {
    let [create] = entry.create.as_slice() else { return None };
    let drop = entry.drop.as_ref()?;
    let table = drop.command.strip_prefix("ALTER TABLE ONLY ")?.strip_suffix(" DROP CONSTRAINT")?;
    if create.ends_with(" NOT VALID") || create.ends_with(" NOT ENFORCED") {
        return None;
    }
    Some(Split::Validate {
        add: format!("{create} NOT VALID"),
        validate: format!("ALTER TABLE ONLY {table} VALIDATE CONSTRAINT {}", drop.object),
        referencing: *tables.get(table)?,
    })
}
