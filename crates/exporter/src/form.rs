//! How the rows of a table travel: as COPY text, or in binary COPY.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use dbhaul_catalog::TableData;
use dbhaul_postgres as postgres;
use dbhaul_rows::{
    BinaryCutter, BinaryType, Chunk, CopyFormat, CutParameters, Cutter, DigestSpec, RowsError, TextForm,
};
use serde::Serialize;

use crate::TablePlan;

/// Pieces of binary COPY are about so long.
const PIECE_BYTES: usize = 128 << 10;

/// A row whose text is shorter cannot be too long by that alone: escaping doubles it at most.
const SUSPECT_TEXT_BYTES: u64 = 1 << 29;

/// How the rows of a table travel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case", tag = "form", content = "types")]
pub enum RowForm {
    /// As COPY text: what backups hold.
    #[default]
    Text,
    /// As COPY text, until the server finds a row too long for that; from then on in binary. Reading the
    /// segment of that row fails first, with [`ExportError::RowTooLong`](crate::ExportError::RowTooLong).
    TextWhileItFits(Vec<BinaryType>),
    /// In binary COPY; the types are those of the columns.
    Binary(Vec<BinaryType>),
}

/// The types of a table's columns, if all of them may travel in binary COPY with the digest that the
/// rows have as text.
///
/// # Errors
/// Why it has to be text, in words that follow "because".
pub fn binary_types(table: &TableData, digest_spec: &DigestSpec) -> Result<Vec<BinaryType>, String> {
    if digest_spec.text_form != TextForm::Raw {
        return Err("the database is not in UTF8".to_owned());
    }
    if table.columns.is_empty() {
        return Err("it has no columns".to_owned());
    }
    let types = table.columns.iter().map(|column| {
        BinaryType::for_base_type(&column.base_type_name, column.base_type_kind)
            .ok_or_else(|| format!("column {:?} is of type {}", column.name, column.type_name))
    });
    types.collect()
}

/// Tables that go on in binary, because a row of theirs was too long for text.
#[derive(Debug, Default)]
pub(crate) struct TurnedTables(Mutex<BTreeSet<u32>>);

impl TurnedTables {
    /// The format in which a table is read from now on.
    pub(crate) fn format(&self, table: &TablePlan) -> CopyFormat {
        match &table.form {
            RowForm::Text => CopyFormat::Text,
            RowForm::Binary(_) => CopyFormat::Binary,
            RowForm::TextWhileItFits(_) => {
                let turned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if turned.contains(&table.entry) { CopyFormat::Binary } else { CopyFormat::Text }
            }
        }
    }

    /// Has a table read in binary from now on.
    pub(crate) fn turn(&self, entry: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry);
    }

    /// The TOC entries of the tables that were turned.
    pub(crate) fn entries(&self) -> BTreeSet<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Cuts rows of either format.
pub(crate) enum RowCutter {
    Text(Box<Cutter>),
    Binary(Box<BinaryCutter>),
}

impl RowCutter {
    pub(crate) fn new(table: &TablePlan, format: CopyFormat, cut: &CutParameters) -> Result<Self, RowsError> {
        Ok(match (format, &table.form) {
            (CopyFormat::Binary, RowForm::Binary(types) | RowForm::TextWhileItFits(types)) => {
                RowCutter::Binary(Box::new(BinaryCutter::new(types, PIECE_BYTES)))
            }
            _ => RowCutter::Text(Box::new(Cutter::new(cut.clone(), &table.digest_spec)?)),
        })
    }

    pub(crate) fn push(&mut self, bytes: &[u8], chunks: &mut Vec<Chunk>) -> Result<(), RowsError> {
        match self {
            RowCutter::Text(cutter) => cutter.push(bytes, chunks),
            RowCutter::Binary(cutter) => cutter.push(bytes, chunks),
        }
    }

    pub(crate) fn finish(self) -> Result<Option<Chunk>, RowsError> {
        match self {
            RowCutter::Text(cutter) => cutter.finish(),
            RowCutter::Binary(cutter) => cutter.finish(),
        }
    }

    /// Rows that have been completed.
    pub(crate) fn row_count(&self) -> u64 {
        match self {
            RowCutter::Text(cutter) => cutter.digest().row_count,
            RowCutter::Binary(cutter) => cutter.digest().row_count,
        }
    }
}

/// Whether the server could not make a row, because a value or the message for it would pass 1 GiB.
///
/// Source: PostgreSQL src/backend/utils/mmgr/mcxt.c ("invalid memory alloc request size", an internal
/// error that is never translated) and src/common/stringinfo.c (`ERRCODE_PROGRAM_LIMIT_EXCEEDED`).
pub(crate) fn is_too_long(error: &postgres::Error) -> bool {
    error.server_error().is_some_and(|error| match error.sqlstate.as_str() {
        "54000" => true,
        "XX000" => error.message.starts_with("invalid memory alloc request size"),
        _ => false,
    })
}

/// The query for the longest row of a relation's segment, by its long columns; its answer names the row in
/// words. Lengths are read without the values. Nothing, if the table has no columns that could be long.
pub(crate) fn longest_row_sql(table: &TableData, condition: &str) -> Option<String> {
    let lengths = table.columns.iter().filter_map(|column| {
        let factor = match column.base_type_name.as_str() {
            "bytea" => 2,
            "text" | "character varying" => 1,
            _ => return None,
        };
        let name = dbhaul_catalog::quote_identifier(&column.name);
        Some(format!(
            "(COALESCE(pg_catalog.octet_length({name}), 0)::pg_catalog.int8 OPERATOR(pg_catalog.*) {factor})"
        ))
    });
    let sum = lengths.collect::<Vec<_>>().join(" OPERATOR(pg_catalog.+) ");
    if sum.is_empty() || !table.has_tids {
        return None;
    }
    Some(format!(
        "SELECT pg_catalog.concat('the row at ctid ', s.tid, ', of ', pg_catalog.pg_size_pretty(s.text_bytes), ' as text') \
         FROM (SELECT ctid::pg_catalog.text AS tid, {sum} AS text_bytes FROM ONLY {} {condition} \
         ORDER BY 2 DESC LIMIT 1) s WHERE s.text_bytes OPERATOR(pg_catalog.>=) {SUSPECT_TEXT_BYTES}",
        table.table.sql()
    ))
}
