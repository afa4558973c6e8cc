//! The suite that every implementation of [`Store`] passes, wrapped or not.
//!
//! [`check`] runs all of it against one empty store and names the rule that is broken by panicking,
//! as tests do.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite for tests: a panic is how it reports, and it is compiled for tests alone"
)]

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::{ErrorKind, PutMode, Replaced, Store, StoreError, StoreExt as _};

/// Size of the object that stands for a full pack.
const LARGE_OBJECT_BYTES: usize = 40 << 20;

/// Objects enough for a second page of any implementation's listing.
const MANY_OBJECT_COUNT: usize = 1_050;

/// Runs the whole suite. The store must be empty, and is empty again afterwards.
///
/// # Panics
/// At the first rule that the store breaks.
pub async fn check(store: Arc<dyn Store>) {
    assert!(store.list("").await.unwrap().is_empty(), "the suite wants an empty store");
    whole_objects(&*store).await;
    bounded_reads(&*store).await;
    absent_objects(&*store).await;
    create_refuses_to_replace(&*store).await;
    one_creator_wins(&store).await;
    replaces_what_it_knows(&*store).await;
    ranges(&*store).await;
    unusual_keys(&*store).await;
    bad_keys(&*store).await;
    listing(&*store).await;
    large_object(&*store).await;
    many_objects(&store).await;
    let left = store.list("").await.unwrap();
    assert!(left.is_empty(), "deleted objects are listed: {left:?}");
}

fn expect_kind<T: std::fmt::Debug>(result: Result<T, StoreError>, kind: ErrorKind, rule: &str) {
    let error = result.expect_err(rule);
    assert_eq!(error.kind(), kind, "{rule}: {error}");
}

async fn whole_objects(store: &dyn Store) {
    for (key, bytes) in [("whole/empty", Bytes::new()), ("whole/some", "some bytes".into())] {
        store.put(key, bytes.clone(), PutMode::Overwrite).await.unwrap();
        assert_eq!(store.get(key).await.unwrap(), bytes, "reads return what was written");
        let meta = store.head(key).await.unwrap();
        assert_eq!(
            (meta.key.as_str(), meta.size_bytes),
            (key, bytes.len() as u64),
            "head tells key and size"
        );
    }
    store.overwrite("whole/some", "other".into()).await.unwrap();
    assert_eq!(store.get("whole/some").await.unwrap(), "other", "Overwrite replaces");
    store.overwrite("whole/some", Bytes::new()).await.unwrap();
    assert_eq!(store.get("whole/some").await.unwrap(), "", "Overwrite replaces by nothing");
    store.delete("whole/some").await.unwrap();
    assert_eq!(store.get_optional("whole/some").await.unwrap(), None, "deleted objects are gone");
    store.delete("whole/empty").await.unwrap();
}

async fn bounded_reads(store: &dyn Store) {
    store.overwrite("bounded/ten", "0123456789".into()).await.unwrap();
    for limit_bytes in [10, 11, u64::MAX] {
        assert_eq!(store.get_at_most("bounded/ten", limit_bytes).await.unwrap(), "0123456789");
    }
    for limit_bytes in [0, 1, 9] {
        let read = store.get_at_most("bounded/ten", limit_bytes).await;
        expect_kind(read, ErrorKind::Damaged, "an object that is longer than it may be");
    }
    expect_kind(store.get_at_most("bounded/none", 10).await, ErrorKind::NotFound, "an absent object");
    assert_eq!(store.get_optional_at_most("bounded/none", 10).await.unwrap(), None);
    store.delete("bounded/ten").await.unwrap();
}

async fn absent_objects(store: &dyn Store) {
    expect_kind(store.get("absent/a").await, ErrorKind::NotFound, "get of an absent object");
    expect_kind(
        store.get_range("absent/a", 0..1).await,
        ErrorKind::NotFound,
        "get_range of an absent object",
    );
    expect_kind(
        store.get_range("absent/a", 0..0).await,
        ErrorKind::NotFound,
        "empty range of an absent object",
    );
    expect_kind(store.head("absent/a").await, ErrorKind::NotFound, "head of an absent object");
    assert_eq!(store.head_optional("absent/a").await.unwrap(), None);
    store.delete("absent/a").await.expect("deleting an absent object is no error");
    store.delete_many(&["absent/a".into(), "absent/b".into()]).await.expect("nor is deleting many");
    let error = store.get("absent/a").await.unwrap_err();
    assert_eq!(error.key(), Some("absent/a"), "errors name the key");
    assert!(error.to_string().contains(&store.describe()), "errors name the store: {error}");
}

async fn create_refuses_to_replace(store: &dyn Store) {
    store.create("create/one", "first".into()).await.unwrap();
    expect_kind(store.create("create/one", "second".into()).await, ErrorKind::AlreadyExists, "Create again");
    assert_eq!(store.get("create/one").await.unwrap(), "first", "a refused Create changes nothing");
    store.delete("create/one").await.unwrap();
    store.create("create/one", "third".into()).await.expect("a deleted key can be created again");
    store.delete("create/one").await.unwrap();
}

async fn one_creator_wins(store: &Arc<dyn Store>) {
    let mut creators = JoinSet::new();
    for creator in 0..8_u8 {
        let store = Arc::clone(store);
        creators.spawn(async move {
            // Of one size, so that only the contents tell the writers apart.
            (creator, store.create("race/one", Bytes::from(vec![creator; 100_000])).await)
        });
    }
    let mut winners = Vec::new();
    while let Some(ended) = creators.join_next().await {
        match ended.unwrap() {
            (creator, Ok(())) => winners.push(creator),
            (_, Err(error)) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
        }
    }
    assert_eq!(winners.len(), 1, "one Create of the same key succeeds, not {winners:?}");
    let expected = vec![winners[0]; 100_000];
    assert_eq!(store.get("race/one").await.unwrap(), expected, "the winner's bytes are kept");
    store.delete("race/one").await.unwrap();
}

async fn replaces_what_it_knows(store: &dyn Store) {
    let (old, new) = (Bytes::from_static(b"old"), Bytes::from_static(b"newer"));
    let absent = store.replace("replace/one", &old, new.clone()).await.unwrap();
    assert_eq!(absent, Replaced::Found(None), "what is not there is not replaced");
    assert_eq!(store.get_optional("replace/one").await.unwrap(), None, "nor made");
    store.overwrite("replace/one", old.clone()).await.unwrap();
    assert_eq!(store.replace("replace/one", &old, new.clone()).await.unwrap(), Replaced::Done);
    assert_eq!(store.get("replace/one").await.unwrap(), new, "the new bytes are there");
    let again = store.replace("replace/one", &old, new.clone()).await.unwrap();
    assert_eq!(again, Replaced::Found(Some(new)), "a repeated attempt finds what it has written");
    store.overwrite("replace/one", "much longer than both".into()).await.unwrap();
    expect_kind(store.replace("replace/one", &old, "x".into()).await, ErrorKind::Damaged, "more than either");
    assert_eq!(store.list("replace/").await.unwrap().len(), 1, "nothing else is left");
    store.delete("replace/one").await.unwrap();
}

/// Of several that replace the same bytes at once one does, on a store with a conditional write; not a part of
/// [`check`], for not all have one.
///
/// # Panics
/// If more of them do, or none.
pub async fn one_replacer_wins(store: &Arc<dyn Store>) {
    let old = Bytes::from_static(b"old");
    store.overwrite("race/two", old.clone()).await.unwrap();
    let mut replacers = JoinSet::new();
    for replacer in 0..8_u8 {
        let (store, old) = (Arc::clone(store), old.clone());
        replacers.spawn(async move {
            let new = Bytes::from(vec![replacer; 100_000]);
            (replacer, store.replace("race/two", &old, new).await.unwrap())
        });
    }
    let ended: Vec<(u8, Replaced)> = replacers.join_all().await;
    let winners: Vec<u8> = ended
        .iter()
        .filter(|(_, replaced)| *replaced == Replaced::Done)
        .map(|(replacer, _)| *replacer)
        .collect();
    assert_eq!(winners.len(), 1, "one replaces the bytes that all have read, not {winners:?}");
    assert_eq!(store.get("race/two").await.unwrap(), vec![winners[0]; 100_000], "its bytes are kept");
    store.delete("race/two").await.unwrap();
}

async fn ranges(store: &dyn Store) {
    store.overwrite("range/ten", "0123456789".into()).await.unwrap();
    for range in [0..10, 0..1, 9..10, 3..7, 0..0, 5..5, 10..10] {
        let expected = &b"0123456789"[range.start as usize..range.end as usize];
        let read = store.get_range("range/ten", range.clone()).await.unwrap();
        assert_eq!(read, expected, "range {range:?}");
    }
    for range in [0..11, 9..11, 10..11, 11..11, 100..200] {
        expect_kind(store.get_range("range/ten", range).await, ErrorKind::Damaged, "a range past the end");
    }
    #[expect(clippy::reversed_empty_ranges, reason = "that it is reversed is what is tested")]
    let reversed = 5..4;
    expect_kind(store.get_range("range/ten", reversed).await, ErrorKind::Invalid, "a reversed range");
    store.delete("range/ten").await.unwrap();
}

async fn unusual_keys(store: &dyn Store) {
    // Not the longest that is allowed: servers that keep objects in files add to the names.
    let long = format!("odd/{}", "n".repeat(100));
    let keys = [
        "odd/with space",
        "odd/ünïcødé/数据库",
        "odd/percent%20sign",
        "odd/plus+and=and&and?and#",
        "odd/quote'\"<xml>",
        "odd/2026-01-01T00:00:00Z-01J",
        "odd/.hidden",
        "odd/dots..inside",
        &long,
    ];
    for key in keys {
        store
            .create(key, Bytes::copy_from_slice(key.as_bytes()))
            .await
            .unwrap_or_else(|e| panic!("{key}: {e}"));
        assert_eq!(store.get(key).await.unwrap(), key.as_bytes(), "{key}");
    }
    let mut expected: Vec<_> = keys.iter().map(|&key| key.to_owned()).collect();
    expected.sort();
    assert_eq!(names(store, "odd/").await, expected, "unusual keys are listed as they are");
    store.delete_many(&expected).await.unwrap();
    assert_eq!(names(store, "odd/").await, [""; 0], "and deleted in bulk");
}

async fn bad_keys(store: &dyn Store) {
    for key in ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/./b", "a\\b", "a\nb", ".dbhaul-tmp-x"] {
        let rule = format!("the key {key:?} is refused");
        expect_kind(store.put(key, "x".into(), PutMode::Overwrite).await, ErrorKind::Invalid, &rule);
        expect_kind(store.get(key).await, ErrorKind::Invalid, &rule);
        expect_kind(store.get_range(key, 0..1).await, ErrorKind::Invalid, &rule);
        expect_kind(store.head(key).await, ErrorKind::Invalid, &rule);
        expect_kind(store.delete(key).await, ErrorKind::Invalid, &rule);
        expect_kind(store.delete_many(&[key.to_owned()]).await, ErrorKind::Invalid, &rule);
    }
    expect_kind(store.list("../").await, ErrorKind::Invalid, "a prefix outside the store is refused");
}

async fn listing(store: &dyn Store) {
    // Byte order of whole keys: `-` < `.` < `/` < `0`.
    let keys = ["list/a-b", "list/a.b", "list/a/x", "list/a/y/z", "list/a0", "list/b", "listing"];
    for key in keys {
        store.create(key, "12345".into()).await.unwrap();
    }
    assert_eq!(names(store, "").await, keys, "a listing is in byte order of the keys");
    assert_eq!(names(store, "list/").await, keys[..6]);
    assert_eq!(names(store, "list").await, keys, "a prefix may end anywhere");
    assert_eq!(names(store, "list/a/").await, keys[2..4]);
    assert_eq!(names(store, "list/a/y").await, keys[3..4]);
    assert_eq!(names(store, "list/a.b").await, keys[1..2], "a prefix may be a whole key");
    assert_eq!(names(store, "nothing/").await, [""; 0], "no match is no error");
    assert_eq!(names(store, "list/b/").await, [""; 0], "nor is a prefix below an object");
    assert!(store.list("list/").await.unwrap().iter().all(|meta| meta.size_bytes == 5));
    for key in keys {
        store.delete(key).await.unwrap();
    }
}

async fn names(store: &dyn Store, prefix: &str) -> Vec<String> {
    store.list(prefix).await.unwrap().into_iter().map(|meta| meta.key).collect()
}

async fn large_object(store: &dyn Store) {
    // Not periodic within any likely buffer, so that swapped or repeated parts show.
    let bytes: Bytes = (0..LARGE_OBJECT_BYTES as u32 / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    store.create("large/object", bytes.clone()).await.unwrap();
    assert_eq!(store.head("large/object").await.unwrap().size_bytes, LARGE_OBJECT_BYTES as u64);
    assert!(store.get("large/object").await.unwrap() == bytes, "a large object survives");
    let middle = LARGE_OBJECT_BYTES / 2;
    let part = store.get_range("large/object", middle as u64..middle as u64 + 70_000).await.unwrap();
    assert!(part == bytes[middle..middle + 70_000], "so does a part of it");
    store.delete("large/object").await.unwrap();
}

async fn many_objects(store: &Arc<dyn Store>) {
    let keys: Vec<_> = (0..MANY_OBJECT_COUNT).map(|n| format!("many/{:02x}/{n:06}", n % 7)).collect();
    for batch in keys.chunks(50) {
        let mut writers = JoinSet::new();
        for key in batch {
            let (store, key) = (Arc::clone(store), key.clone());
            writers.spawn(async move { store.overwrite(&key, "x".into()).await });
        }
        while let Some(ended) = writers.join_next().await {
            ended.unwrap().unwrap();
        }
    }
    let mut expected = keys;
    expected.sort();
    assert!(names(&**store, "many/").await == expected, "every page is listed, once and in order");
    store.delete_many(&expected).await.unwrap();
    assert_eq!(names(&**store, "many/").await, [""; 0], "many objects are deleted");
}
