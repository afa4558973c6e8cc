//! The patterns of one option, and what of a catalog they match.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::SelectionError;
use super::pattern::Pattern;
use crate::kinds::Body;
use crate::{Catalog, Object, QualifiedName};

/// The relations of a catalog by name, with those that it only names as parents.
pub(super) type Relations<'a> = BTreeSet<(&'a str, &'a str)>;

/// The patterns of one option.
pub(super) struct Patterns<'a> {
    option: &'static str,
    patterns: Vec<(&'a String, Pattern)>,
    database: &'a str,
    /// The search path that a name without schema is looked up in.
    visible: Vec<String>,
    strictness: Strictness,
}

/// Which patterns must match something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Every one: what was asked for and is not there would be missed in silence.
    Every,
    /// Those without wildcards: with them, what is to be left out is whatever there is.
    Plain,
    /// None: on a copy that was made with the same selection.
    None,
}

impl<'a> Patterns<'a> {
    pub(super) fn parse(
        option: &'static str,
        texts: &'a [String],
        max_parts: usize,
        catalog: &'a Catalog,
        strictness: Strictness,
    ) -> Result<Self, SelectionError> {
        let mut patterns = Vec::new();
        for text in texts {
            let pattern = Pattern::parse(text, max_parts).map_err(|problem| SelectionError::BadPattern {
                option,
                pattern: text.clone(),
                problem,
            })?;
            if pattern.matches_database(&catalog.database.name) == Some(false)
                && strictness != Strictness::None
            {
                return Err(SelectionError::OtherDatabase { option, pattern: text.clone() });
            }
            patterns.push((text, pattern));
        }
        let database = &catalog.database.name;
        Ok(Patterns { option, patterns, database, visible: visible_schemas(catalog), strictness })
    }

    /// With names without schema looked up in these schemas, if any are given.
    pub(super) fn along(self, schemas: Option<&[String]>) -> Self {
        let visible = schemas.map_or(self.visible, <[String]>::to_vec);
        Patterns { visible, ..self }
    }

    /// The names that match.
    pub(super) fn names<'n>(
        &self,
        names: impl Iterator<Item = &'n str> + Clone,
    ) -> Result<HashSet<String>, SelectionError> {
        let mut found = HashSet::new();
        for (text, pattern) in &self.patterns {
            let matching: Vec<&str> = names.clone().filter(|name| pattern.matches(name)).collect();
            self.require(text, !matching.is_empty())?;
            found.extend(matching.into_iter().map(str::to_owned));
        }
        Ok(found)
    }

    /// The relations that match.
    pub(super) fn relations<'c>(&self, relations: &Relations<'c>) -> Result<Relations<'c>, SelectionError> {
        let mut found = BTreeSet::new();
        for (text, pattern) in &self.patterns {
            let named = relations.iter().filter(|(_, name)| pattern.matches(name));
            let matching: Vec<_> = match pattern.has_schema() {
                true => named
                    .filter(|(schema, _)| pattern.matches_schema(schema) == Some(true))
                    .copied()
                    .collect(),
                false => self.visible(named.copied()),
            };
            self.require(text, !matching.is_empty())?;
            found.extend(matching);
        }
        Ok(found)
    }

    /// Those that a name without schema means: of each name the first on the search path.
    fn visible<'c>(&self, named: impl Iterator<Item = (&'c str, &'c str)>) -> Vec<(&'c str, &'c str)> {
        let mut first: HashMap<&str, (usize, &str)> = HashMap::new();
        for (schema, name) in named {
            let Some(place) = self.visible.iter().position(|visible| visible == schema) else { continue };
            let seen = first.entry(name).or_insert((place, schema));
            if place < seen.0 {
                *seen = (place, schema);
            }
        }
        first.into_iter().map(|(name, (_, schema))| (schema, name)).collect()
    }

    fn require(&self, text: &str, matched: bool) -> Result<(), SelectionError> {
        let may_miss = match self.strictness {
            Strictness::Every => false,
            Strictness::Plain => text.contains(['*', '?']),
            Strictness::None => true,
        };
        if matched || may_miss {
            return Ok(());
        }
        let (option, database) = (self.option, self.database.to_owned());
        Err(SelectionError::NoMatch { option, pattern: text.to_owned(), database })
    }
}

/// The schemas of the database's own search path, `public` by default.
pub(super) fn visible_schemas(catalog: &Catalog) -> Vec<String> {
    let own = catalog.database.settings.iter().find_map(|(role, setting)| match role {
        None => setting.strip_prefix("search_path="),
        Some(_) => None,
    });
    let path = own.unwrap_or("public");
    path.split(',').map(|name| name.trim().trim_matches('"').replace("\"\"", "\"")).collect()
}

/// Whether an object is what `-t` selects: a table, view, materialized view or sequence.
pub(super) fn is_relation(object: &Object) -> bool {
    matches!(object.body, Body::Table(_) | Body::View(_) | Body::MaterializedView(_) | Body::Sequence(_))
}

/// The key of a relation.
pub(super) fn name_of(object: &Object) -> (&str, &str) {
    (object.schema.as_deref().unwrap_or_default(), object.name.as_str())
}

/// The key of a relation that is only named.
pub(super) fn key(name: &QualifiedName) -> (&str, &str) {
    (name.schema.as_str(), name.name.as_str())
}

/// What tables are partitions and heirs of what.
pub(super) struct Families<'a> {
    children: HashMap<(&'a str, &'a str), Vec<(&'a str, &'a str)>>,
    pub(super) relations: Relations<'a>,
}

impl<'a> Families<'a> {
    pub(super) fn new(catalog: &'a Catalog) -> Self {
        let mut families = Families { children: HashMap::new(), relations: BTreeSet::new() };
        for object in catalog.objects.iter().filter(|object| is_relation(object)) {
            families.relations.insert(name_of(object));
            let Body::Table(table) = &object.body else { continue };
            let parents = table.partition_of.iter().map(|of| &of.parent).chain(&table.inherits);
            for parent in parents {
                families.relations.insert(key(parent));
                families.children.entry(key(parent)).or_default().push(name_of(object));
            }
        }
        families
    }

    /// These and all their descendants.
    pub(super) fn with_descendants(&self, mut tables: Relations<'a>) -> Relations<'a> {
        let mut open: Vec<_> = tables.iter().copied().collect();
        while let Some(table) = open.pop() {
            for &child in self.children.get(&table).into_iter().flatten() {
                if tables.insert(child) {
                    open.push(child);
                }
            }
        }
        tables
    }
}
