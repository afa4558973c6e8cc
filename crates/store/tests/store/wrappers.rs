//! Throttling, recording and faults.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use dbhaul_store::{
    CancelStore, CountingStore, ErrorKind, Fault, FaultRule, FaultStore, MemoryStore, Operation,
    RecordingStore, Store, StoreExt as _, ThrottleStore,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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

/// On tokio's paused clock: how many seconds after the command was stopped a call ends as interrupted.
async fn seconds_to_end<T: std::fmt::Debug>(
    cancel: &CancellationToken,
    call: impl Future<Output = Result<T, dbhaul_store::StoreError>>,
) -> u64 {
    let stopping = async {
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
        cancel.cancel();
        Instant::now()
    };
    let (ended, stopped) = tokio::join!(async { (call.await, Instant::now()) }, stopping);
    let error = ended.0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(error.leaves_doubt(), "a write may take effect all the same");
    ended.1.duration_since(stopped).as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_stopped_command_waits_for_no_answer_but_briefly_for_that_to_a_write() {
    let hanging = || -> (Arc<dyn Store>, CancellationToken) {
        let faults = FaultStore::new(memory());
        faults.add(FaultRule::new(Fault::Hang).times(u64::MAX));
        let cancel = CancellationToken::new();
        (Arc::new(CancelStore::new(Arc::new(faults), cancel.clone())), cancel)
    };
    let (store, cancel) = hanging();
    assert_eq!(seconds_to_end(&cancel, store.get("a")).await, 0);
    let (store, cancel) = hanging();
    assert_eq!(seconds_to_end(&cancel, store.list_page("", None)).await, 0);
    let (store, cancel) = hanging();
    assert_eq!(seconds_to_end(&cancel, store.overwrite("a", "x".into())).await, 5);
    // what tidies up has as long
    let begun = Instant::now();
    assert_eq!(store.delete("a").await.unwrap_err().kind(), ErrorKind::Interrupted);
    assert_eq!(begun.elapsed().as_secs(), 5);
    let (store, cancel) = hanging();
    assert_eq!(seconds_to_end(&cancel, store.delete("a")).await, 5);
    // whoever makes single attempts looks what became of them
    let (store, cancel) = hanging();
    let single = store.single_attempt().unwrap();
    assert_eq!(seconds_to_end(&cancel, single.get("a")).await, 5);
}
