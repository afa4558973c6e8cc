//! What functions read according to their text, where PostgreSQL itself records nothing.
//!
//! The body of a function in a string is parsed when it is called, so `pg_depend` knows nothing of the
//! tables it reads. Called by an index, a check or a generated column it gives its answer while rows are
//! loaded: an index over a lookup in a table that is still empty is wrong, and nobody would notice. So what
//! calls such a function waits for the rows of the tables that the function names, itself or through views,
//! other functions, operators, aggregates, domains and casts. Where a text does not tell what it reads
//! (a query that it puts together, a language that cannot be read here) it may be anything, and what calls
//! it waits for all rows. Functions in C have no text; of those of extensions it is assumed that they read
//! the tables whose rows the extension leaves to its users.

mod references;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use dbhaul_catalog::{EntryKind, ObjectId, Toc, TocEntry};

pub(crate) use references::Reads;

use crate::plan::touched_tables::TouchedTables;
use references::References;

/// Tables by the functions that name them.
#[derive(Debug, Default)]
pub(crate) struct TextDependencies {
    /// For each entry that calls functions: what these read.
    reads: BTreeMap<u32, Reads>,
    /// Tables whose rows are computed or checked from others.
    late_tables: BTreeMap<ObjectId, Late>,
    /// Those of them that are computed, directly or not, from what nobody can tell.
    hiding: BTreeSet<ObjectId>,
    /// Materialized views.
    refreshed: BTreeSet<ObjectId>,
}

/// What must be there before the rows of a table.
#[derive(Debug, Default)]
struct Late {
    reads: Reads,
    /// Late tables that are computed from this one, directly or not.
    read_by: BTreeSet<ObjectId>,
}

impl TextDependencies {
    /// Reads the text of every function that an index, a constraint, a table or a materialized view calls.
    pub(crate) fn new(toc: &Toc, touched_tables: &TouchedTables) -> Self {
        let mut references = References::new(toc, touched_tables);
        let mut texts = TextDependencies::default();
        for entry in toc.entries.iter().filter(|entry| computes(entry)) {
            let mut reads = references.of(entry);
            // the key of a partitioned table is computed for the rows of its partitions
            let family = touched_tables.with_descendants(std::iter::once(TouchedTables::key(entry)));
            reads.tables.retain(|table| !family.contains(table));
            if reads.is_empty() {
                continue;
            }
            if entry.kind == EntryKind::Table {
                for table in family {
                    texts.late_tables.entry(table).or_default().reads.add(&reads);
                }
            } else {
                texts.reads.insert(entry.id, reads);
            }
        }
        let refreshes = toc.entries.iter().filter(|entry| entry.kind == EntryKind::MaterializedViewData);
        texts.refreshed = refreshes.map(TouchedTables::key).collect();
        texts.find_tangles();
        texts
    }

    /// What the functions called by an entry read, as far as that is not for the sake of rows.
    pub(crate) fn of_entry(&self, entry: u32) -> Option<&Reads> {
        self.reads.get(&entry)
    }

    /// What the functions read that are called for the rows that an entry fills a table with.
    pub(crate) fn of_rows(&self, filling: &TocEntry) -> Option<&Reads> {
        let late = self.late_tables.get(&TouchedTables::key(filling));
        late.filter(|_| filling.data.is_some()).map(|late| &late.reads)
    }

    /// Whether the rows of a table are computed from those of another in turn: then neither waits.
    pub(crate) fn is_read_by(&self, table: ObjectId, other: ObjectId) -> bool {
        let read_by = |late: &Late| late.read_by.contains(&other);
        other == table || self.hiding.contains(&other) || self.late_tables.get(&table).is_some_and(read_by)
    }

    /// Whether an entry reads materialized views, and so has to wait for their refreshing.
    pub(crate) fn reads_refreshed(&self, entry: &TocEntry) -> bool {
        let reads = self.of_entry(entry.id).into_iter().chain(self.of_rows(entry));
        reads.flat_map(|reads| &reads.tables).any(|table| self.refreshed.contains(table))
    }

    /// Entries that fill tables that may be computed from each other, so that no order is right for all.
    pub(crate) fn tangled<'a>(&'a self, toc: &'a Toc) -> impl Iterator<Item = &'a TocEntry> {
        let is_tangled = |entry: &&TocEntry| {
            let key = TouchedTables::key(entry);
            let waits_for = |reads: &Reads, other| reads.anything || reads.tables.contains(other);
            self.of_rows(entry).is_some_and(|reads| {
                self.late_tables
                    .keys()
                    .any(|other| *other != key && waits_for(reads, other) && self.is_read_by(key, *other))
            })
        };
        toc.entries.iter().filter(is_tangled)
    }

    /// Finds out which late tables are behind which.
    fn find_tangles(&mut self) {
        let tables: Vec<ObjectId> = self.late_tables.keys().copied().collect();
        for table in tables {
            let (behind, hides) = self.behind(table);
            if hides {
                self.hiding.insert(table);
            }
            for other in behind {
                self.late_tables.entry(other).or_default().read_by.insert(table);
            }
        }
    }

    /// The late tables from which one is computed, directly or not, and whether one of these may be
    /// computed from anything.
    fn behind(&self, start: ObjectId) -> (BTreeSet<ObjectId>, bool) {
        let (mut behind, mut hides) = (BTreeSet::new(), false);
        let mut open = vec![start];
        while let Some(late) = open.pop().and_then(|table| self.late_tables.get(&table)) {
            hides |= late.reads.anything;
            let others = late.reads.tables.iter().filter(|table| self.late_tables.contains_key(table));
            open.extend(others.filter(|other| behind.insert(**other)));
        }
        (behind, hides)
    }
}

/// Whether making an entry, or loading what it makes, may call functions.
fn computes(entry: &TocEntry) -> bool {
    matches!(
        entry.kind,
        EntryKind::Index
            | EntryKind::Constraint
            | EntryKind::CheckConstraint
            | EntryKind::ForeignKey
            | EntryKind::Statistics
            | EntryKind::Table
            | EntryKind::MaterializedViewData
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dbhaul_catalog::EntryKind;

    use super::{Reads, TextDependencies};
    use crate::plan::touched_tables::TouchedTables;
    use crate::testing::Entries;

    /// What an index reads whose function has this text, of a table `rate` and what `with` adds.
    #[track_caller]
    fn check(language: &str, body: &str, with: impl FnOnce(&mut Entries, u32), is_read: bool) {
        let reads = reads(language, body, with);
        assert_eq!(!reads.tables.is_empty(), is_read, "{reads:?}");
        assert!(!reads.anything);
    }

    fn reads(language: &str, body: &str, with: impl FnOnce(&mut Entries, u32)) -> Reads {
        let mut toc = Entries::default();
        let rate = toc.table("rate");
        with(&mut toc, rate);
        let function = toc.function("lookup", language, body);
        let sale = toc.table("sale");
        let index = toc.post_data(EntryKind::Index, "sale_idx", &[sale, function]);
        let rate = toc.object(rate).unwrap();
        let toc = toc.into_toc();
        let texts = TextDependencies::new(&toc, &TouchedTables::new(&toc));
        let reads = texts.of_entry(index).cloned().unwrap_or_default();
        assert!(reads.tables.iter().all(|table| *table == rate), "{reads:?}");
        reads
    }

    fn nothing(_: &mut Entries, _: u32) {}

    #[test]
    fn a_table_is_read_by_name() {
        check("sql", "SELECT factor FROM public.rate", nothing, true);
        check("sql", "SELECT $1 + 1", nothing, false);
        check("c", "rate", nothing, false);
    }

    #[test]
    fn views_stand_for_what_they_read() {
        let view = |toc: &mut Entries, rate: u32| {
            let inner = toc.pre_data(EntryKind::View, "current \"rate\"", &[rate]);
            toc.pre_data(EntryKind::View, "outer", &[inner]);
        };
        check("sql", "SELECT factor FROM \"outer\"", view, true);
        check("sql", "SELECT factor FROM \"current \"\"rate\"\"\"", view, true);
        check("sql", "SELECT factor FROM inner_one", view, false);
    }

    #[test]
    fn a_view_in_two_steps_is_there_after_the_second() {
        let mut second = 0;
        let reads = reads("sql", "SELECT factor FROM seen", |toc, rate| {
            let view = toc.pre_data(EntryKind::View, "seen", &[]);
            second = toc.post_data(EntryKind::Rule, "seen", &[view, rate]);
            let object = toc.object(rate).map(|id| dbhaul_catalog::ObjectId { oid: 99, ..id });
            toc.set_object(view, object);
            toc.set_object(second, object);
        });
        assert_eq!(reads.views, BTreeSet::from([second]));
        assert_eq!(reads.tables.len(), 1);
    }

    #[test]
    fn functions_operators_aggregates_domains_and_casts_are_followed() {
        let called = |toc: &mut Entries| toc.function("inner_one", "sql", "SELECT factor FROM rate");
        check("plpgsql", "BEGIN RETURN Inner_One($1); END", |toc, _| _ = called(toc), true);
        let operator = |toc: &mut Entries, _: u32| {
            let function = called(toc);
            toc.pre_data(EntryKind::Operator, "==>(integer, integer)", &[function]);
        };
        check("sql", "SELECT 1 ==>-$1", operator, true);
        let aggregate = |toc: &mut Entries, _: u32| {
            let function = called(toc);
            toc.pre_data(EntryKind::Aggregate, "total(integer)", &[function]);
        };
        check("sql", "SELECT total($1)", aggregate, true);
        let domain = |toc: &mut Entries, _: u32| {
            let function = called(toc);
            let domain = toc.pre_data(EntryKind::Domain, "known", &[]);
            toc.pre_data(EntryKind::CheckConstraint, "known", &[domain, function]);
        };
        check("sql", "SELECT $1::known", domain, true);
        let cast = |toc: &mut Entries, _: u32| {
            let function = called(toc);
            let of = toc.pre_data(EntryKind::Type, "money_of", &[]);
            toc.pre_data(EntryKind::Cast, "(integer AS public.money_of)", &[of, function]);
        };
        check("sql", "SELECT $1::money_of", cast, true);
    }

    #[test]
    fn functions_that_call_each_other_end() {
        let ring = |toc: &mut Entries, _: u32| {
            toc.function("ring", "sql", "SELECT gnir($1)");
            toc.function("gnir", "sql", "SELECT ring($1) FROM rate");
        };
        check("sql", "SELECT ring($1)", ring, true);
    }

    #[test]
    fn what_a_text_hides_may_be_anything() {
        assert!(reads("plpgsql", "BEGIN EXECUTE $1; END", nothing).anything);
        assert!(reads("plpython3u", "return 1", nothing).anything);
        assert!(!reads("internal", "int4pl", nothing).anything);
    }

    #[test]
    fn partitions_are_read_with_their_table() {
        let mut toc = Entries::default();
        let (rate, part) = (toc.table("rate"), toc.table("rate_1"));
        toc.attach("rate_1", part, rate);
        let function = toc.function("lookup", "sql", "SELECT factor FROM rate");
        let sale = toc.table("sale");
        let index = toc.post_data(EntryKind::Index, "sale_idx", &[sale, function]);
        let tables = BTreeSet::from([toc.object(rate).unwrap(), toc.object(part).unwrap()]);
        let toc = toc.into_toc();
        let texts = TextDependencies::new(&toc, &TouchedTables::new(&toc));
        assert_eq!(texts.of_entry(index).unwrap().tables, tables);
    }

    /// Three tables with rows: `a` is computed by what the function says, `b` by `g`, `c` by nothing.
    fn late(body: &str, other: &str) -> (Vec<(bool, bool)>, usize) {
        let mut toc = Entries::default();
        let (f, g) = (toc.function("f", "plpgsql", body), toc.function("g", "plpgsql", other));
        let ids = [("a", vec![f]), ("b", vec![g]), ("c", vec![])].map(|(name, on)| {
            let table = toc.table(name);
            toc.depend(table, &on);
            toc.rows(name, table)
        });
        let toc = toc.into_toc();
        let texts = TextDependencies::new(&toc, &TouchedTables::new(&toc));
        let key = |id: u32| TouchedTables::key(&toc.entries[id as usize - 1]);
        let waits = |id: u32, other: u32| {
            let reads = texts.of_rows(&toc.entries[id as usize - 1]);
            reads.is_some_and(|reads| reads.anything || reads.tables.contains(&key(other)))
                && !texts.is_read_by(key(id), key(other))
        };
        let [a, b, c] = ids;
        let found = vec![(waits(a, b), waits(a, c)), (waits(b, a), waits(b, c))];
        let tangled = texts.tangled(&toc).count();
        (found, tangled)
    }

    #[test]
    fn rows_that_are_computed_from_others_come_after_them() {
        let (waits, tangled) = late("SELECT FROM b", "SELECT FROM c");
        assert_eq!((waits, tangled), (vec![(true, false), (false, true)], 0));
        let (waits, tangled) = late("EXECUTE $1", "SELECT FROM c");
        assert_eq!((waits, tangled), (vec![(true, true), (false, true)], 0));
    }

    #[test]
    fn rows_that_are_computed_from_each_other_do_not_wait_and_are_told() {
        let (waits, tangled) = late("SELECT FROM b, c", "SELECT FROM a, c");
        assert_eq!((waits, tangled), (vec![(false, true), (false, true)], 2));
        let (waits, tangled) = late("EXECUTE $1", "EXECUTE $2");
        assert_eq!((waits, tangled), (vec![(false, true), (false, true)], 2));
    }
}
