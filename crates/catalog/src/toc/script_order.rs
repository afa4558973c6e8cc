//! The order of a script, in which nothing waits for anything.

use std::collections::HashSet;

use crate::{DataEntry, EntryKind, Section, Toc, TocEntry};

impl Toc {
    /// The entries as a script has them: rows that may name indexes, by a `regclass`, come behind these. A program can
    /// let them wait; in a script they would stand before all indexes, as all rows do.
    pub fn in_script_order(&self) -> Vec<&TocEntry> {
        let names_relations = |entry: &TocEntry| match &entry.data {
            Some(DataEntry::Table(table)) => table.names_relations(),
            _ => false,
        };
        let (mut first, mut rows, mut last) = (Vec::new(), Vec::new(), Vec::new());
        let mut late: HashSet<u32> = HashSet::new();
        let mut held: HashSet<u32> = HashSet::new();
        let has_indexes = self.entries.iter().any(|entry| is_index_like(entry.kind));
        for entry in &self.entries {
            if has_indexes && names_relations(entry) {
                held.insert(entry.id);
                rows.push(entry);
                continue;
            }
            let on = |ids: &HashSet<u32>| entry.depends_on.iter().any(|id| ids.contains(id));
            let waits = entry.section == Section::PostData || on(&held);
            if on(&late) || waits && !is_index_like(entry.kind) {
                late.insert(entry.id);
                last.push(entry);
            } else {
                first.push(entry);
            }
        }
        if rows.is_empty() {
            return self.entries.iter().collect();
        }
        first.into_iter().chain(rows).chain(last).collect()
    }
}

/// Kinds that make indexes, for which no rows have to be there.
const fn is_index_like(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Index | EntryKind::IndexAttach | EntryKind::Constraint)
}

#[cfg(test)]
mod tests {
    use crate::{DataColumn, DataEntry, EntryKind, QualifiedName, Section, TableData, Toc, TocEntry};

    fn entry(id: u32, section: Section, kind: EntryKind, depends_on: &[u32]) -> TocEntry {
        TocEntry {
            id,
            section,
            kind,
            schema: Some("public".into()),
            name: format!("{id}"),
            owner: None,
            create: Vec::new(),
            set_owner: None,
            drop: None,
            depends_on: depends_on.to_vec(),
            object: None,
            data: None,
            weight_bytes: 0,
            adoption: None,
        }
    }

    fn rows(id: u32, table: u32, type_name: &str) -> TocEntry {
        let column = DataColumn {
            name: "c".into(),
            type_name: type_name.into(),
            base_type_name: type_name.into(),
            base_type_kind: 'b',
        };
        let data = TableData {
            table: QualifiedName::new("public", "t"),
            root: None,
            columns: vec![column],
            condition: None,
            has_tids: true,
            created_by_toc: true,
            nests_regclass: false,
        };
        TocEntry {
            data: Some(DataEntry::Table(Box::new(data))),
            ..entry(id, Section::Data, EntryKind::TableData, &[table])
        }
    }

    #[test]
    fn rows_that_name_indexes_come_behind_them() {
        use Section::{PostData, PreData};
        let toc = |type_name: &str| Toc {
            entries: vec![
                entry(1, PreData, EntryKind::Table, &[]),
                entry(2, PreData, EntryKind::Table, &[]),
                rows(3, 1, type_name),
                rows(4, 2, "integer"),
                entry(5, PostData, EntryKind::CheckConstraint, &[1, 3]),
                entry(6, PostData, EntryKind::Constraint, &[1, 3]),
                entry(7, PostData, EntryKind::Index, &[2, 4]),
                entry(8, PreData, EntryKind::Default, &[2, 7]),
                entry(9, PostData, EntryKind::Comment, &[5]),
                entry(10, PostData, EntryKind::Trigger, &[2]),
            ],
        };
        let order = |toc: &Toc| toc.in_script_order().iter().map(|entry| entry.id).collect::<Vec<_>>();
        assert_eq!(order(&toc("text")), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(order(&toc("pg_catalog.regclass[]")), [1, 2, 4, 6, 7, 8, 3, 5, 9, 10]);
    }
}
