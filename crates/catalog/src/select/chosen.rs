//! What a selection means in one catalog, by the rules of `pg_dump`'s
//! `selectDumpable*` (PostgreSQL src/bin/pg_dump/pg_dump.c).

use std::collections::{HashMap, HashSet};

use super::patterns::{Families, Patterns, Relations, Strictness, is_relation, key, name_of};
use super::{Selection, SelectionError};
use crate::kinds::{Body, ConfigurationTable};
use crate::{Catalog, EXTENSION_OF_SERVER, Object, ObjectId, QualifiedName, Uncovered};

/// What was chosen, by name.
pub(super) struct Chosen<'a> {
    /// Whether what lies in no schema is taken.
    pub(super) everything: bool,
    /// Whether privileges on objects of the server's own are.
    pub(super) system: bool,
    schemas: HashSet<String>,
    pub(super) extensions: HashSet<String>,
    /// Relations taken, by schema and name.
    pub(super) relations: Relations<'a>,
    /// Relations that were asked for by name.
    included: Relations<'a>,
    /// Relations and schemas that were asked to be left out.
    excluded: Relations<'a>,
    excluded_schemas: HashSet<String>,
    /// Statistics of relations that are left out.
    orphans: HashSet<ObjectId>,
    /// Tables of extensions that are left out whose rows are taken all the same,
    /// because the tables or their schemas were asked for (`processExtensionTables`).
    pub(super) configuration: Vec<ConfigurationTable>,
    /// Relations of extensions that are left out.
    left_out_members: Relations<'a>,
    large_objects: bool,
    /// What is taken for the sake of what needs it.
    pub(super) needed: HashSet<ObjectId>,
}

impl<'a> Chosen<'a> {
    pub(super) fn new(selection: &'a Selection, catalog: &'a Catalog) -> Result<Self, SelectionError> {
        let names_tables = !(selection.tables.is_empty() && selection.tables_and_children.is_empty());
        let names_parts = names_tables || !selection.schemas.is_empty();
        let everything = !names_parts && selection.extensions.is_empty();
        let mut chosen = Chosen {
            everything,
            system: !names_parts,
            schemas: HashSet::new(),
            extensions: chosen_extensions(selection, catalog, everything)?,
            relations: Relations::new(),
            included: Relations::new(),
            excluded: Relations::new(),
            excluded_schemas: HashSet::new(),
            orphans: HashSet::new(),
            configuration: Vec::new(),
            left_out_members: Relations::new(),
            large_objects: selection.large_objects.unwrap_or(everything) && selection.data,
            needed: HashSet::new(),
        };
        chosen.choose_schemas(selection, catalog, names_tables)?;
        chosen.choose_relations(selection, catalog, names_tables)?;
        chosen.find_orphans(catalog);
        chosen.choose_configuration(selection, catalog);
        chosen.find_left_out_members(catalog);
        Ok(chosen)
    }

    /// The schemas whose contents are taken.
    fn choose_schemas(
        &mut self,
        selection: &Selection,
        catalog: &Catalog,
        names_tables: bool,
    ) -> Result<(), SelectionError> {
        let names = catalog.objects.iter().filter(|object| matches!(object.body, Body::Schema(_)));
        let names = names.map(|object| object.name.as_str());
        let (every, plain) = selection.strictness();
        let included = Patterns::parse("--schema", &selection.schemas, 1, catalog, every)?;
        let included = included.names(names.clone())?;
        let excluded = Patterns::parse("--exclude-schema", &selection.exclude_schemas, 1, catalog, plain)?;
        self.excluded_schemas = excluded.names(names.clone())?;
        if names_tables {
            return Ok(());
        }
        let wanted = |name: &&str| selection.schemas.is_empty() || included.contains(*name);
        let wanted = names.filter(wanted).filter(|name| !self.excluded_schemas.contains(*name));
        self.schemas = wanted.map(str::to_owned).collect();
        Ok(())
    }

    fn choose_relations(
        &mut self,
        selection: &Selection,
        catalog: &'a Catalog,
        names_tables: bool,
    ) -> Result<(), SelectionError> {
        let families = Families::new(catalog);
        let (every, plain) = selection.strictness();
        let find = |option, texts, strictness| {
            let patterns = Patterns::parse(option, texts, 3, catalog, strictness)?;
            patterns.along(selection.visible_schemas.as_deref()).relations(&families.relations)
        };
        self.included = find("--table", &selection.tables, every)?;
        let parents = find("--table-and-children", &selection.tables_and_children, every)?;
        self.included.extend(families.with_descendants(parents));
        self.excluded = find("--exclude-table", &selection.exclude_tables, plain)?;
        let parents = find("--exclude-table-and-children", &selection.exclude_tables_and_children, plain)?;
        self.excluded.extend(families.with_descendants(parents));
        for object in catalog.objects.iter().filter(|object| is_relation(object)) {
            let name = name_of(object);
            let wanted = match names_tables {
                true => self.included.contains(&name),
                false => self.schemas.contains(name.0),
            };
            let is_of_the_original = || {
                let is_sequence = matches!(object.body, Body::Sequence(_)) && !selection.sequences.is_empty();
                is_sequence && selection.sequences.contains(&(name.0.to_owned(), name.1.to_owned()))
            };
            if (wanted || is_of_the_original()) && !self.excluded.contains(&name) {
                self.relations.insert(name);
            }
            // An identity column's sequence is nothing without its table.
            if let Body::Sequence(sequence) = &object.body
                && sequence.owned_by.as_ref().is_some_and(|owner| owner.identity.is_some())
            {
                self.relations.remove(&name);
            }
        }
        self.add_owned_sequences(catalog);
        Ok(())
    }

    /// Takes what the chosen objects need, and what that needs in turn. A table that is needed comes with its
    /// rows, keys and indexes, a member of an extension with the extension.
    pub(super) fn add_dependencies(&mut self, catalog: &'a Catalog) {
        let objects: HashMap<ObjectId, &'a Object> =
            catalog.objects.iter().map(|object| (object.id, object)).collect();
        loop {
            let kept: HashSet<ObjectId> =
                catalog.objects.iter().filter(|object| self.keeps(object)).map(|object| object.id).collect();
            let edges = catalog.dependencies.iter().filter(|edge| kept.contains(&edge.dependent));
            let needed: HashSet<ObjectId> =
                edges.map(|edge| edge.referenced).filter(|id| !kept.contains(id)).collect();
            let mut is_more = false;
            for object in needed.iter().filter_map(|id| objects.get(id).copied()) {
                is_more |= match &object.extension {
                    Some(extension) => self.extensions.insert(extension.to_string()),
                    None if is_relation(object) => {
                        self.relations.insert(name_of(object)) | self.needed.insert(object.id)
                    }
                    None => self.needed.insert(object.id),
                };
            }
            is_more |= self.add_owned_sequences(catalog);
            if !is_more {
                return;
            }
        }
    }

    /// Takes the sequences of the columns of tables that are taken; returns whether there were more. An identity
    /// column is none without its sequence, which needs the table rather than the other way round.
    pub(super) fn add_owned_sequences(&mut self, catalog: &'a Catalog) -> bool {
        let owned = catalog.objects.iter().filter(|object| match &object.body {
            Body::Sequence(sequence) => {
                sequence.owned_by.as_ref().is_some_and(|owner| self.takes(&owner.table))
            }
            _ => false,
        });
        let owned: Vec<_> = owned.map(name_of).collect();
        let before = self.relations.len();
        self.relations.extend(owned);
        self.relations.len() > before
    }

    /// Statistics are of no use without the table they are about.
    fn find_orphans(&mut self, catalog: &Catalog) {
        let is_left_out =
            |object: &&Object| is_relation(object) && !self.relations.contains(&name_of(object));
        let left_out: HashSet<ObjectId> =
            catalog.objects.iter().filter(is_left_out).map(|object| object.id).collect();
        let edges = catalog.dependencies.iter().filter(|edge| left_out.contains(&edge.referenced));
        let dependents: HashSet<ObjectId> = edges.map(|edge| edge.dependent).collect();
        let statistics = catalog.objects.iter().filter(|object| matches!(object.body, Body::Statistics(_)));
        self.orphans = statistics.map(|object| object.id).filter(|id| dependents.contains(id)).collect();
    }

    fn takes(&self, table: &QualifiedName) -> bool {
        self.relations.contains(&key(table))
    }

    /// Objects that point at others left behind, without that: a publication's tables and
    /// schemas, a sequence's owner, rows of an extension's tables. Each with its place.
    pub(super) fn trimmed(&self, objects: &[Object]) -> Vec<(usize, Object)> {
        let trim = |(place, object): (usize, &Object)| {
            let trimmed = self.trim(object)?;
            (trimmed != *object).then_some((place, trimmed))
        };
        objects.iter().enumerate().filter(|(_, object)| object.extension.is_none()).filter_map(trim).collect()
    }

    fn trim(&self, object: &Object) -> Option<Object> {
        let mut trimmed = match object.body {
            Body::Publication(_) | Body::Sequence(_) | Body::Extension(_) => object.clone(),
            _ => return None,
        };
        match &mut trimmed.body {
            Body::Publication(publication) => {
                publication.tables.retain(|entry| self.takes(&entry.table));
                publication.schemas.retain(|schema| self.schemas.contains(schema.as_str()));
            }
            Body::Sequence(sequence) => {
                sequence.owned_by = sequence.owned_by.take().filter(|owner| self.takes(&owner.table));
            }
            Body::Extension(extension) => {
                extension.configuration.retain(|table| !self.excludes(table));
            }
            _ => {}
        }
        Some(trimmed)
    }

    fn choose_configuration(&mut self, selection: &Selection, catalog: &Catalog) {
        // all of them are taken where none was asked for
        let names_schemas = !selection.schemas.is_empty();
        let left_out = catalog.objects.iter().filter(|object| !self.extensions.contains(&object.name));
        let tables = left_out.filter_map(|object| match &object.body {
            Body::Extension(extension) => Some(&extension.configuration),
            _ => None,
        });
        let is_named = |table: &&ConfigurationTable| {
            self.included.contains(&(table.schema.as_str(), table.name.as_str()))
                || names_schemas && self.schemas.contains(&table.schema)
        };
        let chosen = tables.flatten().filter(is_named).filter(|table| !self.excludes(table));
        self.configuration = chosen.cloned().collect();
    }

    /// What is on such a relation goes the way of its extension.
    fn find_left_out_members(&mut self, catalog: &'a Catalog) {
        let is_left_out = |object: &&Object| {
            is_relation(object)
                && object.extension.as_ref().is_some_and(|name| !self.extensions.contains(name.as_str()))
        };
        self.left_out_members = catalog.objects.iter().filter(is_left_out).map(name_of).collect();
    }

    /// Whether it is a table of an extension's that only rows are taken of.
    fn has_rows_of(&self, object: &Object) -> bool {
        let is_same = |table: &ConfigurationTable| {
            (table.schema.as_str(), table.name.as_str()) == name_of(object) && is_relation(object)
        };
        self.configuration.iter().any(is_same)
    }

    fn excludes(&self, table: &ConfigurationTable) -> bool {
        self.excluded.contains(&(table.schema.as_str(), table.name.as_str()))
            || self.excluded_schemas.contains(&table.schema)
    }

    /// Whether an object that the model does not cover would have to be there: by the same rules, as
    /// part of something that is kept, by its schema, or as one of everything.
    pub(super) fn keeps_uncovered(&self, object: &Uncovered, kept: &HashSet<ObjectId>) -> bool {
        let Some(place) = &object.place else { return true };
        if !place.part_of.is_empty() {
            return place.part_of.iter().any(|whole| kept.contains(whole));
        }
        match &place.schema {
            Some(schema) if self.everything => !self.excluded_schemas.contains(schema),
            Some(schema) => self.schemas.contains(schema),
            None => self.everything,
        }
    }

    pub(super) fn keeps(&self, object: &Object) -> bool {
        if let Some(extension) = &object.extension {
            return self.extensions.contains(extension.as_str()) || self.has_rows_of(object);
        }
        if self.needed.contains(&object.id) {
            return true;
        }
        match &object.body {
            Body::Schema(_) => self.schemas.contains(&object.name),
            Body::Extension(_) => self.extensions.contains(&object.name),
            Body::LargeObject(_) => self.large_objects,
            Body::ColumnDefault(default) => self.takes(&default.table),
            Body::Constraint(constraint) => self.takes(&constraint.table),
            Body::Index(index) => self.takes(&index.table),
            Body::Trigger(trigger) => self.takes(&trigger.table),
            Body::Rule(rule) => self.takes(&rule.table),
            Body::Policy(policy) => {
                self.takes(&policy.table) && !self.left_out_members.contains(&key(&policy.table))
            }
            _ if is_relation(object) => self.relations.contains(&name_of(object)),
            _ if self.orphans.contains(&object.id) => false,
            Body::OperatorFamily(family) if family.added_to.is_some() => {
                let extension = family.added_to.as_deref().unwrap_or_default();
                self.everything && self.extensions.contains(extension)
            }
            // what was added to the server's own operator families
            _ if object.schema.as_deref() == Some("pg_catalog") => self.everything,
            _ => object
                .schema
                .as_ref()
                .map_or(self.everything, |schema| self.schemas.contains(schema.as_str())),
        }
    }
}

fn chosen_extensions(
    selection: &Selection,
    catalog: &Catalog,
    everything: bool,
) -> Result<HashSet<String>, SelectionError> {
    let names = catalog.objects.iter().filter(|object| matches!(object.body, Body::Extension(_)));
    let names = names.map(|object| object.name.as_str());
    let (every, plain) = selection.strictness();
    let find = |option, texts, strictness: Strictness| {
        Patterns::parse(option, texts, 1, catalog, strictness)?.names(names.clone())
    };
    let mut chosen = find("--extension", &selection.extensions, every)?;
    chosen.extend(find("include extension", &selection.filter_extensions, every)?);
    if selection.extensions.is_empty() && selection.filter_extensions.is_empty() && everything {
        chosen.extend(names.clone().map(str::to_owned));
        // what a user has made a member of it is looked for as with any other
        chosen.insert(EXTENSION_OF_SERVER.to_owned());
    }
    let excluded = find("--exclude-extension", &selection.exclude_extensions, plain)?;
    chosen.retain(|name| !excluded.contains(name));
    Ok(chosen)
}
