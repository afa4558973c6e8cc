//! The segments of a backup as a source of rows for the importer.

use std::collections::HashMap;

use async_trait::async_trait;
use dbhaul_archive::{ChunkOpener, Manifest, RowChunk, Segment, SegmentListReader, TableEntry};
use dbhaul_catalog::ServerVersion;
use dbhaul_importer::{
    ChunkStream, EntrySegments, SegmentRef, SegmentSource, SourceError, StatisticsStream, StatisticsWave,
};
use futures::stream::{StreamExt, try_unfold};
use tokio::sync::Mutex;

use super::{ChunkReader, Repository};
use crate::PipelineError;
use crate::statistics::BackupStatistics;

/// Hands out the segments of a backup. Segment lists are read when their first
/// segment is asked for; the lists of finished tables are forgotten by [`BackupSegments::open`]
/// keeping only the list of tables in use.
pub(crate) struct BackupSegments {
    repository: Repository,
    /// The backup's tables by the TOC entry they fill on the target.
    tables: HashMap<u32, TableEntry>,
    statistics: Option<Box<BackupStatistics>>,
    lists: Mutex<Lists>,
}

/// Segment lists in memory: at most [`KEPT_LISTS`], the oldest goes first.
#[derive(Default)]
struct Lists {
    order: Vec<u32>,
    by_entry: HashMap<u32, std::sync::Arc<Vec<Segment>>>,
}

/// More than the tables that are loaded at the same time.
const KEPT_LISTS: usize = 64;

impl BackupSegments {
    pub(crate) fn new(
        repository: Repository,
        tables: HashMap<u32, TableEntry>,
        statistics: Option<BackupStatistics>,
    ) -> Self {
        BackupSegments { repository, tables, statistics: statistics.map(Box::new), lists: Mutex::default() }
    }

    /// Estimated bytes of each segment of each entry: equal shares, which is near enough for order.
    pub(crate) fn entry_segments(&self) -> Vec<EntrySegments> {
        let mut entries: Vec<_> = self
            .tables
            .iter()
            .map(|(entry, table)| EntrySegments {
                entry: *entry,
                segment_bytes: vec![table.plain_bytes / table.segments.max(1); table.segments as usize],
            })
            .collect();
        entries.sort_by_key(|segments| segments.entry);
        entries
    }

    async fn chunks(&self, segment: SegmentRef) -> Result<Vec<RowChunk>, PipelineError> {
        let table = self.tables.get(&segment.entry).ok_or_else(|| unknown(segment))?;
        let mut lists = self.lists.lock().await;
        let list = match lists.by_entry.get(&segment.entry) {
            Some(list) => std::sync::Arc::clone(list),
            None => {
                let list = std::sync::Arc::new(read_list(&self.repository, table).await?);
                lists.keep(segment.entry, std::sync::Arc::clone(&list));
                list
            }
        };
        drop(lists);
        let found = list.get(segment.segment as usize).ok_or_else(|| unknown(segment))?;
        Ok(found.chunks.clone())
    }

    fn source_error(&self, segment: SegmentRef, error: PipelineError) -> SourceError {
        let table = self.tables.get(&segment.entry).map(TableEntry::qualified_name).unwrap_or_default();
        SourceError {
            segment,
            table,
            transient: error.is_transient(),
            message: "cannot read its rows from the backup".to_owned(),
            source: Some(Box::new(error)),
        }
    }
}

impl Lists {
    fn keep(&mut self, entry: u32, list: std::sync::Arc<Vec<Segment>>) {
        if self.order.len() >= KEPT_LISTS {
            self.by_entry.remove(&self.order.remove(0));
        }
        self.order.push(entry);
        self.by_entry.insert(entry, list);
    }
}

fn unknown(segment: SegmentRef) -> PipelineError {
    PipelineError::Worker { what: "restore".into(), reason: format!("the backup has no {segment}") }
}

/// Reads and verifies the segment list of one table.
pub(crate) async fn read_list(
    repository: &Repository,
    table: &TableEntry,
) -> Result<Vec<Segment>, PipelineError> {
    let mut opener = ChunkOpener::new().map_err(|source| repository.error(source))?;
    let mut reader = SegmentListReader::new(&table.qualified_name());
    let mut segments = Vec::new();
    for place in &table.list.pieces {
        let piece = repository.piece(&mut opener, place).await?;
        reader.push(&piece, &mut segments).map_err(|source| repository.error(source))?;
    }
    let totals = reader.finish().map_err(|source| repository.error(source))?;
    if totals.digest != table.digest || totals.segments != table.segments {
        let reason = "its segment list does not add up to what the manifest says".to_owned();
        return Err(PipelineError::Damaged { what: format!("table {}", table.qualified_name()), reason });
    }
    Ok(segments)
}

#[async_trait]
impl SegmentSource for BackupSegments {
    async fn open(&self, segment: SegmentRef) -> Result<ChunkStream, SourceError> {
        let chunks = self.chunks(segment).await.map_err(|error| self.source_error(segment, error))?;
        let table = self.tables.get(&segment.entry).map(TableEntry::qualified_name).unwrap_or_default();
        let reader = ChunkReader::new(self.repository.clone(), chunks)
            .map_err(|error| self.source_error(segment, error))?;
        let stream = try_unfold(reader, move |mut reader| {
            let table = table.clone();
            async move {
                match reader.next().await {
                    Ok(chunk) => Ok(chunk.map(|chunk| (chunk, reader))),
                    Err(error) => Err(SourceError {
                        segment,
                        table,
                        transient: error.is_transient(),
                        message: "cannot read its rows from the backup".to_owned(),
                        source: Some(Box::new(error)),
                    }),
                }
            }
        });
        Ok(stream.boxed())
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
