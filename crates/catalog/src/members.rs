//! Which members of extensions hold something of the user's.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::kinds::{Body, ConfigurationTable};
use crate::{Catalog, Object, ObjectId, QualifiedName};

impl Catalog {
    /// Tables and sequences of extensions whose rows are the user's, each with the condition that says which.
    pub fn configuration_tables(&self) -> HashMap<QualifiedName, Option<String>> {
        let tables = self.objects.iter().filter_map(|object| match &object.body {
            Body::Extension(extension) => Some(&extension.configuration),
            _ => None,
        });
        let entry = |table: &ConfigurationTable| {
            (QualifiedName::new(table.schema.as_str(), table.name.as_str()), table.condition.clone())
        };
        tables.flatten().chain(&self.configuration).map(entry).collect()
    }

    /// Sequences whose position is carried: the user's, and of an extension's those that it marks as
    /// configuration and those that number rows which are carried. `pg_dump` leaves out the last, so that
    /// the next row takes a number that is there already.
    pub fn carried_sequences(&self) -> impl Iterator<Item = &Object> {
        let configuration = self.configuration_tables();
        let is_carried =
            move |object: &Object| object.extension.is_none() || configuration.contains_key(&name_of(object));
        let numbering = self.numbering(&is_carried);
        self.objects.iter().filter(move |object| {
            matches!(object.body, Body::Sequence(_)) && (is_carried(object) || numbering.contains(&object.id))
        })
    }

    /// Members of extensions that belong to columns of carried tables, or that these take their defaults from.
    fn numbering(&self, is_carried: &impl Fn(&Object) -> bool) -> BTreeSet<ObjectId> {
        let is_member = |object: &&Object| matches!(object.body, Body::Sequence(_)) && !is_carried(object);
        let members: HashSet<ObjectId> =
            self.objects.iter().filter(is_member).map(|object| object.id).collect();
        if members.is_empty() {
            return BTreeSet::new();
        }
        let tables: Vec<&Object> = self
            .objects
            .iter()
            .filter(|object| matches!(object.body, Body::Table(_) | Body::ColumnDefault(_)))
            .filter(|object| is_carried(object))
            .collect();
        let ids: HashSet<ObjectId> = tables.iter().map(|object| object.id).collect();
        let edges = self.dependencies.iter().filter(|edge| members.contains(&edge.referenced));
        let used = edges.filter(|edge| ids.contains(&edge.dependent)).map(|edge| edge.referenced);
        let names: HashSet<QualifiedName> = tables.into_iter().map(name_of).collect();
        let is_owned = |object: &&Object| match &object.body {
            Body::Sequence(sequence) => {
                sequence.owned_by.as_ref().is_some_and(|owner| names.contains(&owner.table))
            }
            _ => false,
        };
        used.chain(self.objects.iter().filter(is_member).filter(is_owned).map(|object| object.id)).collect()
    }

    /// Tables that extensions make.
    pub(crate) fn member_tables(&self) -> HashSet<QualifiedName> {
        let tables = self.objects.iter().filter(|object| matches!(object.body, Body::Table(_)));
        tables.filter(|object| object.extension.is_some()).map(name_of).collect()
    }
}

fn name_of(object: &Object) -> QualifiedName {
    QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name)
}
