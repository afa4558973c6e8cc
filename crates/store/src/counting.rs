//! Counting requests, at the cost of a number.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ListPage, ObjectMeta, PutMode, Replaced, Store, StoreError};

/// Passes every call on to another store and counts them; clones share the count. Retries below it are not counted,
/// and many deletions at once are one request.
#[derive(Debug, Clone)]
pub struct CountingStore {
    inner: Arc<dyn Store>,
    count: Arc<AtomicU64>,
}

impl CountingStore {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        CountingStore { inner, count: Arc::default() }
    }

    /// Requests so far.
    pub fn request_count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn counted(&self) -> &dyn Store {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.as_ref()
    }
}

#[async_trait]
impl Store for CountingStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.counted().put(key, bytes, mode).await
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        self.counted().replace(key, old, new).await
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        self.counted().get_at_most(key, limit_bytes).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.counted().get_range(key, range).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        self.counted().head(key).await
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        self.counted().list_page(prefix, token).await
    }

    async fn try_write(&self, keys: &[String]) -> Result<(), StoreError> {
        self.counted().try_write(keys).await
    }

    fn single_attempt(&self) -> Option<Arc<dyn Store>> {
        let inner = self.inner.single_attempt()?;
        Some(Arc::new(CountingStore { inner, count: Arc::clone(&self.count) }))
    }

    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.inner.free_bytes().await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.counted().delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.counted().delete_many(keys).await
    }
}
