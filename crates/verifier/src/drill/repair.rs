//! Statements that would make the rows of a table on the right those of the left. Nothing here runs them.

use std::collections::BTreeMap;

use dbhaul_catalog::quote_identifier;
use dbhaul_progress::counted;
use dbhaul_rows::RowHashes;

use super::matching::{Difference, RowRef};
use crate::RowDifference;

/// Rows of a table for which statements are written.
pub(super) const MAX_ROWS: usize = 100_000;

/// Bytes of values of one table on one side, and of all statements.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// Rows of one `INSERT` or `DELETE`. Foreign keys are looked at when it ends, so rows of it may refer to each other.
const ROWS_AT_ONCE: usize = 500;

/// How a table is named and its columns are set and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairTable {
    /// The table, quoted and qualified.
    pub name: String,
    /// In the order of the spec.
    pub columns: Vec<RepairColumn>,
}

/// A column of a table that is repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepairColumn {
    /// Not quoted.
    pub name: String,
    /// The operator that finds the same value: `=`, or one with the schema of its type.
    pub equals: String,
    /// `GENERATED ALWAYS AS IDENTITY`: it can be given with a new row, and not changed.
    pub is_always_identity: bool,
}

/// Statements for the rows of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableRepair {
    /// The table, as the report names it.
    pub name: String,
    /// Rows that are on the left alone.
    pub inserts: Vec<u8>,
    /// Rows that have other values.
    pub updates: Vec<u8>,
    /// Rows that are on the right alone.
    pub deletes: Vec<u8>,
    /// How many rows these insert, update and delete.
    pub counts: [u64; 3],
    /// What is left out, a sentence each. Empty: the statements make the rows equal.
    pub left_out: Vec<String>,
}

/// Values of rows as COPY has them, unescaped, by the hashes of the rows.
pub(super) type RawValues = BTreeMap<RowHashes, Vec<Option<Vec<u8>>>>;

/// Values that were read, as far as they fit.
#[derive(Default)]
pub(super) struct RawRows {
    pub(super) values: RawValues,
    bytes: usize,
}

impl RawRows {
    /// Keeps a row, unless there are too many bytes by then.
    pub(super) fn keep(&mut self, hashes: RowHashes, row: Vec<Option<Vec<u8>>>) -> Result<(), String> {
        let bytes: usize = row.iter().flatten().map(Vec::len).sum();
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_BYTES {
            return Err(TOO_LARGE.to_owned());
        }
        self.values.insert(hashes, row);
        Ok(())
    }
}

/// Why no more rows are read.
pub(super) const TOO_LARGE: &str = "the values of its rows are too large";

/// The rows that are needed of each side: whole ones of the left, and of the right those that change or go.
pub(super) fn needed(differences: &[Difference]) -> [Vec<RowRef>; 2] {
    let wanted = |one: &&Difference| one.kind != RowDifference::Count;
    let left = differences.iter().filter(wanted).filter_map(|one| one.left).collect();
    let right = differences.iter().filter(wanted).filter_map(|one| one.right).collect();
    [left, right]
}

/// Writes the statements of a table.
pub(super) struct Writer<'a> {
    table: &'a RepairTable,
    key: &'a [usize],
    /// Bytes that all statements of a file may still have.
    budget: &'a mut usize,
    repair: TableRepair,
    /// Rows of the `INSERT` that is open.
    open_rows: usize,
    /// Rows of the `DELETE` that is open.
    open_deletes: usize,
    unfit: u64,
    identity: u64,
    counted: u64,
    alike: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(table: &'a RepairTable, key: &'a [usize], budget: &'a mut usize) -> Self {
        let repair = TableRepair { name: table.name.clone(), ..TableRepair::default() };
        Writer {
            table,
            key,
            budget,
            repair,
            open_rows: 0,
            open_deletes: 0,
            unfit: 0,
            identity: 0,
            counted: 0,
            alike: 0,
        }
    }

    /// Adds the statement for one difference.
    pub(super) fn add(&mut self, one: &Difference, [left, right]: [&RawValues; 2]) {
        let values = |row: Option<RowRef>, of: &RawValues| row.and_then(|row| of.get(&row.hashes).cloned());
        let (of_left, of_right) = (values(one.left, left), values(one.right, right));
        match (one.kind, of_left, of_right) {
            (RowDifference::Count, ..) => self.counted += 1,
            (RowDifference::Missing, Some(row), _) if one.left_count == 1 => self.insert(&row),
            (RowDifference::Extra, _, Some(row)) if one.right_count == 1 => self.delete(&row),
            (RowDifference::Different, Some(row), Some(old)) => self.update(&row, &old),
            (RowDifference::Missing | RowDifference::Extra, ..)
                if one.left_count.max(one.right_count) > 1 =>
            {
                self.counted += 1;
            }
            _ => self.unfit += 1,
        }
    }

    /// The statements, with what is left out.
    pub(super) fn finish(mut self, unlisted: u64, is_whole: bool) -> TableRepair {
        self.end_insert();
        self.end_delete();
        let mut note = |count: u64, why: &str| {
            if count > 0 {
                self.repair.left_out.push(format!(
                    "{} of {} left out: {why}",
                    counted(count, "row"),
                    self.table.name
                ));
            }
        };
        let limits = format!(
            "a file holds up to {MAX_ROWS} rows of each table and {} MiB in all; verify again after you have run it",
            MAX_BYTES >> 20
        );
        note(self.unfit + unlisted, &limits);
        note(self.alike, "their values read alike on both sides");
        note(self.identity, "they have another value in an identity column that is GENERATED ALWAYS");
        note(self.counted, "their key is there several times");
        if !is_whole {
            let name = &self.table.name;
            let more = format!(
                "more rows of {name} differ: not all were located; verify again after you have run this file"
            );
            self.repair.left_out.push(more);
        }
        self.repair
    }

    fn insert(&mut self, row: &[Option<Vec<u8>>]) {
        let mut sql = Vec::new();
        let is_first = self.open_rows == 0;
        if is_first {
            let columns: Vec<String> =
                self.table.columns.iter().map(|column| quote_identifier(&column.name)).collect();
            let has_identity = self.table.columns.iter().any(|column| column.is_always_identity);
            let overriding = if has_identity { " OVERRIDING SYSTEM VALUE" } else { "" };
            let head =
                format!("INSERT INTO {} ({}){overriding} VALUES\n", self.table.name, columns.join(", "));
            sql.extend_from_slice(head.as_bytes());
        }
        sql.extend_from_slice(if is_first { b"  (" } else { b",\n  (" });
        for (place, value) in row.iter().enumerate() {
            if place > 0 {
                sql.extend_from_slice(b", ");
            }
            push_literal(&mut sql, value.as_deref());
        }
        sql.push(b')');
        if !self.takes(sql.len()) {
            return;
        }
        self.repair.inserts.extend(sql);
        self.repair.counts[0] += 1;
        self.open_rows += 1;
        if self.open_rows == ROWS_AT_ONCE {
            self.end_insert();
        }
    }

    fn end_insert(&mut self) {
        if self.open_rows > 0 {
            self.repair.inserts.extend_from_slice(b";\n");
            self.open_rows = 0;
        }
    }

    fn update(&mut self, row: &[Option<Vec<u8>>], old: &[Option<Vec<u8>>]) {
        let changed: Vec<usize> =
            (0..self.table.columns.len()).filter(|place| row.get(*place) != old.get(*place)).collect();
        if changed.is_empty() {
            self.alike += 1;
            return;
        }
        if changed.iter().any(|place| self.table.columns[*place].is_always_identity) {
            self.identity += 1;
            return;
        }
        let mut sql = format!("UPDATE ONLY {} SET ", self.table.name).into_bytes();
        for (at, place) in changed.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            let name = quote_identifier(&self.table.columns[*place].name);
            sql.extend_from_slice(format!("{separator}{name} = ").as_bytes());
            push_literal(&mut sql, row[*place].as_deref());
        }
        sql.extend_from_slice(b" WHERE ");
        // matched by its key, so that the old one is the same
        self.push_condition(&mut sql, old);
        sql.extend_from_slice(b";\n");
        if self.takes(sql.len()) {
            self.repair.updates.extend(sql);
            self.repair.counts[1] += 1;
        }
    }

    fn delete(&mut self, row: &[Option<Vec<u8>>]) {
        let is_first = self.open_deletes == 0;
        let mut sql = match is_first {
            true => format!("DELETE FROM ONLY {} WHERE\n  (", self.table.name).into_bytes(),
            false => b" OR\n  (".to_vec(),
        };
        self.push_condition(&mut sql, row);
        sql.push(b')');
        if !self.takes(sql.len()) {
            return;
        }
        self.repair.deletes.extend(sql);
        self.repair.counts[2] += 1;
        self.open_deletes += 1;
        if self.open_deletes == ROWS_AT_ONCE {
            self.end_delete();
        }
    }

    fn end_delete(&mut self) {
        if self.open_deletes > 0 {
            self.repair.deletes.extend_from_slice(b";\n");
            self.open_deletes = 0;
        }
    }

    /// The condition that a row has this one's key.
    fn push_condition(&self, sql: &mut Vec<u8>, row: &[Option<Vec<u8>>]) {
        for (at, place) in self.key.iter().enumerate() {
            let word = if at == 0 { "" } else { " AND " };
            let column = &self.table.columns[*place];
            let name = quote_identifier(&column.name);
            sql.extend_from_slice(format!("{word}{name} {} ", column.equals).as_bytes());
            push_literal(sql, row.get(*place).and_then(Option::as_deref));
        }
    }

    fn takes(&mut self, bytes: usize) -> bool {
        let left = self.budget.checked_sub(bytes);
        match left {
            Some(left) => *self.budget = left,
            None => self.unfit += 1,
        }
        left.is_some()
    }
}

/// A value as a literal without a type: the column's own input function reads it, as `COPY` would. A backslash means
/// nothing under `standard_conforming_strings`.
fn push_literal(sql: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        sql.extend_from_slice(b"NULL");
        return;
    };
    sql.push(b'\'');
    for byte in value {
        if *byte == b'\'' {
            sql.push(b'\'');
        }
        sql.push(*byte);
    }
    sql.push(b'\'');
}
