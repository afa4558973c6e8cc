//! Throttling, recording and faults.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_store::{
    CountingStore, ErrorKind, Fault, FaultRule, FaultStore, MemoryStore, Operation, RecordingStore, Store,
    StoreExt as _, ThrottleStore,
};
use tokio::time::Instant;

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

/// On tokio's paused clock, which moves only by the waits of the store.
#[tokio::test(start_paused = true)]
async fn a_throttle_holds_the_average_over_both_directions() {
    let store = ThrottleStore::new(memory(), NonZeroU64::new(1000).unwrap());
    let start = Instant::now();
    store.overwrite("a", Bytes::from(vec![0; 5000])).await.unwrap();
    store.get("a").await.unwrap();
    store.get_range("a", 0..1000).await.unwrap();
    store.overwrite("b", Bytes::new()).await.unwrap();
    // 5,000 + 5,000 + 1,000 bytes before the last one's turn.
    assert_eq!(start.elapsed().as_millis(), 11_000);
}

#[tokio::test]
async fn a_record_counts_calls_and_bytes() {
    let store = RecordingStore::new(memory());
    let counting = CountingStore::new(Arc::new(store.clone()));
    counting.create("a", "12345".into()).await.unwrap();
    counting.head("a").await.unwrap();
    assert_eq!((counting.request_count(), store.calls().len()), (2, 2));
    store.create("a", "12345".into()).await.unwrap_err();
    store.get_range("a", 1..3).await.unwrap();
    assert_eq!(store.call_count(Operation::Put), 2);
    assert_eq!(store.transferred_bytes(Operation::Put), 5, "a refused write moves nothing");
    assert_eq!(store.transferred_bytes(Operation::GetRange), 2);
    assert_eq!(store.calls().iter().filter(|call| !call.succeeded).count(), 1);
    store.clear();
    assert!(store.calls().is_empty());
}

#[tokio::test]
async fn faults_strike_where_the_script_says() {
    let store = FaultStore::new(memory());
    store.add(
        FaultRule::new(Fault::Fail(ErrorKind::OutOfSpace)).on(Operation::Put).key_contains("packs/").after(1),
    );
    store.create("repo.json", "x".into()).await.unwrap();
    store.create("packs/1", "x".into()).await.unwrap();
    assert_eq!(store.create("packs/2", "x".into()).await.unwrap_err().kind(), ErrorKind::OutOfSpace);
    store.create("packs/2", "x".into()).await.unwrap();
}

#[tokio::test]
async fn damage_is_silent() {
    let store = FaultStore::new(memory());
    store.create("a", "abc".into()).await.unwrap();
    store.add(FaultRule::new(Fault::Truncate(2)).on(Operation::Get));
    assert_eq!(store.get("a").await.unwrap(), "ab");
    store.add(FaultRule::new(Fault::FlipBit(4)).on(Operation::GetRange));
    assert_eq!(store.get_range("a", 0..3).await.unwrap(), "acc");
    assert_eq!(store.get("a").await.unwrap(), "abc");
}
