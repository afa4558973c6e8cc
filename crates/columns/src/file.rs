//! Files of columns: Parquet and Arrow IPC.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_ipc::writer::FileWriter;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::ChunkReader;

use crate::schema::FILE_KEY;
use crate::{ColumnsError, FileColumn, FileMetadata, TableColumns};

/// Rows that are read at a time.
const BATCH_ROWS: usize = 4096;

/// How a Parquet file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParquetOptions {
    /// Level of zstd.
    pub level: i32,
    /// Bytes of a row group before compression.
    pub row_group_bytes: usize,
    /// Whether each column has a bloom filter.
    pub bloom_filters: bool,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        ParquetOptions { level: 3, row_group_bytes: 128 << 20, bloom_filters: false }
    }
}

/// Writes one Parquet file: zstd, statistics of each row group and page, and what the columns were in PostgreSQL.
///
/// A row group is in memory, compressed, until it is whole. Dropping the writer leaves a file without a footer, which
/// no reader takes for one; only [`finish`](Self::finish) completes it.
pub struct ParquetWriter<W: Write + Send> {
    writer: ArrowWriter<W>,
    row_group_bytes: usize,
    pending_bytes: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    /// Begins a file of the rows of `table`.
    ///
    /// # Errors
    /// If the columns make no schema, the options are not possible, or writing fails.
    pub fn new(output: W, table: &TableColumns, options: ParquetOptions) -> Result<Self, ColumnsError> {
        let metadata = serde_json::to_string(&table.metadata())
            .map_err(|error| ColumnsError::Schema { problem: error.to_string() })?;
        let mut entries = vec![KeyValue::new(FILE_KEY.to_owned(), metadata)];
        entries.extend(table.comment.iter().map(|text| KeyValue::new("comment".to_owned(), text.clone())));
        let properties = WriterProperties::builder()
            .set_created_by(format!("dbhaul {}", env!("CARGO_PKG_VERSION")))
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(options.level)?))
            .set_statistics_enabled(EnabledStatistics::Page)
            .set_bloom_filter_enabled(options.bloom_filters)
            // a row group ends by its bytes, which are counted here
            .set_max_row_group_row_count(None)
            .set_key_value_metadata(Some(entries))
            .build();
        let writer = ArrowWriter::try_new(output, table.arrow_schema()?, Some(properties))?;
        Ok(ParquetWriter { writer, row_group_bytes: options.row_group_bytes, pending_bytes: 0 })
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ColumnsError> {
        self.writer.write(batch)?;
        self.pending_bytes +=
            batch.columns().iter().map(|array| array.get_buffer_memory_size()).sum::<usize>();
        if self.pending_bytes >= self.row_group_bytes {
            self.writer.flush()?;
            self.pending_bytes = 0;
        }
        Ok(())
    }

    /// Bytes of the file so far: those that were written, and those of the row group in memory, which may not be
    /// compressed yet.
    pub fn file_bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// What it is written to, from which whatever has been written may be taken away.
    pub fn output_mut(&mut self) -> &mut W {
        self.writer.inner_mut()
    }

    /// Completes the file and returns what it was written to.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(self) -> Result<W, ColumnsError> {
        Ok(self.writer.into_inner()?)
    }
}

/// Writes one Arrow IPC file.
pub struct ArrowFileWriter<W: Write> {
    writer: FileWriter<W>,
}

impl<W: Write> ArrowFileWriter<W> {
    /// Begins a file of the rows of `table`.
    ///
    /// # Errors
    /// If the columns make no schema, or writing fails.
    pub fn new(output: W, table: &TableColumns) -> Result<Self, ColumnsError> {
        let schema = table.arrow_schema()?;
        Ok(ArrowFileWriter { writer: FileWriter::try_new(output, &schema)? })
    }

    /// Appends a batch.
    ///
    /// # Errors
    /// If writing fails.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ColumnsError> {
        Ok(self.writer.write(batch)?)
    }

    /// What it is written to, from which whatever has been written may be taken away.
    pub fn output_mut(&mut self) -> &mut W {
        self.writer.get_mut()
    }

    /// Completes the file and returns what it was written to.
    ///
    /// # Errors
    /// If writing fails.
    pub fn finish(mut self) -> Result<W, ColumnsError> {
        self.writer.finish()?;
        Ok(self.writer.into_inner()?)
    }
}

/// A file of columns that is read, batch by batch.
pub struct FileReader {
    schema: SchemaRef,
    metadata: Option<FileMetadata>,
    batches: Box<dyn Iterator<Item = Result<RecordBatch, ColumnsError>> + Send>,
}

impl FileReader {
    /// Opens a Parquet file.
    ///
    /// # Errors
    /// If it is none, or is damaged.
    pub fn parquet(input: impl ChunkReader + 'static) -> Result<Self, ColumnsError> {
        Self::parquet_batches(input, BATCH_ROWS)
    }

    /// As [`parquet`](Self::parquet), in batches of at most so many rows.
    ///
    /// # Errors
    /// As [`parquet`](Self::parquet).
    pub fn parquet_batches(
        input: impl ChunkReader + 'static,
        batch_rows: usize,
    ) -> Result<Self, ColumnsError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(input)?;
        let entries = builder.metadata().file_metadata().key_value_metadata();
        let own = entries.into_iter().flatten().find(|entry| entry.key == FILE_KEY);
        let own = own.and_then(|entry| entry.value.as_deref());
        let metadata = own.and_then(|text| serde_json::from_str(text).ok());
        let schema = SchemaRef::clone(builder.schema());
        let reader: ParquetRecordBatchReader = builder.with_batch_size(batch_rows).build()?;
        let batches = Box::new(reader.map(|batch| batch.map_err(ColumnsError::from)));
        Ok(FileReader { schema, metadata, batches })
    }

    /// Opens an Arrow IPC file.
    ///
    /// # Errors
    /// If it is none, or is damaged.
    pub fn arrow<R: std::io::Read + std::io::Seek + Send + 'static>(input: R) -> Result<Self, ColumnsError> {
        let reader = arrow_ipc::reader::FileReader::try_new(input, None)?;
        let schema = reader.schema();
        let batches = Box::new(reader.map(|batch| batch.map_err(ColumnsError::from)));
        Ok(FileReader { schema, metadata: None, batches })
    }

    /// The same of a Parquet file in memory.
    ///
    /// # Errors
    /// As [`parquet`](Self::parquet).
    pub fn parquet_bytes(bytes: Bytes) -> Result<Self, ColumnsError> {
        Self::parquet(bytes)
    }

    /// What the file says of where its rows came from, if dbhaul wrote it.
    #[must_use]
    pub fn metadata(&self) -> Option<&FileMetadata> {
        self.metadata.as_ref()
    }

    /// The columns of the file.
    ///
    /// # Errors
    /// [`ColumnsError::Type`].
    pub fn columns(&self) -> Result<Vec<FileColumn>, ColumnsError> {
        FileColumn::all(&self.schema)
    }

    /// The next batch, `None` at the end.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn next_batch(&mut self) -> Result<Option<RecordBatch>, ColumnsError> {
        self.batches.next().transpose()
    }
}
