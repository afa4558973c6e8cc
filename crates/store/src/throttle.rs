//! Leaving bandwidth to others.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;

use crate::{ListPage, ObjectMeta, PutMode, Replaced, Store, StoreError};

/// Limits the bytes per second that go to and come from another store, in both directions together.
///
/// Each transfer reserves its time on one time line: a `put` waits for its turn before it begins, a
/// `get`, whose size is not known before, makes the next transfer wait. Short bursts pass at full
/// speed; the average over many objects holds.
#[derive(Debug)]
pub struct ThrottleStore {
    inner: Arc<dyn Store>,
    bytes_per_second: NonZeroU64,
    free_at: Arc<Mutex<Instant>>,
}

impl ThrottleStore {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, bytes_per_second: NonZeroU64) -> Self {
        ThrottleStore { inner, bytes_per_second, free_at: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Reserves the time that `transferred_bytes` take and returns when it begins.
    fn reserve(&self, transferred_bytes: u64) -> Instant {
        let duration = Duration::from_secs_f64(transferred_bytes as f64 / self.bytes_per_second.get() as f64);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*free_at).max(Instant::now());
        *free_at = start + duration;
        start
    }

    async fn wait_for(&self, transferred_bytes: u64) {
        tokio::time::sleep_until(self.reserve(transferred_bytes)).await;
    }
}

#[async_trait]
impl Store for ThrottleStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.wait_for(bytes.len() as u64).await;
        self.inner.put(key, bytes, mode).await
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        self.wait_for(new.len() as u64).await;
        self.inner.replace(key, old, new).await
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        self.wait_for(0).await;
        let bytes = self.inner.get_at_most(key, limit_bytes).await?;
        self.reserve(bytes.len() as u64);
        Ok(bytes)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.wait_for(range.end.saturating_sub(range.start)).await;
        self.inner.get_range(key, range).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        self.inner.head(key).await
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        self.inner.list_page(prefix, token).await
    }

    async fn try_write(&self, keys: &[String]) -> Result<(), StoreError> {
        self.inner.try_write(keys).await
    }

    fn single_attempt(&self) -> Option<Arc<dyn Store>> {
        let inner = self.inner.single_attempt()?;
        Some(Arc::new(ThrottleStore {
            inner,
            bytes_per_second: self.bytes_per_second,
            free_at: Arc::clone(&self.free_at),
        }))
    }

    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.inner.free_bytes().await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.inner.delete_many(keys).await
    }
}
