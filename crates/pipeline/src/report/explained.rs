//! Whether what was skipped explains what differs: by object and part, never by wording.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Formatter};

use dbhaul_catalog::kinds::{Body, Operator};
use dbhaul_catalog::{
    Catalog, Difference, EntryKind, Identity, Object, ObjectId, QualifiedName, TocEntry, quote_identifier,
    system_identity,
};
use dbhaul_importer::{ImportOutcome, Part};
use dbhaul_progress::counted;
use dbhaul_verifier::Report;

use crate::command::migrate::copy_scope::CopyScope;
use crate::{ImportSummary, Status};

/// What of an object may differ since it was skipped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    /// All of it, that it is not there included.
    Whole,
    /// Its properties, but it is there.
    Properties,
    /// Its owner, and so the privileges, which were to be given by that owner.
    Owner,
    /// What is said of the object, or of something in it.
    Annotation(Annotation, Place),
    /// Whether it is filled.
    Filling,
}

/// What hangs on objects and their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Annotation {
    Privileges,
    Comment,
    Labels,
}

/// What of an object something is said of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The object itself.
    Object,
    /// One of its columns.
    Column(Column),
    /// The constraint of a domain whose comment has this path.
    Constraint(String),
}

/// A column, as differences find it: by its place or, where that may be another on the other side, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Column {
    place: String,
    name: String,
}

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
                self.add_identity(object, &owner.column);
            }
            // a column's default is told of its table too
            let has_default = |table: &QualifiedName| *table == name(object);
            if matches!(object.body, Body::Table(_))
                && defaults.iter().any(|default| has_default(&default.table))
            {
                self.add(object, Extent::Properties);
            }
        }
    }

    /// A column without its sequence is no identity column, which is told of its table.
    fn add_identity(&mut self, object: &Object, column: &str) {
        let Body::Table(table) = &object.body else { return };
        let Some(place) = table.columns.iter().position(|other| other.name.as_str() == column) else {
            return;
        };
        self.told.insert(object.identity());
        let name = format!("\"{}\"", column.replace('"', "\"\""));
        let paths = [place.to_string(), name].map(|key| Some(format!("body.columns.{key}.identity")));
        self.changed.entry(object.identity()).or_default().extend(paths);
    }

    /// How a run ends that has written and then compared: what was skipped may be all that differs. Rows and
    /// sequences must be equal, and every object that differs must be one of those that were skipped.
    pub(crate) fn judge(&self, written: Status, compared: Option<&Report>) -> Status {
        let explains = |report: &Report| {
            report.rows_are_equal()
                && report.sequences.is_empty()
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
            write!(f, "\n\n{report}")?;
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

/// Whether a path is another or leads to something below it.
fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|below| below.is_empty() || below.starts_with('.'))
}

/// Whether a path leads to all columns of a table or to all of one of them: what else may be lost with them is more than
/// a change of a column tells.
fn is_of_columns(path: &str) -> bool {
    let Some(below) = path.strip_prefix("body.columns") else { return false };
    // a column's name stands in quotes, in which a dot is no end
    let key = below.strip_prefix('.').unwrap_or_default();
    key.starts_with('"') && key.ends_with('"') || !key.contains('.')
}

impl Annotation {
    /// Whether this is what a path leads to, of this place and no other.
    fn is_at(self, path: &str, place: &Place) -> bool {
        match place {
            Place::Object => self.is(path),
            Place::Constraint(comment) => self == Annotation::Comment && path == comment,
            Place::Column(Column { place, name }) => {
                let lists = ["body.columns.", "body.undeclared_columns.", "columns.", "body.attributes."];
                let of_column = lists.iter().find_map(|list| path.strip_prefix(list));
                let below = |key: &str| of_column?.strip_prefix(key)?.strip_prefix('.');
                below(place).or_else(|| below(name)).is_some_and(|path| self.is(path))
            }
        }
    }

    fn is(self, path: &str) -> bool {
        is_within(path, self.property())
    }

    fn ends(self, path: &str) -> bool {
        path.split('.').any(|part| part == self.property())
    }

    const fn property(self) -> &'static str {
        match self {
            Annotation::Privileges => "acl",
            Annotation::Comment => "comment",
            Annotation::Labels => "security_labels",
        }
    }
}

impl Extent {
    fn covers(&self, difference: &Difference) -> bool {
        let Some(path) = difference.path() else {
            return *self == Extent::Whole && matches!(difference, Difference::Missing { .. });
        };
        match self {
            Extent::Whole | Extent::Properties => true,
            Extent::Owner => path == "owner" || Annotation::Privileges.ends(path),
            Extent::Annotation(annotation, place) => annotation.is_at(path, place),
            Extent::Filling => path == "body.populated",
        }
    }
}

/// What of its object may differ where a part of an entry was skipped, all of it or some of its statements; `None` for
/// rows, which are compared by themselves.
fn extent(entry: &TocEntry, (part, is_whole): (Part, bool), object: &Object) -> Option<Extent> {
    let of = |annotation: Annotation| Some(Extent::Annotation(annotation, place_of(entry, object)));
    match part {
        Part::Rows | Part::Position | Part::Statistics => None,
        Part::Privileges => of(Annotation::Privileges),
        Part::Comment => of(Annotation::Comment),
        Part::SecurityLabel => of(Annotation::Labels),
        Part::Filling => Some(Extent::Filling),
        Part::Owner => Some(Extent::Owner),
        Part::Addition | Part::Validation => Some(Extent::Properties),
        // default privileges are nothing but their statements
        Part::Definition if is_whole || entry.kind == EntryKind::DefaultAcl => Some(Extent::Whole),
        Part::Definition => Some(Extent::Properties),
    }
}

/// What of its object an entry of something that is said is about.
fn place_of(entry: &TocEntry, object: &Object) -> Place {
    let of_column = column_of(entry, object).map(Place::Column);
    of_column.or_else(|| constraint_of(entry, object).map(Place::Constraint)).unwrap_or(Place::Object)
}

/// The path of the comment on a domain's constraint, for the entry that makes it.
fn constraint_of(entry: &TocEntry, object: &Object) -> Option<String> {
    let Body::Domain(domain) = &object.body else { return None };
    let statement = entry.create.first().filter(|_| entry.kind == EntryKind::Comment)?;
    let of_object = object.sql_name();
    let is_on = |name: &str| {
        statement.starts_with(&format!(
            "COMMENT ON CONSTRAINT {} ON DOMAIN {of_object} IS ",
            quote_identifier(name)
        ))
    };
    let checks = domain.constraints.iter().position(|constraint| is_on(&constraint.name));
    let of_check = checks.map(|place| format!("body.constraints.{place}.comment"));
    of_check.or_else(|| {
        statement.starts_with("COMMENT ON CONSTRAINT ").then(|| "body.not_null_comment".to_owned())
    })
}

/// The column that an entry of something said of an object's column is about.
fn column_of(entry: &TocEntry, object: &Object) -> Option<Column> {
    let mut names: Vec<&str> = match &object.body {
        Body::Table(table) => table.columns.iter().map(|column| column.name.as_str()).collect(),
        Body::View(view) => view.columns.iter().map(|column| column.name.as_str()).collect(),
        Body::MaterializedView(view) => view.columns.iter().map(|column| column.name.as_str()).collect(),
        Body::CompositeType(composite) => composite.attributes.iter().map(|it| it.name.as_str()).collect(),
        Body::Sequence(_) => Vec::new(),
        _ => return None,
    };
    names.extend(object.body.undeclared_columns().iter().map(|column| column.name.as_str()));
    let of_object = object.sql_name();
    let address = |name: &str| format!("COLUMN {of_object}.{}", quote_identifier(name));
    let place = names.iter().position(|name| address(name) == entry.name)?;
    let name = names.get(place)?.replace('"', "\"\"");
    Some(Column { place: place.to_string(), name: format!("\"{name}\"") })
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
