//! Whether what was skipped explains what differs: by object and part, never by wording.

mod extent;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Formatter};

use dbhaul_catalog::kinds::{Body, Operator};
use dbhaul_catalog::{
    Catalog, Difference, EntryKind, Identity, Object, ObjectId, QualifiedName, TocEntry, system_identity,
};
use dbhaul_importer::ImportOutcome;
use dbhaul_progress::counted;
use dbhaul_verifier::{CheckResult, Report};

use self::extent::{Column, Extent, extent, is_of_columns, is_within};
use crate::command::migrate::copy_scope::CopyScope;
use crate::{ImportSummary, Status};

/// What a run told before it began that it would not carry, or not as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// The objects.
    pub(crate) objects: BTreeSet<Identity>,
    /// What becomes of them by that.
    pub(crate) changes: Vec<Difference>,
}

impl Told {
    /// With what else was told.
    pub(crate) fn and(mut self, other: Told) -> Self {
        self.objects.extend(other.objects);
        self.changes.extend(other.changes);
        self
    }
}

/// What a run skipped, as parts of objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excuses {
    by_object: BTreeMap<Identity, BTreeSet<Extent>>,
    /// The server's own objects whose privileges or owner were not changed as on the source.
    of_server: BTreeSet<Identity>,
    /// Objects that cannot be carried or not whole, as they were told before the run.
    told: BTreeSet<Identity>,
    /// Those of them that were changed for the target, with the paths of what was; `None` where there is none, as
    /// of an object that was left out.
    changed: BTreeMap<Identity, BTreeSet<Option<String>>>,
}

impl Excuses {
    /// Takes what an import skipped and what failed, with the entries of its table of contents, and what was told
    /// before.
    pub(crate) fn new(catalog: &Catalog, entries: &[TocEntry], outcome: &ImportOutcome, told: Told) -> Self {
        let mut excuses = Excuses { told: told.objects, ..Excuses::default() };
        for change in told.changes {
            let paths = excuses.changed.entry(change.identity().clone()).or_default();
            paths.insert(change.path().map(str::to_owned));
        }
        let objects: BTreeMap<ObjectId, &Object> =
            catalog.objects.iter().map(|object| (object.id, object)).collect();
        let (mut gone, mut unowned) = (BTreeSet::new(), BTreeSet::new());
        let mut unowned_operators = Vec::new();
        let mut unattached: BTreeSet<(&QualifiedName, &str)> = BTreeSet::new();
        let mut alone = BTreeSet::new();
        let skipped = outcome.skipped.iter().map(|it| (&it.subject, it.part, it.statements.is_empty()));
        let failed = outcome.failed.iter().map(|it| (&it.subject, it.part, true));
        for (subject, part, is_whole) in skipped.chain(failed) {
            // planner statistics are not compared; entries are numbered from 1
            let Some(subject) = subject.entry() else { continue };
            let Some(entry) = (subject.id as usize).checked_sub(1).and_then(|at| entries.get(at)) else {
                continue;
            };
            let Some(object) = entry.object.as_ref().and_then(|id| objects.get(id)) else {
                if entry.kind == EntryKind::Acl {
                    excuses.of_server.insert(system_identity(&entry.name));
                }
                continue;
            };
            let Some(extent) = extent(entry, (part, is_whole), object) else { continue };
            excuses.add(object, extent.clone());
            if let (EntryKind::IndexAttach, Body::Constraint(constraint)) = (entry.kind, &object.body) {
                unattached.insert((&constraint.table, object.name.as_str()));
            }
            if entry.kind == EntryKind::TableAttach {
                alone.insert(name(object));
            }
            match extent {
                Extent::Whole => {
                    gone.insert(object.id);
                }
                Extent::Owner => match &object.body {
                    Body::Operator(operator) => unowned_operators.push((&**operator, Extent::Owner)),
                    _ => drop(unowned.insert(name(object))),
                },
                _ => {}
            }
        }
        // a constraint that an older server has no such thing for is left out with its index
        let left_out = catalog.objects.iter().filter(|object| {
            matches!(object.body, Body::Constraint(_)) && excuses.told.contains(&object.identity())
        });
        gone.extend(left_out.map(|object| object.id));
        excuses.add_what_goes_along(catalog, &gone);
        // a check of the parent's is the table's own where the table does not become a partition
        for object in &catalog.objects {
            if matches!(&object.body, Body::Constraint(constraint) if alone.contains(&constraint.table)) {
                excuses.add(object, Extent::Property("body.is_local"));
            }
        }
        // the index of a key is attached with the key
        for object in &catalog.objects {
            if let Body::Index(index) = &object.body
                && let Some(constraint) = &index.constraint
                && unattached.contains(&(&index.table, constraint.as_str()))
            {
                excuses.add(object, Extent::Property("body.properties.parent"));
            }
        }
        for object in
            catalog.objects.iter().filter(|object| identity_of(object).is_some_and(|t| unowned.contains(t)))
        {
            excuses.add(object, Extent::Owner);
        }
        excuses.add_declared_operators(catalog, &unowned_operators, &gone);
        excuses
    }

    /// An operator that is only declared is made by the one that names it as its other half, and is its
    /// owner's: both go as that one does.
    fn add_declared_operators<'a>(
        &mut self,
        catalog: &'a Catalog,
        unowned: &[(&'a Operator, Extent)],
        gone: &BTreeSet<ObjectId>,
    ) {
        let lost = catalog.objects.iter().filter(|object| gone.contains(&object.id));
        let lost = lost.filter_map(|object| match &object.body {
            Body::Operator(operator) => Some((&**operator, Extent::Whole)),
            _ => None,
        });
        let makers: Vec<_> = lost.chain(unowned.iter().cloned()).collect();
        if makers.is_empty() {
            return;
        }
        for object in &catalog.objects {
            let Body::Operator(declared) = &object.body else { continue };
            if declared.function.is_some() {
                continue;
            }
            let makers = makers.iter().filter(|(maker, _)| names_half(maker, object, declared));
            makers.for_each(|(_, extent)| self.add(object, extent.clone()));
        }
    }

    fn add(&mut self, object: &Object, extent: Extent) {
        self.by_object.entry(object.identity()).or_default().insert(extent);
    }

    /// What has no entry of its own and is made along with an object: parts of a table, the index of a
    /// constraint, the sequence of an identity column, the other half of a pair of operators.
    fn add_what_goes_along(&mut self, catalog: &Catalog, gone: &BTreeSet<ObjectId>) {
        let mut tables = BTreeSet::new();
        let mut types = BTreeSet::new();
        let mut constraints = BTreeSet::new();
        let mut extensions = BTreeSet::new();
        let mut defaults = Vec::new();
        let mut identities = Vec::new();
        for object in catalog.objects.iter().filter(|object| gone.contains(&object.id)) {
            match &object.body {
                Body::Table(_) | Body::View(_) | Body::MaterializedView(_) => {
                    tables.insert(name(object));
                }
                Body::Constraint(constraint) => {
                    constraints.insert((constraint.table.clone(), object.name.clone()));
                }
                Body::ColumnDefault(default) => defaults.push(default),
                Body::Sequence(sequence) => {
                    identities.extend(sequence.owned_by.iter().filter(|owner| owner.identity.is_some()));
                }
                Body::Extension(_) => {
                    extensions.insert(object.name.as_str());
                }
                Body::EnumType(_)
                | Body::Domain(_)
                | Body::CompositeType(_)
                | Body::RangeType(_)
                | Body::BaseType(_)
                | Body::ShellType(_) => {
                    types.insert(object.sql_name());
                }
                _ => {}
            }
        }
        add_inherited(catalog, &mut constraints);
        for object in &catalog.objects {
            let goes_along = match &object.body {
                Body::ColumnDefault(default) => tables.contains(&default.table),
                Body::Constraint(constraint) => {
                    let copy = (constraint.table.clone(), object.name.clone());
                    tables.contains(&constraint.table) || !constraint.is_local && constraints.contains(&copy)
                }
                Body::Trigger(trigger) => tables.contains(&trigger.table),
                Body::Rule(rule) => tables.contains(&rule.table),
                Body::Policy(policy) => tables.contains(&policy.table),
                Body::Index(index) => {
                    let of_constraint =
                        |name: &String| constraints.contains(&(index.table.clone(), name.clone()));
                    tables.contains(&index.table) || index.constraint.as_ref().is_some_and(of_constraint)
                }
                Body::Sequence(_) => identity_of(object).is_some_and(|table| tables.contains(table)),
                Body::Operator(operator) => {
                    let sides = [&operator.left_type, &operator.right_type];
                    sides.into_iter().flatten().any(|side| types.contains(side))
                }
                _ => false,
            };
            if goes_along || object.extension.as_deref().is_some_and(|name| extensions.contains(name)) {
                self.add(object, Extent::Whole);
            }
            for owner in identities.iter().filter(|owner| owner.table == name(object)) {
                self.add_column(object, &owner.column, "identity");
            }
            // a column's default is told of its table too
            for default in defaults.iter().filter(|default| default.table == name(object)) {
                self.add_column(object, &default.column, "default");
            }
        }
    }

    /// A column without its sequence is no identity column, and one without its default has none: both are told of its
    /// table.
    fn add_column(&mut self, object: &Object, column: &str, property: &'static str) {
        let columns = match &object.body {
            Body::Table(table) => table.columns.iter().map(|other| other.name.as_str()).collect(),
            Body::View(view) => view.columns.iter().map(|other| other.name.as_str()).collect(),
            _ => Vec::new(),
        };
        if let Some(place) = columns.iter().position(|other| *other == column) {
            self.add(object, Extent::OfColumn(Column::new(place, column), property));
        }
    }

    /// How a run ends that has written and then compared: what was skipped may be all that differs. Rows,
    /// sequences and answers to checks must be equal, and every object that differs must be one of those that were skipped.
    pub(crate) fn judge(&self, written: Status, compared: Option<&Report>) -> Status {
        let explains = |report: &Report| {
            report.rows_are_equal()
                && report.sequences.is_empty()
                && report.checks.iter().all(CheckResult::is_equal)
                && report.schema.differences.iter().all(|difference| self.explain(difference))
        };
        match (compared, written) {
            (Some(report), Status::Done) if !report.is_equal() => Status::Different,
            (Some(report), Status::Skipped) if !explains(report) => Status::Different,
            (_, status) => status,
        }
    }

    /// Writes what a run says at its end: the comparison, or why there is none, and what was written in that case.
    pub(crate) fn write_end(
        &self,
        f: &mut Formatter<'_>,
        summary: &ImportSummary,
        (verification, unverified, scope): (Option<&Report>, Option<&str>, Option<&CopyScope>),
    ) -> fmt::Result {
        if let Some(report) = verification {
            self.write(f, summary, report)?;
            // with nothing left out of it, if so asked
            f.write_str("\n\n")?;
            fmt::Display::fmt(report, f)?;
        }
        if let Some(reason) = unverified {
            write!(f, "\n  not verified: {reason}")?;
        }
        scope.map_or(Ok(()), |scope| write!(f, "\n\n{scope}"))
    }

    /// How much of what differs comes from what was skipped or failed, so that nobody has to look for the rest.
    fn write(&self, f: &mut Formatter<'_>, summary: &ImportSummary, report: &Report) -> fmt::Result {
        let differences = &report.schema.differences;
        if differences.is_empty() || summary.skipped.is_empty() && summary.failed.is_empty() {
            return Ok(());
        }
        let explained = differences.iter().filter(|difference| self.explain(difference)).count();
        let count = counted(differences.len(), "difference");
        write!(f, "\n  of {count} in definitions below, {explained} from what was skipped or failed")
    }

    /// Whether a difference is one of what was skipped.
    pub(crate) fn explain(&self, difference: &Difference) -> bool {
        let identity = difference.identity();
        if self.told.contains(identity) && self.is_told(difference) {
            return true;
        }
        if self.of_server.contains(identity) {
            return true;
        }
        let Some(extents) = self.by_object.get(identity) else { return false };
        extents.iter().any(|extent| extent.covers(difference))
    }

    /// Whether a difference of an object of which something was told is what was told, and nothing else.
    fn is_told(&self, difference: &Difference) -> bool {
        let path = difference.path();
        let of_itself = match difference.identity().kind {
            // the target leaves options out by itself
            EntryKind::Subscription => path.is_some_and(|path| is_within(path, "body")),
            // an owner that is a role of the server's own is another on an older one, and grants as itself
            EntryKind::Schema => matches!(path, Some("owner" | "acl")),
            _ => false,
        };
        let mut paths = self.changed.get(difference.identity()).into_iter().flatten();
        of_itself
            || paths.any(|changed| match (changed.as_deref(), path) {
                (None, path) => path.is_none(),
                (Some(_), None) => false,
                // lists that differ in length are compared as wholes, on the target perhaps part by part
                (Some(changed), Some(path)) => {
                    is_within(path, changed) || is_within(changed, path) && !is_of_columns(path)
                }
            })
    }
}

/// Whether an operator names a declared one as its commutator, with the operands the other way round, or as
/// its negator.
fn names_half(maker: &Operator, object: &Object, declared: &Operator) -> bool {
    // which names are quoted depends on the server
    let name = format!("OPERATOR({}.{})", object.schema.as_deref().unwrap_or_default(), object.name);
    let is_it = |half: &Option<String>| half.as_ref().is_some_and(|half| half.replace('"', "") == name);
    let commutes = maker.left_type == declared.right_type && maker.right_type == declared.left_type;
    let negates = maker.left_type == declared.left_type && maker.right_type == declared.right_type;
    commutes && is_it(&maker.commutator) || negates && is_it(&maker.negator)
}

/// Adds to constraints the copies that children have of them and that come with them alone.
fn add_inherited(catalog: &Catalog, constraints: &mut BTreeSet<(QualifiedName, String)>) {
    if constraints.is_empty() {
        return;
    }
    let names: BTreeSet<String> = constraints.iter().map(|(_, name)| name.clone()).collect();
    let copies = catalog.objects.iter().filter(|object| names.contains(&object.name));
    let copies = copies.filter_map(|object| match &object.body {
        Body::Constraint(constraint) if !constraint.is_local => Some((&constraint.table, &object.name)),
        _ => None,
    });
    let copies: Vec<(&QualifiedName, &String)> = copies.collect();
    if copies.is_empty() {
        return;
    }
    let parents: BTreeMap<QualifiedName, Vec<&QualifiedName>> = catalog
        .objects
        .iter()
        .filter_map(|object| match &object.body {
            Body::Table(table) => {
                let parents = table.inherits.iter().chain(table.partition_of.as_ref().map(|of| &of.parent));
                Some((name(object), parents.collect()))
            }
            _ => None,
        })
        .collect();
    loop {
        let before = constraints.len();
        for (table, name) in &copies {
            let mut above = parents.get(*table).into_iter().flatten();
            if above.any(|parent| constraints.contains(&((*parent).clone(), (*name).clone()))) {
                constraints.insert(((*table).clone(), (*name).clone()));
            }
        }
        if constraints.len() == before {
            return;
        }
    }
}

/// The table whose identity column a sequence serves.
fn identity_of(object: &Object) -> Option<&QualifiedName> {
    let Body::Sequence(sequence) = &object.body else { return None };
    sequence.owned_by.as_ref().filter(|owner| owner.identity.is_some()).map(|owner| &owner.table)
}

fn name(object: &Object) -> QualifiedName {
    QualifiedName::new(object.schema.clone().unwrap_or_default(), object.name.as_str())
}

#[cfg(test)]
mod tests;
