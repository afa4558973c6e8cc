//! Positions of sequences that may be moved after they were set.

use crate::{EntryKind, Toc, TocEntry};

/// Functions of the server's own that move a sequence.
const MOVING: [&str; 2] = ["nextval(", "setval("];

impl Toc {
    /// The entries that set positions, if something that comes behind them may move these: the query of a materialized
    /// view, a check, the expression of an index. They are to be set once more when all else is there. The first time is
    /// for what reads them.
    pub fn positions_to_set_again(&self) -> impl Iterator<Item = &TocEntry> {
        let may_move = self.entries.iter().any(may_move_a_sequence);
        self.entries.iter().filter(move |entry| may_move && entry.kind == EntryKind::SequenceSet)
    }
}

/// Whether an entry runs code while a database is made, or is code that others may run. What a default calls is not run:
/// rows come with all their values.
fn may_move_a_sequence(entry: &TocEntry) -> bool {
    let names_one = || entry.create.iter().any(|sql| MOVING.iter().any(|function| sql.contains(function)));
    match entry.kind {
        EntryKind::Function | EntryKind::Procedure | EntryKind::Aggregate | EntryKind::Extension => true,
        // it may read a view that does
        EntryKind::MaterializedViewData => true,
        EntryKind::Default => false,
        kind => kind.may_call_functions() && names_one(),
    }
}

#[cfg(test)]
mod tests {
    use crate::{EntryKind, Section, Toc, TocEntry};

    fn entry(kind: EntryKind, sql: &str) -> TocEntry {
        TocEntry {
            id: 1,
            section: Section::PreData,
            kind,
            schema: Some("public".into()),
            name: "s".to_owned(),
            owner: None,
            create: vec![sql.to_owned()],
            set_owner: None,
            drop: None,
            depends_on: Vec::new(),
            object: None,
            data: None,
            weight_bytes: 0,
            adoption: None,
        }
    }

    #[test]
    fn positions_are_set_again_where_something_may_move_them() {
        for (kind, sql, expected) in [
            (EntryKind::Table, "CREATE TABLE t (i int)", 0),
            (EntryKind::Table, "CREATE TABLE t (i int CHECK (nextval('s'::regclass) > 0))", 1),
            (EntryKind::Default, "ALTER TABLE ONLY t ALTER COLUMN i SET DEFAULT nextval('s'::regclass)", 0),
            (EntryKind::View, "CREATE VIEW v AS SELECT nextval('s'::regclass)", 0),
            (EntryKind::MaterializedView, "CREATE MATERIALIZED VIEW m AS SELECT nextval('s'::regclass)", 1),
            (EntryKind::MaterializedViewData, "REFRESH MATERIALIZED VIEW m", 1),
            (EntryKind::Function, "CREATE FUNCTION f() ...", 1),
        ] {
            let set = entry(EntryKind::SequenceSet, "SELECT pg_catalog.setval('s', 7, true)");
            let toc = Toc { entries: vec![entry(kind, sql), set] };
            assert_eq!(toc.positions_to_set_again().count(), expected, "{sql}");
        }
        assert_eq!(Toc::default().positions_to_set_again().count(), 0);
    }
}
