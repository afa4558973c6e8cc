//! `NOT NULL` became a constraint with a name: of tables in 18, of domains in 17. What an older source has
//! without, a newer target needs to have settled.

use std::collections::{BTreeMap, BTreeSet};

use super::{Adaptation, Losses};
use crate::kinds::{Body, ConstraintType, NotNull, Table};
use crate::{Catalog, QualifiedName, ServerVersion, quote_identifier};

/// Bytes of a name.
const NAME_BYTES: usize = 63;

/// Whether a constraint may have a name that a newer server would choose.
pub(super) fn may_clash(catalog: &Catalog) -> bool {
    let is_like = |name: &str| name.contains("not_null");
    catalog.server_version.major() < 18
        && catalog.objects.iter().any(|object| match &object.body {
            Body::Domain(domain) => domain.constraints.iter().any(|check| is_like(&check.name)),
            Body::Constraint(_) => is_like(&object.name),
            Body::Trigger(trigger) => trigger.is_constraint() && is_like(&object.name),
            _ => false,
        })
}

/// Lets a domain's `NOT NULL` have another name than the server's choice where a check has that.
pub(super) fn name_in_domains(catalog: &mut Catalog, version: ServerVersion, adaptation: &mut Adaptation) {
    if version.major() < 17 || catalog.server_version.major() >= 17 {
        return;
    }
    for object in catalog.objects.iter_mut().filter(|object| object.extension.is_none()) {
        let identity = object.identity();
        let Body::Domain(domain) = &mut object.body else { continue };
        let taken: BTreeSet<&str> = domain.constraints.iter().map(|check| check.name.as_str()).collect();
        let chosen = chosen_name(&[&object.name]);
        if domain.not_null && taken.contains(chosen.as_str()) {
            let name = free_name(&chosen, |name| taken.contains(name));
            adaptation.notes.push(note(&identity.to_string(), "its NOT NULL", (&name, &chosen), version));
            domain.not_null_name = Some(name);
        }
    }
}

/// As [`name_in_domains`], for tables: a name must be free in the table and in all its children, which get
/// their copies under the same name.
pub(super) fn name_in_tables(catalog: &mut Catalog, version: ServerVersion, adaptation: &mut Adaptation) {
    if version.major() < 18 || catalog.server_version.major() >= 18 {
        return;
    }
    let family = Family::new(catalog);
    let taken = taken_names(catalog, &family);
    if taken.is_empty() {
        return;
    }
    for object in catalog.objects.iter_mut().filter(|object| object.extension.is_none()) {
        let identity = object.identity();
        let own = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
        let Body::Table(table) = &mut object.body else { continue };
        let is_partition = table.partition_of.is_some();
        let mut names: Option<BTreeSet<String>> = None;
        for column in &mut table.columns {
            let is_named_here = |own: bool| own || is_partition;
            let Some(not_null) = &mut column.not_null else { continue };
            if not_null.name.is_some() || !is_named_here(not_null.is_local) {
                continue;
            }
            let chosen = chosen_name(&[&object.name, &column.name]);
            let names = names.get_or_insert_with(|| family.names_below(&own, &taken));
            if names.contains(&chosen) {
                let name = free_name(&chosen, |name| names.contains(name));
                names.insert(name.clone());
                let what = format!("its NOT NULL of column {}", quote_identifier(&column.name));
                adaptation.notes.push(note(&identity.to_string(), &what, (&name, &chosen), version));
                not_null.name = Some(name);
            }
        }
    }
}

fn note(object: &str, what: &str, (name, chosen): (&str, &str), version: ServerVersion) -> String {
    let (name, chosen) = (quote_identifier(name), quote_identifier(chosen));
    format!(
        "{object}: {what} will be named {name}: PostgreSQL {} names such constraints and would choose {chosen}, \
         which another constraint has",
        version.major()
    )
}

/// From 18 on a `NOT NULL` may be one that children do not inherit. An older server gives it to all of them, so that
/// those that hold NULLs are made to do without.
pub(super) fn nullable_again(catalog: &mut Catalog, version: ServerVersion) {
    if version.major() >= 18 {
        return;
    }
    let own =
        |object: &crate::Object| QualifiedName::new(object.schema.clone().unwrap_or_default(), &*object.name);
    let mut kept: BTreeMap<QualifiedName, BTreeSet<String>> = BTreeMap::new();
    for object in &catalog.objects {
        let Body::Table(table) = &object.body else { continue };
        let is_kept =
            |column: &&crate::kinds::Column| column.not_null.as_ref().is_some_and(|it| it.no_inherit);
        let columns: BTreeSet<String> =
            table.columns.iter().filter(is_kept).map(|column| column.name.to_string()).collect();
        if !columns.is_empty() {
            kept.insert(own(object), columns);
        }
    }
    for object in catalog.objects.iter_mut().filter(|object| object.extension.is_none() && !kept.is_empty()) {
        let Body::Table(table) = &mut object.body else { continue };
        let columns: BTreeSet<&String> =
            table.inherits.iter().filter_map(|parent| kept.get(parent)).flatten().collect();
        let nullable = table.columns.iter_mut().filter(|column| {
            column.not_null.is_none() && columns.iter().any(|name| name.as_str() == column.name.as_str())
        });
        nullable.for_each(|column| column.extras_mut().drops_not_null = true);
    }
}

/// Since 18 a child has every `NOT NULL` that a parent lets it inherit; before it could do without one. The
/// parent's then is not inherited any more, and the other children have their own.
pub(super) fn nullable_children(catalog: &mut Catalog, version: ServerVersion, losses: &mut Losses) {
    if version.major() < 18 || catalog.server_version.major() >= 18 {
        return;
    }
    let family = Family::new(catalog);
    let keys = key_columns(catalog);
    // Columns that may not be inherited, by table, with a child that does without.
    let mut stopped: BTreeMap<(QualifiedName, String), QualifiedName> = BTreeMap::new();
    for object in &mut catalog.objects {
        let identity = object.identity();
        let own = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
        let Body::Table(table) = &mut object.body else { continue };
        for column in &mut table.columns {
            if !column.extras.as_ref().is_some_and(|extras| extras.drops_not_null) {
                continue;
            }
            column.extras_mut().drops_not_null = false;
            let above = family.above(&own);
            let place = |table: &QualifiedName| (table.clone(), column.name.to_string());
            match above.iter().find(|table| keys.contains(&place(table))) {
                Some(keyed) => {
                    let what = format!(
                        "column {} becomes NOT NULL, as the primary key of its parent {keyed} wants on PostgreSQL {}: \
                         rows with NULL in it cannot be loaded",
                        column.name,
                        version.major()
                    );
                    losses.add(&identity, what);
                    // it comes with the parent's, which no statement of the child's makes
                    column.not_null = Some(Box::new(NotNull::default()));
                }
                None => stopped.extend(above.iter().map(|table| (place(table), own.clone()))),
            }
        }
    }
    if !stopped.is_empty() {
        stop(catalog, &family, &stopped, version, losses);
    }
}

fn stop(
    catalog: &mut Catalog,
    family: &Family,
    stopped: &BTreeMap<(QualifiedName, String), QualifiedName>,
    version: ServerVersion,
    losses: &mut Losses,
) {
    for object in &mut catalog.objects {
        let identity = object.identity();
        let own = QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name);
        let Body::Table(table) = &mut object.body else { continue };
        for column in &mut table.columns {
            let place = |table: &QualifiedName| (table.clone(), column.name.to_string());
            let Some(not_null) = &mut column.not_null else { continue };
            if let Some(child) = stopped.get(&place(&own)) {
                not_null.no_inherit = true;
                let what = format!(
                    "children do not inherit NOT NULL of column {} on PostgreSQL {}, since {child} does without",
                    column.name,
                    version.major()
                );
                losses.add(&identity, what);
            }
            let parents = family.parents.get(&own).into_iter().flatten();
            not_null.is_local |= parents.into_iter().any(|parent| stopped.contains_key(&place(parent)));
        }
    }
}

/// Columns of primary keys, by table.
fn key_columns(catalog: &Catalog) -> BTreeSet<(QualifiedName, String)> {
    let keys = catalog.objects.iter().filter_map(|object| match &object.body {
        Body::Constraint(key) if key.constraint_type == ConstraintType::PrimaryKey => Some(key),
        _ => None,
    });
    let tables: BTreeMap<QualifiedName, &Table> = tables(catalog).collect();
    // The columns stand in parentheses; one more than there are does no harm.
    let columns = keys.flat_map(|key| {
        let columns = tables.get(&key.table).into_iter().flat_map(|table| &table.columns);
        let is_in_key = |name: &str| {
            let list = key.definition.split(['(', ')']).nth(1).unwrap_or_default();
            list.split(", ").any(|column| column.trim_matches('"').replace("\"\"", "\"") == name)
        };
        let names = columns.filter(move |column| is_in_key(&column.name));
        names.map(|column| (key.table.clone(), column.name.to_string())).collect::<Vec<_>>()
    });
    columns.collect()
}

fn tables(catalog: &Catalog) -> impl Iterator<Item = (QualifiedName, &Table)> {
    catalog.objects.iter().filter_map(|object| match &object.body {
        Body::Table(table) => {
            Some((QualifiedName::new(object.schema.clone().unwrap_or_default(), &object.name), &**table))
        }
        _ => None,
    })
}

/// The names of the constraints of each table, as far as they are like those that are chosen. A constraint
/// trigger is one of them, also where a partition has its copy.
fn taken_names(catalog: &Catalog, family: &Family) -> BTreeMap<QualifiedName, BTreeSet<String>> {
    let mut taken: BTreeMap<QualifiedName, BTreeSet<String>> = BTreeMap::new();
    // a number behind a name that fills its place takes letters from its end
    for object in catalog.objects.iter().filter(|object| object.name.contains("_not_n")) {
        let tables = match &object.body {
            Body::Constraint(constraint) => BTreeSet::from([constraint.table.clone()]),
            Body::Trigger(trigger) if trigger.is_constraint() => family.with_partitions(&trigger.table),
            _ => continue,
        };
        for table in tables {
            taken.entry(table).or_default().insert(object.name.clone());
        }
    }
    taken
}

/// Which table inherits from which.
struct Family {
    /// Partitions, which inherit otherwise, by the partitioned table.
    partitions: BTreeMap<QualifiedName, Vec<QualifiedName>>,
    parents: BTreeMap<QualifiedName, Vec<QualifiedName>>,
    children: BTreeMap<QualifiedName, Vec<QualifiedName>>,
}

impl Family {
    fn new(catalog: &Catalog) -> Self {
        let mut family =
            Family { partitions: BTreeMap::new(), parents: BTreeMap::new(), children: BTreeMap::new() };
        for (name, table) in tables(catalog) {
            if let Some(partition) = &table.partition_of {
                family.partitions.entry(partition.parent.clone()).or_default().push(name.clone());
            }
            for parent in &table.inherits {
                family.parents.entry(name.clone()).or_default().push(parent.clone());
                family.children.entry(parent.clone()).or_default().push(name.clone());
            }
        }
        family
    }

    /// Every table that one inherits from, at any level.
    fn above(&self, table: &QualifiedName) -> BTreeSet<QualifiedName> {
        let mut found = reach(&self.parents, table);
        found.remove(table);
        found
    }

    /// The names of constraints of a table and of all that inherit from it.
    fn names_below(
        &self,
        table: &QualifiedName,
        taken: &BTreeMap<QualifiedName, BTreeSet<String>>,
    ) -> BTreeSet<String> {
        let below = reach(&self.children, table);
        below.iter().filter_map(|table| taken.get(table)).flatten().cloned().collect()
    }

    /// A table and its partitions, at any level.
    fn with_partitions(&self, table: &QualifiedName) -> BTreeSet<QualifiedName> {
        reach(&self.partitions, table)
    }
}

/// A table and all that can be reached from it.
fn reach(
    edges: &BTreeMap<QualifiedName, Vec<QualifiedName>>,
    from: &QualifiedName,
) -> BTreeSet<QualifiedName> {
    let mut seen = BTreeSet::from([from.clone()]);
    let mut open = vec![from];
    while let Some(table) = open.pop() {
        for next in edges.get(table).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    seen
}

/// The name that the server gives a `NOT NULL` (src/backend/commands/indexcmds.c, `makeObjectName`): what it
/// is on, shortened so that the end fits, the longest part first.
pub(crate) fn chosen_name(parts: &[&str]) -> String {
    const END: &str = "_not_null";
    let room = NAME_BYTES - END.len() - (parts.len() - 1);
    let mut lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    while lengths.iter().sum::<usize>() > room {
        // Of equal ones the last.
        let Some(longest) = (0..lengths.len()).max_by_key(|&place| lengths[place]) else { break };
        lengths[longest] -= 1;
    }
    let clipped = |(part, &length): (&&str, &usize)| shortened(part, length).to_owned();
    let parts: Vec<String> = parts.iter().zip(&lengths).map(clipped).collect();
    format!("{}{END}", parts.join("_"))
}

/// As many whole characters of a name as fit into so many bytes.
fn shortened(name: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or_default()]
}

/// A name like another, with a number behind it that makes it free.
fn free_name(chosen: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut number = 1_u64;
    loop {
        let suffix = number.to_string();
        let room = NAME_BYTES - suffix.len();
        let name = format!("{}{suffix}", shortened(chosen, room));
        if !is_taken(&name) {
            return name;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{chosen_name, free_name};

    #[test]
    fn names_that_servers_choose() {
        let long = "a".repeat(60);
        assert_eq!(chosen_name(&["t2", "i"]), "t2_i_not_null");
        assert_eq!(chosen_name(&["dn"]), "dn_not_null");
        assert_eq!(chosen_name(&[&long, "col"]), format!("{}_col_not_null", "a".repeat(50)));
        assert_eq!(chosen_name(&[&long, &long]), format!("{}_{}_not_null", "a".repeat(27), "a".repeat(26)));
        assert_eq!(chosen_name(&[&"ä".repeat(30)]), format!("{}_not_null", "ä".repeat(27)));
    }

    #[test]
    fn names_that_are_free() {
        let is_taken = |name: &str| BTreeSet::from(["t_i_not_null1", "t_i_not_null2"]).contains(name);
        assert_eq!(free_name("t_i_not_null", is_taken), "t_i_not_null3");
        assert_eq!(free_name(&"x".repeat(63), is_taken), format!("{}1", "x".repeat(62)));
    }
}
