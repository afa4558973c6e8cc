//! The segments of a backup as a source of rows for the importer.

use std::collections::HashMap;

use async_trait::async_trait;
use dbhaul_archive::{Manifest, TableEntry};
use dbhaul_catalog::ServerVersion;
use dbhaul_importer::{
    Again, EntrySegments, SegmentRef, SegmentRows, SegmentSource, SourceError, StatisticsStream,
    StatisticsWave,
};
use dbhaul_repository::{BackupRows, Repository, RepositoryError};
use futures::stream::{StreamExt, try_unfold};

use crate::statistics::BackupStatistics;

/// Hands out the segments of a backup, and its planner statistics.
pub(crate) struct BackupSegments {
    rows: BackupRows,
    statistics: Option<Box<BackupStatistics>>,
}

impl BackupSegments {
    pub(crate) fn new(
        repository: Repository,
        tables: HashMap<u32, TableEntry>,
        statistics: Option<BackupStatistics>,
    ) -> Self {
        BackupSegments { rows: BackupRows::new(repository, tables), statistics: statistics.map(Box::new) }
    }

    /// Lets long rows go in pieces that end anywhere, for a COPY that takes them so.
    pub(crate) fn in_pieces(self) -> Self {
        BackupSegments { rows: self.rows.in_pieces(), ..self }
    }

    /// Estimated bytes of each segment of each entry: equal shares, which is near enough for order.
    pub(crate) fn entry_segments(&self) -> Vec<EntrySegments> {
        let tables = self.rows.tables().iter();
        let mut entries: Vec<_> = tables
            .map(|(entry, table)| EntrySegments {
                entry: *entry,
                segment_bytes: vec![table.plain_bytes / table.segments.max(1); table.segments as usize],
            })
            .collect();
        entries.sort_by_key(|segments| segments.entry);
        entries
    }
}

/// Why rows of a segment cannot be read, and whether they may be asked for again.
fn source_error(segment: SegmentRef, table: &str, error: RepositoryError) -> SourceError {
    SourceError {
        segment,
        table: table.to_owned(),
        again: if error.is_transient() { Again::Later } else { Again::Never },
        message: "cannot read its rows from the backup".to_owned(),
        source: Some(Box::new(error)),
    }
}

#[async_trait]
impl SegmentSource for BackupSegments {
    async fn open(&self, segment: SegmentRef) -> Result<SegmentRows, SourceError> {
        let found = self.rows.tables().get(&segment.entry);
        let table = found.map(TableEntry::qualified_name).unwrap_or_default();
        let reader = self.rows.segment(segment.entry, segment.segment).await;
        let reader = reader.map_err(|error| source_error(segment, &table, error))?;
        let stream = try_unfold(reader, move |mut reader| {
            let table = table.clone();
            async move {
                let chunk = reader.next().await.map_err(|error| source_error(segment, &table, error))?;
                Ok(chunk.map(|chunk| (chunk, reader)))
            }
        });
        Ok(SegmentRows::text(stream.boxed()))
    }

    async fn statistics(&self, wave: StatisticsWave) -> StatisticsStream {
        match &self.statistics {
            Some(statistics) => statistics.stream(wave),
            None => futures::stream::empty().boxed(),
        }
    }

    fn server_version(&self) -> ServerVersion {
        let statistics = self.statistics.as_ref();
        statistics.map_or(ServerVersion::NEWEST_TESTED, |statistics| statistics.server_version())
    }
}

/// The backup's tables by the entries of a TOC that was rendered from its catalog.
pub(crate) fn tables_by_entry(
    manifest: &Manifest,
    entry_of: impl Fn(&TableEntry) -> Option<u32>,
) -> HashMap<u32, TableEntry> {
    manifest.tables.iter().filter_map(|table| Some((entry_of(table)?, table.clone()))).collect()
}
