//! The rows of a dump: N workers read segments, seal chunks and bring them to packs.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use dbhaul_archive::{ChunkSealer, PackKind, PackSummary, SealedChunk};
use dbhaul_exporter::{ExportPlan, Exporter};
use dbhaul_progress::Phase;
use dbhaul_rows::RowDigest;
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::progress_tables::TableTasks;
use crate::repository::{PackWriter, PlacedChunk, Repository};
use crate::throttle::Throttle;
use crate::{Context, DumpRequest, PipelineError};

/// Sealed chunks of a segment are brought to a pack together, so that they can
/// be read back together.
const RUN_BYTES: usize = 2 << 20;

/// Attempts to read one segment.
const ATTEMPTS: u32 = 4;

/// All rows, in packs.
pub(crate) struct StoredRows {
    /// By TOC entry and number.
    pub(crate) segments: HashMap<(u32, u32), StoredSegment>,
    /// Packs in the order in which they were finished.
    pub(crate) packs_by_ordinal: Vec<PackSummary>,
    /// The same.
    pub(crate) packs: Vec<PackSummary>,
}

/// The chunks of one segment, in the order of its rows.
pub(crate) struct StoredSegment {
    pub(crate) entry: u32,
    pub(crate) segment: u32,
    pub(crate) chunks: Vec<(PlacedChunk, RowDigest)>,
}

/// Reads and stores every segment of the plan, largest tables first.
pub(crate) async fn store_rows(
    exporter: &Arc<Exporter>,
    repository: &Repository,
    request: &DumpRequest,
    throttle: Throttle,
    context: &Context,
) -> Result<StoredRows, PipelineError> {
    let plan = exporter.plan();
    let total_bytes = plan.tables.iter().map(|table| table.estimated_bytes()).sum();
    context.progress.phase_started(Phase::Data, Some(plan.tables.len() as u64), Some(total_bytes));
    let shared = Arc::new(Shared {
        exporter: Arc::clone(exporter),
        writer: PackWriter::new(Arc::clone(repository.store()), PackKind::Data),
        repository: repository.clone(),
        queue: Mutex::new(work_queue(plan)),
        tasks: TableTasks::new(plan, &context.progress),
        throttle,
        context: context.clone(),
        compression_level: request.compression_level,
    });
    let mut workers = JoinSet::new();
    for _ in 0..request.jobs.max(1) {
        let shared = Arc::clone(&shared);
        workers.spawn(async move { shared.work().await });
    }
    let segments = match gather(&mut workers).await {
        Ok(segments) => segments,
        Err(error) => {
            // The first error ends the dump; nobody goes on reading or uploading behind its back.
            workers.shutdown().await;
            shared.writer.abort().await;
            return Err(error);
        }
    };
    let shared = Arc::try_unwrap(shared).map_err(|_| PipelineError::Worker {
        what: "dump".to_owned(),
        reason: "a reader of rows outlived its set".to_owned(),
    })?;
    let packs = shared.writer.finish().await?;
    context.progress.phase_finished(Phase::Data);
    let segments = segments.into_iter().map(|stored| ((stored.entry, stored.segment), stored)).collect();
    Ok(StoredRows { segments, packs: packs.clone(), packs_by_ordinal: packs })
}

/// What all workers stored, or the first error.
async fn gather(
    workers: &mut JoinSet<Result<Vec<StoredSegment>, PipelineError>>,
) -> Result<Vec<StoredSegment>, PipelineError> {
    let mut segments = Vec::new();
    while let Some(result) = workers.join_next().await {
        let result = result.map_err(|error| PipelineError::Worker {
            what: "reader of rows".to_owned(),
            reason: error.to_string(),
        })?;
        segments.extend(result?);
    }
    Ok(segments)
}

/// Every segment of every table; those of the largest tables first.
fn work_queue(plan: &ExportPlan) -> VecDeque<(u32, u32)> {
    let mut tables: Vec<_> = plan.tables.iter().collect();
    tables.sort_by_key(|table| std::cmp::Reverse(table.estimated_bytes()));
    let segments = |table: &&dbhaul_exporter::TablePlan| {
        let entry = table.entry;
        (0..table.segments.len() as u32).map(move |segment| (entry, segment)).collect::<Vec<_>>()
    };
    tables.iter().flat_map(segments).collect()
}

struct Shared {
    exporter: Arc<Exporter>,
    writer: PackWriter,
    repository: Repository,
    queue: Mutex<VecDeque<(u32, u32)>>,
    tasks: TableTasks,
    throttle: Throttle,
    context: Context,
    compression_level: i32,
}

impl Shared {
    async fn work(&self) -> Result<Vec<StoredSegment>, PipelineError> {
        let mut sealer =
            ChunkSealer::new(self.compression_level).map_err(|source| self.repository.error(source))?;
        let mut stored = Vec::new();
        while let Some((entry, segment)) = self.next() {
            let chunks = self.store_segment(&mut sealer, entry, segment).await?;
            self.tasks.segment_finished(entry);
            stored.push(StoredSegment { entry, segment, chunks });
        }
        Ok(stored)
    }

    fn next(&self) -> Option<(u32, u32)> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Stores one segment; reads it again from its start after a lost connection.
    async fn store_segment(
        &self,
        sealer: &mut ChunkSealer,
        entry: u32,
        segment: u32,
    ) -> Result<Vec<(PlacedChunk, RowDigest)>, PipelineError> {
        let mut attempt = 1;
        loop {
            match self.try_store_segment(sealer, entry, segment).await {
                Err(error) if attempt < ATTEMPTS && self.is_worth_retrying(&error) => {
                    let message = crate::one_line(&error);
                    self.context.progress.warning(format!("{message}; reading the segment again"));
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Only while the snapshot is held would another attempt see the same rows.
    fn is_worth_retrying(&self, error: &PipelineError) -> bool {
        matches!(error, PipelineError::Export(_)) && error.is_transient()
    }

    async fn try_store_segment(
        &self,
        sealer: &mut ChunkSealer,
        entry: u32,
        segment: u32,
    ) -> Result<Vec<(PlacedChunk, RowDigest)>, PipelineError> {
        let mut rows = self.exporter.open_segment(entry, segment).await?;
        let mut run = Run::default();
        while let Some(chunk) = rows.next().await {
            let chunk = chunk?;
            self.throttle.pass(chunk.data.len() as u64).await;
            let sealed = sealer.seal(&chunk.data).map_err(|source| self.repository.error(source))?;
            self.tasks.advance(entry, chunk.row_count, chunk.data.len() as u64);
            run.push(sealed, chunk.digest);
            if run.stored_bytes >= RUN_BYTES {
                run.bring(&self.writer).await?;
            }
        }
        run.bring(&self.writer).await?;
        Ok(run.placed)
    }
}

/// The chunks of a segment on their way to a pack.
#[derive(Default)]
struct Run {
    sealed: Vec<SealedChunk>,
    digests: Vec<RowDigest>,
    stored_bytes: usize,
    placed: Vec<(PlacedChunk, RowDigest)>,
}

impl Run {
    fn push(&mut self, sealed: SealedChunk, digest: RowDigest) {
        self.stored_bytes += sealed.stored.len();
        self.sealed.push(sealed);
        self.digests.push(digest);
    }

    async fn bring(&mut self, writer: &PackWriter) -> Result<(), PipelineError> {
        let placed = writer.add(&self.sealed).await?;
        self.placed.extend(placed.into_iter().zip(self.digests.drain(..)));
        self.sealed.clear();
        self.stored_bytes = 0;
        Ok(())
    }
}
