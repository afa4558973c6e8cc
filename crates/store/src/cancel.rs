//! Ending reads when the user stops the command.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{ErrorKind, ListPage, ObjectMeta, Operation, PutMode, Store, StoreError};

/// Passes calls on to another store. Reads and listings end as `Interrupted` when the token is cancelled, however
/// long the store would take: a network file system may never answer. Writes and deletes are left to their end.
#[derive(Debug, Clone)]
pub struct CancelStore {
    inner: Arc<dyn Store>,
    cancel: CancellationToken,
}

impl CancelStore {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, cancel: CancellationToken) -> Self {
        CancelStore { inner, cancel }
    }

    async fn until_cancelled<T>(
        &self,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let interrupted = || {
            let error = StoreError::new(ErrorKind::Interrupted, operation, self.inner.describe());
            if key.is_empty() { error } else { error.with_key(key) }
        };
        self.cancel.run_until_cancelled(call).await.unwrap_or_else(|| Err(interrupted()))
    }
}

#[async_trait]
impl Store for CancelStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.inner.put(key, bytes, mode).await
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        self.until_cancelled(Operation::Get, key, self.inner.get_at_most(key, limit_bytes)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.until_cancelled(Operation::GetRange, key, self.inner.get_range(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        self.until_cancelled(Operation::Head, key, self.inner.head(key)).await
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        self.until_cancelled(Operation::List, prefix, self.inner.list_page(prefix, token)).await
    }

    async fn try_write(&self, keys: &[String]) -> Result<(), StoreError> {
        self.inner.try_write(keys).await
    }

    fn single_attempt(&self) -> Option<Arc<dyn Store>> {
        let inner = self.inner.single_attempt()?;
        Some(Arc::new(CancelStore { inner, cancel: self.cancel.clone() }))
    }

    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.until_cancelled(Operation::Open, "", self.inner.free_bytes()).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.inner.delete_many(keys).await
    }
}
