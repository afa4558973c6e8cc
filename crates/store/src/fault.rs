//! Faults by a script, for tests of what lies above a store.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ErrorKind, ListPage, ObjectMeta, Operation, PutMode, Replaced, Store, StoreError};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and has no effect. [`ErrorKind::OutOfSpace`] is a full disk.
    Fail(ErrorKind),
    /// The call takes effect, but its answer is lost: it fails as `Unreachable`.
    LoseResponse,
    /// A read returns only this many of its bytes, and no error: damage that only the reader can find.
    Truncate(usize),
    /// A read returns its bytes with one bit of this byte flipped, counted from the start and
    /// wrapped at the end.
    FlipBit(usize),
    /// The call never returns; for tests of cancellation.
    Hang,
}

/// When something goes wrong: at which calls a [`Fault`] strikes.
#[derive(Debug, Clone)]
pub struct FaultRule {
    operation: Option<Operation>,
    key_part: String,
    skip_call_count: u64,
    strike_count: u64,
    fault: Fault,
}

impl FaultRule {
    /// The fault strikes at the first call, whatever it is, and once.
    pub fn new(fault: Fault) -> Self {
        FaultRule { operation: None, key_part: String::new(), skip_call_count: 0, strike_count: 1, fault }
    }

    /// Only calls of this kind count.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only calls whose key or prefix contains this text count.
    #[must_use]
    pub fn key_contains(mut self, part: impl Into<String>) -> Self {
        self.key_part = part.into();
        self
    }

    /// Lets this many of the calls that count pass first.
    #[must_use]
    pub fn after(mut self, call_count: u64) -> Self {
        self.skip_call_count = call_count;
        self
    }

    /// Strikes at this many calls in a row; `u64::MAX` for ever.
    #[must_use]
    pub fn times(mut self, strike_count: u64) -> Self {
        self.strike_count = strike_count;
        self
    }

    /// Whether this call is struck; counts it.
    fn strikes(&mut self, operation: Operation, key: &str) -> bool {
        let counts = self.operation.is_none_or(|only| only == operation) && key.contains(&self.key_part);
        if !counts || self.strike_count == 0 {
            return false;
        }
        if self.skip_call_count > 0 {
            self.skip_call_count -= 1;
            return false;
        }
        self.strike_count -= 1;
        true
    }
}

/// Passes calls on to another store, but for those that its rules strike. Clones share the rules.
#[derive(Debug, Clone)]
pub struct FaultStore {
    inner: Arc<dyn Store>,
    rules: Arc<Mutex<Vec<FaultRule>>>,
}

impl FaultStore {
    /// Wraps `inner`; without rules nothing goes wrong.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        FaultStore { inner, rules: Arc::default() }
    }

    /// Adds a rule. The first rule that strikes a call decides; rules after it do not count it.
    pub fn add(&self, rule: FaultRule) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).push(rule);
    }

    /// Forgets all rules.
    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn fault(&self, operation: Operation, key: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter_mut().find_map(|rule| rule.strikes(operation, key).then_some(rule.fault))
    }

    /// Runs a call under the fault that strikes it, if any.
    async fn under_fault<T>(
        &self,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let error = |kind| StoreError::new(kind, operation, self.describe()).with_key(key);
        match self.fault(operation, key) {
            Some(Fault::Fail(kind)) => Err(error(kind)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::LoseResponse) => {
                call.await?;
                Err(error(ErrorKind::Unreachable).with_detail("the answer was lost"))
            }
            // These two concern the bytes of reads alone.
            Some(Fault::Truncate(_) | Fault::FlipBit(_)) | None => call.await,
        }
    }

    /// Like [`Self::under_fault`], for calls that return bytes.
    async fn read_under_fault(
        &self,
        operation: Operation,
        key: &str,
        call: impl Future<Output = Result<Bytes, StoreError>>,
    ) -> Result<Bytes, StoreError> {
        let fault = self.fault(operation, key);
        let error = |kind| StoreError::new(kind, operation, self.describe()).with_key(key);
        match fault {
            Some(Fault::Fail(kind)) => Err(error(kind)),
            Some(Fault::LoseResponse) => Err(error(ErrorKind::Unreachable)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Truncate(kept_bytes)) => {
                let bytes = call.await?;
                Ok(bytes.slice(..kept_bytes.min(bytes.len())))
            }
            Some(Fault::FlipBit(position)) => Ok(flip_bit(call.await?, position)),
            None => call.await,
        }
    }
}

fn flip_bit(bytes: Bytes, position: usize) -> Bytes {
    let mut changed = bytes.to_vec();
    let length = changed.len();
    if let Some(byte) = changed.get_mut(position.checked_rem(length).unwrap_or(0)) {
        *byte ^= 1;
    }
    changed.into()
}

#[async_trait]
impl Store for FaultStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        self.under_fault(Operation::Put, key, self.inner.put(key, bytes, mode)).await
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        self.under_fault(Operation::Put, key, self.inner.replace(key, old, new)).await
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        self.read_under_fault(Operation::Get, key, self.inner.get_at_most(key, limit_bytes)).await
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.read_under_fault(Operation::GetRange, key, self.inner.get_range(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        self.under_fault(Operation::Head, key, self.inner.head(key)).await
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        self.under_fault(Operation::List, prefix, self.inner.list_page(prefix, token)).await
    }

    fn single_attempt(&self) -> Option<Arc<dyn Store>> {
        let inner = self.inner.single_attempt()?;
        Some(Arc::new(FaultStore { inner, ..self.clone() }))
    }

    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        self.inner.free_bytes().await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.under_fault(Operation::Delete, key, self.inner.delete(key)).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        // The rules look at the first key for the whole batch.
        let first = keys.first().map_or("", String::as_str);
        self.under_fault(Operation::Delete, first, self.inner.delete_many(keys)).await
    }
}
