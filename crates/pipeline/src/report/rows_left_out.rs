//! What a run leaves out, and a comparison alone, because rows were to be left out (`--exclude-table-data`):
//! positions of sequences and filling of materialized views that the patterns name, as with `pg_dump`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::{self, Formatter};

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{
    Catalog, Difference, Identity, Object, ObjectId, QualifiedName, Selection, in_one_line,
};
use dbhaul_introspect::SequenceValue;

use crate::report::words::listed;
use crate::{NamedReason, PipelineError};

/// What of the left was left without rows, or without a position.
#[derive(Debug, Default)]
pub(crate) struct RowsLeftOut {
    patterns: String,
    sequences: BTreeSet<String>,
    /// Materialized views that stay empty.
    views: BTreeSet<Identity>,
    /// Materialized views that are filled, from less than on the left.
    thinner_views: Vec<String>,
}

impl RowsLeftOut {
    /// What a selection leaves out of a catalog that it was applied to.
    pub(crate) fn of(catalog: &Catalog, selection: &Selection) -> Result<Self, PipelineError> {
        let Selection { exclude_table_data, exclude_table_data_and_children, .. } = selection;
        let patterns = [exclude_table_data.as_slice(), exclude_table_data_and_children.as_slice()].concat();
        if patterns.is_empty() || !selection.data {
            return Ok(RowsLeftOut::default());
        }
        let without = selection.toc_options(catalog)?.without_data;
        let objects = || catalog.objects.iter().filter(|object| without.contains(&object.id));
        let sequences = objects().filter(|object| matches!(object.body, Body::Sequence(_)));
        let views = objects().filter(|object| matches!(object.body, Body::MaterializedView(_)));
        let views: BTreeSet<Identity> = views.map(Object::identity).collect();
        let filled = catalog.views_filled_from(&without);
        let filled = filled.into_iter().filter(|view| !views.contains(&view.identity()));
        Ok(RowsLeftOut {
            patterns: patterns.join(", "),
            sequences: sequences.map(Object::sql_name).collect(),
            thinner_views: filled.map(Object::sql_name).collect(),
            views,
        })
    }

    /// The positions that are compared.
    pub(crate) fn compared(&self, sequences: &[SequenceValue]) -> Vec<SequenceValue> {
        let is_compared = |value: &&SequenceValue| !self.sequences.contains(&value.sequence.sql());
        sequences.iter().filter(is_compared).cloned().collect()
    }

    /// Whether a difference is that a materialized view was not filled, as it was not to be.
    pub(crate) fn explains(&self, difference: &Difference) -> bool {
        difference.unfilled_view().is_some_and(|view| self.views.contains(view))
    }

    /// What is not compared for it.
    pub(crate) fn not_compared(&self) -> Vec<String> {
        if self.patterns.is_empty() {
            return Vec::new();
        }
        let excluded = format!("excluded by {}, as asked", self.patterns);
        let name =
            |view: &Identity| QualifiedName::new(view.schema.as_deref().unwrap_or_default(), &view.name);
        let views = self.views.iter().map(|view| name(view).sql());
        let lists = [
            listed(&format!("positions of sequences {excluded}"), self.sequences.iter().cloned().collect()),
            listed(
                &format!("whether materialized views are filled that are {excluded}, or read such"),
                views.collect(),
            ),
            listed(
                "rows of materialized views that read tables without their rows, and so have others than on the left",
                self.thinner_views.clone(),
            ),
        ];
        std::iter::once(format!("rows of tables {excluded}")).chain(lists.into_iter().flatten()).collect()
    }
}

/// Foreign keys of rows that are carried to tables whose rows are left out, or some of theirs: whether they can be
/// validated depends on the rows. Each with what is to be said of it.
///
/// # Errors
/// If the selection cannot be used.
pub(crate) fn keys_without_rows(
    catalog: &Catalog,
    selection: &Selection,
) -> Result<BTreeMap<ObjectId, String>, PipelineError> {
    let RowsLeftOut { patterns, .. } = RowsLeftOut::of(catalog, selection)?;
    if patterns.is_empty() {
        return Ok(BTreeMap::new());
    }
    let without = selection.toc_options(catalog)?.without_data;
    // whether rows of a table, its partitions' included, are left out, and whether some are carried
    let mut left_out: HashSet<QualifiedName> = HashSet::new();
    let mut carried: HashSet<QualifiedName> = HashSet::new();
    let tables = || {
        catalog.objects.iter().filter_map(|object| match &object.body {
            Body::Table(table) => Some((object, table)),
            _ => None,
        })
    };
    let name = |object: &Object| QualifiedName::new(object.schema.clone().unwrap_or_default(), &*object.name);
    let parents: HashMap<QualifiedName, &QualifiedName> = tables()
        .filter_map(|(object, table)| Some((name(object), &table.partition_of.as_ref()?.parent)))
        .collect();
    for (object, _) in tables().filter(|(_, table)| table.holds_rows()) {
        let into = if without.contains(&object.id) { &mut left_out } else { &mut carried };
        let own = name(object);
        let mut next = Some(&own);
        while let Some(table) = next.filter(|table| into.insert((*table).clone())) {
            next = parents.get(table).copied();
        }
    }
    let told = |object: &Object| match &object.body {
        Body::Constraint(key) if object.extension.is_none() && carried.contains(&key.table) => {
            let referenced = key.referenced_table.as_ref().filter(|table| left_out.contains(table))?;
            let reason = format!("refers to rows of {referenced} that are left out (excluded by {patterns})");
            Some((object.id, reason))
        }
        _ => None,
    };
    Ok(catalog.objects.iter().filter_map(told).collect())
}

/// What a run leaves out beside rows since patterns name it: positions of sequences, but for those whose owning
/// table is left without its rows as well, and filling of materialized views.
///
/// # Errors
/// If the selection cannot be used.
pub(crate) fn left_out_as_asked(
    catalog: &Catalog,
    selection: &Selection,
) -> Result<Vec<NamedReason>, PipelineError> {
    let RowsLeftOut { patterns, .. } = RowsLeftOut::of(catalog, selection)?;
    if patterns.is_empty() {
        return Ok(Vec::new());
    }
    let without = selection.toc_options(catalog)?.without_data;
    let tables = catalog.objects.iter().filter(|object| matches!(object.body, Body::Table(_)));
    let tables: HashMap<(&str, &str), &Object> = tables
        .map(|table| ((table.schema.as_deref().unwrap_or_default(), table.name.as_str()), table))
        .collect();
    let is_empty = |name: &QualifiedName| {
        let table = tables.get(&(name.schema.as_ref(), name.name.as_ref()));
        table.is_some_and(|table| without.contains(&table.id))
    };
    let told = |object: &Object| match &object.body {
        Body::Sequence(sequence) => match &sequence.owned_by {
            Some(owner) if is_empty(&owner.table) => None,
            Some(owner) => Some(NamedReason {
                object: format!("position of {}", object.identity()),
                reason: format!(
                    "matched by {patterns}, although the rows of its table {} are not",
                    owner.table
                ),
            }),
            None => Some(NamedReason {
                object: format!("position of {}", object.identity()),
                reason: format!("matched by {patterns}"),
            }),
        },
        Body::MaterializedView(view) if view.populated => Some(NamedReason {
            object: format!("rows of {}", object.identity()),
            reason: format!("matched by {patterns}, or it reads a view that is"),
        }),
        _ => None,
    };
    Ok(catalog.objects.iter().filter(|object| without.contains(&object.id)).filter_map(told).collect())
}

/// The lines of a plan that say so.
pub(crate) fn write_left_out(f: &mut Formatter<'_>, left_out: &[NamedReason]) -> fmt::Result {
    left_out.iter().try_for_each(|NamedReason { object, reason }| {
        writeln!(f, "  leaves out, as asked, {}: {}", in_one_line(object), in_one_line(reason))
    })
}
