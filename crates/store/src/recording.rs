//! Counting what a store is asked for, in the place of timing it.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ListPage, ObjectMeta, Operation, PutMode, Replaced, Store, StoreError};

/// One call that a [`RecordingStore`] passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was asked for.
    pub operation: Operation,
    /// The key or prefix.
    pub key: String,
    /// Bytes written or read; 0 if the call failed.
    pub transferred_bytes: u64,
    /// Whether it succeeded.
    pub succeeded: bool,
}

/// Passes every call on to another store and keeps a record; clones share the record.
#[derive(Debug, Clone)]
pub struct RecordingStore {
    inner: Arc<dyn Store>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl RecordingStore {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        RecordingStore { inner, calls: Arc::default() }
    }

    /// All calls so far, in the order in which they ended.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().clone()
    }

    /// How many calls of this kind ended so far. A `delete_many` counts once per key.
    pub fn call_count(&self, operation: Operation) -> usize {
        self.lock().iter().filter(|call| call.operation == operation).count()
    }

    /// Bytes that successful calls of this kind moved.
    pub fn transferred_bytes(&self, operation: Operation) -> u64 {
        self.lock().iter().filter(|call| call.operation == operation).map(|call| call.transferred_bytes).sum()
    }

    /// Forgets all calls.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record<T>(
        &self,
        operation: Operation,
        key: &str,
        result: Result<T, StoreError>,
        size_bytes: impl FnOnce(&T) -> u64,
    ) -> Result<T, StoreError> {
        let transferred_bytes = result.as_ref().map_or(0, size_bytes);
        let succeeded = result.is_ok();
        self.lock().push(Call { operation, key: key.to_owned(), transferred_bytes, succeeded });
        result
    }
}

#[async_trait]
impl Store for RecordingStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let size_bytes = bytes.len() as u64;
        let result = self.inner.put(key, bytes, mode).await;
        self.record(Operation::Put, key, result, |()| size_bytes)
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        let size_bytes = new.len() as u64;
        let result = self.inner.replace(key, old, new).await;
        self.record(Operation::Put, key, result, |replaced| match replaced {
            Replaced::Done => size_bytes,
            Replaced::Found(_) => 0,
        })
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        let result = self.inner.get_at_most(key, limit_bytes).await;
        self.record(Operation::Get, key, result, |bytes| bytes.len() as u64)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let result = self.inner.get_range(key, range).await;
        self.record(Operation::GetRange, key, result, |bytes| bytes.len() as u64)
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        let result = self.inner.head(key).await;
        self.record(Operation::Head, key, result, |_| 0)
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        let result = self.inner.list_page(prefix, token).await;
        self.record(Operation::List, prefix, result, |_| 0)
    }

    fn single_attempt(&self) -> Option<Arc<dyn Store>> {
        let inner = self.inner.single_attempt()?;
        Some(Arc::new(RecordingStore { inner, ..self.clone() }))
    }

    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.inner.free_bytes().await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let result = self.inner.delete(key).await;
        self.record(Operation::Delete, key, result, |()| 0)
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        let result = self.inner.delete_many(keys).await;
        let succeeded = result.is_ok();
        let call = |key: &String| Call {
            operation: Operation::Delete,
            key: key.clone(),
            transferred_bytes: 0,
            succeeded,
        };
        self.lock().extend(keys.iter().map(call));
        result
    }
}
