//! The exporter: a plan, a snapshot, and sessions that read under it.

use std::collections::HashMap;
use std::sync::Arc;

use dbhaul_postgres::{self as postgres, ConnectSettings, SnapshotHolder};
use dbhaul_rows::{CutParameters, Cutter};
use tokio_util::sync::CancellationToken;

use crate::pool::SessionPool;
use crate::stream::SegmentReader;
use crate::{ExportError, ExportPlan, RowSource, SegmentStream, TablePlan};

/// Reads the segments of a plan, any of them in any order and several at a
/// time, all under one snapshot.
pub struct Exporter {
    plan: Arc<ExportPlan>,
    by_entry: HashMap<u32, usize>,
    cut: CutParameters,
    pool: Arc<SessionPool>,
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
        Exporter { plan, by_entry, cut, pool: SessionPool::new(settings, holder, jobs, cancel) }
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
    pub async fn open_segment(&self, entry: u32, segment: u32) -> Result<SegmentStream, ExportError> {
        let table = self.table(entry).ok_or(ExportError::UnknownSegment { entry, segment })?;
        let planned = table.segments.get(segment as usize);
        let planned = planned.ok_or(ExportError::UnknownSegment { entry, segment })?;
        let name = table.name();
        let cutter = Cutter::new(self.cut.clone(), &table.digest_spec)
            .map_err(|source| ExportError::Rows { table: name.clone(), segment, source })?;
        let lease = self.pool.lease().await.map_err(|source| session_error(&name, source))?;
        let copy = lease.session().copy_out(&table.copy_sql(planned)).await;
        let copy = copy.map_err(|source| match source {
            postgres::Error::Cancelled => ExportError::Cancelled,
            source => ExportError::Copy { table: name.clone(), segment, source },
        })?;
        let relation = match &table.source {
            RowSource::Table(data) => Some(data.table.clone()),
            RowSource::LargeObjects => None,
        };
        Ok(SegmentReader { relation, table: name, segment, lease, copy, cutter }.into_stream())
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
