//! What becomes of the bytes of a COPY, in any format of rows.

use dbhaul_columns::{
    ArrowFileWriter, ColumnsError, Decoder, JsonLinesWriter, ParquetOptions, ParquetWriter, RecordBatch,
    TableColumns,
};
use dbhaul_rows::CopyFormat;

use super::RowFormat;

/// Takes the bytes of one COPY and gives those of a file.
pub(super) trait Work: Send {
    /// Takes the next bytes, and appends what they complete.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ColumnsError>;

    /// Ends the file; returns how many rows it has.
    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<u64, ColumnsError>;

    /// Rows so far.
    fn rows(&self) -> u64;
}

/// Begins a file.
pub(super) fn begin(
    format: RowFormat,
    table: &TableColumns,
    copy_format: CopyFormat,
) -> Result<Box<dyn Work>, ColumnsError> {
    Ok(match format {
        RowFormat::Parquet => Box::new(Columns {
            decoder: Decoder::new(table, copy_format)?,
            file: ParquetWriter::new(Vec::new(), table, ParquetOptions::default())?,
            batches: Vec::new(),
        }),
        RowFormat::Arrow => Box::new(Columns {
            decoder: Decoder::new(table, copy_format)?,
            file: ArrowFileWriter::new(Vec::new(), table)?,
            batches: Vec::new(),
        }),
        RowFormat::JsonLines => Box::new(JsonLinesWriter::new(table)?),
        RowFormat::Csv => Box::new(Csv::default()),
    })
}

/// A file of record batches.
trait BatchFile: Send {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), ColumnsError>;
    fn written(&mut self) -> &mut Vec<u8>;
    fn end(self) -> Result<Vec<u8>, ColumnsError>;
}

macro_rules! batch_file {
    ($type:ident) => {
        impl BatchFile for $type<Vec<u8>> {
            fn write(&mut self, batch: &RecordBatch) -> Result<(), ColumnsError> {
                $type::write(self, batch)
            }

            fn written(&mut self) -> &mut Vec<u8> {
                self.output_mut()
            }

            fn end(self) -> Result<Vec<u8>, ColumnsError> {
                self.finish()
            }
        }
    };
}
batch_file!(ParquetWriter);
batch_file!(ArrowFileWriter);

struct Columns<F> {
    decoder: Decoder,
    file: F,
    batches: Vec<RecordBatch>,
}

impl<F: BatchFile> Work for Columns<F> {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ColumnsError> {
        self.decoder.push(bytes, &mut self.batches)?;
        for batch in self.batches.drain(..) {
            self.file.write(&batch)?;
        }
        out.append(self.file.written());
        Ok(())
    }

    fn finish(mut self: Box<Self>, out: &mut Vec<u8>) -> Result<u64, ColumnsError> {
        let rows = self.decoder.rows();
        if let Some(batch) = self.decoder.finish()? {
            self.file.write(&batch)?;
        }
        out.append(&mut self.file.end()?);
        Ok(rows)
    }

    fn rows(&self) -> u64 {
        self.decoder.rows()
    }
}

impl Work for JsonLinesWriter {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ColumnsError> {
        JsonLinesWriter::push(self, bytes, out)
    }

    fn finish(self: Box<Self>, _: &mut Vec<u8>) -> Result<u64, ColumnsError> {
        JsonLinesWriter::finish(*self)
    }

    fn rows(&self) -> u64 {
        JsonLinesWriter::rows(self)
    }
}

/// CSV as the server writes it, of which only the rows are counted: a line break inside quotes ends none.
#[derive(Default)]
struct Csv {
    lines: u64,
    is_quoted: bool,
}

impl Work for Csv {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ColumnsError> {
        for byte in bytes {
            match byte {
                b'"' => self.is_quoted = !self.is_quoted,
                b'\n' if !self.is_quoted => self.lines += 1,
                _ => {}
            }
        }
        out.extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Vec<u8>) -> Result<u64, ColumnsError> {
        Ok(self.rows())
    }

    /// The first line has the names of the columns.
    fn rows(&self) -> u64 {
        self.lines.saturating_sub(1)
    }
}
