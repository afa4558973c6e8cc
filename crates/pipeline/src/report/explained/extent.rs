//! Which differences of an object a part of it explains that was skipped.

use dbhaul_catalog::kinds::Body;
use dbhaul_catalog::{Difference, EntryKind, Object, PartName, TocEntry, quote_identifier};
use dbhaul_importer::Part;

/// What of an object may differ since it was skipped.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// All of it, that it is not there included.
    Whole,
    /// Its properties, but it is there.
    Properties,
    /// One of its properties, by its path.
    Property(&'static str),
    /// One property of one of its columns.
    OfColumn(Column, &'static str),
    /// Its owner, and so the privileges, which were to be given by that owner.
    Owner,
    /// What is said of the object, or of something in it.
    Annotation(Annotation, Place),
    /// Whether it is filled.
    Filling,
}

/// What hangs on objects and their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Annotation {
    Privileges,
    Comment,
    Labels,
}

/// What of an object something is said of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The object itself.
    Object,
    /// One of its columns.
    Column(Column),
    /// The constraint of a domain whose comment has this path.
    Constraint(String),
    /// A part that is no object and has one of these paths: a partition's copy of a key, a row type.
    Part(Vec<String>),
}

/// A column, as differences find it: by its place or, where that may be another on the other side, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Column {
    place: String,
    name: String,
}

impl Column {
    /// The column of a table at a place, with its name unquoted.
    pub(super) fn new(place: usize, name: &str) -> Self {
        Column { place: place.to_string(), name: format!("\"{}\"", name.replace('"', "\"\"")) }
    }

    /// What a path leads to in this column.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let lists = ["body.columns.", "body.undeclared_columns.", "columns.", "body.attributes."];
        let of_column = lists.iter().find_map(|list| path.strip_prefix(list))?;
        let below = |key: &str| of_column.strip_prefix(key)?.strip_prefix('.');
        below(&self.place).or_else(|| below(&self.name))
    }
}

/// Whether a path is another or leads to something below it.
pub(super) fn is_within(path: &str, whole: &str) -> bool {
    path.strip_prefix(whole).is_some_and(|below| below.is_empty() || below.starts_with('.'))
}

/// Whether a path leads to all columns of a table or to all of one of them: what else may be lost with them is more than
/// a change of a column tells.
pub(super) fn is_of_columns(path: &str) -> bool {
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
            Place::Part(paths) => paths.iter().any(|part| is_within(path, part)),
            Place::Column(column) => column.below(path).is_some_and(|path| self.is(path)),
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
    pub(super) fn covers(&self, difference: &Difference) -> bool {
        let Some(path) = difference.path() else {
            return *self == Extent::Whole && matches!(difference, Difference::Missing { .. });
        };
        match self {
            Extent::Whole | Extent::Properties => true,
            Extent::Property(property) => is_within(path, property),
            Extent::OfColumn(column, property) => {
                column.below(path).is_some_and(|path| is_within(path, property))
            }
            Extent::Owner => path == "owner" || Annotation::Privileges.ends(path),
            Extent::Annotation(annotation, place) => annotation.is_at(path, place),
            Extent::Filling => path == "body.populated",
        }
    }
}

/// What of its object may differ where a part of an entry was skipped, all of it or some of its statements; `None` for
/// rows, which are compared by themselves.
pub(super) fn extent(entry: &TocEntry, (part, is_whole): (Part, bool), object: &Object) -> Option<Extent> {
    let of = |annotation: Annotation| Some(Extent::Annotation(annotation, place_of(entry, object)));
    match part {
        Part::Rows | Part::Position | Part::Statistics => None,
        Part::Privileges => of(Annotation::Privileges),
        Part::Comment => of(Annotation::Comment),
        Part::SecurityLabel => of(Annotation::Labels),
        Part::Filling => Some(Extent::Filling),
        Part::Owner => Some(Extent::Owner),
        Part::Addition if entry.kind == EntryKind::RowSecurity => Some(Extent::Property("body.row_security")),
        Part::Addition if entry.kind == EntryKind::SequenceOwnedBy => Some(Extent::Property("body.owned_by")),
        Part::Addition | Part::Validation => Some(Extent::Properties),
        // default privileges are nothing but their statements
        Part::Definition if is_whole || entry.kind == EntryKind::DefaultAcl => Some(Extent::Whole),
        Part::Definition => Some(Extent::Properties),
    }
}

/// What of its object an entry of something that is said is about.
fn place_of(entry: &TocEntry, object: &Object) -> Place {
    let of_column = column_of(entry, object).map(Place::Column);
    let of_part = || part_of(entry, object).map(Place::Part);
    let of_constraint = || constraint_of(entry, object).map(Place::Constraint);
    of_column.or_else(of_constraint).or_else(of_part).unwrap_or(Place::Object)
}

/// The paths of a part of an object that is none itself and that an entry says something of.
fn part_of(entry: &TocEntry, object: &Object) -> Option<Vec<String>> {
    let (_, rest) = entry.name.split_once(' ').filter(|(kind, _)| PARTS.contains(kind))?;
    let table = match &object.body {
        Body::Constraint(constraint) => Some(&constraint.table),
        Body::Trigger(trigger) => Some(&trigger.table),
        Body::Rule(rule) => Some(&rule.table),
        _ => None,
    };
    let own = || Some(format!("{} ON {}", quote_identifier(&object.name), table?));
    let is_type = object.body.kind() == EntryKind::Type && rest == object.sql_name();
    if is_type || own().is_some_and(|own| rest == own) {
        return None;
    }
    let mut paths = vec![format!("{:?}", PartName::Address(entry.name.clone()))];
    let on_object = rest.strip_suffix(&format!(" ON {}", object.sql_name()));
    let name = on_object.map(|name| {
        let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        quoted.map_or_else(|| name.to_owned(), |name| name.replace("\"\"", "\""))
    });
    paths.extend(name.iter().map(|name| format!("{:?}", PartName::TableConstraint(name.clone()))));
    paths.extend(name.map(|name| format!("{:?}", PartName::Rule(name))));
    Some(paths)
}

/// The words before the name of a part.
const PARTS: [&str; 4] = ["CONSTRAINT", "TRIGGER", "RULE", "TYPE"];

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
    Some(Column::new(place, names.get(place)?))
}
