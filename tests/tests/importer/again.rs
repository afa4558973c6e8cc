//! What a source says of reading a segment again, and what the importer makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use dbhaul_importer::{
    Again, ImportError, ImportOutcome, SegmentRef, SegmentRows, SegmentSource, SourceError, import, plan,
};
use dbhaul_progress::Progress;
use dbhaul_tests::Server;
use tokio_util::sync::CancellationToken;

use crate::shop::{Rows, Source};
use crate::{SEGMENTS, assert_sales_arrived, options, sales, settings, target};

/// Rows of which segment 2 cannot be read at first.
struct Failing {
    rows: Source,
    again: Again,
    has_failed: AtomicBool,
    failed_count: AtomicU64,
}

#[async_trait]
impl SegmentSource for Failing {
    async fn open(&self, segment: SegmentRef) -> Result<SegmentRows, SourceError> {
        let is_gone = self.again == Again::Gone && self.has_failed.load(Ordering::Relaxed);
        if is_gone || segment.segment == 2 && !self.has_failed.swap(true, Ordering::Relaxed) {
            self.failed_count.fetch_add(1, Ordering::Relaxed);
            let (table, message) = ("public.sale".to_owned(), "it cannot be read so".to_owned());
            return Err(SourceError { segment, table, again: self.again, message, source: None });
        }
        self.rows.open(segment).await
    }
}

/// Imports the sales over one session with one attempt for each step.
async fn run(server: &Server, rows: &Arc<Rows>, again: Again) -> (Result<ImportOutcome, ImportError>, u64) {
    let (toc, entry) = sales();
    let mut options = options();
    (options.jobs, options.retry.max_attempts) = (1, 1);
    let plan = plan(toc.into_toc(), &[rows.segments(entry, SEGMENTS)], options).unwrap();
    let (has_failed, failed_count) = (AtomicBool::new(false), AtomicU64::new(0));
    let source = Arc::new(Failing { rows: Source(rows.clone()), again, has_failed, failed_count });
    let imported =
        import(plan, &settings(server), source.clone(), &Progress::silent(), &CancellationToken::new()).await;
    (imported, source.failed_count.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_in_another_format_use_up_no_attempt() {
    let (server, rows) = (target(17), Arc::new(Rows::new(500)));
    let (imported, failed_count) = run(&server, &rows, Again::Otherwise).await;
    let outcome = imported.unwrap();
    assert_eq!((outcome.retried_attempts, failed_count), (0, 1));
    assert_sales_arrived(&server, &rows, &outcome);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_ends_the_run_at_once() {
    let (server, rows) = (target(16), Arc::new(Rows::new(500)));
    let (imported, failed_count) = run(&server, &rows, Again::Gone).await;
    let error = imported.unwrap_err();
    assert!(matches!(error, ImportError::Source(_)), "{error}");
    assert_eq!(error.to_string(), "public.sale, segment 2: it cannot be read so");
    assert_eq!(failed_count, 1, "nothing else is tried");
}
