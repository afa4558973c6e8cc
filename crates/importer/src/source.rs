//! Where rows come from.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use dbhaul_catalog::{RelationStatistics, ServerVersion};
use dbhaul_rows::{Chunk, CopyFormat};
use futures::stream::{BoxStream, StreamExt, empty};

/// The chunks of one segment, in order.
pub type ChunkStream = BoxStream<'static, Result<Chunk, SourceError>>;

/// The rows of one segment.
pub struct SegmentRows {
    /// What the chunks are: COPY text, or the pieces of one binary COPY. Pieces end anywhere, chunks of text
    /// only where a row is too long for one; a row counts in the chunk that holds its end.
    pub format: CopyFormat,
    /// The chunks.
    pub chunks: ChunkStream,
}

impl SegmentRows {
    /// Rows as COPY text.
    pub fn text(chunks: ChunkStream) -> Self {
        SegmentRows { format: CopyFormat::Text, chunks }
    }
}

/// Planner statistics, a batch of relations at a time: few enough for one transaction's locks and memory.
pub type StatisticsStream = BoxStream<'static, Result<Vec<RelationStatistics>, StatisticsError>>;

/// When statistics are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatisticsWave {
    /// Those of tables and their indexes: after all rows, indexes and constraints.
    Tables,
    /// Those of materialized views and their indexes: after `REFRESH`.
    Refreshed,
}

/// Planner statistics could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the planner statistics to be copied")]
pub struct StatisticsError {
    /// Whether reading them again may succeed.
    pub transient: bool,
    /// The cause.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Hands out segments. Opened again for a retry, a segment must yield the same rows.
///
/// Back-pressure is the stream's: it is polled only as fast as the target takes rows.
#[async_trait]
pub trait SegmentSource: Send + Sync {
    /// Starts to stream one segment.
    ///
    /// For a table each row has the columns of the TOC entry's column list; opened again, the segment may
    /// come in another format. For large objects, which are always text, each
    /// row is a piece of one object: its OID, the number of the 2 KiB page at which the piece starts,
    /// and the piece, of up to 64 KiB.
    ///
    /// # Errors
    /// If the segment cannot be read; [`SourceError::is_transient`] says whether to try again.
    async fn open(&self, segment: SegmentRef) -> Result<SegmentRows, SourceError>;

    /// Starts to stream the planner statistics of one wave. An index comes right after its table or after another index of it, so that batches
    /// that are worked on side by side do not wait for each other in a circle. Without statistics,
    /// the stream is empty.
    async fn statistics(&self, _wave: StatisticsWave) -> StatisticsStream {
        empty().boxed()
    }

    /// The version of the server that the statistics are from.
    fn server_version(&self) -> ServerVersion {
        ServerVersion::NEWEST_TESTED
    }
}

/// Names one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentRef {
    /// The TOC entry that holds rows.
    pub entry: u32,
    /// The segment's number within the entry, from 0.
    pub segment: u32,
}

impl fmt::Display for SegmentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {} segment {}", self.entry, self.segment)
    }
}

/// How the rows of one TOC entry are divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySegments {
    /// The TOC entry that holds rows.
    pub entry: u32,
    /// Estimated plain bytes, one per segment; empty for a table without rows.
    pub segment_bytes: Vec<u64>,
}

/// Whether reading a segment again may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// It will fail the same way.
    Never,
    /// It may, after a pause.
    Later,
    /// It comes in another format then, as it has to. That happens to a segment once, and is no retry.
    Otherwise,
    /// Neither it nor any other that is not open yet: what they were to be read from is gone.
    Gone,
}

/// A segment could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{table}, segment {}: {message}", segment.segment)]
pub struct SourceError {
    /// Which segment.
    pub segment: SegmentRef,
    /// The table's qualified name, or `large objects`.
    pub table: String,
    /// Whether reading it again may succeed.
    pub again: Again,
    /// What went wrong, in one line, without the place and without the cause's text.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl SourceError {
    /// Whether reading the segment again may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self.again, Again::Later | Again::Otherwise)
    }

    /// What went wrong with all causes, each once, for whoever has named the table and the segment already.
    pub(crate) fn without_place(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = self.source.as_deref().map(|cause| cause as &(dyn Error + 'static));
        while let Some(error) = cause {
            let words = error.to_string();
            if !text.contains(&words) {
                text = format!("{text}: {words}");
            }
            cause = error.source();
        }
        text
    }
}
