//! The exporter: a plan, a snapshot, and sessions that read under it.

use std::collections::HashMap;
use std::sync::Arc;

use dbhaul_postgres::{self as postgres, ConnectSettings, CopyOut, SnapshotHolder};
use dbhaul_rows::CutParameters;
use tokio_util::sync::CancellationToken;

use crate::form::{RowCutter, TurnedTables};
use crate::pool::{Lease, SessionPool};
use crate::stream::SegmentReader;
use crate::{ExportError, ExportPlan, SegmentRows, TablePlan};

/// Reads the segments of a plan, any of them in any order and several at a
/// time, all under one snapshot.
pub struct Exporter {
    plan: Arc<ExportPlan>,
    by_entry: HashMap<u32, usize>,
    cut: CutParameters,
    pool: Arc<SessionPool>,
    turned: Arc<TurnedTables>,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("tables", &self.plan.tables.len()).finish_non_exhaustive()
    }
}

impl Exporter {
    /// An exporter that opens at most `jobs` sessions under `holder`'s snapshot
    /// and cuts rows by `cut`. Nothing is connected yet.
    pub fn new(
        plan: Arc<ExportPlan>,
        settings: ConnectSettings,
        holder: Arc<SnapshotHolder>,
        jobs: usize,
        cut: CutParameters,
        cancel: CancellationToken,
    ) -> Self {
        let by_entry = plan.tables.iter().enumerate().map(|(index, table)| (table.entry, index)).collect();
        let pool = SessionPool::new(settings, holder, jobs, cancel);
        Exporter { plan, by_entry, cut, pool, turned: Arc::default() }
    }

    /// What is read.
    pub fn plan(&self) -> &Arc<ExportPlan> {
        &self.plan
    }

    /// Whether the snapshot is still held, as far as is known: without it, no segment is read again.
    pub fn has_snapshot(&self) -> bool {
        self.pool.has_snapshot()
    }

    /// The plan of one TOC entry.
    pub fn table(&self, entry: u32) -> Option<&TablePlan> {
        self.plan.tables.get(*self.by_entry.get(&entry)?)
    }

    /// Starts to read one segment; waits while all sessions are busy. Reading the
    /// same segment again gives the same rows, as long as the snapshot is held.
    ///
    /// # Errors
    /// [`ExportError::UnknownSegment`], [`ExportError::Session`], [`ExportError::Copy`].
    pub async fn open_segment(&self, entry: u32, segment: u32) -> Result<SegmentRows, ExportError> {
        let unknown = ExportError::UnknownSegment { entry, segment };
        let Some(&index) = self.by_entry.get(&entry) else { return Err(unknown) };
        let Some(table) = self.plan.tables.get(index) else { return Err(unknown) };
        let Some(planned) = table.segments.get(segment as usize) else { return Err(unknown) };
        let (name, format) = (table.name(), self.turned.format(table));
        let cutter = RowCutter::new(table, format, &self.cut).map_err(|source| ExportError::Rows {
            table: name.clone(),
            segment,
            source,
        })?;
        let begun = self.begin(table, &table.copy_sql(planned, format), planned.range.is_by_key()).await;
        let (lease, copy) = begun.map_err(|error| match error {
            Beginning::Lease(source) => session_error(&name, source),
            Beginning::Copy(postgres::Error::Cancelled) => ExportError::Cancelled,
            Beginning::Copy(source) => ExportError::Copy { table: name.clone(), segment, source },
        })?;
        let (plan, turned) = (Arc::clone(&self.plan), Arc::clone(&self.turned));
        let reader = SegmentReader { plan, index, segment, format, lease, copy, cutter, turned };
        Ok(SegmentRows { format, chunks: reader.into_stream() })
    }

    /// The tables that were turned to binary, because a row was too long for text; by name.
    pub fn turned_tables(&self) -> Vec<String> {
        let entries = self.turned.entries();
        entries.into_iter().filter_map(|entry| self.table(entry)).map(TablePlan::name).collect()
    }

    /// Begins a `COPY` on a session of the pool.
    async fn begin(
        &self,
        table: &TablePlan,
        sql: &str,
        use_no_index: bool,
    ) -> Result<(Lease, CopyOut), Beginning> {
        let lease = self.lease(use_no_index).await.map_err(Beginning::Lease)?;
        let copy = lease.copy_out(table, sql).await.map_err(Beginning::Copy)?;
        Ok((lease, copy))
    }

    async fn lease(&self, use_no_index: bool) -> Result<Lease, postgres::Error> {
        let mut lease = self.pool.lease().await?;
        if use_no_index {
            lease.use_no_index().await?;
        }
        Ok(lease)
    }

    /// Closes the sessions that are not in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Why a segment could not be begun.
enum Beginning {
    /// There was no session to read it with.
    Lease(postgres::Error),
    /// The server refused to read it.
    Copy(postgres::Error),
}

fn session_error(table: &str, source: postgres::Error) -> ExportError {
    match source {
        postgres::Error::Cancelled => ExportError::Cancelled,
        source => ExportError::Session { table: table.to_owned(), source },
    }
}
