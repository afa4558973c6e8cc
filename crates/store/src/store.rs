//! The core trait and its vocabulary.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use crate::StoreError;

/// No object is longer: what S3 takes in one PUT.
pub const MAX_OBJECT_BYTES: u64 = 5 << 30;

/// Objects on one page of a listing, at most. S3 sends 1,000.
pub const MAX_PAGE_OBJECT_COUNT: usize = 10_000;

/// What [`Store::try_write`] writes: a block of a file system.
pub(crate) const TRIAL: &[u8] = &[0; 4096];

/// What [`Store::put`] does when the key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PutMode {
    /// Replaces the object.
    Overwrite,
    /// Fails with [`ErrorKind::AlreadyExists`](crate::ErrorKind::AlreadyExists) and leaves the object as it is.
    Create,
}

/// What came of [`Store::replace`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// The object has the new bytes.
    Done,
    /// The object has not the bytes that it was to have, but these, or there is none; nothing was changed. After an
    /// attempt whose answer was lost these may be the new ones.
    Found(Option<Bytes>),
}

/// What a store knows about an object without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// The object's key.
    pub key: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// When it was last written, by the store's clock.
    pub modified: Option<SystemTime>,
    /// MD5 of its bytes, where the store knows it (a plain S3 `ETag`).
    pub md5: Option<[u8; 16]>,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Objects in ascending byte order of their keys, after those of the page before.
    pub objects: Vec<ObjectMeta>,
    /// Opaque token of the next page; `None` on the last one. A page may be empty and not the last.
    pub next: Option<String>,
}

/// A flat map from keys to immutable byte strings.
///
/// Keys are `/`-separated paths; see [`check_key`](crate::check_key) for what is allowed. No key
/// may be a directory of another (`a` beside `a/b`), for a file system cannot hold both.
///
/// A `put` is atomic: readers see the whole object or none, and once it returned the object
/// survives a crash of this machine (directory) or is acknowledged by the server (S3).
/// Dropping the future of a call abandons it: its effect may or may not take place, never half.
///
/// Wrappers forward every method; conveniences are in [`StoreExt`](crate::StoreExt).
#[async_trait]
pub trait Store: Debug + Send + Sync {
    /// Names the store in messages: its URL without secrets.
    fn describe(&self) -> String;

    /// Writes a whole object.
    ///
    /// # Errors
    /// `AlreadyExists` in mode [`PutMode::Create`]; `OutOfSpace`; any other [`StoreError`].
    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError>;

    /// Replaces an object that has exactly the bytes `old`, and leaves any other, or none, as it is.
    ///
    /// Where the store has a conditional write, nothing can come between the look and the write; elsewhere they follow
    /// each other at once, as they do here.
    ///
    /// # Errors
    /// `Damaged` when the object is longer than both; any other [`StoreError`] of a read and a write.
    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        let found = crate::ext::absent_as_none(self.get_at_most(key, longest(old, &new)).await)?;
        if found.as_ref() != Some(old) {
            return Ok(Replaced::Found(found));
        }
        self.put(key, new, PutMode::Overwrite).await?;
        Ok(Replaced::Done)
    }

    /// Reads a whole object into memory.
    ///
    /// # Errors
    /// As [`Self::get_at_most`], with [`MAX_OBJECT_BYTES`].
    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.get_at_most(key, MAX_OBJECT_BYTES).await
    }

    /// Reads a whole object into memory that may have `limit_bytes` and no more. Of one that has more, no more
    /// than that is taken into memory, whatever its size was said to be.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` when the object is longer; `Unreachable` when fewer bytes arrive than the store
    /// announced.
    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError>;

    /// Reads exactly the bytes of `range`, which may be empty but must lie inside the object.
    ///
    /// # Errors
    /// `NotFound`; `Damaged` when the object ends before the range does; `Invalid` when the range is reversed.
    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError>;

    /// Looks an object up without reading it.
    ///
    /// # Errors
    /// `NotFound`.
    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError>;

    /// Lists, page by page, the objects whose keys start with `prefix` (any string, not only whole
    /// path components). Pass `None` first, then the `next` of the page before.
    ///
    /// # Errors
    /// Any [`StoreError`]; a prefix that matches nothing is an empty page, not an error.
    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError>;

    /// Fails if objects cannot be written now: writes a small one where those of `keys` would lie, none of which
    /// may exist, and removes it. A directory is tried for each key, without making any; of any other store the
    /// first key stands for all.
    ///
    /// # Errors
    /// As [`Self::put`] and [`Self::delete`]; that of a deletion leaves the object there.
    async fn try_write(&self, keys: &[String]) -> Result<(), StoreError> {
        let Some(key) = keys.first() else { return Ok(()) };
        self.put(key, Bytes::from_static(TRIAL), PutMode::Create).await?;
        self.delete(key).await
    }

    /// The same store without retries, where it has some: for a request before each attempt at which something has to be
    /// looked at, such as whether it is still right.
    fn single_attempt(&self) -> Option<Arc<dyn Store>> {
        None
    }

    /// How many bytes can still be written, where the store knows. What a quota allows may be less.
    ///
    /// # Errors
    /// Any [`StoreError`].
    async fn free_bytes(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Deletes an object; one that does not exist is not an error.
    ///
    /// # Errors
    /// Any [`StoreError`] but `NotFound`.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// Deletes many objects, in bulk where the store can.
    ///
    /// # Errors
    /// The first failure, which names its key; others may or may not be deleted by then.
    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }
}

/// What an object may have to be one of the two.
pub(crate) fn longest(old: &Bytes, new: &Bytes) -> u64 {
    old.len().max(new.len()) as u64
}
