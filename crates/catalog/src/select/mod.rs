//! Selection of objects with `pg_dump`'s options and rules.

mod pattern;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use pattern::Pattern;

use crate::kinds::Body;
use crate::{Catalog, Object, ObjectId, QualifiedName, TocOptions};

/// Which objects, and what of them. The default is everything.
///
/// Patterns are `pg_dump`'s. With schemas named, only what lives in them is
/// kept; with tables named, only those relations and what belongs to them
/// (indexes, constraints, triggers, rules, policies, owned sequences), but
/// nothing that they need, as in `pg_dump`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// `-n`: only these schemas.
    pub schemas: Vec<String>,
    /// `-N`: not these schemas.
    pub exclude_schemas: Vec<String>,
    /// `-t`: only these tables, views, materialized views, sequences, foreign tables.
    pub tables: Vec<String>,
    /// `-T`: not these.
    pub exclude_tables: Vec<String>,
    /// `--exclude-table-data`: not the rows of these.
    pub exclude_table_data: Vec<String>,
    /// Definitions that stand before the rows.
    pub pre_data: bool,
    /// Rows, sequence values, large objects.
    pub data: bool,
    /// Indexes, constraints, triggers.
    pub post_data: bool,
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
}

impl Default for Selection {
    fn default() -> Self {
        Selection {
            schemas: Vec::new(),
            exclude_schemas: Vec::new(),
            tables: Vec::new(),
            exclude_tables: Vec::new(),
            exclude_table_data: Vec::new(),
            pre_data: true,
            data: true,
            post_data: true,
            comments: true,
            security_labels: true,
            policies: true,
            publications: true,
            subscriptions: true,
        }
    }
}

/// A selection that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// A pattern is malformed.
    #[error("{pattern:?} is not a pattern: {reason}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A pattern matches nothing, which is more likely a typing error than a wish.
    #[error("{option} {pattern:?} matches no {what}")]
    NoMatch {
        /// The option.
        option: &'static str,
        /// The pattern.
        pattern: String,
        /// `schema` or `table`.
        what: &'static str,
    },
}

/// The patterns of a selection, compiled.
struct Patterns {
    schemas: Vec<Pattern>,
    exclude_schemas: Vec<Pattern>,
    tables: Vec<Pattern>,
    exclude_tables: Vec<Pattern>,
    exclude_table_data: Vec<Pattern>,
}

impl Selection {
    /// The part of a catalog that is selected.
    ///
    /// # Errors
    /// [`SelectionError::BadPattern`], and [`SelectionError::NoMatch`] for every
    /// pattern that matches nothing, exclusions too: one that is misspelt would
    /// let through what was to stay behind.
    pub fn apply(&self, catalog: &Catalog) -> Result<Catalog, SelectionError> {
        let patterns = self.patterns()?;
        patterns.check_matches(catalog)?;
        if self.is_everything() {
            return Ok(catalog.clone());
        }
        let kept = self.kept(catalog, &patterns);
        let mut selected = catalog.clone();
        selected.objects.retain(|object| kept.contains(&object.id));
        selected
            .dependencies
            .retain(|edge| kept.contains(&edge.dependent) && kept.contains(&edge.referenced));
        selected.notes.retain(|note| kept.contains(&note.object));
        selected.initial_acls.retain(|acl| kept.contains(&acl.object));
        if !self.includes_everything() {
            // What lives in no schema is left out, as in pg_dump; so are objects of unknown kinds.
            selected.system_privileges.clear();
            selected.uncovered.clear();
        }
        Ok(selected)
    }

    /// The options with which the selected catalog becomes a TOC.
    ///
    /// # Errors
    /// [`SelectionError::BadPattern`].
    pub fn toc_options(&self, catalog: &Catalog) -> Result<TocOptions, SelectionError> {
        let without = self.patterns()?.exclude_table_data;
        let excluded = |object: &&Object| without.iter().any(|pattern| matches_object(pattern, object));
        let relations = catalog.objects.iter().filter(|object| is_relation(object));
        Ok(TocOptions {
            pre_data: self.pre_data,
            data: self.data,
            post_data: self.post_data,
            comments: self.comments,
            security_labels: self.security_labels,
            policies: self.policies,
            publications: self.publications,
            subscriptions: self.subscriptions,
            without_data: relations.filter(excluded).map(|object| object.id).collect(),
            ..TocOptions::default()
        })
    }

    /// The selection as options, for a manifest; empty for everything.
    pub fn describe(&self) -> Vec<String> {
        let lists = [
            ("--schema", &self.schemas),
            ("--exclude-schema", &self.exclude_schemas),
            ("--table", &self.tables),
            ("--exclude-table", &self.exclude_tables),
            ("--exclude-table-data", &self.exclude_table_data),
        ];
        let flags = [
            ("--section without pre-data", self.pre_data),
            ("--section without data", self.data),
            ("--section without post-data", self.post_data),
            ("--no-comments", self.comments),
            ("--no-security-labels", self.security_labels),
            ("--no-policies", self.policies),
            ("--no-publications", self.publications),
            ("--no-subscriptions", self.subscriptions),
        ];
        let lists = lists
            .into_iter()
            .flat_map(|(option, list)| list.iter().map(move |pattern| format!("{option}={pattern}")));
        lists.chain(flags.into_iter().filter(|(_, on)| !on).map(|(flag, _)| flag.to_owned())).collect()
    }

    /// Whether no pattern leaves an object out.
    fn is_everything(&self) -> bool {
        self.includes_everything() && self.exclude_schemas.is_empty() && self.exclude_tables.is_empty()
    }

    /// Whether objects outside schemas are kept.
    fn includes_everything(&self) -> bool {
        self.schemas.is_empty() && self.tables.is_empty()
    }

    fn patterns(&self) -> Result<Patterns, SelectionError> {
        type Compiled = Result<Vec<Pattern>, SelectionError>;
        let schemas = |list: &[String]| list.iter().map(|text| Pattern::schema(text)).collect::<Compiled>();
        let relations =
            |list: &[String]| list.iter().map(|text| Pattern::relation(text)).collect::<Compiled>();
        Ok(Patterns {
            schemas: schemas(&self.schemas)?,
            exclude_schemas: schemas(&self.exclude_schemas)?,
            tables: relations(&self.tables)?,
            exclude_tables: relations(&self.exclude_tables)?,
            exclude_table_data: relations(&self.exclude_table_data)?,
        })
    }

    /// The objects to keep: those selected by themselves, then what belongs to a relation that is.
    fn kept(&self, catalog: &Catalog, patterns: &Patterns) -> HashSet<ObjectId> {
        let relations: BTreeMap<QualifiedName, ObjectId> = catalog
            .objects
            .iter()
            .filter(|object| is_relation(object))
            .map(|object| (name_of(object), object.id))
            .collect();
        let statistics_tables = statistics_tables(catalog);
        let mut kept: HashSet<ObjectId> = HashSet::new();
        for object in &catalog.objects {
            let owner = owner_table(object)
                .and_then(|name| relations.get(name).copied())
                .or_else(|| statistics_tables.get(&object.id).copied());
            if owner.is_none() && patterns.keeps(self, object) {
                kept.insert(object.id);
            }
        }
        let owned_sequences = catalog.objects.iter().filter_map(|object| {
            let Body::Sequence(sequence) = &object.body else { return None };
            let table = relations.get(&sequence.owned_by.as_ref()?.table)?;
            (kept.contains(table) && !patterns.excludes_table(object)).then_some(object.id)
        });
        let owned_sequences: Vec<_> = owned_sequences.collect();
        kept.extend(owned_sequences);
        let belongings = catalog.objects.iter().filter(|object| {
            let owner = owner_table(object)
                .and_then(|name| relations.get(name))
                .or_else(|| statistics_tables.get(&object.id));
            owner.is_some_and(|table| kept.contains(table))
        });
        let belongings: Vec<_> = belongings.map(|object| object.id).collect();
        kept.extend(belongings);
        kept
    }
}

impl Patterns {
    /// Whether an object that belongs to no table is selected.
    fn keeps(&self, selection: &Selection, object: &Object) -> bool {
        let schema = match &object.body {
            Body::Schema(_) => Some(object.name.as_str()),
            _ => object.schema.as_deref(),
        };
        let Some(schema) = schema else { return selection.includes_everything() };
        if !self.tables.is_empty() {
            let named = self.tables.iter().any(|pattern| matches_object(pattern, object));
            return is_relation(object) && named && !self.excludes_table(object);
        }
        let named = |list: &[Pattern]| list.iter().any(|pattern| pattern.matches(None, schema));
        let in_schemas = self.schemas.is_empty() || named(&self.schemas);
        in_schemas && !named(&self.exclude_schemas) && !(is_relation(object) && self.excludes_table(object))
    }

    fn excludes_table(&self, object: &Object) -> bool {
        self.exclude_tables.iter().any(|pattern| matches_object(pattern, object))
    }

    fn check_matches(&self, catalog: &Catalog) -> Result<(), SelectionError> {
        let schemas: BTreeSet<&str> = catalog.objects.iter().filter_map(|o| schema_name(o)).collect();
        for (option, list) in [("--schema", &self.schemas), ("--exclude-schema", &self.exclude_schemas)] {
            for pattern in list {
                if !schemas.iter().any(|schema| pattern.matches(None, schema)) {
                    return Err(no_match(option, pattern, "schema"));
                }
            }
        }
        let lists = [
            ("--table", &self.tables),
            ("--exclude-table", &self.exclude_tables),
            ("--exclude-table-data", &self.exclude_table_data),
        ];
        let relations: Vec<&Object> = catalog.objects.iter().filter(|object| is_relation(object)).collect();
        for (option, list) in lists {
            for pattern in list {
                if !relations.iter().any(|object| matches_object(pattern, object)) {
                    return Err(no_match(option, pattern, "table"));
                }
            }
        }
        Ok(())
    }
}

fn no_match(option: &'static str, pattern: &Pattern, what: &'static str) -> SelectionError {
    SelectionError::NoMatch { option, pattern: pattern.text().to_owned(), what }
}

fn matches_object(pattern: &Pattern, object: &Object) -> bool {
    pattern.matches(object.schema.as_deref(), &object.name)
}

/// The schema an object is, or lives in.
fn schema_name(object: &Object) -> Option<&str> {
    match &object.body {
        Body::Schema(_) => Some(&object.name),
        _ => object.schema.as_deref(),
    }
}

/// Whether `-t` can name it.
fn is_relation(object: &Object) -> bool {
    matches!(
        object.body,
        Body::Table(_) | Body::View(_) | Body::MaterializedView(_) | Body::Sequence(_)
    )
}

fn name_of(object: &Object) -> QualifiedName {
    QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name)
}

/// The table that an object is a part of, for kinds that name it.
fn owner_table(object: &Object) -> Option<&QualifiedName> {
    match &object.body {
        Body::ColumnDefault(body) => Some(&body.table),
        Body::Constraint(body) => Some(&body.table),
        Body::Index(body) => Some(&body.table),
        Body::Policy(body) => Some(&body.table),
        Body::Rule(body) => Some(&body.table),
        Body::Trigger(body) => Some(&body.table),
        _ => None,
    }
}

/// The table of each extended statistics object, by its dependency.
fn statistics_tables(catalog: &Catalog) -> BTreeMap<ObjectId, ObjectId> {
    let of_kind = |wanted: fn(&Body) -> bool| -> HashSet<ObjectId> {
        catalog.objects.iter().filter(|o| wanted(&o.body)).map(|object| object.id).collect()
    };
    let statistics = of_kind(|body| matches!(body, Body::Statistics(_)));
    let tables = of_kind(|body| matches!(body, Body::Table(_) | Body::MaterializedView(_)));
    let edges = catalog.dependencies.iter();
    edges
        .filter(|edge| statistics.contains(&edge.dependent) && tables.contains(&edge.referenced))
        .map(|edge| (edge.dependent, edge.referenced))
        .collect()
}
