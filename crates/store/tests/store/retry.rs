//! Retrying, with faults by a script.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dbhaul_progress::Progress;
use dbhaul_store::{
    ErrorKind, Fault, FaultRule, FaultStore, MemoryStore, Operation, RecordingStore, RetryPolicy, RetryStore,
    Store, StoreExt as _,
};
use tokio_util::sync::CancellationToken;

const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    first_pause: Duration::from_millis(100),
    max_pause: Duration::from_secs(10),
};

/// A memory store with faults, a record of what reaches it, and retries around both.
struct Stage {
    memory: MemoryStore,
    faults: FaultStore,
    record: RecordingStore,
    cancel: CancellationToken,
    store: RetryStore,
}

fn stage() -> Stage {
    let memory = MemoryStore::new();
    let faults = FaultStore::new(Arc::new(memory.clone()));
    let record = RecordingStore::new(Arc::new(faults.clone()));
    let cancel = CancellationToken::new();
    let store = RetryStore::new(Arc::new(record.clone()), POLICY, cancel.clone(), Progress::silent());
    Stage { memory, faults, record, cancel, store }
}

#[tokio::test(start_paused = true)]
async fn transient_failures_of_every_operation_are_tried_again() {
    for kind in [ErrorKind::Unreachable, ErrorKind::Throttled, ErrorKind::ServerFault] {
        let stage = stage();
        stage.memory.create("a", "0123".into()).await.unwrap();
        for operation in [
            Operation::Put,
            Operation::Get,
            Operation::GetRange,
            Operation::Head,
            Operation::List,
            Operation::Delete,
        ] {
            stage.faults.add(FaultRule::new(Fault::Fail(kind)).on(operation).times(2));
        }
        stage.store.overwrite("b", "x".into()).await.unwrap();
        assert_eq!(stage.store.get("a").await.unwrap(), "0123");
        assert_eq!(stage.store.get_range("a", 1..2).await.unwrap(), "1");
        assert_eq!(stage.store.head("a").await.unwrap().size_bytes, 4);
        assert_eq!(stage.store.list("").await.unwrap().len(), 2);
        stage.store.delete("a").await.unwrap();
        assert_eq!(stage.record.call_count(Operation::Get), 3, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lasting_failures_are_not_tried_again() {
    for kind in [
        ErrorKind::NotFound,
        ErrorKind::OutOfSpace,
        ErrorKind::Auth,
        ErrorKind::PermissionDenied,
        ErrorKind::Damaged,
        ErrorKind::MissingStore,
    ] {
        let stage = stage();
        stage.faults.add(FaultRule::new(Fault::Fail(kind)).times(u64::MAX));
        assert_eq!(stage.store.overwrite("a", "x".into()).await.unwrap_err().kind(), kind);
        assert_eq!(stage.record.calls().len(), 1, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded() {
    let stage = stage();
    stage.faults.add(FaultRule::new(Fault::Fail(ErrorKind::Throttled)).times(u64::MAX));
    assert_eq!(stage.store.overwrite("a", "x".into()).await.unwrap_err().kind(), ErrorKind::Throttled);
    assert_eq!(stage.record.call_count(Operation::Put), 5);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out_by_looking() {
    let stage = stage();
    stage.faults.add(FaultRule::new(Fault::LoseResponse).on(Operation::Put));
    stage.store.create("a", "mine".into()).await.unwrap();
    assert_eq!(stage.record.call_count(Operation::Put), 1, "it is not written again");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_out_even_if_looking_fails_for_a_while() {
    let stage = stage();
    stage.faults.add(FaultRule::new(Fault::LoseResponse).on(Operation::Put));
    stage.faults.add(FaultRule::new(Fault::Fail(ErrorKind::Unreachable)).on(Operation::Head).times(2));
    stage.store.create("a", "mine".into()).await.unwrap();
    assert_eq!(stage.record.call_count(Operation::Put), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_attempts_lost_answer_is_found_out_too() {
    let stage = stage();
    stage.faults.add(FaultRule::new(Fault::Fail(ErrorKind::Throttled)).on(Operation::Put).times(4));
    stage.faults.add(FaultRule::new(Fault::LoseResponse).on(Operation::Put));
    stage.store.create("a", "mine".into()).await.unwrap();
    assert_eq!(stage.memory.get("a").await.unwrap(), "mine");
}

#[tokio::test(start_paused = true)]
async fn somebody_elses_object_is_not_taken_for_ones_own() {
    for theirs in ["their", "other and longer"] {
        let stage = stage();
        stage.memory.create("a", Bytes::from_static(theirs.as_bytes())).await.unwrap();
        // Our request never arrived, but that cannot be known.
        stage.faults.add(FaultRule::new(Fault::Fail(ErrorKind::Unreachable)).on(Operation::Put));
        let error = stage.store.create("a", "mine!".into()).await.unwrap_err();
        assert!(error.is_already_exists(), "{error}");
        assert_eq!(stage.memory.get("a").await.unwrap(), theirs);
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_from_somebody_else_are_refused_where_nothing_was_lost() {
    let stage = stage();
    stage.memory.create("lock", "held".into()).await.unwrap();
    stage.faults.add(FaultRule::new(Fault::Fail(ErrorKind::Throttled)).on(Operation::Put));
    assert!(stage.store.create("lock", "held".into()).await.unwrap_err().is_already_exists());
}

#[tokio::test(start_paused = true)]
async fn an_overwrite_with_a_lost_answer_never_keeps_old_bytes() {
    let stage = stage();
    stage.memory.create("a", "old!".into()).await.unwrap();
    stage.faults.add(FaultRule::new(Fault::Fail(ErrorKind::Unreachable)).on(Operation::Put));
    stage.store.overwrite("a", "new!".into()).await.unwrap();
    assert_eq!(stage.memory.get("a").await.unwrap(), "new!");
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_wait_but_leaves_one_attempt_to_tidy_up() {
    let stage = stage();
    stage.faults.add(FaultRule::new(Fault::Fail(ErrorKind::Unreachable)).on(Operation::Get).times(u64::MAX));
    stage.cancel.cancel();
    assert_eq!(stage.store.get("a").await.unwrap_err().kind(), ErrorKind::Unreachable);
    assert_eq!(stage.record.call_count(Operation::Get), 1);
    stage.store.overwrite("lease", "x".into()).await.unwrap();
    stage.store.delete("lease").await.unwrap();
}
