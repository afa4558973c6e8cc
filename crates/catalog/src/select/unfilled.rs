//! Materialized views over relations whose rows are left out.

use std::collections::{BTreeSet, HashMap};

use super::patterns::{key, name_of};
use crate::kinds::{Body, Table};
use crate::{Catalog, CatalogIndex, Object, ObjectId};

/// Materialized views that read one of these materialized views, directly or through views: as long as that
/// is not filled, they cannot be.
pub(super) fn unfillable(catalog: &Catalog, unfilled: &BTreeSet<ObjectId>) -> BTreeSet<ObjectId> {
    let is_view = |object: &Object| matches!(object.body, Body::MaterializedView(_));
    let views = catalog.objects.iter().filter(|object| is_view(object) && unfilled.contains(&object.id));
    let mut reading = readers(catalog, views.map(|view| view.id).collect(), |body| {
        matches!(body, Body::View(_) | Body::MaterializedView(_))
    });
    reading.retain(|id| !unfilled.contains(id));
    reading
}

impl Catalog {
    /// Materialized views that have other rows if these relations have none: those that read them,
    /// or a table above them, directly or through views and functions that PostgreSQL can look into.
    pub fn views_filled_from(&self, relations: &BTreeSet<ObjectId>) -> Vec<&Object> {
        let found = readers(self, self.with_ancestors(relations), |body| {
            matches!(body, Body::View(_) | Body::MaterializedView(_) | Body::Function(_))
        });
        self.objects.iter().filter(|object| found.contains(&object.id)).collect()
    }

    /// Relations, and the tables that they are partitions or heirs of, at any level.
    fn with_ancestors(&self, relations: &BTreeSet<ObjectId>) -> Vec<ObjectId> {
        let tables = self.objects.iter().filter_map(|object| match &object.body {
            Body::Table(table) => Some((name_of(object), (object.id, table))),
            _ => None,
        });
        let by_name: HashMap<(&str, &str), (ObjectId, &Box<Table>)> = tables.collect();
        let by_id: HashMap<ObjectId, &Table> = by_name.values().map(|(id, table)| (*id, &***table)).collect();
        let mut found = relations.clone();
        let mut open: Vec<ObjectId> = relations.iter().copied().collect();
        while let Some(id) = open.pop() {
            let Some(table) = by_id.get(&id) else { continue };
            let parents = table.partition_of.iter().map(|of| &of.parent).chain(&table.inherits);
            let parents = parents.filter_map(|parent| by_name.get(&key(parent))).map(|(id, _)| *id);
            open.extend(parents.filter(|&parent| found.insert(parent)));
        }
        found.into_iter().collect()
    }
}

/// Materialized views that read any of these relations, through what is of the kinds to `follow`.
fn readers(catalog: &Catalog, mut open: Vec<ObjectId>, follow: impl Fn(&Body) -> bool) -> BTreeSet<ObjectId> {
    if open.is_empty() {
        return BTreeSet::new();
    }
    let index = CatalogIndex::new(catalog);
    let mut dependents: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
    for edge in &catalog.dependencies {
        dependents.entry(edge.referenced).or_default().push(edge.dependent);
    }
    let mut seen: BTreeSet<ObjectId> = BTreeSet::new();
    while let Some(id) = open.pop() {
        for &dependent in dependents.get(&id).into_iter().flatten() {
            let body = index.object(catalog, dependent).map(|object| &object.body);
            if body.is_some_and(&follow) && seen.insert(dependent) {
                open.push(dependent);
            }
        }
    }
    let is_materialized = |id: &ObjectId| {
        index.object(catalog, *id).is_some_and(|object| matches!(object.body, Body::MaterializedView(_)))
    };
    seen.retain(is_materialized);
    seen
}
