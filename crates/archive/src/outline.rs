//! The table of contents as far as a restore by the catalog relies on it, and what all three agree on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use dbhaul_catalog::kinds::{Body, ConstraintType};
use dbhaul_catalog::{
    Catalog, DataEntry, EntryKind, ObjectId, QualifiedName, Section, SharedText, Target, Toc, TocOptions,
};
use serde::Deserialize;

use crate::{ArchiveError, Manifest, TableEntry, TableKind};

/// The stored table of contents without its statements: in a large database those take more memory than all
/// else.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct TocOutline {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Entry {
    id: u32,
    section: Section,
    kind: SharedText,
    #[serde(default)]
    schema: Option<SharedText>,
    name: String,
    #[serde(default)]
    object: Option<ObjectId>,
    #[serde(default)]
    data: Option<DataEntry>,
}

/// What an entry makes, by its schema and its own name.
type SchemaAndName<'a> = (Option<&'a str>, &'a str);

/// What the rows of an entry are of.
type Rows = Option<QualifiedName>;

impl Manifest {
    /// Compares the manifest, the catalog and the table of contents with each other: whatever has rows stands in
    /// all three, once, and what one names the others know.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedDocument`] or [`ArchiveError::DamagedManifest`], naming the object.
    pub fn check_contents(&self, catalog: &Catalog, toc: &TocOutline) -> Result<(), ArchiveError> {
        let document = |document: &str| {
            let document = document.to_owned();
            move |reason| ArchiveError::DamagedDocument { document, reason }
        };
        check_catalog(catalog).map_err(document("catalog"))?;
        toc.check_numbers().map_err(document("table of contents"))?;
        let key = self.key().to_string();
        let damaged = |reason| ArchiveError::DamagedManifest { key, reason };
        self.check_source(catalog).and_then(|()| self.check_tables(toc)).map_err(damaged)?;
        self.compare(catalog, toc).map_err(document("table of contents"))
    }

    fn check_source(&self, catalog: &Catalog) -> Result<(), String> {
        let (source, database) = (&self.source, &catalog.database);
        if source.server_version_num != catalog.server_version || source.encoding != database.encoding {
            return Err(format!(
                "it is of PostgreSQL {} in {}, its catalog of {} in {}",
                source.server_version_num, source.encoding, catalog.server_version, database.encoding
            ));
        }
        let sequences: HashSet<(&str, &str)> = catalog
            .objects
            .iter()
            .filter(|object| matches!(object.body, Body::Sequence(_)))
            .map(|object| (object.schema.as_deref().unwrap_or_default(), object.name.as_str()))
            .collect();
        let unknown = |(schema, name): &(&str, &str)| !sequences.contains(&(*schema, *name));
        let positions = self.sequences.iter().map(|value| (value.schema.as_str(), value.name.as_str()));
        // a selection leaves sequences out of the catalog, and not their positions
        let mut strays = positions.filter(unknown).filter(|_| self.selection.is_empty());
        match strays.next() {
            None => Ok(()),
            Some((schema, name)) => Err(format!(
                "it has the position of sequence {schema}.{name}, which its catalog does not have"
            )),
        }
    }

    /// Each entry with rows of the table of contents has its rows in the manifest, and the reverse.
    fn check_tables(&self, toc: &TocOutline) -> Result<(), String> {
        let mut without_rows: BTreeMap<u32, &Entry> =
            toc.entries.iter().filter(|entry| entry.data.is_some()).map(|entry| (entry.id, entry)).collect();
        for table in &self.tables {
            let name = table.qualified_name();
            let id = table.toc_id.ok_or_else(|| format!("table {name} has no number of an entry"))?;
            let entry = without_rows.remove(&id).ok_or_else(|| {
                format!("table {name} is to fill entry {id} of the table of contents, which has no rows or is filled twice")
            })?;
            check_columns(table, entry).map_err(|reason| format!("table {name}: {reason}"))?;
        }
        match without_rows.values().next() {
            None => Ok(()),
            Some(entry) => Err(format!("it lacks the rows of {}", entry.rows_of())),
        }
    }

    /// The objects of the catalog are those of the table of contents. Which of them have entries is found by making
    /// a table of contents anew.
    fn compare(&self, catalog: &Catalog, toc: &TocOutline) -> Result<(), String> {
        let target = Target { version: catalog.server_version };
        let options = TocOptions { with_foreign_data: toc.foreign_tables(catalog), ..TocOptions::default() };
        let expected = Toc::build(catalog, &target, &options).map_err(|error| error.to_string())?;
        let known: HashSet<ObjectId> = catalog.objects.iter().map(|object| object.id).collect();
        let stray = |entry: &&Entry| entry.object.is_some_and(|object| !known.contains(&object));
        if let Some(entry) = toc.entries.iter().find(stray) {
            let what = match &entry.data {
                Some(data) => described(&rows(data)),
                None => format!("entry {}, {}", entry.id, entry.what()),
            };
            return Err(format!("the catalog does not have the object of {what}"));
        }
        let found: BTreeSet<ObjectId> = toc.entries.iter().filter_map(|entry| entry.object).collect();
        let is_whole = self.selection.is_empty();
        let sections: BTreeSet<Section> = toc.entries.iter().map(|entry| entry.section).collect();
        let is_due = |entry: &&dbhaul_catalog::TocEntry| match is_whole {
            true => true,
            false => entry.kind == EntryKind::Table && sections.contains(&entry.section),
        };
        let mut missing = expected
            .entries
            .iter()
            .filter(is_due)
            .filter(|entry| entry.object.is_some_and(|object| !found.contains(&object)));
        if let Some(entry) = missing.next() {
            return Err(format!("it lacks {} {}, which the catalog has", entry.kind, entry.name));
        }
        toc.check_names(&expected)?;
        if !is_whole {
            return Ok(());
        }
        let found: HashSet<Rows> =
            toc.entries.iter().filter_map(|entry| Some(rows(entry.data.as_ref()?))).collect();
        let mut missing = expected.entries.iter().filter_map(|entry| Some(rows(entry.data.as_ref()?)));
        match missing.find(|name| !found.contains(name)) {
            None => Ok(()),
            Some(name) => Err(format!("it lacks the rows of {}, which the catalog has", described(&name))),
        }
    }
}

impl TocOutline {
    fn check_numbers(&self) -> Result<(), String> {
        let wrong = (1..).zip(&self.entries).find(|(number, entry)| entry.id != *number);
        if let Some((number, entry)) = wrong {
            return Err(format!("entry {number} has the number {}", entry.id));
        }
        let mut seen = HashSet::new();
        let mut data = self.entries.iter().filter_map(|entry| Some((entry, entry.data.as_ref()?)));
        match data.find(|(_, data)| !seen.insert(rows(data))) {
            None => Ok(()),
            Some((entry, _)) => Err(format!("two entries have the rows of {}", entry.rows_of())),
        }
    }

    /// What an entry makes has the name that the object has in the catalog.
    fn check_names(&self, expected: &Toc) -> Result<(), String> {
        let mut names: HashMap<(ObjectId, &str), Vec<SchemaAndName<'_>>> = HashMap::new();
        for entry in &expected.entries {
            let Some(object) = entry.object else { continue };
            let name = (entry.schema.as_deref(), entry.name.as_str());
            names.entry((object, entry.kind.as_str())).or_default().push(name);
        }
        let is_other = |entry: &&Entry| {
            let known = entry.object.and_then(|object| names.get(&(object, &*entry.kind)));
            known.is_some_and(|known| !known.contains(&(entry.schema.as_deref(), entry.name.as_str())))
        };
        match self.entries.iter().find(is_other) {
            None => Ok(()),
            Some(entry) => Err(format!("the catalog has another name for {}", entry.what())),
        }
    }

    /// Foreign tables whose rows were taken, as asked.
    fn foreign_tables(&self, catalog: &Catalog) -> BTreeSet<ObjectId> {
        let filled: HashSet<ObjectId> = self
            .entries
            .iter()
            .filter(|entry| entry.data.is_some())
            .filter_map(|entry| entry.object)
            .collect();
        let is_foreign = |object: &&dbhaul_catalog::Object| match &object.body {
            Body::Table(table) => table.foreign.is_some(),
            _ => false,
        };
        let foreign = catalog.objects.iter().filter(is_foreign).map(|object| object.id);
        foreign.filter(|id| filled.contains(id)).collect()
    }
}

impl Entry {
    fn what(&self) -> String {
        let schema = self.schema.as_ref().map(|schema| format!("{schema}.")).unwrap_or_default();
        format!("{} {schema}{}", self.kind, self.name)
    }

    fn rows_of(&self) -> String {
        self.data.as_ref().map_or_else(|| format!("entry {}", self.id), |data| described(&rows(data)))
    }
}

fn rows(data: &DataEntry) -> Rows {
    match data {
        DataEntry::Table(table) => Some(table.table.clone()),
        DataEntry::LargeObjects => None,
    }
}

fn described(rows: &Rows) -> String {
    rows.as_ref().map_or_else(|| "large objects".to_owned(), |name| format!("table {}", name.sql()))
}

/// The entry is the table's, and has the columns that its rows have.
fn check_columns(table: &TableEntry, entry: &Entry) -> Result<(), String> {
    match (table.kind, &entry.data) {
        (TableKind::LargeObjects, Some(DataEntry::LargeObjects)) => Ok(()),
        (TableKind::Table, Some(DataEntry::Table(data)))
            if *data.table.schema == *table.schema && *data.table.name == *table.name =>
        {
            let columns = data.columns.iter().map(|column| column.name.as_str());
            match columns.eq(table.digest_spec.columns.iter().map(|column| column.name.as_str())) {
                true => Ok(()),
                false => Err("its columns are not those of the table of contents".to_owned()),
            }
        }
        _ => Err(format!("entry {} of the table of contents has the rows of {}", entry.id, entry.rows_of())),
    }
}

/// No object, and no table by its name, stands in the catalog twice.
fn check_catalog(catalog: &Catalog) -> Result<(), String> {
    let mut ids: HashMap<ObjectId, &str> = HashMap::with_capacity(catalog.objects.len());
    let mut relations = HashSet::new();
    for object in &catalog.objects {
        if let Some(other) = ids.insert(object.id, &object.name) {
            return Err(format!("{} and {} are the same object", object.sql_name(), other));
        }
        let is_relation = matches!(object.body, Body::Table(_) | Body::Sequence(_));
        if is_relation && !relations.insert((object.schema.as_deref().unwrap_or_default(), &object.name)) {
            return Err(format!("it has two relations {}", object.sql_name()));
        }
    }
    Ok(())
}

/// The tables of a catalog that have a primary key: no row of theirs is there twice.
#[must_use]
pub fn tables_with_primary_key(catalog: &Catalog) -> HashSet<(String, String)> {
    let table = |object: &dbhaul_catalog::Object| match &object.body {
        Body::Constraint(key) if key.constraint_type == ConstraintType::PrimaryKey => {
            Some((key.table.schema.to_string(), key.table.name.to_string()))
        }
        _ => None,
    };
    catalog.objects.iter().filter_map(table).collect()
}
