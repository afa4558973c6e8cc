//! What a selection took of a database, by names that mean something in a copy of it.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::chosen::Chosen;
use super::patterns::{is_relation, name_of};
use crate::compare::key;
use crate::kinds::Body;
use crate::{Catalog, Identity};

/// What a selection took: relations by their names, whatever they are in the copy, extensions, and all else by
/// identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Taken {
    relations: BTreeSet<(String, String)>,
    extensions: BTreeSet<String>,
    others: BTreeSet<Identity>,
}

impl Taken {
    /// All of a catalog that a selection was applied to. Members of extensions go with these.
    pub(super) fn of(selected: &Catalog) -> Self {
        let mut taken = Taken::default();
        for object in selected.objects.iter().filter(|object| object.extension.is_none()) {
            match &object.body {
                Body::Extension(_) => drop(taken.extensions.insert(object.name.clone())),
                _ if is_relation(object) => {
                    let (schema, name) = name_of(object);
                    taken.relations.insert((schema.to_owned(), name.to_owned()));
                }
                _ => drop(taken.others.insert(key(object))),
            }
        }
        taken
    }
}

impl<'a> Chosen<'a> {
    /// Takes of a copy what was taken of the original, and what is part of it.
    pub(super) fn add_taken(&mut self, taken: &Taken, catalog: &'a Catalog) {
        let relations: HashSet<(&str, &str)> =
            taken.relations.iter().map(|(schema, name)| (schema.as_str(), name.as_str())).collect();
        self.extensions.extend(taken.extensions.iter().cloned());
        for object in catalog.objects.iter().filter(|object| object.extension.is_none()) {
            if is_relation(object) {
                if relations.contains(&name_of(object)) {
                    self.relations.insert(name_of(object));
                    self.needed.insert(object.id);
                }
            } else if taken.others.contains(&key(object)) {
                self.needed.insert(object.id);
            }
        }
        self.add_owned_sequences(catalog);
    }
}
