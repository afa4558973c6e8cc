//! What of a database is meant: selection by `pg_dump`'s options and rules.

mod chosen;
mod pattern;
mod patterns;
mod tablespaces;
mod taken;
mod torn;
mod unfilled;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::kinds::Body;
use crate::{Catalog, EntryKind, ObjectId, QualifiedName, TocOptions};
use chosen::Chosen;
use patterns::{Families, Patterns, Relations, Strictness, name_of};
pub use tablespaces::Tablespaces;
pub use taken::Taken;

/// What of a database is meant, in the words of `pg_dump`'s options.
///
/// Patterns follow `pg_dump`'s rules: `*` and `?` as wildcards, letters folded
/// to lower case unless quoted, a dot between schema and name. With `tables`
/// nothing but those relations and what is part of them is selected; with
/// `schemas` what lies in them; kinds that lie in no schema come only where
/// neither is given. Unlike `pg_dump`, and as with its `--strict-names`, a pattern
/// that matches nothing is an error; only what is to be left out may be a pattern
/// with wildcards that matches nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// `-n`: patterns of schemas to take.
    pub schemas: Vec<String>,
    /// `-N`: patterns of schemas to leave out.
    pub exclude_schemas: Vec<String>,
    /// `-t`: patterns of tables, views, materialized views, sequences and foreign tables to take.
    pub tables: Vec<String>,
    /// `--table-and-children`: as `tables`, with all partitions and heirs.
    pub tables_and_children: Vec<String>,
    /// `-T`: patterns of such relations to leave out.
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-and-children`: as `exclude_tables`, with all partitions and heirs.
    pub exclude_tables_and_children: Vec<String>,
    /// `--exclude-table-data`: patterns of tables whose rows are left out, of sequences whose positions and
    /// of materialized views whose filling is.
    pub exclude_table_data: Vec<String>,
    /// `--exclude-table-data-and-children`: as `exclude_table_data`, with all partitions and heirs.
    pub exclude_table_data_and_children: Vec<String>,
    /// `--extension`: patterns of extensions to take.
    pub extensions: Vec<String>,
    /// `include extension` of a filter file: patterns of extensions to take, beside all else.
    pub filter_extensions: Vec<String>,
    /// `--exclude-extension`: patterns of extensions to leave out.
    pub exclude_extensions: Vec<String>,
    /// `--include-foreign-data`: patterns of foreign servers whose tables' rows are taken.
    pub foreign_data: Vec<String>,
    /// Definitions that stand before the rows.
    pub pre_data: bool,
    /// Rows.
    pub data: bool,
    /// Definitions that stand behind the rows.
    pub post_data: bool,
    /// Owners.
    pub owners: bool,
    /// Privileges.
    pub privileges: bool,
    /// Comments.
    pub comments: bool,
    /// Security labels.
    pub security_labels: bool,
    /// Row-security policies.
    pub policies: bool,
    /// Publications.
    pub publications: bool,
    /// Subscriptions.
    pub subscriptions: bool,
    /// Large objects; `None` takes them where everything is taken.
    pub large_objects: Option<bool>,
    /// Whether what the selected objects need is selected too.
    pub with_dependencies: bool,
    /// Where the copy's tables and indexes go.
    pub tablespaces: Tablespaces,
    /// Whether it is applied to a copy that was made with it: there nothing need match.
    pub is_for_copy: bool,
    /// For a copy: the schemas in which the original looks up names without schema, whatever the copy's own
    /// path is.
    pub visible_schemas: Option<Vec<String>>,
    /// For a copy of a selection with dependencies: what of the original it took. What the copy's own objects need
    /// may be something else.
    pub taken: Option<Taken>,
    /// For a copy: the sequences that were taken of the original, by schema and name. The tables that own them may be
    /// missing from the copy.
    pub sequences: BTreeSet<(String, String)>,
}

impl Default for Selection {
    /// Everything.
    fn default() -> Self {
        Selection {
            schemas: Vec::new(),
            exclude_schemas: Vec::new(),
            tables: Vec::new(),
            tables_and_children: Vec::new(),
            exclude_tables: Vec::new(),
            exclude_tables_and_children: Vec::new(),
            exclude_table_data: Vec::new(),
            exclude_table_data_and_children: Vec::new(),
            extensions: Vec::new(),
            filter_extensions: Vec::new(),
            exclude_extensions: Vec::new(),
            foreign_data: Vec::new(),
            pre_data: true,
            data: true,
            post_data: true,
            owners: true,
            privileges: true,
            comments: true,
            security_labels: true,
            policies: true,
            publications: true,
            subscriptions: true,
            large_objects: None,
            with_dependencies: false,
            tablespaces: Tablespaces::default(),
            is_for_copy: false,
            visible_schemas: None,
            taken: None,
            sequences: BTreeSet::new(),
        }
    }
}

/// Why a selection cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// A pattern that cannot be read.
    #[error("{option} {pattern}: {problem}")]
    BadPattern {
        /// The option it was given with.
        option: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A pattern that names another database.
    #[error("{option} {pattern}: cross-database references are not implemented")]
    OtherDatabase {
        /// The option it was given with.
        option: &'static str,
        /// The pattern.
        pattern: String,
    },
    /// A pattern that nothing in the database matches.
    #[error("{option} {pattern}: no match in database {database}")]
    NoMatch {
        /// The option it was given with.
        option: &'static str,
        /// The pattern.
        pattern: String,
        /// The database.
        database: String,
    },
}

impl Selection {
    /// The options as they would be typed; empty for the whole database.
    pub fn describe(&self) -> Vec<String> {
        let patterns = [
            ("--schema", &self.schemas),
            ("--exclude-schema", &self.exclude_schemas),
            ("--table", &self.tables),
            ("--table-and-children", &self.tables_and_children),
            ("--exclude-table", &self.exclude_tables),
            ("--exclude-table-and-children", &self.exclude_tables_and_children),
            ("--exclude-table-data", &self.exclude_table_data),
            ("--exclude-table-data-and-children", &self.exclude_table_data_and_children),
            ("--extension", &self.extensions),
            ("include extension", &self.filter_extensions),
            ("--exclude-extension", &self.exclude_extensions),
            ("--include-foreign-data", &self.foreign_data),
        ];
        let with = |(option, list): (&str, &Vec<String>)| -> Vec<String> {
            list.iter().map(|pattern| format!("{option}={pattern}")).collect()
        };
        let mut options: Vec<String> = patterns.into_iter().flat_map(with).collect();
        for (section, wanted) in
            [("pre-data", self.pre_data), ("data", self.data), ("post-data", self.post_data)]
        {
            if wanted && !(self.pre_data && self.data && self.post_data) {
                options.push(format!("--section={section}"));
            }
        }
        for (option, wanted) in [
            ("--no-owner", self.owners),
            ("--no-privileges", self.privileges),
            ("--no-comments", self.comments),
            ("--no-security-labels", self.security_labels),
            ("--no-policies", self.policies),
            ("--no-publications", self.publications),
            ("--no-subscriptions", self.subscriptions),
            ("--no-large-objects", self.large_objects != Some(false)),
            ("--large-objects", self.large_objects != Some(true)),
            ("--no-tablespaces", !self.tablespaces.none),
            ("--with-dependencies", !self.with_dependencies),
        ] {
            if !wanted {
                options.push(option.to_owned());
            }
        }
        let mapped = self.tablespaces.map.iter();
        options.extend(mapped.map(|(old, new)| format!("--tablespace-map={old}={new}")));
        options
    }

    /// The same for a copy of `original` that was made with it: names there are the mapped ones, what was
    /// left out is not there to be matched, patterns without schema mean what they mean in the original, whose own
    /// search path only `--create` carries, and what is taken as a dependency is what the original's objects need.
    /// `original` is the selected part of it.
    #[must_use]
    pub fn for_copy_of(&self, original: &Catalog) -> Self {
        let tablespaces = Tablespaces { none: self.tablespaces.none, ..Tablespaces::default() };
        let visible_schemas = Some(patterns::visible_schemas(original));
        let taken = self.with_dependencies.then(|| Taken::of(original));
        let sequences = original.objects.iter().filter(|object| matches!(object.body, Body::Sequence(_)));
        let sequences =
            sequences.map(name_of).map(|(schema, name)| (schema.to_owned(), name.to_owned())).collect();
        Selection { is_for_copy: true, visible_schemas, tablespaces, taken, sequences, ..self.clone() }
    }

    /// How strict patterns of what to take are, and those of what to leave out.
    fn strictness(&self) -> (Strictness, Strictness) {
        match self.is_for_copy {
            true => (Strictness::None, Strictness::None),
            false => (Strictness::Every, Strictness::Plain),
        }
    }

    /// The selected part of a catalog.
    ///
    /// # Errors
    /// A pattern that cannot be read, or that matches nothing.
    pub fn apply(&self, catalog: &Catalog) -> Result<Catalog, SelectionError> {
        self.narrow(catalog.clone())
    }

    /// Leaves the selected part of a catalog, without a second copy of a large one.
    ///
    /// # Errors
    /// A pattern that cannot be read, or that matches nothing.
    pub fn narrow(&self, mut selected: Catalog) -> Result<Catalog, SelectionError> {
        let mut chosen = Chosen::new(self, &selected)?;
        match &self.taken {
            Some(taken) => chosen.add_taken(taken, &selected),
            None if self.with_dependencies => chosen.add_dependencies(&selected),
            None => {}
        }
        let (every, plain) = self.strictness();
        self.without_data(&selected, plain)?;
        self.with_foreign_data(&selected, every)?;
        let keeps: Vec<bool> = selected.objects.iter().map(|object| chosen.keeps(object)).collect();
        let trimmed = chosen.trimmed(&selected.objects);
        let kept = selected.objects.iter().zip(&keeps).filter(|(_, keeps)| **keeps);
        let kept: HashSet<ObjectId> = kept.map(|(object, _)| object.id).collect();
        let unselected = unselected(&selected, &kept);
        let left_out = tables_left_out(&selected, &kept);
        // one that was torn before stays so
        let torn = torn::torn(&selected, |id| kept.contains(id));
        let uncovered = selected.uncovered.iter().filter(|object| chosen.keeps_uncovered(object, &kept));
        let uncovered = uncovered.cloned().collect();
        let (configuration, system, everything) = (chosen.configuration, chosen.system, chosen.everything);
        selected.uncovered = uncovered;
        selected.torn_families.extend(torn);
        selected.unselected = unselected;
        for (place, object) in trimmed {
            selected.objects[place] = object;
        }
        let mut keeps = keeps.into_iter();
        selected.objects.retain(|_| keeps.next().unwrap_or_default());
        selected
            .dependencies
            .retain(|edge| kept.contains(&edge.dependent) && kept.contains(&edge.referenced));
        selected.notes.retain(|note| {
            kept.contains(&note.object) && !note.tables.iter().any(|table| left_out.contains(table))
        });
        selected.initial_acls.retain(|item| kept.contains(&item.object));
        selected.configuration.extend(configuration);
        if !system {
            selected.system_privileges.clear();
        }
        if !everything {
            selected.database.given.plpgsql = None;
        }
        self.tablespaces.apply(&mut selected);
        selected.gather_role_names();
        Ok(selected)
    }

    /// What a TOC of a catalog that the selection was applied to shall hold.
    ///
    /// # Errors
    /// A pattern that cannot be read. That one matches nothing was said before.
    pub fn toc_options(&self, catalog: &Catalog) -> Result<TocOptions, SelectionError> {
        Ok(TocOptions {
            pre_data: self.pre_data,
            data: self.data,
            post_data: self.post_data,
            owners: self.owners,
            privileges: self.privileges,
            comments: self.comments,
            security_labels: self.security_labels,
            policies: self.policies,
            publications: self.publications,
            subscriptions: self.subscriptions,
            without_data: self.without_data(catalog, Strictness::None)?,
            with_foreign_data: self.with_foreign_data(catalog, Strictness::None)?,
            up_to_major: None,
        })
    }

    /// Relations whose rows are left out: those that the patterns name (as with `pg_dump` sequences and
    /// materialized views among them), and materialized views that cannot be filled without one of them.
    fn without_data(
        &self,
        catalog: &Catalog,
        strictness: Strictness,
    ) -> Result<BTreeSet<ObjectId>, SelectionError> {
        let families = Families::new(catalog);
        let find = |option, texts| -> Result<Relations<'_>, SelectionError> {
            let patterns = Patterns::parse(option, texts, 3, catalog, strictness)?;
            patterns.along(self.visible_schemas.as_deref()).relations(&families.relations)
        };
        let mut found = find("--exclude-table-data", &self.exclude_table_data)?;
        let parents = find("--exclude-table-data-and-children", &self.exclude_table_data_and_children)?;
        found.extend(families.with_descendants(parents));
        let relations = catalog.objects.iter().filter(|object| patterns::is_relation(object));
        let relations = relations.filter(|object| found.contains(&name_of(object)));
        let mut without: BTreeSet<ObjectId> = relations.map(|object| object.id).collect();
        without.extend(unfilled::unfillable(catalog, &without));
        Ok(without)
    }

    /// Foreign tables whose rows are taken.
    fn with_foreign_data(
        &self,
        catalog: &Catalog,
        strictness: Strictness,
    ) -> Result<BTreeSet<ObjectId>, SelectionError> {
        let foreign = |object: &crate::Object| match &object.body {
            Body::Table(table) => table.foreign.as_ref().map(|source| source.server.clone()),
            _ => None,
        };
        // Servers lie in no schema, so a selection may have left them behind: tables name them too.
        let mut servers: BTreeSet<String> = catalog.objects.iter().filter_map(foreign).collect();
        let known = catalog.objects.iter().filter(|object| matches!(object.body, Body::ForeignServer(_)));
        servers.extend(known.map(|object| object.name.clone()));
        let option = "--include-foreign-data";
        let patterns = Patterns::parse(option, &self.foreign_data, 1, catalog, strictness)?;
        let wanted = patterns.names(servers.iter().map(String::as_str))?;
        let tables = catalog.objects.iter().filter(|object| object.extension.is_none());
        let tables = tables.filter(|object| foreign(object).is_some_and(|server| wanted.contains(&server)));
        Ok(tables.map(|object| object.id).collect())
    }
}

/// Tables that are not kept.
fn tables_left_out(catalog: &Catalog, kept: &HashSet<ObjectId>) -> HashSet<QualifiedName> {
    let is_left_out =
        |object: &&crate::Object| matches!(object.body, Body::Table(_)) && !kept.contains(&object.id);
    let left_out = catalog.objects.iter().filter(is_left_out);
    left_out.map(|it| QualifiedName::new(it.schema.clone().unwrap_or_default(), &it.name)).collect()
}

/// What kept objects need that is not kept. Members of an extension are known by the extension.
fn unselected(catalog: &Catalog, kept: &HashSet<ObjectId>) -> BTreeMap<ObjectId, Unselected> {
    let is_torn =
        |edge: &&crate::Dependency| kept.contains(&edge.dependent) && !kept.contains(&edge.referenced);
    let torn: Vec<_> = catalog.dependencies.iter().filter(is_torn).collect();
    let wanted: HashSet<ObjectId> = torn.iter().map(|edge| edge.referenced).collect();
    let needed = catalog.objects.iter().filter(|object| wanted.contains(&object.id));
    let names: HashMap<ObjectId, Unselected> =
        needed.map(|object| (object.id, Unselected::of(object))).collect();
    let named = |edge: &&crate::Dependency| Some((edge.dependent, names.get(&edge.referenced)?.clone()));
    // a schema is told only where nothing in it is needed
    let mut unselected: BTreeMap<ObjectId, Unselected> = BTreeMap::new();
    let mut tell = |dependent: ObjectId, needed: Unselected| {
        let is_better = |told: &Unselected| told.kind == EntryKind::Schema;
        if unselected.get(&dependent).is_none_or(is_better) {
            unselected.insert(dependent, needed);
        }
    };
    torn.iter().filter_map(named).for_each(|(dependent, name)| tell(dependent, name));
    // a part may be made by the statement of what it is a part of, which then needs the same
    let dependents: HashSet<ObjectId> = torn.iter().map(|edge| edge.dependent).collect();
    let hosts = hosts(catalog, &dependents);
    for (dependent, name) in torn.iter().filter_map(named) {
        if let Some(host) = hosts.get(&dependent).filter(|host| kept.contains(host)) {
            tell(*host, name);
        }
    }
    unselected
}

/// The table of each of these defaults and checks, and the constraint of each of these indexes.
fn hosts(catalog: &Catalog, parts: &HashSet<ObjectId>) -> HashMap<ObjectId, ObjectId> {
    let parts = || catalog.objects.iter().filter(|object| parts.contains(&object.id));
    let table_of = |object: &crate::Object| match &object.body {
        Body::ColumnDefault(default) => Some(default.table.clone()),
        Body::Constraint(constraint) => Some(constraint.table.clone()),
        _ => None,
    };
    let constraint_of = |object: &crate::Object| match &object.body {
        Body::Index(index) => Some((index.table.clone(), index.constraint.clone()?)),
        _ => None,
    };
    let tables: HashSet<QualifiedName> = parts().filter_map(table_of).collect();
    let constraints: HashSet<(QualifiedName, String)> = parts().filter_map(constraint_of).collect();
    let (mut table_ids, mut constraint_ids) = (HashMap::new(), HashMap::new());
    for object in &catalog.objects {
        match &object.body {
            Body::Table(_) | Body::View(_) => {
                let name = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
                if tables.contains(&name) {
                    table_ids.insert(name, object.id);
                }
            }
            Body::Constraint(constraint) => {
                let key = (constraint.table.clone(), object.name.clone());
                if constraints.contains(&key) {
                    constraint_ids.insert(key, object.id);
                }
            }
            _ => {}
        }
    }
    let host = |object: &crate::Object| {
        let table = table_of(object).and_then(|table| table_ids.get(&table).copied());
        table.or_else(|| constraint_ids.get(&constraint_of(object)?).copied())
    };
    parts().filter_map(|object| Some((object.id, host(object)?))).collect()
}

/// Something that a selection leaves behind and that something needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unselected {
    /// What it is. A member of an extension is known by the extension.
    pub kind: EntryKind,
    /// As a person knows it.
    pub name: String,
}

impl Unselected {
    fn of(object: &crate::Object) -> Self {
        match &object.extension {
            Some(extension) => Unselected {
                kind: EntryKind::Extension,
                name: format!("EXTENSION {}", crate::quote_identifier(extension)),
            },
            None => Unselected { kind: object.body.kind(), name: object.identity().to_string() },
        }
    }
}
