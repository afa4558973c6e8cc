//! Parts: the rows of a backup in Parquet, written, compared, and read back.
//!
//! A part is in memory whole, which it is small enough for, and compared with its hash before any of it is used.

use std::collections::BTreeMap;

use bytes::Bytes;
use dbhaul_archive::{ArchiveError, BackupKey, Manifest, Part, PartHash, TableEntry, keys};
use dbhaul_columns::{ColumnsError, Encoder, FileReader};
use dbhaul_progress::one_line;
use dbhaul_rows::{Chunk, CopyFormat, DigestSpec, RowDigest, RowsDigester};
use dbhaul_store::StoreExt;
use futures::TryStreamExt;
use futures::stream::{StreamExt, iter};
use tokio_util::sync::CancellationToken;

use crate::access::blocking;
use crate::check::stop_if_cancelled;
use crate::{Repository, RepositoryError};

/// Parts in memory at the same time.
const PARTS_AT_ONCE: usize = 2;

/// Bytes of rows that are taken out of a part at a time, about.
const BATCH_BYTES: u64 = 2 << 20;

/// Rows that are taken out of a part at a time, at most.
const BATCH_ROWS: u64 = 4096;

/// Files that belong to no part of a backup and are named, at most.
const MAX_STRAYS: usize = 100;

/// A part that was made and is in no store yet.
#[derive(Debug, Clone)]
pub struct NewPart {
    /// What the manifest says of it.
    pub part: Part,
    /// Its file.
    pub bytes: Bytes,
}

impl NewPart {
    /// A part of these bytes, which are read back: what a part does not give back as it was is no part.
    ///
    /// # Errors
    /// [`ArchiveError::DamagedPart`] if the rows in it are not those of the digest.
    pub fn new(
        bytes: Bytes,
        (segment, piece): (u32, u32),
        (table, spec): (&str, &DigestSpec),
        (plain_bytes, digest): (u64, RowDigest),
    ) -> Result<Self, ArchiveError> {
        let blake3 = PartHash::of(&bytes);
        let part = Part { segment, piece, bytes: bytes.len() as u64, blake3, plain_bytes, digest };
        let mut rows = PartRows::open(bytes.clone(), part.name(), table, spec, &part)?;
        while rows.next()?.is_some() {}
        Ok(NewPart { part, bytes })
    }
}

/// The rows of one part as COPY text.
pub(crate) struct PartRows {
    key: String,
    table: String,
    file: FileReader,
    encoder: Encoder,
    digester: RowsDigester,
    found: RowDigest,
    expected: RowDigest,
}

impl PartRows {
    fn open(
        bytes: Bytes,
        key: String,
        table: &str,
        spec: &DigestSpec,
        part: &Part,
    ) -> Result<Self, ArchiveError> {
        let damaged =
            |reason| ArchiveError::DamagedPart { key: key.clone(), table: table.to_owned(), reason };
        let row_bytes = part.plain_bytes / part.digest.row_count.max(1);
        let batch_rows = (BATCH_BYTES / row_bytes.max(1)).clamp(1, BATCH_ROWS) as usize;
        let unreadable = |error: ColumnsError| damaged(one_line(&error));
        let file = FileReader::parquet_batches(bytes, batch_rows).map_err(unreadable)?;
        let columns = file.columns().map_err(unreadable)?;
        let wanted = || spec.columns.iter().map(|column| column.name.as_str());
        if !columns.iter().map(|column| column.name.as_str()).eq(wanted()) {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            let wanted: Vec<&str> = wanted().collect();
            let (names, wanted) = (names.join(", "), wanted.join(", "));
            return Err(damaged(format!("its columns are {names}, where those of the table are {wanted}")));
        }
        Ok(PartRows {
            encoder: Encoder::new(columns, CopyFormat::Text),
            digester: RowsDigester::new(spec),
            found: RowDigest::default(),
            expected: part.digest,
            table: table.to_owned(),
            file,
            key,
        })
    }

    /// The next rows; all of them are compared with their count and digest before the end is told.
    fn next(&mut self) -> Result<Option<Chunk>, ArchiveError> {
        let batch = self.file.next_batch().map_err(|error| self.damaged(one_line(&error)))?;
        let Some(batch) = batch else {
            return match self.found == self.expected {
                true => Ok(None),
                false => Err(self.damaged(format!(
                    "its rows have the digest {}, where {} was written",
                    self.found, self.expected
                ))),
            };
        };
        let mut rows = Vec::new();
        self.encoder.encode(&batch, &mut rows).map_err(|error| self.damaged(one_line(&error)))?;
        drop(batch);
        let digest = self.digester.digest(&rows).map_err(|error| self.damaged(error.to_string()))?;
        self.found = self
            .found
            .checked_merged(digest)
            .ok_or_else(|| self.damaged("its rows cannot be counted".to_owned()))?;
        Ok(Some(Chunk { data: rows.into(), row_count: digest.row_count, digest }))
    }

    fn damaged(&self, reason: String) -> ArchiveError {
        ArchiveError::DamagedPart { key: self.key.clone(), table: self.table.clone(), reason }
    }
}

/// Reads the rows of one part in order. What takes the processor is done on a thread that may be kept busy.
pub struct PartReader {
    repository: Repository,
    rows: Option<PartRows>,
}

impl PartReader {
    /// The next rows. When the end is told, all of them were compared with what was written.
    pub async fn next(&mut self) -> Result<Option<Chunk>, RepositoryError> {
        let Some(mut rows) = self.rows.take() else { return Ok(None) };
        let repository = self.repository.clone();
        let (rows, chunk) = blocking("reader of a part", move || {
            let chunk = rows.next().map_err(|source| repository.error(source))?;
            Ok((rows, chunk))
        })
        .await?;
        self.rows = chunk.is_some().then_some(rows);
        Ok(chunk)
    }
}

impl std::fmt::Debug for PartReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartReader").field("part", &self.rows.as_ref().map(|rows| &rows.key)).finish()
    }
}

impl Repository {
    /// Writes a part of a backup that is being made. Nobody else writes into its folder, and the same part that is written twice
    /// is the same.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn write_part(
        &self,
        backup: &BackupKey,
        (schema, table): (&str, &str),
        new: NewPart,
    ) -> Result<(), RepositoryError> {
        let key = keys::part(backup, (schema, table), (new.part.segment, new.part.piece));
        Ok(self.store().overwrite(&key, new.bytes).await?)
    }

    /// Removes a part that was written and that the backup will not have.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn remove_part(
        &self,
        backup: &BackupKey,
        (schema, table): (&str, &str),
        place: (u32, u32),
    ) -> Result<(), RepositoryError> {
        Ok(self.store().delete(&keys::part(backup, (schema, table), place)).await?)
    }

    /// Every part of the manifest that is not in the store, or has another size there, and every file that lies
    /// among them.
    pub(crate) async fn compare_parts(
        &self,
        manifest: &Manifest,
    ) -> Result<Vec<ArchiveError>, RepositoryError> {
        if manifest.parts().next().is_none() {
            return Ok(Vec::new());
        }
        let limit = manifest.parts().count() + MAX_STRAYS;
        let folder = keys::parts_of(&manifest.key());
        let mut found = BTreeMap::new();
        let mut objects = self.store().list_stream(&folder);
        while let Some(object) = objects.try_next().await? {
            if found.len() == limit {
                let reason = format!("more than {limit} files lie there");
                return Err(RepositoryError::Damaged { what: folder.clone(), reason });
            }
            found.insert(object.key, object.size_bytes);
        }
        Ok(manifest.compare_parts(found))
    }

    /// Reads a part as it is stored, and compares every byte with its hash.
    pub(crate) async fn read_part(
        &self,
        backup: &BackupKey,
        table: &TableEntry,
        part: &Part,
    ) -> Result<Bytes, RepositoryError> {
        let key = keys::part(backup, (&table.schema, &table.name), (part.segment, part.piece));
        let bytes = self.store().get_at_most(&key, part.bytes).await?;
        let (part, table, repository) = (*part, table.qualified_name(), self.clone());
        blocking("reader of a part", move || {
            let reason = match PartHash::of(&bytes) {
                found if found == part.blake3 => return Ok(bytes),
                found => format!("its hash is {found}, where {} was written", part.blake3),
            };
            Err(repository.error(ArchiveError::DamagedPart { key, table, reason }))
        })
        .await
    }

    /// A reader of the rows of a part of the backup that is read.
    pub(crate) async fn part_reader(
        &self,
        table: &TableEntry,
        part: &Part,
    ) -> Result<PartReader, RepositoryError> {
        let backup = self.backup.as_ref().ok_or_else(|| RepositoryError::Worker {
            what: "reader of a part".into(),
            reason: "no backup is being read".to_owned(),
        })?;
        let bytes = self.read_part(backup, table, part).await?;
        let key = keys::part(backup, (&table.schema, &table.name), (part.segment, part.piece));
        let rows = PartRows::open(bytes, key, &table.qualified_name(), &table.digest_spec, part);
        Ok(PartReader { repository: self.clone(), rows: Some(rows.map_err(|source| self.error(source))?) })
    }

    /// Reads one part whole, its rows too if these are wanted; tells the progress of it.
    pub(crate) async fn check_part(
        &self,
        backup: &BackupKey,
        (table, part): (&TableEntry, &Part),
        with_rows: bool,
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        stop_if_cancelled(cancel)?;
        let name = format!("{} {}", table.qualified_name(), part.name());
        let task = self.progress.task("FILE", &name, Some(part.bytes));
        let checked = async {
            let bytes = self.read_part(backup, table, part).await?;
            if !with_rows {
                return Ok(());
            }
            let key = keys::part(backup, (&table.schema, &table.name), (part.segment, part.piece));
            let (name, spec, part) = (table.qualified_name(), table.digest_spec.clone(), *part);
            let repository = self.clone();
            blocking("reader of a part", move || {
                let failed = |source| repository.error(source);
                let mut rows = PartRows::open(bytes, key, &name, &spec, &part).map_err(failed)?;
                while rows.next().map_err(failed)?.is_some() {}
                Ok(())
            })
            .await
        };
        let checked = Box::pin(checked).await;
        match &checked {
            Ok(()) => {
                task.advance(if with_rows { part.digest.row_count } else { 0 }, part.bytes);
                task.finish();
            }
            Err(error) => task.fail(one_line(error)),
        }
        checked
    }

    /// Reads the rows of all parts of these tables of the backup that is read; any that are not as they were written are an
    /// error.
    pub(crate) async fn read_parts(
        &self,
        manifest: &Manifest,
        tables: &[&TableEntry],
        cancel: &CancellationToken,
    ) -> Result<(), RepositoryError> {
        let backup = manifest.key();
        let parts = tables.iter().flat_map(|table| table.parts.iter().map(move |part| (*table, part)));
        let checks = iter(parts).map(|part| self.check_part(&backup, part, true, cancel));
        checks.buffer_unordered(PARTS_AT_ONCE).try_collect::<()>().await
    }
}
