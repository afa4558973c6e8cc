//! A store in memory whose requests a test directs one by one.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use dbhaul_store::{
    ErrorKind, ListPage, MemoryStore, ObjectMeta, Operation, PutMode, Replaced, Store, StoreError,
    StoreExt as _,
};
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is served.
    Serve,
    /// It fails and has no effect.
    Fail(ErrorKind),
    /// It takes effect, and its answer is lost.
    LoseAnswer,
    /// Half of the bytes that it carries arrive, and nobody says so.
    Truncate,
    /// Something between client and store repeats it; the client gets the second answer.
    Double,
    /// It is served so much later.
    Delay(Duration),
    /// The client is told that it failed, and a write or delete takes effect so much later.
    ActLate(Duration),
    /// The client is killed before the request takes effect.
    KillBefore,
    /// The client is killed when it has taken effect.
    KillAfter,
}

/// Who asks for what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Request {
    pub(super) client: usize,
    pub(super) operation: Operation,
    pub(super) key: String,
}

/// Says what happens to each request, now or later.
pub(super) type Director = Arc<dyn Fn(Request) -> BoxFuture<'static, Fate> + Send + Sync>;

/// The store itself. Its clock goes with tokio's, which a test moves.
#[derive(Clone)]
pub(super) struct Stage(Arc<Inner>);

struct Inner {
    objects: MemoryStore,
    modified: Mutex<BTreeMap<String, SystemTime>>,
    epoch: (SystemTime, Instant),
    director: Director,
    killed: Notify,
    changes: AtomicU64,
    replaces_only_what_is_there: AtomicBool,
}

/// What a request changes.
#[derive(Debug, Clone)]
enum Change {
    None,
    Put(String, Bytes, PutMode),
    /// New bytes in the place of old ones.
    Replace(String, Bytes, Bytes),
    Delete(Vec<String>),
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stage")
    }
}

impl Stage {
    pub(super) fn new(director: Director) -> Self {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_824_984);
        Stage(Arc::new(Inner {
            objects: MemoryStore::new(),
            modified: Mutex::default(),
            epoch: (start, Instant::now()),
            director,
            killed: Notify::new(),
            changes: AtomicU64::new(0),
            replaces_only_what_is_there: AtomicBool::new(true),
        }))
    }

    /// The time by the store's clock.
    pub(super) fn now(&self) -> SystemTime {
        let (start, at) = self.0.epoch;
        start + at.elapsed()
    }

    /// What lies in the store, without asking it.
    pub(super) fn objects(&self) -> &MemoryStore {
        &self.0.objects
    }

    /// How often something was changed.
    pub(super) fn change_count(&self) -> u64 {
        self.0.changes.load(Ordering::Relaxed)
    }

    async fn apply(&self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::None => return Ok(()),
            Change::Put(key, bytes, mode) => {
                self.0.objects.put(&key, bytes, mode).await?;
                self.times().insert(key, self.now());
            }
            Change::Replace(key, old, new) => return self.replace(key, &old, new).await.map(drop),
            Change::Delete(keys) => self.0.objects.delete_many(&keys).await?,
        }
        self.0.changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn replace(&self, key: String, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        let replaced = match self.0.replaces_only_what_is_there.load(Ordering::Relaxed) {
            true => self.0.objects.replace(&key, old, new).await?,
            false => {
                self.0.objects.put(&key, new, PutMode::Overwrite).await?;
                Replaced::Done
            }
        };
        if replaced == Replaced::Done {
            self.times().insert(key, self.now());
            self.0.changes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(replaced)
    }

    /// From now on it replaces whatever is there, as stores do that have no conditional write.
    pub(super) fn replace_whatever_is_there(&self) {
        self.0.replaces_only_what_is_there.store(false, Ordering::Relaxed);
    }

    /// Waits until a client is killed.
    pub(super) async fn killed(&self) {
        self.0.killed.notified().await;
    }

    /// When an object was written last.
    pub(super) fn modified(&self, key: &str) -> Option<SystemTime> {
        self.times().get(key).copied()
    }

    /// The store as a client sees it.
    pub(super) fn client(&self, number: usize) -> Client {
        Client { stage: self.clone(), number }
    }

    fn times(&self) -> MutexGuard<'_, BTreeMap<String, SystemTime>> {
        self.0.modified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dated(&self, mut object: ObjectMeta) -> ObjectMeta {
        object.modified = self.modified(&object.key);
        object
    }
}

/// One client's way to the store.
#[derive(Debug, Clone)]
pub(super) struct Client {
    stage: Stage,
    number: usize,
}

impl Client {
    /// Serves a request as the director says; `effect` is told whether to carry half of the bytes only.
    async fn request<T, F>(
        &self,
        (operation, key): (Operation, &str),
        change: Change,
        mut effect: impl FnMut(bool) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let request = Request { client: self.number, operation, key: key.to_owned() };
        let failed = |kind| StoreError::new(kind, operation, "stage").with_key(key);
        match (self.stage.0.director)(request).await {
            Fate::Serve => effect(false).await,
            Fate::Fail(kind) => Err(failed(kind)),
            Fate::LoseAnswer => {
                effect(false).await?;
                Err(failed(ErrorKind::Unreachable))
            }
            Fate::Truncate => effect(true).await,
            Fate::Double => {
                let _ = effect(false).await;
                effect(false).await
            }
            Fate::Delay(time) => {
                tokio::time::sleep(time).await;
                effect(false).await
            }
            Fate::ActLate(time) => {
                let stage = self.stage.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    let _ = stage.apply(change).await;
                });
                Err(failed(ErrorKind::Unreachable))
            }
            fate @ (Fate::KillBefore | Fate::KillAfter) => {
                if fate == Fate::KillAfter {
                    let _ = effect(false).await;
                }
                self.stage.0.killed.notify_one();
                std::future::pending().await
            }
        }
    }
}

fn half(bytes: &Bytes) -> Bytes {
    bytes.slice(..bytes.len() / 2)
}

#[async_trait]
impl Store for Client {
    fn describe(&self) -> String {
        "stage".to_owned()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let change = |bytes| Change::Put(key.to_owned(), bytes, mode);
        let whole = change(bytes.clone());
        let put = |is_cut: bool| {
            let bytes = if is_cut { half(&bytes) } else { bytes.clone() };
            self.stage.apply(change(bytes))
        };
        self.request((Operation::Put, key), whole, put).await
    }

    /// A read and a write, as a store makes them of it.
    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        let found = self.get_optional_at_most(key, old.len().max(new.len()) as u64).await?;
        if found.as_ref() != Some(old) {
            return Ok(Replaced::Found(found));
        }
        let whole = Change::Replace(key.to_owned(), old.clone(), new.clone());
        let put = |is_cut: bool| {
            let bytes = if is_cut { half(&new) } else { new.clone() };
            self.stage.replace(key.to_owned(), old, bytes)
        };
        self.request((Operation::Put, key), whole, put).await
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        let objects = &self.stage.0.objects;
        let get = |is_cut: bool| async move {
            let bytes = objects.get_at_most(key, limit_bytes).await?;
            Ok(if is_cut { half(&bytes) } else { bytes })
        };
        self.request((Operation::Get, key), Change::None, get).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let (objects, range) = (&self.stage.0.objects, &range);
        let get = |is_cut: bool| async move {
            let bytes = objects.get_range(key, range.clone()).await?;
            Ok(if is_cut { half(&bytes) } else { bytes })
        };
        self.request((Operation::GetRange, key), Change::None, get).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        let stage = &self.stage;
        let head = |_| async move { Ok(stage.dated(stage.0.objects.head(key).await?)) };
        self.request((Operation::Head, key), Change::None, head).await
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        let stage = &self.stage;
        let list = |_| async move {
            let mut page = stage.0.objects.list_page(prefix, token).await?;
            page.objects = page.objects.into_iter().map(|object| stage.dated(object)).collect();
            Ok(page)
        };
        self.request((Operation::List, prefix), Change::None, list).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.delete_many(&[key.to_owned()]).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        let change = Change::Delete(keys.to_vec());
        let first = keys.first().map_or("", String::as_str);
        self.request((Operation::Delete, first), change.clone(), |_| self.stage.apply(change.clone())).await
    }
}
