//! The judgement over a moved database: what the oracles say of both sides, compared.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::Server;

/// How many differing lines a failure shows.
const SHOWN_LINES: usize = 40;

/// A database as it was when this was made, with which its copies on one server are compared.
///
/// On a target of the same major a copy must equal it. Across majors servers print some definitions
/// differently; then a copy must equal what `pg_dump | psql` makes of the source on that same target.
#[derive(Debug)]
pub struct Original<'a> {
    source: &'a Server,
    db: &'a str,
    target: &'a Server,
    schema: String,
    digests: BTreeMap<String, String>,
    by_pg_dump: OnceCell<String>,
    number: usize,
}

/// Numbers the originals of this process, so that copies made by hand do not clash.
static ORIGINALS: AtomicUsize = AtomicUsize::new(0);

impl<'a> Original<'a> {
    /// Reads the database `db` of `source`; its copies are on `target`.
    pub fn new(source: &'a Server, db: &'a str, target: &'a Server) -> Self {
        let (schema, digests) = (source.pg_dump_schema(db), source.sql_digest(db));
        assert!(!digests.is_empty(), "{db} holds nothing to compare");
        let number = ORIGINALS.fetch_add(1, Ordering::Relaxed);
        Self { source, db, target, schema, digests, by_pg_dump: OnceCell::new(), number }
    }

    /// Asserts that definitions, rows, sequences and large objects of a copy are the original's.
    ///
    /// # Panics
    /// With the lines that differ.
    #[track_caller]
    pub fn assert_equals(&self, copy: &str) {
        self.assert_rows_equal(copy);
        self.assert_schema_equals(copy);
    }

    /// Asserts that rows, sequences and large objects of a copy are the original's. Some values print
    /// differently on another major; where any does, `pg_dump | psql` says how.
    ///
    /// # Panics
    /// With the tables that differ.
    #[track_caller]
    pub fn assert_rows_equal(&self, copy: &str) {
        let lines = |digests: &BTreeMap<String, String>| -> Vec<String> {
            digests.iter().map(|(name, digest)| format!("{name} {digest}")).collect()
        };
        let found = self.target.sql_digest(copy);
        if self.is_same_major() || found == self.digests {
            return assert_same_lines("the digests of", copy, &lines(&self.digests), &lines(&found));
        }
        self.copied_schema();
        let wanted = self.target.sql_digest(&self.copied_name());
        assert_same_lines("the digests of", copy, &lines(&wanted), &lines(&found));
    }

    /// Asserts that `pg_dump --data-only --inserts` says the same of both, whatever the order. For small
    /// databases that have not changed since.
    ///
    /// # Panics
    /// With the lines that differ.
    #[track_caller]
    pub fn assert_inserts_equal(&self, copy: &str) {
        let wanted = self.source.pg_dump_inserts_sorted(self.db);
        let found = self.target.pg_dump_inserts_sorted(copy);
        if self.is_same_major() || wanted == found {
            return assert_same_lines("the rows of", copy, &wanted, &found);
        }
        self.copied_schema();
        let wanted = self.target.pg_dump_inserts_sorted(&self.copied_name());
        assert_same_lines("the rows of", copy, &wanted, &found);
    }

    /// Asserts that the source is what it was.
    ///
    /// # Panics
    /// When reading it has changed it.
    #[track_caller]
    pub fn assert_source_unchanged(&self) {
        assert_eq!(self.source.pg_dump_schema(self.db), self.schema, "{} changed", self.db);
        assert_eq!(self.source.sql_digest(self.db), self.digests, "{} changed", self.db);
    }

    #[track_caller]
    fn assert_schema_equals(&self, copy: &str) {
        let found = self.target.pg_dump_schema(copy);
        if found == self.schema {
            return;
        }
        let wanted = if self.is_same_major() { &self.schema } else { self.copied_schema() };
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        assert_same_lines("the definitions of", copy, &lines(wanted), &lines(&found));
    }

    fn is_same_major(&self) -> bool {
        self.source.major() == self.target.major()
    }

    /// What the target says of a copy made by hand; made when first asked for.
    fn copied_schema(&self) -> &str {
        self.by_pg_dump.get_or_init(|| {
            self.source.copy_by_pg_dump(self.db, self.target, &self.copied_name());
            self.target.pg_dump_schema(&self.copied_name())
        })
    }

    fn copied_name(&self) -> String {
        format!("{} by pg_dump {}", self.db, self.number)
    }
}

/// Asserts that two lists are equal; a failure shows what only one of them has, and where they part.
#[track_caller]
fn assert_same_lines(what: &str, copy: &str, wanted: &[String], found: &[String]) {
    if wanted == found {
        return;
    }
    let only_in = |one: &[String], other: &[String]| -> String {
        let other: std::collections::HashSet<&String> = other.iter().collect();
        let lines = one.iter().filter(|line| !other.contains(line)).take(SHOWN_LINES);
        lines.map(|line| format!("\n    {line}")).collect()
    };
    let parting = wanted.iter().zip(found).take_while(|(a, b)| a == b).count();
    panic!(
        "{what} {copy} differ from line {}\n  missing:{}\n  too many:{}",
        parting + 1,
        only_in(wanted, found),
        only_in(found, wanted)
    );
}
