//! Servers that are not quite S3.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use dbhaul_progress::{Event, Progress, Recorder};
use dbhaul_store::{ErrorKind, Replaced, RetryPolicy, RetryStore, Store, StoreExt as _};
use tokio_util::sync::CancellationToken;

use crate::server::Server;

const QUICK: RetryPolicy = RetryPolicy {
    max_attempts: 4,
    first_pause: Duration::from_millis(1),
    max_pause: Duration::from_millis(4),
};

fn retried(store: Arc<dyn Store>, recorder: &Recorder) -> RetryStore {
    RetryStore::new(store, QUICK, CancellationToken::new(), Progress::new(recorder.clone()))
}

fn warning_count(recorder: &Recorder) -> usize {
    recorder.events().iter().filter(|event| matches!(event, Event::Warning { .. })).count()
}

#[tokio::test]
async fn create_holds_where_conditions_are_refused_or_ignored() {
    let server = Server::start().await;
    for manner in [&server.manners.refuses_conditions, &server.manners.ignores_conditions] {
        manner.store(true, Ordering::SeqCst);
        let store = server.store("p").await;
        store.create("one", "first".into()).await.unwrap();
        assert!(store.create("one", "second".into()).await.unwrap_err().is_already_exists());
        assert_eq!(store.get("one").await.unwrap(), "first");
        store.delete("one").await.unwrap();
        manner.store(false, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn what_is_deleted_before_it_is_replaced_stays_so() {
    let server = Server::start().await;
    let store = server.store("p").await;
    let old = Bytes::from_static(b"old");
    store.create("one", old.clone()).await.unwrap();
    server.manners.vanishes_before_replace.store(true, Ordering::SeqCst);
    assert_eq!(store.replace("one", &old, "new".into()).await.unwrap(), Replaced::Found(None));
    assert_eq!(store.get_optional("one").await.unwrap(), None);
    // a server that refuses the condition is not asked again
    server.manners.vanishes_before_replace.store(false, Ordering::SeqCst);
    server.manners.refuses_conditions.store(true, Ordering::SeqCst);
    for old in ["old", "new"] {
        store.overwrite("one", old.into()).await.unwrap();
        assert_eq!(store.replace("one", &old.into(), "newer".into()).await.unwrap(), Replaced::Done);
        assert_eq!(store.get("one").await.unwrap(), "newer");
    }
}

#[tokio::test]
async fn a_refused_bulk_delete_is_done_one_by_one_from_then_on() {
    let server = Server::start().await;
    server.manners.refuses_bulk_delete.store(true, Ordering::SeqCst);
    let store = server.store("p").await;
    let keys: Vec<String> = (0..20).map(|n| format!("k{n:02}")).collect();
    for round in 1..=2 {
        for key in &keys {
            store.create(key, "x".into()).await.unwrap();
        }
        store.delete_many(&keys).await.unwrap();
        assert!(store.list("").await.unwrap().is_empty());
        assert_eq!(server.manners.single_delete_count.load(Ordering::SeqCst), 20 * round);
    }
}

#[tokio::test]
async fn a_bulk_delete_is_one_request_where_it_is_taken() {
    let server = Server::start().await;
    let store = server.store("p").await;
    store.create("a", "x".into()).await.unwrap();
    store.create("b", "x".into()).await.unwrap();
    store.delete_many(&["a".into(), "b".into()]).await.unwrap();
    assert!(store.list("").await.unwrap().is_empty());
    assert_eq!(server.manners.single_delete_count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn throttling_is_waited_out_and_reported() {
    let server = Server::start().await;
    let recorder = Recorder::default();
    let store = retried(server.store("p").await, &recorder);
    server.manners.throttled_request_count.store(2, Ordering::SeqCst);
    store.overwrite("a", "x".into()).await.unwrap();
    assert_eq!(warning_count(&recorder), 2);
    server.manners.throttled_request_count.store(100, Ordering::SeqCst);
    let error = store.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled, "attempts are bounded");
    assert_eq!(server.manners.throttled_request_count.load(Ordering::SeqCst), 96);
}

#[tokio::test]
async fn a_lost_answer_to_a_create_is_found_out() {
    let server = Server::start().await;
    let recorder = Recorder::default();
    let store = retried(server.store("p").await, &recorder);
    server.manners.lost_answer_count.store(1, Ordering::SeqCst);
    store.create("manifest", "mine".into()).await.unwrap();
    assert_eq!(warning_count(&recorder), 1, "the answer was lost indeed");
    assert_eq!(store.get("manifest").await.unwrap(), "mine");
    let error = store.create("manifest", "mine".into()).await.unwrap_err();
    assert!(error.is_already_exists(), "a Create without doubt is refused even for the same bytes");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_read_again() {
    let server = Server::start().await;
    let recorder = Recorder::default();
    let store = server.store("p").await;
    store.create("a", "whole".into()).await.unwrap();
    server.manners.broken_off_count.store(1, Ordering::SeqCst);
    let error = store.get("a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    server.manners.broken_off_count.store(1, Ordering::SeqCst);
    assert_eq!(retried(store, &recorder).get("a").await.unwrap(), "whole");
}
