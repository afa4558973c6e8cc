//! The contract suite over every implementation and every wrapper.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use dbhaul_progress::Progress;
use dbhaul_store::{
    CountingStore, DirectoryStore, FaultStore, MemoryStore, RecordingStore, RetryPolicy, RetryStore, Store,
    ThrottleStore, contract,
};
use tokio_util::sync::CancellationToken;

use crate::server::Server;

#[tokio::test]
async fn memory() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    contract::check(Arc::clone(&store)).await;
    contract::one_replacer_wins(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directory() {
    let directory = tempfile::tempdir().unwrap();
    contract::check(Arc::new(DirectoryStore::new(directory.path().join("not/yet there")))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_with_a_prefix() {
    let server = Server::start().await;
    contract::check(server.store("nightly/my shop").await).await;
    assert!(server.manners.seen_content_md5_count.load(Ordering::SeqCst) > 0, "uploads are protected");
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_that_refuses_what_is_not_basic() {
    let server = Server::start().await;
    server.manners.refuses_content_md5.store(true, Ordering::SeqCst);
    server.manners.refuses_bulk_delete.store(true, Ordering::SeqCst);
    contract::check(server.store("").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrapper() {
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let faults = Arc::new(FaultStore::new(memory));
    let recorded = Arc::new(CountingStore::new(Arc::new(RecordingStore::new(faults))));
    let unhurried = NonZeroU64::new(u64::MAX).unwrap();
    let throttled = Arc::new(ThrottleStore::new(recorded, unhurried));
    let retried =
        RetryStore::new(throttled, RetryPolicy::default(), CancellationToken::new(), Progress::silent());
    contract::check(Arc::new(retried)).await;
}
