//! Whether what was skipped explains what differs: by object and part, never by wording.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Formatter};

use dbhaul_catalog::kinds::{Body, Operator};
use dbhaul_catalog::{
    Catalog, Difference, EntryKind, Identity, Object, ObjectId, QualifiedName, TocEntry, system_identity,
};
use dbhaul_importer::{ImportOutcome, Part};
use dbhaul_progress::counted;
use dbhaul_verifier::Report;

use crate::copy_scope::CopyScope;
use crate::{ImportSummary, Status};

/// What of an object may differ since it was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    /// All of it, that it is not there included.
    Whole,
    /// Its properties, but it is there.
    Properties,
    /// Its owner, and so the privileges, which were to be given by that owner.
    Owner,
    /// Privileges.
    Privileges,
    /// The comment.
    Comment,
    /// Security labels.
    Labels,
    /// Whether it is filled.
    Filling,
}

/// What a run skipped, as parts of objects.
#[derive(Debug, Clone, Default)]
pub(crate) struct Excuses {
    by_object: BTreeMap<Identity, BTreeSet<Extent>>,
    /// The server's own objects whose privileges or owner were not changed as on the source.
    of_server: BTreeSet<Identity>,
    /// Objects that cannot be carried or not whole, as they were told before the run.
    told: BTreeSet<String>,
}

impl Excuses {
    /// Takes what an import skipped and what failed, with the entries of its table of contents, and the objects, named as
    /// [`Identity`] prints them, that the source could not carry as they are.
    pub(crate) fn new<'a>(
        catalog: &Catalog,
        entries: &[TocEntry],
        outcome: &ImportOutcome,
        told: impl Iterator<Item = &'a String>,
    ) -> Self {
        let mut excuses = Excuses { told: told.cloned().collect(), ..Excuses::default() };
        let objects: BTreeMap<ObjectId, &Object> =
            catalog.objects.iter().map(|object| (object.id, object)).collect();
        let (mut gone, mut unowned) = (BTreeSet::new(), BTreeSet::new());
        let mut unowned_operators = Vec::new();
        let skipped = outcome.skipped.iter().map(|skipped| (skipped.entry, &skipped.part));
        let failed = outcome.failed.iter().map(|failed| (failed.entry, &Part::Whole));
        for (id, part) in skipped.chain(failed) {
            // entries are numbered from 1; 0 stands for planner statistics, which are not compared
            let Some(entry) = (id as usize).checked_sub(1).and_then(|at| entries.get(at)) else {
                continue;
            };
            let Some(object) = entry.object.as_ref().and_then(|id| objects.get(id)) else {
                if entry.kind == EntryKind::Acl {
                    excuses.of_server.insert(system_identity(&entry.name));
                }
                continue;
            };
            let Some(extent) = extent(entry, part) else { continue };
            excuses.add(object, extent);
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
            matches!(object.body, Body::Constraint(_))
                && excuses.told.contains(&object.identity().to_string())
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
        let makers: Vec<_> = lost.chain(unowned.iter().copied()).collect();
        if makers.is_empty() {
            return;
        }
        for object in &catalog.objects {
            let Body::Operator(declared) = &object.body else { continue };
            if declared.function.is_some() {
                continue;
            }
            let makers = makers.iter().filter(|(maker, _)| names_half(maker, object, declared));
            makers.for_each(|(_, extent)| self.add(object, *extent));
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
        for object in catalog.objects.iter().filter(|object| gone.contains(&object.id)) {
            match &object.body {
                Body::Table(_) | Body::View(_) | Body::MaterializedView(_) => {
                    tables.insert(name(object));
                }
                Body::Constraint(constraint) => {
                    constraints.insert((constraint.table.clone(), object.name.clone()));
                }
                Body::ColumnDefault(default) => defaults.push(default),
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
        for object in &catalog.objects {
            let goes_along = match &object.body {
                Body::ColumnDefault(default) => tables.contains(&default.table),
                Body::Constraint(constraint) => tables.contains(&constraint.table),
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
            // a column's default is told of its table too
            let has_default = |table: &QualifiedName| *table == name(object);
            if matches!(object.body, Body::Table(_))
                && defaults.iter().any(|default| has_default(&default.table))
            {
                self.add(object, Extent::Properties);
            }
        }
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
        if self.told.contains(&identity.to_string()) {
            return true;
        }
        if self.of_server.contains(identity) {
            return true;
        }
        let Some(extents) = self.by_object.get(identity) else { return false };
        extents.iter().any(|extent| extent.covers(difference))
    }
}

impl Extent {
    fn covers(self, difference: &Difference) -> bool {
        let Some(path) = difference.path() else {
            return self == Extent::Whole && matches!(difference, Difference::Missing { .. });
        };
        let ends_with = |property: &str| path == property || path.ends_with(&format!(".{property}"));
        match self {
            Extent::Whole | Extent::Properties => true,
            Extent::Owner => path == "owner" || ends_with("acl"),
            Extent::Privileges => ends_with("acl"),
            Extent::Comment => ends_with("comment"),
            Extent::Labels => path.split('.').any(|part| part == "security_labels"),
            Extent::Filling => path == "body.populated",
        }
    }
}

/// What of its object an entry is, as far as it was skipped; `None` for rows, which are compared by themselves.
fn extent(entry: &TocEntry, part: &Part) -> Option<Extent> {
    match (entry.kind, part) {
        (EntryKind::TableData | EntryKind::SequenceSet | EntryKind::LargeObjectData, _) => None,
        (EntryKind::Acl | EntryKind::DefaultAcl, _) => {
            Some(if entry.kind == EntryKind::Acl { Extent::Privileges } else { Extent::Whole })
        }
        (EntryKind::Comment, _) => Some(Extent::Comment),
        (EntryKind::SecurityLabel, _) => Some(Extent::Labels),
        (EntryKind::MaterializedViewData, _) => Some(Extent::Filling),
        (_, Part::Owner) => Some(Extent::Owner),
        (_, Part::Statements(_)) => Some(Extent::Properties),
        (
            EntryKind::IndexAttach
            | EntryKind::TableAttach
            | EntryKind::SequenceOwnedBy
            | EntryKind::RowSecurity
            | EntryKind::PublicationTable
            | EntryKind::PublicationSchema,
            Part::Whole,
        ) => Some(Extent::Properties),
        (_, Part::Whole) => Some(Extent::Whole),
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

/// The table whose identity column a sequence serves.
fn identity_of(object: &Object) -> Option<&QualifiedName> {
    let Body::Sequence(sequence) = &object.body else { return None };
    sequence.owned_by.as_ref().filter(|owner| owner.identity.is_some()).map(|owner| &owner.table)
}

fn name(object: &Object) -> QualifiedName {
    QualifiedName::new(object.schema.clone().unwrap_or_default(), object.name.as_str())
}

#[cfg(test)]
mod tests {
    use dbhaul_catalog::kinds::{EnumType, Operator, Schema, Table, View};
    use dbhaul_catalog::{Class, Section, ServerVersion};
    use dbhaul_importer::Skipped;
    use serde_json::json;

    use super::*;

    fn object(oid: u32, schema: Option<&str>, name: &str, body: Body) -> Object {
        Object {
            id: ObjectId::new(Class::PG_CLASS, oid),
            schema: schema.map(Into::into),
            name: name.to_owned(),
            owner: Some("o".into()),
            acl: None,
            comment: None,
            security_labels: Vec::new(),
            extension: None,
            body,
        }
    }

    fn table() -> Body {
        let table: Table = serde_json::from_value(json!({
            "table_kind": "ordinary", "unlogged": false, "columns": [], "checks": [], "of_type": null,
            "inherits": [], "partition_of": null, "partition_key": null, "options": [], "toast_options": [],
            "access_method": null, "tablespace": null, "row_security": false, "force_row_security": false,
            "replica_identity": "default", "foreign": null
        }))
        .unwrap();
        Body::from(table)
    }

    fn operator(of: &str) -> Body {
        Body::from(Operator {
            function: None,
            left_type: Some(of.to_owned()),
            right_type: None,
            commutator: None,
            negator: None,
            merges: false,
            hashes: false,
            restrict: None,
            join: None,
        })
    }

    fn view() -> Body {
        let (options, columns) = (Vec::new(), Vec::new());
        Body::from(View { options, check_option: None, definition: "SELECT 1".to_owned(), columns })
    }

    fn catalog() -> Catalog {
        let objects = vec![
            object(1, Some("public"), "film", table()),
            object(2, Some("public"), "film_list", view()),
            object(3, None, "public", Body::from(Schema {})),
            object(4, Some("public"), "mood", Body::from(EnumType { labels: Vec::new() })),
            object(5, Some("public"), "=", operator("public.mood")),
            object(6, Some("public"), "<", operator("public.mood_of_day")),
        ];
        Catalog { objects, ..Catalog::empty(ServerVersion::of_major(18)) }
    }

    /// Whether a difference of object `of` is explained where an entry of `kind` for `skipped` was.
    fn check((kind, skipped, part): (EntryKind, u32, Part), of: u32, path: Option<&str>, expected: bool) {
        let catalog = catalog();
        let entry = TocEntry {
            id: 1,
            section: Section::PreData,
            kind,
            schema: None,
            name: String::new(),
            owner: None,
            create: Vec::new(),
            set_owner: None,
            drop: None,
            depends_on: Vec::new(),
            object: Some(ObjectId::new(Class::PG_CLASS, skipped)),
            data: None,
            weight_bytes: 0,
            adoption: None,
        };
        let skipped =
            Skipped { entry: 1, kind: Some(kind), description: String::new(), part, reason: String::new() };
        let outcome = ImportOutcome { skipped: vec![skipped], ..ImportOutcome::default() };
        let excuses = Excuses::new(&catalog, &[entry], &outcome, std::iter::empty());
        let object = catalog.objects.iter().find(|object| object.id.oid == of).unwrap();
        let identity = object.identity();
        let difference = match path {
            None => Difference::Missing { identity },
            Some(path) => {
                Difference::Different { identity, path: path.to_owned(), left: json!(1), right: json!(2) }
            }
        };
        assert_eq!(
            excuses.explain(&difference),
            expected,
            "{kind} of {} for {difference}",
            excuses.by_object.len()
        );
    }

    #[test]
    fn privileges_excuse_privileges() {
        let acl = || (EntryKind::Acl, 1, Part::Whole);
        check(acl(), 1, Some("acl"), true);
        check(acl(), 1, Some("body.columns.0.acl"), true);
        check(acl(), 1, Some("body.columns.0.type_name"), false);
        check(acl(), 1, Some("owner"), false);
        check(acl(), 1, None, false);
        check((EntryKind::Comment, 1, Part::Whole), 1, Some("comment"), true);
        check((EntryKind::Comment, 1, Part::Whole), 1, Some("acl"), false);
        check((EntryKind::Table, 1, Part::Owner), 1, Some("owner"), true);
        check((EntryKind::Table, 1, Part::Owner), 1, Some("body.unlogged"), false);
        check((EntryKind::Table, 1, Part::Owner), 1, None, false);
    }

    #[test]
    fn an_object_excuses_no_other() {
        check((EntryKind::View, 2, Part::Whole), 2, None, true);
        check((EntryKind::View, 2, Part::Whole), 1, Some("body.unlogged"), false);
        check((EntryKind::View, 2, Part::Whole), 3, Some("owner"), false);
        check((EntryKind::Table, 1, Part::Whole), 3, Some("acl"), false);
        check((EntryKind::TableData, 1, Part::Whole), 1, Some("body.unlogged"), false);
    }

    #[test]
    fn a_type_excuses_what_is_made_of_it() {
        check((EntryKind::Type, 4, Part::Whole), 5, None, true);
        check((EntryKind::Type, 4, Part::Whole), 6, None, false);
        check((EntryKind::Type, 4, Part::Owner), 5, None, false);
    }
}
