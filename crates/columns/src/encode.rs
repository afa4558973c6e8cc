//! Record batches become the bytes of a COPY.

use arrow_array::{Array, RecordBatch};
use arrow_schema::Schema;
use dbhaul_rows::{CopyFormat, FIELD_DELIMITER, NULL_FIELD, ROW_TERMINATOR, escape_field};

use crate::array::push_counted;
use crate::frames::{HEADER, TRAILER};
use crate::schema::{COMPANION_KEY, COMPANION_OF_KEY, KIND_KEY, TYPE_KEY};
use crate::source::{Hints, OID, Source, natural_type, source};
use crate::{ColumnsError, PgType};

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileColumn {
    /// Its name.
    pub name: String,
    /// What its values are given as.
    pub pg_type: PgType,
    /// Its type in the database that it came from, if the file says so.
    pub type_sql: Option<String>,
    /// Its place in the file.
    place: usize,
    /// The place of the column that says what this one cannot.
    companion: Option<usize>,
    is_least: bool,
}

impl FileColumn {
    /// The columns of a file; those that say what others cannot are part of these.
    ///
    /// # Errors
    /// [`ColumnsError::Type`] of a column that no value can be made of.
    pub fn all(schema: &Schema) -> Result<Vec<Self>, ColumnsError> {
        let is_companion = |name: &String| {
            let companions = schema.fields().iter().filter_map(|field| field.metadata().get(COMPANION_KEY));
            companions.into_iter().any(|companion| companion == name)
        };
        let mut columns = Vec::new();
        for (place, field) in schema.fields().iter().enumerate() {
            let metadata = field.metadata();
            if metadata.contains_key(COMPANION_OF_KEY) && is_companion(field.name()) {
                continue;
            }
            let pg_type = natural_type(field).ok_or_else(|| ColumnsError::Type {
                column: field.name().clone(),
                data_type: field.data_type().to_string(),
            })?;
            columns.push(FileColumn {
                name: field.name().clone(),
                pg_type,
                type_sql: metadata.get(TYPE_KEY).cloned(),
                place,
                companion: metadata.get(COMPANION_KEY).and_then(|name| schema.index_of(name).ok()),
                is_least: metadata.get(KIND_KEY).is_some_and(|kind| kind == "numeric"),
            });
        }
        Ok(columns)
    }

    /// Whether the binary form of its values is that of a column of this type.
    #[must_use]
    pub fn is_binary_for(&self, target: &PgType) -> bool {
        fn is_same(ours: &PgType, target: &PgType) -> bool {
            match (ours, target) {
                (PgType::Array(ours, _), PgType::Array(target, _)) => is_same(ours, target),
                (PgType::Numeric(_), PgType::Numeric(_)) => true,
                (PgType::Enum(_) | PgType::Text, PgType::Enum(_) | PgType::Text) => true,
                (ours, target) => ours == target,
            }
        }
        is_same(&self.pg_type, target)
    }

    /// The same column for a target of this type, whose OIDs go into the headers of arrays.
    #[must_use]
    pub fn for_target(self, target: &PgType) -> Self {
        let pg_type = match (self.pg_type, target) {
            (PgType::Array(element, _), PgType::Array(_, oid)) => PgType::Array(element, *oid),
            (other, _) => other,
        };
        FileColumn { pg_type, ..self }
    }

    /// What the column's Arrow type does not say.
    fn hints(&self) -> Hints {
        let (scalar, oid) = match &self.pg_type {
            PgType::Array(element, oid) => (&**element, *oid),
            scalar => (scalar, 0),
        };
        Hints {
            is_least: self.is_least,
            is_jsonb: *scalar == PgType::Jsonb,
            element_oid: if *scalar == PgType::Oid { OID } else { oid },
        }
    }
}

/// Makes the bytes of one COPY of record batches.
#[derive(Debug)]
pub struct Encoder {
    columns: Vec<FileColumn>,
    format: CopyFormat,
    rows: u64,
    has_begun: bool,
    value: Vec<u8>,
    text: Vec<u8>,
}

impl Encoder {
    /// An encoder of these columns, in this order. Binary rows fit only columns for which
    /// [`FileColumn::is_binary_for`] holds; the text of rows is for any.
    #[must_use]
    pub fn new(columns: Vec<FileColumn>, format: CopyFormat) -> Self {
        Encoder { columns, format, rows: 0, has_begun: false, value: Vec::new(), text: Vec::new() }
    }

    /// Rows that have been encoded.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Appends the rows of a batch of the file.
    ///
    /// # Errors
    /// [`ColumnsError::Value`] names the row and the column.
    pub fn encode(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), ColumnsError> {
        self.begin(out);
        let mut cells = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let array = batch.column(column.place);
            let source = source(array, column.hints());
            let source = source.ok_or_else(|| ColumnsError::Type {
                column: column.name.clone(),
                data_type: array.data_type().to_string(),
            })?;
            let companion = column.companion.and_then(|place| batch.column(place).as_any().downcast_ref());
            cells.push(Cell { array, source, companion });
        }
        for row in 0..batch.num_rows() {
            self.rows += 1;
            let encoded = match self.format {
                CopyFormat::Binary => binary_row(&self.columns, &cells, row, out),
                CopyFormat::Text => {
                    text_row(&self.columns, &cells, row, (&mut self.value, &mut self.text), out)
                }
            };
            encoded.map_err(|place| ColumnsError::Value {
                row: self.rows,
                column: self.columns[place].name.clone(),
                problem: "the value is beyond what PostgreSQL's type can hold",
            })?;
        }
        Ok(())
    }

    /// Ends the COPY.
    pub fn finish(mut self, out: &mut Vec<u8>) -> u64 {
        self.begin(out);
        if self.format == CopyFormat::Binary {
            out.extend_from_slice(&TRAILER);
        }
        self.rows
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.has_begun && self.format == CopyFormat::Binary {
            out.extend_from_slice(&HEADER);
        }
        self.has_begun = true;
    }
}

/// A column of a batch.
struct Cell<'a> {
    array: &'a dyn Array,
    source: Source<'a>,
    companion: Option<&'a arrow_array::StringArray>,
}

impl Cell<'_> {
    /// What the companion says of a row, which then counts.
    fn said(&self, row: usize) -> Option<&str> {
        self.companion.filter(|companion| companion.is_valid(row)).map(|companion| companion.value(row))
    }
}

/// Appends a row; an error is the place of the column.
fn binary_row(
    columns: &[FileColumn],
    cells: &[Cell<'_>],
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), usize> {
    let count = i16::try_from(cells.len()).map_err(|_| 0_usize)?;
    out.extend_from_slice(&count.to_be_bytes());
    for (place, (column, cell)) in columns.iter().zip(cells).enumerate() {
        push_counted(out, |out| match cell.said(row) {
            Some(text) => column.pg_type.parse(text.as_bytes(), out).map(|()| true),
            None if cell.array.is_null(row) => Some(false),
            None => (cell.source)(row, out).map(|()| true),
        })
        .ok_or(place)?;
    }
    Ok(())
}

fn text_row(
    columns: &[FileColumn],
    cells: &[Cell<'_>],
    row: usize,
    (value, text): (&mut Vec<u8>, &mut Vec<u8>),
    out: &mut Vec<u8>,
) -> Result<(), usize> {
    for (place, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if place > 0 {
            out.push(FIELD_DELIMITER);
        }
        match cell.said(row) {
            Some(said) => escape_field(Some(said.as_bytes()), out),
            None if cell.array.is_null(row) => out.extend_from_slice(NULL_FIELD),
            None => {
                value.clear();
                text.clear();
                (cell.source)(row, value).ok_or(place)?;
                match column.pg_type {
                    PgType::Text | PgType::Json | PgType::Enum(_) => escape_field(Some(value), out),
                    _ => {
                        column.pg_type.push_text(value, text).ok_or(place)?;
                        escape_field(Some(text), out);
                    }
                }
            }
        }
    }
    out.push(ROW_TERMINATOR);
    Ok(())
}
