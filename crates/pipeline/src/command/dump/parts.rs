//! The rows of a dump as files of Parquet: a segment becomes a part, or several where it is long.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use dbhaul_archive::{BackupKey, Part};
use dbhaul_catalog::{Catalog, TableData};
use dbhaul_columns::{ColumnsError, Decoder, ParquetOptions, ParquetWriter, TableColumns};
use dbhaul_exporter::{ExportPlan, RowSource, TablePlan};
use dbhaul_repository::{NewPart, Repository};
use dbhaul_rows::{Chunk, CopyFormat, DigestSpec, RowDigest};
use tokio::task::JoinHandle;

use crate::PipelineError;
use crate::command::dump::column_types::ColumnTypes;
use crate::command::dump::rows::RowSink;
use crate::command::export::in_background;

/// Rows that are handed over to a thread together.
const BATCH_BYTES: usize = 1 << 20;

/// A part ends with the rows that bring it to so many bytes as COPY text: then it is one row group of the size that readers like.
const PART_PLAIN_BYTES: u64 = 128 << 20;

/// Or to so many bytes of its file, which is in memory: what does not compress ends sooner.
const PART_FILE_BYTES: usize = 64 << 20;

/// A table whose rows become parts.
struct PartTable {
    entry: u32,
    schema: String,
    name: String,
    spec: DigestSpec,
    columns: TableColumns,
    segment_count: usize,
}

/// Writes the parts of a backup, and remembers them for its manifest.
pub(crate) struct PartStore {
    repository: Repository,
    backup: BackupKey,
    options: ParquetOptions,
    tables: HashMap<u32, Arc<PartTable>>,
    written: Mutex<HashMap<u32, Vec<Part>>>,
}

impl PartStore {
    /// For the tables of a plan. Large objects, and tables without columns, which no file of Parquet can be of, are left to packs.
    pub(crate) fn new(
        repository: &Repository,
        backup: BackupKey,
        catalog: &Catalog,
        plan: &ExportPlan,
        level: i32,
    ) -> Self {
        let types = ColumnTypes::new(catalog);
        let table = |plan: &TablePlan| match &plan.source {
            RowSource::Table(data) if !data.columns.is_empty() => {
                Some((plan.entry, Arc::new(PartTable::new(plan, data, &types))))
            }
            _ => None,
        };
        PartStore {
            repository: repository.clone(),
            backup,
            options: ParquetOptions { level, ..ParquetOptions::default() },
            tables: plan.tables.iter().filter_map(table).collect(),
            written: Mutex::default(),
        }
    }

    /// What takes the rows of a segment, if its table becomes parts. `uploaded` counts the parts of it that are in the
    /// store from an attempt that failed.
    pub(crate) fn sink<'a>(
        &'a self,
        entry: u32,
        segment: u32,
        uploaded: &'a mut u32,
    ) -> Option<PartSink<'a>> {
        let table = Arc::clone(self.tables.get(&entry)?);
        Some(PartSink {
            store: self,
            table,
            segment,
            uploaded,
            batch: Vec::new(),
            batch_bytes: 0,
            work: None,
            parts: Vec::new(),
        })
    }

    /// Whether the rows of this entry become parts.
    pub(crate) fn has(&self, entry: u32) -> bool {
        self.tables.contains_key(&entry)
    }

    /// The parts of an entry, if every segment of it has some.
    pub(crate) fn take(&self, entry: u32) -> Option<Vec<Part>> {
        let parts = self.written.lock().unwrap_or_else(PoisonError::into_inner).remove(&entry)?;
        let segments: HashSet<u32> = parts.iter().map(|part| part.segment).collect();
        (segments.len() == self.tables.get(&entry)?.segment_count).then_some(parts)
    }
}

impl PartTable {
    fn new(plan: &TablePlan, data: &TableData, types: &ColumnTypes<'_>) -> Self {
        PartTable {
            entry: plan.entry,
            schema: data.table.schema.to_string(),
            name: data.table.name.to_string(),
            spec: plan.digest_spec.clone(),
            columns: types.of_table(data),
            segment_count: plan.segments.len(),
        }
    }

    fn qualified_name(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }
}

/// A part that is being made.
struct OpenPart {
    decoder: Decoder,
    file: ParquetWriter<Vec<u8>>,
    plain_bytes: u64,
    digest: RowDigest,
}

impl OpenPart {
    fn new(columns: &TableColumns, options: ParquetOptions) -> Result<Self, ColumnsError> {
        Ok(OpenPart {
            decoder: Decoder::new(columns, CopyFormat::Text)?,
            file: ParquetWriter::new(Vec::new(), columns, options)?,
            plain_bytes: 0,
            digest: RowDigest::default(),
        })
    }

    fn push(&mut self, chunks: &[Chunk]) -> Result<(), ColumnsError> {
        let mut batches = Vec::new();
        for chunk in chunks {
            self.decoder.push(&chunk.data, &mut batches)?;
            batches.drain(..).try_for_each(|batch| self.file.write(&batch))?;
            self.plain_bytes += chunk.data.len() as u64;
            self.digest.merge(chunk.digest);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.plain_bytes >= PART_PLAIN_BYTES || self.file.file_bytes() >= PART_FILE_BYTES
    }

    /// The file.
    fn finish(mut self) -> Result<Vec<u8>, ColumnsError> {
        if let Some(batch) = self.decoder.finish()? {
            self.file.write(&batch)?;
        }
        self.file.finish()
    }
}

/// Takes the rows of one segment, and writes its parts.
pub(crate) struct PartSink<'a> {
    store: &'a PartStore,
    table: Arc<PartTable>,
    segment: u32,
    uploaded: &'a mut u32,
    /// Rows that no thread has yet.
    batch: Vec<Chunk>,
    batch_bytes: usize,
    /// The part, while a thread works on it.
    work: Option<JoinHandle<Result<OpenPart, ColumnsError>>>,
    /// Those that are written.
    parts: Vec<Part>,
}

impl RowSink for PartSink<'_> {
    async fn push(&mut self, chunk: Chunk) -> Result<(), PipelineError> {
        self.batch_bytes += chunk.data.len();
        self.batch.push(chunk);
        if self.batch_bytes >= BATCH_BYTES { self.hand_over().await } else { Ok(()) }
    }

    async fn finish(mut self) -> Result<(), PipelineError> {
        self.hand_over().await?;
        let last = self.open_part().await?;
        self.end_part(last).await?;
        let PartSink { store, table, segment, uploaded, parts, .. } = self;
        let names = (table.schema.as_str(), table.name.as_str());
        for piece in parts.len() as u32..*uploaded {
            store.repository.remove_part(&store.backup, names, (segment, piece)).await?;
        }
        let mut written = store.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.entry(table.entry).or_default().extend(parts);
        Ok(())
    }
}

impl PartSink<'_> {
    /// Has a thread work on the rows that wait, once it is done with those before them.
    async fn hand_over(&mut self) -> Result<(), PipelineError> {
        let mut part = self.open_part().await?;
        if part.is_full() {
            self.end_part(part).await?;
            part = self.open_part().await?;
        }
        let chunks = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        self.work = Some(tokio::task::spawn_blocking(move || {
            part.push(&chunks)?;
            Ok(part)
        }));
        Ok(())
    }

    /// The part as far as it has come, or a new one.
    async fn open_part(&mut self) -> Result<OpenPart, PipelineError> {
        let part = match self.work.take() {
            None => OpenPart::new(&self.table.columns, self.store.options),
            Some(work) => work.await.map_err(|error| PipelineError::Worker {
                what: "what turns rows into columns".to_owned(),
                reason: error.to_string(),
            })?,
        };
        part.map_err(|source| PipelineError::Columns { action: self.action(), source })
    }

    /// Completes a part, reads it back, and brings it to the store.
    async fn end_part(&mut self, part: OpenPart) -> Result<(), PipelineError> {
        let place = (self.segment, self.parts.len() as u32);
        let rows = (part.plain_bytes, part.digest);
        let bytes = in_background(&self.action(), move || part.finish()).await?;
        let table = Arc::clone(&self.table);
        let made = tokio::task::spawn_blocking(move || {
            NewPart::new(bytes.into(), place, (&table.qualified_name(), &table.spec), rows)
        });
        let made = made.await.map_err(|error| PipelineError::Worker {
            what: "what reads files back".to_owned(),
            reason: error.to_string(),
        })?;
        let made = made.map_err(|source| self.store.repository.error(source))?;
        let part = made.part;
        let names = (self.table.schema.as_str(), self.table.name.as_str());
        *self.uploaded = (*self.uploaded).max(place.1 + 1);
        self.store.repository.write_part(&self.store.backup, names, made).await?;
        self.parts.push(part);
        Ok(())
    }

    fn action(&self) -> String {
        format!("cannot write the rows of {} as Parquet", self.table.qualified_name())
    }
}
