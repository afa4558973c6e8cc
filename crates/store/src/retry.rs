//! Trying again what may succeed a little later.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dbhaul_progress::Progress;
use dbhaul_retry::{Attempts, RetryPolicy};
use md5::{Digest as _, Md5};
use tokio_util::sync::CancellationToken;

use crate::{ListPage, ObjectMeta, Operation, PutMode, Replaced, Store, StoreError};

/// Retries the transient failures of another store, within bounds, and finds out what became of a
/// `put` whose answer was lost.
///
/// A lost answer leaves two possibilities. Before a `put` is tried again, the object is looked up
/// and compared (size, then MD5 where the store knows it, then the bytes themselves): if it is
/// there as it should be, the `put` has succeeded. Without that, a `Create` whose answer was lost
/// would be refused by its own first attempt.
pub struct RetryStore {
    inner: Arc<dyn Store>,
    policy: RetryPolicy,
    cancel: CancellationToken,
    progress: Progress,
}

impl fmt::Debug for RetryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryStore").field("inner", &self.inner).field("policy", &self.policy).finish()
    }
}

impl RetryStore {
    /// Wraps `inner`. Once `cancel` is cancelled, operations get one attempt and no wait.
    pub fn new(
        inner: Arc<dyn Store>,
        policy: RetryPolicy,
        cancel: CancellationToken,
        progress: Progress,
    ) -> Self {
        RetryStore { inner, policy, cancel, progress }
    }

    /// Runs `attempt` until it succeeds, fails for good, or the policy's attempts are used up.
    async fn retrying<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut attempts = self.policy.attempts();
        loop {
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => self.pause(error, &mut attempts).await?,
            }
        }
    }

    /// Waits before the next attempt, or returns the error if there is to be none.
    async fn pause(&self, error: StoreError, attempts: &mut Attempts) -> Result<(), StoreError> {
        let may_repeat = error.is_transient() && !self.cancel.is_cancelled();
        let Some(pause) = attempts.failed(may_repeat) else { return Err(error) };
        self.progress.warning(format!("{error}; {pause}"));
        pause.wait(&self.cancel).await.map_err(|_| error)
    }

    /// Whether the object is exactly `bytes`: what a `put` whose answer was lost may have left.
    async fn holds(&self, key: &str, bytes: &Bytes) -> Result<bool, StoreError> {
        let meta = match self.inner.head(key).await {
            Ok(meta) => meta,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        if meta.size_bytes != bytes.len() as u64 {
            return Ok(false);
        }
        // What looks like an MD5 is one on most servers, so only a match tells.
        if meta.md5.is_some_and(|md5| Md5::digest(bytes).as_slice() == md5) {
            return Ok(true);
        }
        Ok(self.inner.get(key).await? == *bytes)
    }

    /// One attempt to write. `is_doubtful` says that an earlier one may have taken effect, and is
    /// set when this one may have.
    async fn put_once(
        &self,
        key: &str,
        bytes: &Bytes,
        mode: PutMode,
        is_doubtful: &mut bool,
    ) -> Result<(), StoreError> {
        if *is_doubtful && self.holds(key, bytes).await? {
            return Ok(());
        }
        let result = self.inner.put(key, bytes.clone(), mode).await;
        match &result {
            Err(error) if error.is_already_exists() && *is_doubtful => {
                if self.holds(key, bytes).await? {
                    Ok(())
                } else {
                    result
                }
            }
            Err(error) if leaves_doubt(error) => {
                *is_doubtful = true;
                result
            }
            _ => result,
        }
    }
}

/// Whether a failed `put` may have taken effect all the same. One that failed while it looked
/// whether the object exists has not begun to write.
fn leaves_doubt(error: &StoreError) -> bool {
    error.leaves_doubt() && error.operation() == Operation::Put
}

#[async_trait]
impl Store for RetryStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let mut is_doubtful = false;
        let mut attempts = self.policy.attempts();
        loop {
            let Err(error) = self.put_once(key, &bytes, mode, &mut is_doubtful).await else { return Ok(()) };
            if let Err(error) = self.pause(error, &mut attempts).await {
                return self.last_word(key, &bytes, is_doubtful, error).await;
            }
        }
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        self.retrying(|| self.inner.replace(key, old, new.clone())).await
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        self.retrying(|| self.inner.get_at_most(key, limit_bytes)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.retrying(|| self.inner.get_range(key, range.clone())).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        self.retrying(|| self.inner.head(key)).await
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        self.retrying(|| self.inner.list_page(prefix, token)).await
    }

    fn single_attempt(&self) -> Option<Arc<dyn Store>> {
        Some(self.inner.single_attempt().unwrap_or_else(|| Arc::clone(&self.inner)))
    }

    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.retrying(|| self.inner.free_bytes()).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.retrying(|| self.inner.delete(key)).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.retrying(|| self.inner.delete_many(keys)).await
    }
}

impl RetryStore {
    /// Before a doubtful `put` is reported as failed, one last look whether it took effect.
    async fn last_word(
        &self,
        key: &str,
        bytes: &Bytes,
        is_doubtful: bool,
        error: StoreError,
    ) -> Result<(), StoreError> {
        match is_doubtful && leaves_doubt(&error) && self.holds(key, bytes).await.unwrap_or(false) {
            true => Ok(()),
            false => Err(error),
        }
    }
}
