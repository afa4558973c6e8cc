//! What of a database is meant: selection by `pg_dump`'s options and rules.

mod pattern;

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::kinds::Body;
use crate::{Catalog, Object, ObjectId, QualifiedName, TocOptions};
use pattern::Pattern;

/// What of a database is meant, in the words of `pg_dump`'s options.
///
/// Patterns follow `pg_dump`'s rules: `*` and `?` as wildcards, letters folded
/// to lower case unless quoted, a dot between schema and name. With `tables`
/// nothing but those relations and what is part of them is selected; with
/// `schemas` what lies in them; kinds that lie in no schema come only where
/// neither is given. Unlike `pg_dump`, a pattern that matches nothing is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// `-n`: patterns of schemas to take.
    pub schemas: Vec<String>,
    /// `-N`: patterns of schemas to leave out.
    pub exclude_schemas: Vec<String>,
    /// `-t`: patterns of tables, views, materialized views, sequences and foreign tables to take.
    pub tables: Vec<String>,
    /// `-T`: patterns of such relations to leave out.
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-data`: patterns of tables whose rows are left out.
    pub exclude_table_data: Vec<String>,
    /// `--extension`: patterns of extensions to take.
    pub extensions: Vec<String>,
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
}

impl Default for Selection {
    /// Everything.
    fn default() -> Self {
        Selection {
            schemas: Vec::new(),
            exclude_schemas: Vec::new(),
            tables: Vec::new(),
            exclude_tables: Vec::new(),
            exclude_table_data: Vec::new(),
            extensions: Vec::new(),
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
            ("--exclude-table", &self.exclude_tables),
            ("--exclude-table-data", &self.exclude_table_data),
            ("--extension", &self.extensions),
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
        ] {
            if !wanted {
                options.push(option.to_owned());
            }
        }
        options
    }

    /// The selected part of a catalog.
    pub fn apply(&self, catalog: &Catalog) -> Result<Catalog, SelectionError> {
        let chosen = Chosen::new(self, catalog)?;
        let mut selected = catalog.clone();
        selected.objects.retain(|object| chosen.keeps(object));
        chosen.trim(&mut selected.objects);
        let kept: HashSet<ObjectId> = selected.objects.iter().map(|object| object.id).collect();
        selected
            .dependencies
            .retain(|edge| kept.contains(&edge.dependent) && kept.contains(&edge.referenced));
        selected.notes.retain(|note| kept.contains(&note.object));
        selected.initial_acls.retain(|item| kept.contains(&item.object));
        if !chosen.everything {
            selected.system_privileges.clear();
        }
        selected.gather_role_names();
        Ok(selected)
    }

    /// What a TOC of the selected part shall hold.
    pub fn toc_options(&self, catalog: &Catalog) -> Result<TocOptions, SelectionError> {
        let without_data = Patterns::parse("--exclude-table-data", &self.exclude_table_data, 3, catalog)?;
        let without_data: BTreeSet<ObjectId> = without_data.relations(catalog)?;
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
            without_data,
        })
    }
}

/// The patterns of one option.
struct Patterns<'a> {
    option: &'static str,
    patterns: Vec<(&'a String, Pattern)>,
    database: &'a str,
    visible: Vec<String>,
}

impl<'a> Patterns<'a> {
    fn parse(
        option: &'static str,
        texts: &'a [String],
        max_parts: usize,
        catalog: &'a Catalog,
    ) -> Result<Self, SelectionError> {
        let mut patterns = Vec::new();
        for text in texts {
            let pattern = Pattern::parse(text, max_parts).map_err(|problem| SelectionError::BadPattern {
                option,
                pattern: text.clone(),
                problem,
            })?;
            if pattern.matches_database(&catalog.database.name) == Some(false) {
                return Err(SelectionError::OtherDatabase { option, pattern: text.clone() });
            }
            patterns.push((text, pattern));
        }
        Ok(Patterns { option, patterns, database: &catalog.database.name, visible: visible_schemas(catalog) })
    }

    /// The names that match; every pattern must match one.
    fn names<'n>(
        &self,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<HashSet<String>, SelectionError> {
        let mut found = HashSet::new();
        for (text, pattern) in &self.patterns {
            let before = found.len();
            let matching: Vec<&str> = names.clone().filter(|name| pattern.matches(name)).collect();
            self.require(text, !matching.is_empty() || found.len() > before)?;
            found.extend(matching.into_iter().map(str::to_owned));
        }
        Ok(found)
    }

    /// The relations that match; every pattern must match one.
    fn relations(&self, catalog: &Catalog) -> Result<BTreeSet<ObjectId>, SelectionError> {
        let mut found = BTreeSet::new();
        for (text, pattern) in &self.patterns {
            let relations = catalog.objects.iter().filter(|object| is_relation(object));
            let matching: Vec<ObjectId> = relations
                .filter(|object| self.matches_relation(pattern, object))
                .map(|object| object.id)
                .collect();
            self.require(text, !matching.is_empty())?;
            found.extend(matching);
        }
        Ok(found)
    }

    /// A pattern without schema means what the search path shows.
    fn matches_relation(&self, pattern: &Pattern, object: &Object) -> bool {
        let schema = object.schema.as_deref().unwrap_or_default();
        let in_schema = pattern
            .matches_schema(schema)
            .unwrap_or_else(|| self.visible.iter().any(|visible| visible == schema));
        in_schema && pattern.matches(&object.name)
    }

    fn require(&self, text: &str, matched: bool) -> Result<(), SelectionError> {
        if matched {
            return Ok(());
        }
        let (option, database) = (self.option, self.database.to_owned());
        Err(SelectionError::NoMatch { option, pattern: text.to_owned(), database })
    }
}

/// The schemas of the database's own search path, `public` by default.
fn visible_schemas(catalog: &Catalog) -> Vec<String> {
    let own = catalog.database.settings.iter().find_map(|(role, setting)| match role {
        None => setting.strip_prefix("search_path="),
        Some(_) => None,
    });
    let path = own.unwrap_or("public");
    path.split(',').map(|name| name.trim().trim_matches('"').replace("\"\"", "\"")).collect()
}

fn is_relation(object: &Object) -> bool {
    matches!(object.body, Body::Table(_) | Body::View(_) | Body::MaterializedView(_) | Body::Sequence(_))
}

/// What was chosen, by name.
struct Chosen<'a> {
    everything: bool,
    schemas: HashSet<String>,
    extensions: HashSet<String>,
    /// Relations taken, by schema and name.
    relations: HashSet<(&'a str, &'a str)>,
    large_objects: bool,
}

impl<'a> Chosen<'a> {
    fn new(selection: &'a Selection, catalog: &'a Catalog) -> Result<Self, SelectionError> {
        let everything =
            selection.schemas.is_empty() && selection.tables.is_empty() && selection.extensions.is_empty();
        let schemas = chosen_schemas(selection, catalog)?;
        let extensions = Patterns::parse("--extension", &selection.extensions, 1, catalog)?;
        let names = catalog.objects.iter().filter(|object| matches!(object.body, Body::Extension(_)));
        let names = names.map(|object| object.name.as_str());
        let extensions =
            if everything { names.map(str::to_owned).collect() } else { extensions.names(names)? };
        let mut chosen = Chosen {
            everything,
            schemas,
            extensions,
            relations: HashSet::new(),
            large_objects: selection.large_objects.unwrap_or(everything),
        };
        chosen.choose_relations(selection, catalog)?;
        Ok(chosen)
    }

    fn choose_relations(
        &mut self,
        selection: &Selection,
        catalog: &'a Catalog,
    ) -> Result<(), SelectionError> {
        let included = Patterns::parse("--table", &selection.tables, 3, catalog)?.relations(catalog)?;
        let excluded =
            Patterns::parse("--exclude-table", &selection.exclude_tables, 3, catalog)?.relations(catalog)?;
        let name = |object: &'a Object| (object.schema.as_deref().unwrap_or_default(), object.name.as_str());
        let mut owned: HashMap<(&str, &str), &QualifiedName> = HashMap::new();
        for object in catalog.objects.iter().filter(|object| is_relation(object)) {
            let wanted = if selection.tables.is_empty() {
                self.schemas.contains(name(object).0)
            } else {
                included.contains(&object.id)
            };
            if wanted && !excluded.contains(&object.id) {
                self.relations.insert(name(object));
            }
            if let Body::Sequence(sequence) = &object.body
                && let Some(owner) = &sequence.owned_by
            {
                owned.insert(name(object), &owner.table);
                // An identity column's sequence is nothing without its table.
                if owner.identity.is_some() {
                    self.relations.remove(&name(object));
                }
            }
        }
        // A table brings the sequences of its columns along.
        for (sequence, table) in owned {
            if self.relations.contains(&(table.schema.as_str(), table.name.as_str())) {
                self.relations.insert(sequence);
            }
        }
        Ok(())
    }

    /// Takes away what points at objects left behind: a publication's tables and
    /// schemas, a sequence's owner.
    fn trim(&self, objects: &mut [Object]) {
        let taken =
            |table: &QualifiedName| self.relations.contains(&(table.schema.as_str(), table.name.as_str()));
        for object in objects.iter_mut().filter(|object| object.extension.is_none()) {
            match &mut object.body {
                Body::Publication(publication) => {
                    publication.tables.retain(|entry| taken(&entry.table));
                    publication.schemas.retain(|schema| self.schemas.contains(schema));
                }
                Body::Sequence(sequence) => {
                    sequence.owned_by = sequence.owned_by.take().filter(|owner| taken(&owner.table));
                }
                _ => {}
            }
        }
    }

    fn keeps(&self, object: &Object) -> bool {
        if let Some(extension) = &object.extension {
            return self.extensions.contains(extension);
        }
        let part_of =
            |table: &QualifiedName| self.relations.contains(&(table.schema.as_str(), table.name.as_str()));
        match &object.body {
            Body::Schema(_) => self.schemas.contains(&object.name),
            Body::Extension(_) => self.extensions.contains(&object.name),
            Body::LargeObject(_) => self.large_objects,
            Body::ColumnDefault(default) => part_of(&default.table),
            Body::Constraint(constraint) => part_of(&constraint.table),
            Body::Index(index) => part_of(&index.table),
            Body::Trigger(trigger) => part_of(&trigger.table),
            Body::Rule(rule) => part_of(&rule.table),
            Body::Policy(policy) => part_of(&policy.table),
            Body::Table(_) | Body::View(_) | Body::MaterializedView(_) | Body::Sequence(_) => {
                self.relations.contains(&(object.schema.as_deref().unwrap_or_default(), object.name.as_str()))
            }
            _ => object.schema.as_ref().map_or(self.everything, |schema| self.schemas.contains(schema)),
        }
    }
}

/// The schemas whose contents are taken.
fn chosen_schemas(selection: &Selection, catalog: &Catalog) -> Result<HashSet<String>, SelectionError> {
    let names = catalog.objects.iter().filter(|object| matches!(object.body, Body::Schema(_)));
    let names = names.map(|object| object.name.as_str());
    let included = Patterns::parse("--schema", &selection.schemas, 1, catalog)?.names(names.clone())?;
    let excluded =
        Patterns::parse("--exclude-schema", &selection.exclude_schemas, 1, catalog)?.names(names.clone())?;
    if !selection.tables.is_empty() {
        return Ok(HashSet::new());
    }
    let wanted = |name: &&str| selection.schemas.is_empty() || included.contains(*name);
    Ok(names.filter(wanted).filter(|name| !excluded.contains(*name)).map(str::to_owned).collect())
}
