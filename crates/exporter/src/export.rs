//! The exporter: a plan, a snapshot, and sessions that read under it.

use std::collections::HashMap;
use std::sync::Arc;

use dbhaul_postgres::{self as postgres, ConnectSettings, SnapshotHolder};
use dbhaul_rows::CutParameters;
use tokio_util::sync::CancellationToken;

use crate::form::{RowCutter, TurnedTables};
use crate::pool::SessionPool;
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
        let lease = self.pool.lease().await.map_err(|source| session_error(&name, source))?;
        let copy = lease.session().copy_out(&table.copy_sql(planned, format)).await;
        let copy = copy.map_err(|source| match source {
            postgres::Error::Cancelled => ExportError::Cancelled,
            source => ExportError::Copy { table: name.clone(), segment, source },
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

    /// Closes the sessions that are not in use.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn session_error(table: &str, source: postgres::Error) -> ExportError {
    match source {
        postgres::Error::Cancelled => ExportError::Cancelled,
        source => ExportError::Session { table: table.to_owned(), source },
    }
}
