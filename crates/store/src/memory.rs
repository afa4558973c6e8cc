//! A store in memory, for tests.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use crate::key::{valid_key, valid_prefix, valid_range};
use crate::store::longest;
use crate::{ErrorKind, ListPage, ObjectMeta, Operation, PutMode, Replaced, Store, StoreError};

const DESCRIPTION: &str = "memory://";

/// Objects per page of a listing: small, so that tests meet the second page.
const PAGE_OBJECT_COUNT: usize = 100;

/// Keeps objects in a map; clones share it. For tests: nothing outlives the process.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<String, Stored>>>,
}

#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    modified: SystemTime,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Stored>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, key: &str, operation: Operation) -> Result<Stored, StoreError> {
        valid_key(key, operation, DESCRIPTION)?;
        self.objects()
            .get(key)
            .cloned()
            .ok_or_else(|| StoreError::new(ErrorKind::NotFound, operation, DESCRIPTION).with_key(key))
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn describe(&self) -> String {
        DESCRIPTION.to_owned()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        valid_key(key, Operation::Put, DESCRIPTION)?;
        let mut objects = self.objects();
        if mode == PutMode::Create && objects.contains_key(key) {
            return Err(StoreError::new(ErrorKind::AlreadyExists, Operation::Put, DESCRIPTION).with_key(key));
        }
        objects.insert(key.to_owned(), Stored { bytes, modified: SystemTime::now() });
        Ok(())
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        valid_key(key, Operation::Put, DESCRIPTION)?;
        let mut objects = self.objects();
        match objects.get_mut(key) {
            Some(stored) if stored.bytes == *old => {
                *stored = Stored { bytes: new, modified: SystemTime::now() };
                Ok(Replaced::Done)
            }
            Some(stored) if stored.bytes.len() as u64 > longest(old, &new) => {
                Err(too_long(DESCRIPTION, key, longest(old, &new)))
            }
            found => Ok(Replaced::Found(found.map(|stored| stored.bytes.clone()))),
        }
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        let bytes = self.find(key, Operation::Get)?.bytes;
        match bytes.len() as u64 > limit_bytes {
            true => Err(too_long(DESCRIPTION, key, limit_bytes)),
            false => Ok(bytes),
        }
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        valid_range(&range, key, DESCRIPTION)?;
        let bytes = self.find(key, Operation::GetRange)?.bytes;
        if range.end > bytes.len() as u64 {
            return Err(past_the_end(DESCRIPTION, key, &range, bytes.len() as u64));
        }
        // In range of a length that is a usize.
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        Ok(meta(key, &self.find(key, Operation::Head)?))
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        valid_prefix(prefix, DESCRIPTION)?;
        let from = token.map_or(Bound::Included(prefix), Bound::Excluded);
        let objects: Vec<_> = self
            .objects()
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(PAGE_OBJECT_COUNT)
            .map(|(key, stored)| meta(key, stored))
            .collect();
        let next = objects.last().filter(|_| objects.len() == PAGE_OBJECT_COUNT).map(|last| last.key.clone());
        Ok(ListPage { objects, next })
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        valid_key(key, Operation::Delete, DESCRIPTION)?;
        self.objects().remove(key);
        Ok(())
    }
}

fn meta(key: &str, stored: &Stored) -> ObjectMeta {
    ObjectMeta {
        key: key.to_owned(),
        size_bytes: stored.bytes.len() as u64,
        modified: Some(stored.modified),
        md5: None,
    }
}

/// The error of a range that ends after its object does.
pub(crate) fn past_the_end(store: &str, key: &str, range: &Range<u64>, size_bytes: u64) -> StoreError {
    StoreError::new(ErrorKind::Damaged, Operation::GetRange, store).with_key(key).with_detail(format!(
        "bytes {} to {} were asked for, but the object has {size_bytes}; it was cut short or is not the one expected",
        range.start, range.end
    ))
}

/// The error of an object that is longer than it may be.
pub(crate) fn too_long(store: &str, key: &str, limit_bytes: u64) -> StoreError {
    let detail = format!("the object has more than the {limit_bytes} bytes that it may have");
    StoreError::new(ErrorKind::Damaged, Operation::Get, store).with_key(key).with_detail(detail)
}
