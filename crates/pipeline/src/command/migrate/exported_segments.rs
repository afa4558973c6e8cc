//! Segments of a live database on their way to an import.

use async_trait::async_trait;
use dbhaul_catalog::ServerVersion;
use dbhaul_exporter::{ExportError, ExportPlan, Exporter};
use dbhaul_importer::{
    Again, EntrySegments, SegmentRef, SegmentRows, SegmentSource, SourceError, StatisticsStream,
    StatisticsWave,
};
use dbhaul_postgres as postgres;
use futures::StreamExt;

use crate::source::throttle::Throttle;
use crate::statistics::LiveStatistics;

/// Segments of a live database, for the importer.
pub(crate) struct ExportedSegments {
    pub(crate) exporter: Exporter,
    pub(crate) statistics: LiveStatistics,
    pub(crate) throttle: Throttle,
}

impl ExportedSegments {
    /// The importer's error names the table and the segment; what is below it says the cause only.
    fn source_error(segment: SegmentRef, table: &str, error: ExportError) -> SourceError {
        let is_turned = error.is_turned();
        let (message, source) = error.without_place();
        let again = match &source {
            _ if is_turned => Again::Otherwise,
            Some(postgres::Error::SnapshotGone { .. }) => Again::Gone,
            Some(source) if source.is_transient() => Again::Later,
            _ => Again::Never,
        };
        let source = source.map(|source| Box::new(source) as _);
        SourceError { segment, table: table.to_owned(), again, message, source }
    }
}

#[async_trait]
impl SegmentSource for ExportedSegments {
    async fn open(&self, segment: SegmentRef) -> Result<SegmentRows, SourceError> {
        let name = self.exporter.table(segment.entry).map(|table| table.name()).unwrap_or_default();
        let opened = self.exporter.open_segment(segment.entry, segment.segment).await;
        let rows = opened.map_err(|error| Self::source_error(segment, &name, error))?;
        let throttle = self.throttle.clone();
        let checked = rows.chunks.then(move |chunk| {
            let throttle = throttle.clone();
            async move {
                if let Ok(chunk) = &chunk {
                    throttle.pass(chunk.data.len() as u64).await;
                }
                chunk
            }
        });
        let chunks = checked.map(move |chunk| chunk.map_err(|e| Self::source_error(segment, &name, e)));
        Ok(SegmentRows { format: rows.format, chunks: chunks.boxed() })
    }

    async fn statistics(&self, wave: StatisticsWave) -> StatisticsStream {
        self.statistics.stream(wave)
    }

    fn server_version(&self) -> ServerVersion {
        self.statistics.server_version()
    }
}

/// How the rows of a plan are divided, as the importer wants to know it.
pub(crate) fn entry_segments(export: &ExportPlan) -> Vec<EntrySegments> {
    let entry = |table: &dbhaul_exporter::TablePlan| EntrySegments {
        entry: table.entry,
        segment_bytes: table.segments.iter().map(|segment| segment.estimated_bytes).collect(),
    };
    export.tables.iter().map(entry).collect()
}
