//! Ending requests when the user stops the command.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::{ErrorKind, ListPage, ObjectMeta, Operation, PutMode, Replaced, Store, StoreError};

/// How long a write or a deletion goes on after the user has stopped the command, or after it has begun to tidy up.
const GRACE: Duration = Duration::from_secs(5);

/// Passes calls on to another store, and ends them as `Interrupted` some time after the token is cancelled, however
/// long the store would take: a network file system may never answer. Reads and listings end at once. Writes and
/// deletions have a few seconds more to come to their ends, for they may take effect all the same; so have those with
/// which a stopped command tidies up.
///
/// A [single attempt](Store::single_attempt) is of somebody who has to know what became of a write: there, reads have
/// these seconds too.
#[derive(Debug, Clone)]
pub struct CancelStore {
    inner: Arc<dyn Store>,
    cancel: CancellationToken,
    /// How long reads go on.
    read_grace: Duration,
}

impl CancelStore {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Store>, cancel: CancellationToken) -> Self {
        CancelStore { inner, cancel, read_grace: Duration::ZERO }
    }

    async fn read<T>(
        &self,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.within(self.read_grace, operation, key, call).await
    }

    async fn change<T>(
        &self,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.within(GRACE, operation, key, call).await
    }

    async fn within<T>(
        &self,
        grace: Duration,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let over = async {
            self.cancel.cancelled().await;
            if !grace.is_zero() {
                tokio::time::sleep(grace).await;
            }
        };
        tokio::select! {
            biased;
            () = over => {
                let error = StoreError::new(ErrorKind::Interrupted, operation, self.inner.describe());
                Err(if key.is_empty() { error } else { error.with_key(key) })
            }
            ended = call => ended,
        }
    }
}

#[async_trait]
impl Store for CancelStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.change(Operation::Put, key, self.inner.put(key, bytes, mode)).await
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        self.change(Operation::Put, key, self.inner.replace(key, old, new)).await
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        self.read(Operation::Get, key, self.inner.get_at_most(key, limit_bytes)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.read(Operation::GetRange, key, self.inner.get_range(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        self.read(Operation::Head, key, self.inner.head(key)).await
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        self.read(Operation::List, prefix, self.inner.list_page(prefix, token)).await
    }

    async fn try_write(&self, keys: &[String]) -> Result<(), StoreError> {
        self.change(Operation::Put, "", self.inner.try_write(keys)).await
    }

    fn single_attempt(&self) -> Option<Arc<dyn Store>> {
        let inner = self.inner.single_attempt().unwrap_or_else(|| Arc::clone(&self.inner));
        Some(Arc::new(CancelStore { inner, cancel: self.cancel.clone(), read_grace: GRACE }))
    }

    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.read(Operation::Open, "", self.inner.free_bytes()).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.change(Operation::Delete, key, self.inner.delete(key)).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.change(Operation::Delete, "", self.inner.delete_many(keys)).await
    }
}
