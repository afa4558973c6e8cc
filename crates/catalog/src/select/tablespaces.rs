//! Tablespaces of the copy: as they are, under other names, or none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Catalog;
use crate::kinds::Body;

/// The tablespace that every server has.
const DEFAULT: &str = "pg_default";

/// Where a copy's tables and indexes go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tablespaces {
    /// `--no-tablespaces`: everything goes where the target puts it.
    pub none: bool,
    /// `--tablespace-map`: names on the source, names on the target. An empty name
    /// stands for the database's own tablespace.
    pub map: BTreeMap<String, String>,
}

impl Tablespaces {
    /// Rewrites the tablespaces of a catalog.
    pub(super) fn apply(&self, catalog: &mut Catalog) {
        if !self.none && self.map.is_empty() {
            return;
        }
        let own = self.renamed(catalog.database.tablespace.take()).filter(|name| name != DEFAULT);
        for tablespace in tablespaces_mut(catalog) {
            *tablespace = self.renamed(tablespace.take());
            // What lies in the database's own tablespace says nothing of it.
            if tablespace.as_deref() == Some(own.as_deref().unwrap_or(DEFAULT)) {
                *tablespace = None;
            }
        }
        catalog.database.tablespace = own;
    }

    fn renamed(&self, name: Option<String>) -> Option<String> {
        let name = name.filter(|_| !self.none)?;
        match self.map.get(&name) {
            Some(mapped) => Some(mapped.clone()).filter(|mapped| !mapped.is_empty()),
            None => Some(name),
        }
    }
}

impl Catalog {
    /// The tablespaces that the catalog's objects name, sorted; without the database's own.
    pub fn tablespaces(&self) -> Vec<&str> {
        let named = self.objects.iter().filter(|object| object.extension.is_none());
        let mut names: Vec<&str> = named
            .filter_map(|object| match &object.body {
                Body::Table(table) => table.tablespace.as_deref(),
                Body::MaterializedView(view) => view.tablespace.as_deref(),
                Body::Index(index) => index.properties.tablespace.as_deref(),
                Body::Constraint(constraint) => {
                    constraint.index.as_ref().and_then(|index| index.properties.tablespace.as_deref())
                }
                _ => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn tablespaces_mut(catalog: &mut Catalog) -> impl Iterator<Item = &mut Option<String>> {
    catalog.objects.iter_mut().filter_map(|object| match &mut object.body {
        Body::Table(table) => Some(&mut table.tablespace),
        Body::MaterializedView(view) => Some(&mut view.tablespace),
        Body::Index(index) => Some(&mut index.properties.tablespace),
        Body::Constraint(constraint) => {
            constraint.index.as_mut().map(|index| &mut index.properties.tablespace)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::Tablespaces;
    use crate::kinds::{Body, Index, IndexProperties};
    use crate::{Catalog, Class, Object, ObjectId, QualifiedName, ServerVersion};

    #[track_caller]
    fn check(
        tablespaces: &Tablespaces,
        database: Option<&str>,
        index: &str,
        expected: (Option<&str>, &[&str]),
    ) {
        let body = Body::from(Index {
            table: QualifiedName::new("s", "t"),
            definition: String::new(),
            predicate: None,
            constraint: None,
            properties: IndexProperties { tablespace: Some(index.to_owned()), ..IndexProperties::default() },
            column_statistics: Vec::new(),
            valid: true,
        });
        let mut catalog = Catalog::empty(ServerVersion::of_major(16));
        catalog.database.tablespace = database.map(str::to_owned);
        catalog.objects = vec![Object {
            id: ObjectId::new(Class::PG_CLASS, 16_384),
            schema: Some("s".into()),
            name: "i".to_owned(),
            owner: None,
            acl: None,
            comment: None,
            security_labels: Vec::new(),
            extension: None,
            body,
        }];
        tablespaces.apply(&mut catalog);
        assert_eq!((catalog.database.tablespace.as_deref(), catalog.tablespaces().as_slice()), expected);
    }

    #[test]
    fn names_are_mapped() {
        let map = |pairs: &[(&str, &str)]| Tablespaces {
            none: false,
            map: pairs.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect(),
        };
        check(&map(&[]), Some("a"), "b", (Some("a"), &["b"]));
        check(&map(&[("b", "c")]), Some("a"), "b", (Some("a"), &["c"]));
        check(&map(&[("a", "b"), ("b", "a")]), Some("a"), "b", (Some("b"), &["a"]));
        check(&map(&[("b", "")]), Some("a"), "b", (Some("a"), &[]));
        check(&map(&[("b", "pg_default")]), None, "b", (None, &[]));
        check(&map(&[("b", "pg_default")]), Some("a"), "b", (Some("a"), &["pg_default"]));
        check(&map(&[("a", "pg_default")]), Some("a"), "b", (None, &["b"]));
        check(&map(&[("b", "a")]), Some("a"), "b", (Some("a"), &[]));
        let none = Tablespaces { none: true, ..map(&[("b", "c")]) };
        check(&none, Some("a"), "b", (None, &[]));
    }
}
