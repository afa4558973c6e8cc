//! What can be reached from an entry: by the dependencies of the catalog and by the names in texts.

use std::collections::{BTreeSet, HashMap};

use dbhaul_catalog::{EntryKind, ObjectId, TIMESCALEDB, Toc, TocEntry};

use super::words::{Words, operator};
use crate::plan::touched_tables::{TouchedTables, entry_by_id};

/// What is read by whoever calls some functions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    /// Tables and materialized views; of partitioned tables the partitions too.
    pub(crate) tables: BTreeSet<ObjectId>,
    /// Entries that give a view its query; until then it stands in and gives nothing but NULL.
    pub(crate) views: BTreeSet<u32>,
    /// Whether it may be any table, since a text hides what it reads.
    pub(crate) anything: bool,
}

impl Reads {
    pub(super) fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.views.is_empty() && !self.anything
    }

    pub(super) fn add(&mut self, other: &Reads) {
        self.tables.extend(&other.tables);
        self.views.extend(&other.views);
        self.anything |= other.anything;
    }
}

/// The entries of a TOC by how texts call them.
pub(super) struct References<'a> {
    toc: &'a Toc,
    touched_tables: &'a TouchedTables,
    /// Relations, functions, aggregates and types by name without schema; casts by the names of their types.
    names: HashMap<String, Vec<u32>>,
    operators: HashMap<String, Vec<u32>>,
    /// Checks that are added to a domain, and second steps of views, by the entry of the first.
    later: HashMap<u32, Vec<u32>>,
    /// Tables of an extension that hold rows of the user's.
    configuration: HashMap<u32, Vec<ObjectId>>,
    /// What a function's text calls.
    texts: HashMap<u32, Text>,
    /// What is reached from an entry.
    reads: HashMap<u32, Reads>,
}

/// What the text of a function calls.
#[derive(Debug, Clone, Default)]
struct Text {
    calls: Vec<u32>,
    hides: bool,
}

impl<'a> References<'a> {
    pub(super) fn new(toc: &'a Toc, touched_tables: &'a TouchedTables) -> Self {
        let mut references = References {
            toc,
            touched_tables,
            names: HashMap::new(),
            operators: HashMap::new(),
            later: HashMap::new(),
            configuration: HashMap::new(),
            texts: HashMap::new(),
            reads: HashMap::new(),
        };
        toc.entries.iter().for_each(|entry| references.add(entry));
        references
    }

    fn add(&mut self, entry: &TocEntry) {
        let on = |kind: EntryKind| {
            let entries = entry.depends_on.iter().filter_map(|on| entry_by_id(self.toc, *on));
            entries.filter(|on| on.kind == kind).map(|on| on.id).collect::<Vec<_>>()
        };
        match entry.kind {
            EntryKind::Table
            | EntryKind::ForeignTable
            | EntryKind::MaterializedView
            | EntryKind::View
            | EntryKind::Type
            | EntryKind::Domain => {
                self.names.entry(entry.name.clone()).or_default().push(entry.id);
            }
            EntryKind::Function | EntryKind::Procedure | EntryKind::Aggregate => {
                let names = [entry.name.split_once('('), entry.name.rsplit_once('(')];
                let names: BTreeSet<&str> = names.iter().flatten().map(|(name, _)| *name).collect();
                for name in names {
                    self.names.entry(name.to_owned()).or_default().push(entry.id);
                }
            }
            EntryKind::Operator => {
                self.operators.entry(operator(&entry.name).to_owned()).or_default().push(entry.id);
            }
            EntryKind::Cast => {
                let types = entry.depends_on.iter().filter_map(|on| entry_by_id(self.toc, *on));
                for of in types.filter(|on| on.kind != EntryKind::Function) {
                    self.names.entry(of.name.clone()).or_default().push(entry.id);
                }
            }
            EntryKind::CheckConstraint => {
                on(EntryKind::Domain).iter().for_each(|on| self.later.entry(*on).or_default().push(entry.id));
            }
            EntryKind::Rule => {
                let own = on(EntryKind::View).into_iter().filter(|on| {
                    entry.object.is_some()
                        && entry_by_id(self.toc, *on).is_some_and(|on| on.object == entry.object)
                });
                own.for_each(|on| self.later.entry(on).or_default().push(entry.id));
            }
            _ if entry.data.is_some() => {
                for extension in on(EntryKind::Extension) {
                    self.configuration.entry(extension).or_default().push(TouchedTables::key(entry));
                }
            }
            _ => {}
        }
    }

    /// What the functions that an entry calls read.
    pub(super) fn of(&mut self, entry: &TocEntry) -> Reads {
        let mut reads = Reads::default();
        let callable = |on: &&TocEntry| {
            matches!(
                on.kind,
                EntryKind::Function
                    | EntryKind::Aggregate
                    | EntryKind::Operator
                    | EntryKind::OperatorClass
                    | EntryKind::OperatorFamily
                    | EntryKind::Domain
                    | EntryKind::Type
                    | EntryKind::Extension
            )
        };
        let called = entry.depends_on.iter().filter_map(|on| entry_by_id(self.toc, *on)).filter(callable);
        for on in called.map(|on| on.id).collect::<Vec<_>>() {
            if !self.reads.contains_key(&on) {
                let found = self.reached_from(on);
                self.reads.insert(on, found);
            }
            self.reads.get(&on).into_iter().for_each(|found| reads.add(found));
        }
        reads
    }

    /// Everything that is reached from one entry.
    fn reached_from(&mut self, start: u32) -> Reads {
        let mut reads = Reads::default();
        let mut seen = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(entry) = open.pop().and_then(|id| entry_by_id(self.toc, id)) {
            let mut next: Vec<u32> = Vec::new();
            match entry.kind {
                EntryKind::Table | EntryKind::ForeignTable | EntryKind::MaterializedView => {
                    let family =
                        self.touched_tables.with_descendants(std::iter::once(TouchedTables::key(entry)));
                    reads.tables.extend(family);
                }
                EntryKind::Function | EntryKind::Procedure => {
                    let text = self.text(entry);
                    reads.anything |= text.hides;
                    next.extend(text.calls.iter().chain(&entry.depends_on));
                }
                EntryKind::View | EntryKind::Domain => {
                    let later = self.later.get(&entry.id).into_iter().flatten();
                    next.extend(entry.depends_on.iter().chain(later));
                }
                EntryKind::Rule => {
                    reads.views.insert(entry.id);
                    next.extend(&entry.depends_on);
                }
                // in a restore its functions look into no table
                EntryKind::Extension if entry.name == TIMESCALEDB => {}
                EntryKind::Extension => {
                    reads.tables.extend(self.configuration.get(&entry.id).into_iter().flatten())
                }
                EntryKind::Aggregate
                | EntryKind::Operator
                | EntryKind::OperatorClass
                | EntryKind::OperatorFamily
                | EntryKind::Type
                | EntryKind::Cast
                | EntryKind::CheckConstraint => next.extend(&entry.depends_on),
                _ => {}
            }
            open.extend(next.into_iter().filter(|id| seen.insert(*id)));
        }
        reads
    }

    /// What a function's text calls; read once.
    fn text(&mut self, function: &TocEntry) -> &Text {
        if !self.texts.contains_key(&function.id) {
            let text = self.read_text(function);
            self.texts.insert(function.id, text);
        }
        self.texts.entry(function.id).or_default()
    }

    fn read_text(&self, function: &TocEntry) -> Text {
        let mut text = Text::default();
        for statement in &function.create {
            let language = language(statement);
            if matches!(language, "c" | "internal") {
                continue;
            }
            let words = Words::new(statement);
            let names = words.names.iter().filter_map(|name| self.names.get(name));
            let operators = words.operators.iter().filter_map(|name| self.operators.get(name));
            text.calls.extend(names.chain(operators).flatten());
            // `depends on extension` comes in a statement of its own, which has no language
            text.hides |= words.hides || !matches!(language, "sql" | "plpgsql" | "");
        }
        text
    }
}

/// The language in a `CREATE FUNCTION` of ours, quoted if it has to be; nothing in other statements.
fn language(statement: &str) -> &str {
    let after = statement.split_once("\n    LANGUAGE ").map(|(_, after)| after);
    after.and_then(|after| after.split_whitespace().next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::language;

    #[test]
    fn languages() {
        assert_eq!(
            language("CREATE FUNCTION f() RETURNS int\n    LANGUAGE plpython3u IMMUTABLE\n    AS $$"),
            "plpython3u"
        );
        assert_eq!(language("ALTER FUNCTION f() DEPENDS ON EXTENSION x"), "");
    }
}
