//! Bytes of a COPY become record batches.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use bytes::{Buf, BytesMut};
use dbhaul_rows::{CopyFormat, unescape_field};

use crate::builder::ColumnBuilder;
use crate::frames::{Cells, Framer, Span};
use crate::{Column, ColumnsError, TableColumns};

/// A batch ends with the row that fills either.
const BATCH_ROWS: usize = 8192;
const BATCH_BYTES: usize = 4 << 20;

/// Takes the bytes of one COPY, and makes record batches of whole rows.
///
/// Rows are framed first, then each column is built on its own, so that what a type needs is decided once
/// for thousands of values. A row is in memory once as bytes and once as columns, whatever its size.
pub struct Decoder {
    columns: Vec<Column>,
    schema: SchemaRef,
    format: CopyFormat,
    buffer: BytesMut,
    framer: Framer,
    builders: Vec<ColumnBuilder>,
    /// Values of one column in their binary form, where they come as text.
    values: Vec<u8>,
    spans: Vec<Span>,
}

impl Decoder {
    /// A decoder for one COPY of these columns.
    ///
    /// # Errors
    /// [`ColumnsError::Schema`] if the columns make no schema, or cannot come in binary.
    pub fn new(table: &TableColumns, format: CopyFormat) -> Result<Self, ColumnsError> {
        let schema = table.arrow_schema()?;
        let unknown = table.columns.iter().find(|column| !column.pg_type.is_binary());
        if let (CopyFormat::Binary, Some(column)) = (format, unknown) {
            let problem = format!("values of column {} ({}) come as text only", column.name, column.type_sql);
            return Err(ColumnsError::Schema { problem });
        }
        Ok(Decoder {
            columns: table.columns.clone(),
            schema,
            format,
            buffer: BytesMut::new(),
            framer: Framer::new(format, table.columns.len()),
            builders: table.columns.iter().map(|column| ColumnBuilder::new(&column.pg_type)).collect(),
            values: Vec::new(),
            spans: Vec::new(),
        })
    }

    /// The schema of the batches.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows that have been read.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.framer.rows()
    }

    /// Takes the next bytes of the COPY, which may end anywhere, and appends the batches that they complete.
    ///
    /// # Errors
    /// [`ColumnsError::BadCopy`] and [`ColumnsError::Value`]. After one, nothing more can be pushed.
    pub fn push(&mut self, bytes: &[u8], batches: &mut Vec<RecordBatch>) -> Result<(), ColumnsError> {
        self.buffer.extend_from_slice(bytes);
        while self.framer.next_row(&self.buffer)? {
            if self.framer.pending_rows() >= BATCH_ROWS || self.framer.end >= BATCH_BYTES {
                batches.push(self.batch()?);
            }
        }
        Ok(())
    }

    /// Ends the COPY; returns the last batch, if there are rows left.
    ///
    /// # Errors
    /// [`ColumnsError::BadCopy`] if the COPY ends inside a row or without its trailer, [`ColumnsError::Value`].
    pub fn finish(mut self) -> Result<Option<RecordBatch>, ColumnsError> {
        if !self.framer.is_complete(&self.buffer) {
            let (row, problem) = (self.framer.rows() + 1, "the COPY ends too soon".to_owned());
            return Err(ColumnsError::BadCopy { row, problem });
        }
        if self.framer.pending_rows() == 0 { Ok(None) } else { self.batch().map(Some) }
    }

    fn batch(&mut self) -> Result<RecordBatch, ColumnsError> {
        let rows = self.framer.pending_rows();
        let first_row = self.framer.rows() - rows as u64 + 1;
        let step = self.columns.len();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for place in 0..step {
            let cells = Cells::new(&self.buffer, &self.framer.spans[place..], step);
            let appended = match self.format {
                CopyFormat::Binary => self.builders[place].append(cells),
                CopyFormat::Text => {
                    let pg_type = &self.columns[place].pg_type;
                    to_binary(pg_type, cells, &mut self.values, &mut self.spans)
                        .and_then(|()| self.builders[place].append(Cells::new(&self.values, &self.spans, 1)))
                }
            };
            appended.map_err(|(row, problem)| ColumnsError::Value {
                row: first_row + row as u64,
                column: self.columns[place].name.clone(),
                problem,
            })?;
            self.builders[place].finish(&mut arrays)?;
        }
        self.buffer.advance(self.framer.end);
        self.framer.take();
        Ok(RecordBatch::try_new(SchemaRef::clone(&self.schema), arrays)?)
    }
}

/// The binary forms of values that come as fields of COPY text.
fn to_binary(
    pg_type: &crate::PgType,
    cells: Cells<'_>,
    values: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Result<(), (usize, &'static str)> {
    const BAD: &str = "the text is no value of the column's type";
    values.clear();
    spans.clear();
    for (row, field) in cells.iter().enumerate() {
        let Some(field) = field else {
            spans.push(Span::NULL);
            continue;
        };
        let text = unescape_field(field).map_err(|_| (row, BAD))?.unwrap_or_default();
        let start = values.len();
        pg_type.parse(&text, values).ok_or((row, BAD))?;
        spans.push(Span::new(&(start..values.len())).ok_or((row, "the value is too long"))?);
    }
    Ok(())
}
