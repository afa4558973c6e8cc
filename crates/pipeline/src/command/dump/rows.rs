//! The rows of a dump: N workers read segments, and bring them to packs as chunks, or to files of Parquet.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dbhaul_archive::{ChunkPlace, PackKind, SealedChunk};
use dbhaul_exporter::{ExportPlan, TablePlan};
use dbhaul_progress::Phase;
use dbhaul_retry::RetryPolicy;
use dbhaul_rows::{Chunk, RowDigest};
use futures::StreamExt;
use tokio::task::JoinSet;

use crate::command::dump::lists::{ListStore, MAX_PART_CHUNKS, StoredPart};
use crate::command::dump::parts::PartStore;
use crate::command::dump::sealing::{Sealers, Sealing};
use crate::command::dump::segments::Segments;
use crate::command::dump::tables::identity;
use crate::report::progress_tables::TableTasks;
use crate::source::throttle::Throttle;
use crate::{Context, PipelineError};
use dbhaul_repository::{KnownChunks, PackWriter, Parent, PlacedChunk, ReadyChunk, Repository, WrittenPacks};

/// Sealed chunks of a segment are brought to a pack together, so that they can
/// be read back together.
const RUN_BYTES: usize = 2 << 20;

/// So many plain bytes are brought to a pack even where they were compressed to next to nothing: thousands of
/// tiny pieces between long values keep the allocator from giving the memory of those back.
const RUN_PLAIN_BYTES: u64 = 16 << 20;

/// Chunks that may wait in memory for the pack of one before them to get a name. Where few are new, a pack takes long
/// to fill, and is ended early.
const MAX_UNNAMED_CHUNKS: usize = 64 << 10;

/// How rows are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowOptions {
    /// Segments that are read at the same time.
    pub(crate) jobs: usize,
    /// zstd level.
    pub(crate) compression_level: i32,
    /// Threads that compress beyond one for each reader.
    pub(crate) compression_helpers: usize,
}

/// Reads and stores every segment of the plan, largest tables first, but for the chunks that the parent has; returns
/// the packs. Where the chunks went, `lists` is told on the way.
pub(crate) async fn store_rows(
    segments: Segments,
    repository: &Repository,
    (options, parent): (&RowOptions, Option<Arc<Parent>>),
    (lists, parts): (&Arc<ListStore>, Option<Arc<PartStore>>),
    throttle: Option<Throttle>,
    context: &Context,
) -> Result<WrittenPacks, PipelineError> {
    let plan = segments.plan();
    let total_bytes = plan.tables.iter().map(|table| table.estimated_bytes()).sum();
    context.progress.phase_started(Phase::Data, Some(plan.tables.len() as u64), Some(total_bytes));
    let shared = Arc::new(Shared {
        writer: PackWriter::new(
            Arc::clone(repository.store()),
            repository.codec(),
            PackKind::Data,
            &context.cancel,
        ),
        lists: Arc::clone(lists),
        queue: Mutex::new(work_queue(plan)),
        tasks: TableTasks::new(plan, &context.progress),
        segments,
        throttle,
        context: context.clone(),
        parent,
        parts,
        sealers: Arc::new(Sealers::new(
            repository.describe(),
            repository.codec(),
            options.compression_level,
            options.jobs + options.compression_helpers,
        )),
    });
    let mut workers = JoinSet::new();
    for _ in 0..options.jobs.max(1) {
        let shared = Arc::clone(&shared);
        workers.spawn(async move { shared.work().await });
    }
    if let Err(error) = gather(&mut workers).await {
        // The first error ends the dump; nobody goes on reading or uploading behind its back.
        error.stop(&context.progress);
        workers.shutdown().await;
        shared.writer.abort().await;
        lists.abort().await;
        return Err(error);
    }
    let shared = Arc::try_unwrap(shared).map_err(|_| PipelineError::Worker {
        what: "dump".to_owned(),
        reason: "a reader of rows outlived its set".to_owned(),
    })?;
    let packs = shared.writer.finish().await?;
    context.progress.phase_finished(Phase::Data);
    Ok(packs)
}

/// Waits for all workers, or for the first error.
async fn gather(workers: &mut JoinSet<Result<(), PipelineError>>) -> Result<(), PipelineError> {
    while let Some(result) = workers.join_next().await {
        let result = result.map_err(|error| PipelineError::Worker {
            what: "reader of rows".to_owned(),
            reason: error.to_string(),
        })?;
        result?;
    }
    Ok(())
}

/// Every segment of every table, the largest first, so that small ones fill the end of the run;
/// among equals, those of the largest tables first and in their order.
fn work_queue(plan: &ExportPlan) -> VecDeque<(u32, u32)> {
    let mut tables: Vec<_> = plan.tables.iter().collect();
    tables.sort_by_key(|table| std::cmp::Reverse(table.estimated_bytes()));
    let mut segments = Vec::new();
    for table in tables {
        let numbered = (0..).zip(&table.segments);
        segments.extend(numbered.map(|(number, segment)| (segment.estimated_bytes, (table.entry, number))));
    }
    segments.sort_by_key(|(estimated_bytes, _)| std::cmp::Reverse(*estimated_bytes));
    segments.into_iter().map(|(_, segment)| segment).collect()
}

struct Shared {
    segments: Segments,
    writer: PackWriter,
    lists: Arc<ListStore>,
    queue: Mutex<VecDeque<(u32, u32)>>,
    tasks: TableTasks,
    throttle: Option<Throttle>,
    context: Context,
    parent: Option<Arc<Parent>>,
    /// Where rows go that do not go into packs.
    parts: Option<Arc<PartStore>>,
    sealers: Arc<Sealers>,
}

impl Shared {
    async fn work(&self) -> Result<(), PipelineError> {
        let mut sealing = self.sealers.reader();
        while let Some((entry, segment)) = self.next() {
            self.store_segment(&mut sealing, entry, segment).await?;
            self.tasks.segment_finished(entry);
        }
        Ok(())
    }

    fn next(&self) -> Option<(u32, u32)> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Stores one segment; reads it again from its start after a lost connection.
    async fn store_segment(
        &self,
        sealing: &mut Sealing,
        entry: u32,
        segment: u32,
    ) -> Result<(), PipelineError> {
        let mut attempts = RetryPolicy::default().attempts();
        let (mut listed, mut uploaded) = (Listed::default(), 0);
        let mut is_last = false;
        loop {
            let error =
                match self.try_store_segment(sealing, entry, segment, (&mut listed, &mut uploaded)).await {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                };
            let Some(pause) = attempts.failed(self.is_worth_retrying(&error) && !is_last) else {
                return Err(error);
            };
            let message = crate::one_line(&error);
            self.context.progress.warning(format!("{message}; reading the segment again"));
            sealing.clear().await;
            // without a snapshot nothing is waited for: one more attempt says what became of it
            is_last = !self.segments.has_snapshot();
            if !is_last {
                pause.wait(&self.context.cancel).await.map_err(|_| PipelineError::Cancelled)?;
            }
        }
    }

    /// Only while the snapshot is held would another attempt see the same rows.
    fn is_worth_retrying(&self, error: &PipelineError) -> bool {
        matches!(error, PipelineError::Export(_)) && error.is_transient()
    }

    async fn try_store_segment(
        &self,
        sealing: &mut Sealing,
        entry: u32,
        segment: u32,
        (listed, uploaded): (&mut Listed, &mut u32),
    ) -> Result<(), PipelineError> {
        if let Some(sink) = self.parts.as_ref().and_then(|parts| parts.sink(entry, segment, uploaded)) {
            return self.feed(entry, segment, CountedSink { shared: self, entry, sink }).await;
        }
        sealing.begin(self.known(entry, segment).await?);
        let (run, again) = (Run::default(), Listed::default());
        let sink = ChunkSink { shared: self, sealing, entry, segment, listed, run, again };
        self.feed(entry, segment, sink).await
    }

    /// Reads the rows of a segment into a sink.
    async fn feed(&self, entry: u32, segment: u32, mut sink: impl RowSink) -> Result<(), PipelineError> {
        let mut rows = self.segments.open(entry, segment).await?;
        while let Some(chunk) = rows.next().await {
            let chunk = chunk?;
            if let Some(throttle) = &self.throttle {
                throttle.pass(chunk.data.len() as u64).await;
            }
            sink.push(chunk).await?;
        }
        sink.finish().await
    }

    /// The chunks that the parent has of a table.
    async fn known(&self, entry: u32, segment: u32) -> Result<Option<Arc<KnownChunks>>, PipelineError> {
        let Some(parent) = &self.parent else { return Ok(None) };
        let (kind, schema, name) = identity(self.table(entry, segment)?);
        Ok(parent.table(kind, &schema, &name).await?)
    }

    fn table(&self, entry: u32, segment: u32) -> Result<&TablePlan, PipelineError> {
        self.segments.table(entry, segment)
    }

    /// Takes the chunks that are ready, at the end of a segment all of them, and brings full runs to a pack.
    async fn gather_ready(
        &self,
        sealing: &mut Sealing,
        run: &mut Run,
        entry: u32,
        is_last: bool,
    ) -> Result<(), PipelineError> {
        while let Some((chunk, digest)) = sealing.next_ready(is_last).await? {
            self.tasks.advance(entry, digest.row_count, chunk.plain_bytes());
            run.push(chunk, digest);
            if run.stored_bytes >= RUN_BYTES || run.plain_bytes >= RUN_PLAIN_BYTES {
                run.bring(&self.writer).await?;
            }
        }
        Ok(())
    }

    /// Tells the lists of a part; returns what they have of the segment then.
    async fn list(&self, part: StoredPart, listed: &mut Listed) -> Result<Listed, PipelineError> {
        let table = self.table(part.entry, part.segment)?;
        let mut now = *listed;
        part.chunks.iter().for_each(|(_, digest)| now.add(*digest));
        if self.lists.add(table, part).await? > MAX_UNNAMED_CHUNKS {
            self.writer.flush().await?;
            self.lists.write_due().await?;
        }
        *listed = now;
        Ok(now)
    }
}

/// Takes the rows of one segment, in order. Only what was finished counts.
pub(crate) trait RowSink {
    /// Takes the next rows.
    async fn push(&mut self, chunk: Chunk) -> Result<(), PipelineError>;

    /// Takes their end.
    async fn finish(self) -> Result<(), PipelineError>;
}

/// Tells the progress of rows that another sink takes.
struct CountedSink<'a, S> {
    shared: &'a Shared,
    entry: u32,
    sink: S,
}

impl<S: RowSink> RowSink for CountedSink<'_, S> {
    async fn push(&mut self, chunk: Chunk) -> Result<(), PipelineError> {
        self.shared.tasks.advance(self.entry, chunk.row_count, chunk.data.len() as u64);
        self.sink.push(chunk).await
    }

    async fn finish(self) -> Result<(), PipelineError> {
        self.sink.finish().await
    }
}

/// Seals the chunks of a segment and brings them to packs.
struct ChunkSink<'a> {
    shared: &'a Shared,
    sealing: &'a mut Sealing,
    entry: u32,
    segment: u32,
    /// What the list has of the segment.
    listed: &'a mut Listed,
    run: Run,
    /// What was read again of that.
    again: Listed,
}

impl RowSink for ChunkSink<'_> {
    async fn push(&mut self, chunk: Chunk) -> Result<(), PipelineError> {
        let (entry, segment) = (self.entry, self.segment);
        if self.again.chunk_count < self.listed.chunk_count {
            self.again.add(chunk.digest);
            return self.listed.compare(&self.again, entry, segment);
        }
        self.sealing.push(chunk).await?;
        self.shared.gather_ready(self.sealing, &mut self.run, entry, false).await?;
        if self.run.placed.len() >= MAX_PART_CHUNKS {
            let chunks = std::mem::take(&mut self.run.placed);
            let part = StoredPart { entry, segment, chunks, is_last: false };
            self.again = self.shared.list(part, self.listed).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), PipelineError> {
        let (entry, segment) = (self.entry, self.segment);
        if self.again.chunk_count < self.listed.chunk_count {
            return Err(Listed::unequal(entry, segment));
        }
        self.shared.gather_ready(self.sealing, &mut self.run, entry, true).await?;
        self.run.bring(&self.shared.writer).await?;
        let part = StoredPart { entry, segment, chunks: self.run.placed, is_last: true };
        self.shared.list(part, self.listed).await?;
        Ok(())
    }
}

/// The chunks of a segment that stand in its list already: read again after a lost connection, they
/// are the same and are passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Listed {
    chunk_count: u64,
    digest: RowDigest,
}

impl Listed {
    fn add(&mut self, digest: RowDigest) {
        self.chunk_count += 1;
        self.digest.merge(digest);
    }

    /// Fails if as many chunks as are listed hold other rows.
    fn compare(&self, again: &Listed, entry: u32, segment: u32) -> Result<(), PipelineError> {
        match again.chunk_count == self.chunk_count && again != self {
            true => Err(Listed::unequal(entry, segment)),
            false => Ok(()),
        }
    }

    fn unequal(entry: u32, segment: u32) -> PipelineError {
        PipelineError::Worker {
            what: "dump".to_owned(),
            reason: format!("TOC entry {entry}, segment {segment}: read again, it has other rows"),
        }
    }
}

/// The chunks of a segment on their way to a pack.
#[derive(Default)]
struct Run {
    sealed: Vec<SealedChunk>,
    /// All chunks in order: those that are known with their place, the others are the next of `sealed`.
    chunks: Vec<(Option<ChunkPlace>, RowDigest)>,
    stored_bytes: usize,
    plain_bytes: u64,
    placed: Vec<(PlacedChunk, RowDigest)>,
}

impl Run {
    fn push(&mut self, chunk: ReadyChunk, digest: RowDigest) {
        self.plain_bytes += chunk.plain_bytes();
        match chunk {
            ReadyChunk::Known(place) => self.chunks.push((Some(place), digest)),
            ReadyChunk::Sealed(sealed) => {
                self.stored_bytes += sealed.stored.len();
                self.sealed.push(sealed);
                self.chunks.push((None, digest));
            }
        }
    }

    async fn bring(&mut self, writer: &PackWriter) -> Result<(), PipelineError> {
        let mut brought = match self.sealed.is_empty() {
            true => Vec::new(),
            false => writer.add(&self.sealed).await?,
        }
        .into_iter();
        for (known, digest) in self.chunks.drain(..) {
            let placed = match known {
                Some(place) => PlacedChunk::known(place),
                None => brought.next().ok_or_else(dbhaul_repository::unnamed_pack)?,
            };
            self.placed.push((placed, digest));
        }
        self.sealed.clear();
        (self.stored_bytes, self.plain_bytes) = (0, 0);
        Ok(())
    }
}
