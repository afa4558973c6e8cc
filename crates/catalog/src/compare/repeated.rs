//! One change that shows in several places is told once, where it is.
//!
//! A catalog holds some things twice: a default as an object and in its column, a check as an object and in its
//! table, the index of a key as an object and in its constraint; and a constraint's definition holds what its other
//! properties say.

use std::collections::{BTreeMap, BTreeSet};

use super::Difference;
use crate::{EntryKind, Identity};

/// Properties of a constraint that its definition holds too.
const IN_THE_DEFINITION: [&str; 6] = [
    "body.deferrable",
    "body.initially_deferred",
    "body.index.index_definition",
    "body.referenced_table.schema",
    "body.referenced_table.name",
    "body.separate",
];

/// Takes out what only repeats another of the differences.
pub(super) fn without_repeated(differences: Vec<Difference>) -> Vec<Difference> {
    let told = Told::by(&differences);
    differences.into_iter().filter(|difference| !told.repeats(difference)).collect()
}

/// What the differences tell of objects that others hold too.
#[derive(Default)]
struct Told {
    /// Tables with checks that differ.
    checks: BTreeSet<(Option<String>, String)>,
    /// Tables with defaults that differ, and how many of these are told as objects, and in columns.
    defaults: BTreeMap<(Option<String>, String), [BTreeSet<String>; 2]>,
    /// Constraints that one side lacks, by the names of their indexes.
    lone: BTreeSet<(Option<String>, String)>,
    /// Constraints whose definitions differ.
    defined: BTreeSet<Identity>,
    /// The same by the names of their indexes.
    indexed: BTreeSet<(Option<String>, String)>,
    /// Columns whose types differ, by their tables and paths.
    typed: BTreeSet<(Identity, String)>,
    /// Tables with other parents.
    related: BTreeSet<Identity>,
}

fn name_of(identity: &Identity) -> (Option<String>, String) {
    (identity.schema.clone(), identity.name.clone())
}

/// The table that an object lies on.
fn table_of(identity: &Identity) -> (Option<String>, String) {
    (identity.schema.clone(), identity.discriminator.clone().unwrap_or_default())
}

/// The column that a path leads into, and what is below.
fn in_column(path: &str) -> Option<(&str, &str)> {
    // a name in quotes may have anything in it, a dot too
    path.strip_prefix("body.columns.").filter(|rest| !rest.starts_with('"'))?.split_once('.')
}

fn is_constraint(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Constraint | EntryKind::CheckConstraint | EntryKind::ForeignKey)
}

impl Told {
    fn by(differences: &[Difference]) -> Self {
        let mut told = Told::default();
        for difference in differences {
            told.note(difference.identity(), difference.path());
        }
        told
    }

    fn note(&mut self, identity: &Identity, path: Option<&str>) {
        match (identity.kind, path) {
            (EntryKind::CheckConstraint, _) => drop(self.checks.insert(table_of(identity))),
            (EntryKind::Default, _) => {
                self.defaults.entry(table_of(identity)).or_default()[0].insert(identity.name.clone());
            }
            (EntryKind::Constraint, None) => drop(self.lone.insert(name_of(identity))),
            (EntryKind::Constraint, Some("body.definition")) => {
                self.indexed.insert(name_of(identity));
            }
            (EntryKind::Table | EntryKind::ForeignTable, Some(path)) => self.note_table(identity, path),
            _ => {}
        }
        if is_constraint(identity.kind) && path == Some("body.definition") {
            self.defined.insert(identity.clone());
        }
    }

    fn note_table(&mut self, identity: &Identity, path: &str) {
        match in_column(path) {
            Some((column, "type_name")) => drop(self.typed.insert((identity.clone(), column.to_owned()))),
            Some((column, below)) if is_default(below) => {
                self.defaults.entry(name_of(identity)).or_default()[1].insert(column.to_owned());
            }
            None if path == "body.inherits" || path.starts_with("body.partition_of") => {
                self.related.insert(identity.clone());
            }
            _ => {}
        }
    }

    /// Whether another difference tells the same.
    fn repeats(&self, difference: &Difference) -> bool {
        let (identity, path) = (difference.identity(), difference.path());
        match (identity.kind, path) {
            (EntryKind::Table | EntryKind::ForeignTable, Some(path)) => self.repeats_table(identity, path),
            (EntryKind::Index, None | Some("body.constraint")) => self.lone.contains(&name_of(identity)),
            (EntryKind::Index, Some("body.definition")) => self.indexed.contains(&name_of(identity)),
            (kind, Some(path)) if is_constraint(kind) => {
                IN_THE_DEFINITION.contains(&path) && self.defined.contains(identity)
            }
            _ => false,
        }
    }

    fn repeats_table(&self, identity: &Identity, path: &str) -> bool {
        if path == "body.checks" || path.starts_with("body.checks.") {
            return self.checks.contains(&name_of(identity));
        }
        match in_column(path) {
            Some((column, "base_type_name")) => self.typed.contains(&(identity.clone(), column.to_owned())),
            Some((_, "inherit_count" | "is_local")) => self.related.contains(identity),
            // each is told as an object, or none is taken for it
            Some((_, below)) if is_default(below) => self
                .defaults
                .get(&name_of(identity))
                .is_some_and(|[objects, columns]| objects.len() == columns.len()),
            _ => false,
        }
    }
}

fn is_default(below: &str) -> bool {
    below == "default" || below.starts_with("default.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: EntryKind, name: &str, on: Option<&str>) -> Identity {
        Identity {
            kind,
            schema: Some("s".to_owned()),
            name: name.to_owned(),
            discriminator: on.map(str::to_owned),
        }
    }

    fn changed(identity: &Identity, path: &str) -> Difference {
        Difference::changed(identity.clone(), path.to_owned())
    }

    fn kept(differences: &[Difference]) -> Vec<String> {
        let told = |one: &Difference| format!("{} {}", one.identity(), one.path().unwrap_or("alone"));
        without_repeated(differences.to_vec()).iter().map(told).collect()
    }

    #[test]
    fn what_an_object_tells_its_table_does_not_repeat() {
        let table = object(EntryKind::Table, "t", None);
        let check = object(EntryKind::CheckConstraint, "k", Some("t"));
        let default = object(EntryKind::Default, "a", Some("t"));
        let differences = [
            changed(&check, "body.definition"),
            Difference::Missing { identity: default },
            changed(&table, "body.checks.0.definition"),
            changed(&table, "body.columns.0.default"),
            changed(&table, "body.columns.0.not_null"),
        ];
        let expected = [
            "CHECK CONSTRAINT s.t k body.definition",
            "DEFAULT s.t a alone",
            "TABLE s.t body.columns.0.not_null",
        ];
        assert_eq!(kept(&differences), expected);
        // of another table nothing is told elsewhere, and neither of a second column
        let other = object(EntryKind::Table, "u", None);
        assert_eq!(kept(&[changed(&check, "comment"), changed(&other, "body.checks")]).len(), 2);
        let second = [&differences[1..], &[changed(&table, "body.columns.1.default")]].concat();
        assert_eq!(kept(&second).len(), second.len());
    }

    #[test]
    fn the_index_of_a_key_goes_with_its_constraint() {
        let (key, index) =
            (object(EntryKind::Constraint, "k", Some("t")), object(EntryKind::Index, "k", None));
        let missing = |identity: &Identity| Difference::Missing { identity: identity.clone() };
        assert_eq!(kept(&[missing(&key), missing(&index)]), ["CONSTRAINT s.t k alone"]);
        let both = [
            changed(&key, "body.definition"),
            changed(&key, "body.index.index_definition"),
            changed(&index, "body.definition"),
            changed(&index, "comment"),
        ];
        assert_eq!(kept(&both), ["CONSTRAINT s.t k body.definition", "INDEX s.k comment"]);
        assert_eq!(kept(&[missing(&index)]).len(), 1);
        assert_eq!(kept(&[changed(&key, "comment"), changed(&index, "body.definition")]).len(), 2);
    }

    #[test]
    fn the_type_of_a_column_is_told_once_and_parents_too() {
        let table = object(EntryKind::Table, "t", None);
        let paths = [
            "body.columns.0.type_name",
            "body.columns.0.base_type_name",
            "body.columns.1.base_type_name",
            "body.partition_of",
            "body.columns.0.is_local",
        ];
        let differences: Vec<Difference> = paths.iter().map(|path| changed(&table, path)).collect();
        let expected = [paths[0], paths[2], paths[3]].map(|path| format!("TABLE s.t {path}"));
        assert_eq!(kept(&differences), expected);
    }
}
