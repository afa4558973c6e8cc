//! What functions read according to their text, where PostgreSQL itself records nothing.
//!
//! The body of a function in a string is parsed when it is called, so `pg_depend` knows nothing of the
//! tables it reads. Called by an index, a check or a generated column it gives its answer while rows are
//! loaded: an index over a lookup in a table that is still empty is wrong, and nobody would notice. So what
//! calls such a function waits for the rows of the tables that the function names.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use dbhaul_catalog::{ObjectId, Toc, TocEntry};

use crate::footprint::{Footprint, entry_by_id};

/// Tables by the functions that name them.
#[derive(Debug, Default)]
pub(crate) struct TextDependencies {
    /// For each entry that calls functions: the tables these name, directly or through others.
    read: BTreeMap<u32, BTreeSet<ObjectId>>,
    /// Tables whose rows are computed or checked from other tables.
    late_tables: BTreeSet<ObjectId>,
}

impl TextDependencies {
    /// Reads the text of every function that an index, a constraint or a table calls.
    pub(crate) fn new(toc: &Toc) -> Self {
        let names = Names::new(toc);
        let (mut read, mut late_tables) = (BTreeMap::new(), BTreeSet::new());
        for entry in toc.entries.iter().filter(|entry| computes(entry)) {
            let mut tables = BTreeSet::new();
            for function in called(toc, entry) {
                names.add_tables(toc, function, &mut tables, &mut BTreeSet::new());
            }
            tables.remove(&Footprint::key(entry));
            if tables.is_empty() {
                continue;
            }
            if entry.kind == "TABLE" {
                late_tables.insert(Footprint::key(entry));
            }
            read.insert(entry.id, tables);
        }
        TextDependencies { read, late_tables }
    }

    /// The tables that the functions called by an entry name.
    pub(crate) fn tables(&self, entry: u32) -> impl Iterator<Item = ObjectId> {
        self.read.get(&entry).into_iter().flatten().copied()
    }

    /// The tables whose rows must be there before those of a table, which an entry fills. Of two tables
    /// that are computed from each other neither waits.
    pub(crate) fn tables_before(&self, filling: &TocEntry) -> impl Iterator<Item = ObjectId> {
        let is_late = self.late_tables.contains(&Footprint::key(filling));
        let makers = filling.depends_on.iter().filter(move |_| is_late);
        let read = makers.flat_map(|on| self.tables(*on));
        read.filter(|table| !self.late_tables.contains(table))
    }
}

/// Whether making an entry, or loading what it makes, calls functions.
fn computes(entry: &TocEntry) -> bool {
    let says = |words: &str| entry.create.iter().any(|statement| statement.contains(words));
    match entry.kind.as_str() {
        "INDEX" | "CONSTRAINT" | "CHECK CONSTRAINT" => true,
        "TABLE" => says(" CHECK (") || says(" GENERATED ALWAYS AS ("),
        _ => false,
    }
}

/// The functions that an entry calls, itself or through a domain.
fn called<'a>(toc: &'a Toc, entry: &'a TocEntry) -> Vec<&'a TocEntry> {
    let mut functions = Vec::new();
    for on in entry.depends_on.iter().filter_map(|on| entry_by_id(toc, *on)) {
        match on.kind.as_str() {
            "FUNCTION" => functions.push(on),
            "DOMAIN" => functions.extend(called(toc, on)),
            _ => {}
        }
    }
    functions
}

/// Tables and functions by their names without schema, in which a body may call them.
struct Names {
    tables: HashMap<String, Vec<ObjectId>>,
    functions: HashMap<String, Vec<u32>>,
}

impl Names {
    fn new(toc: &Toc) -> Self {
        let mut names = Names { tables: HashMap::new(), functions: HashMap::new() };
        for entry in &toc.entries {
            match entry.kind.as_str() {
                "TABLE" => {
                    names.tables.entry(entry.name.clone()).or_default().push(Footprint::key(entry));
                }
                "FUNCTION" => {
                    let name = entry.name.split('(').next().unwrap_or_default().to_owned();
                    names.functions.entry(name).or_default().push(entry.id);
                }
                _ => {}
            }
        }
        names
    }

    /// Adds the tables that a function's text names, and those of the functions it names. A name that
    /// stands for something else costs some waiting and no more.
    fn add_tables(
        &self,
        toc: &Toc,
        function: &TocEntry,
        tables: &mut BTreeSet<ObjectId>,
        seen: &mut BTreeSet<u32>,
    ) {
        if !seen.insert(function.id) {
            return;
        }
        for word in function.create.iter().flat_map(|statement| words(statement)) {
            tables.extend(self.tables.get(&word).into_iter().flatten());
            for other in self.functions.get(&word).into_iter().flatten() {
                if let Some(other) = entry_by_id(toc, *other) {
                    self.add_tables(toc, other, tables, seen);
                }
            }
        }
    }
}

/// The names in a text: bare ones folded to lower case, quoted ones as they are.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c == '"' || c == '_' || c.is_alphabetic()) {
        rest = &rest[start..];
        let (word, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => {
                let is_part = |c: char| c == '_' || c == '$' || c.is_alphanumeric();
                rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()))
            }
        };
        words.push(if rest.starts_with('"') { word.to_owned() } else { word.to_lowercase() });
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn names_in_a_text() {
        assert_eq!(
            words("SELECT Name FROM \"My Table\" t1 WHERE x=$1"),
            ["select", "name", "from", "My Table", "t1", "where", "x"]
        );
    }
}
