//! Conveniences over the core trait.

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use crate::{ErrorKind, MAX_PAGE_OBJECT_COUNT, ObjectMeta, Operation, PutMode, Store, StoreError};

/// What can be said in terms of [`Store`]; implemented for every store, `dyn Store` included.
#[async_trait]
pub trait StoreExt: Store {
    /// Streams the objects whose keys start with `prefix`, in key order, holding one page in memory.
    fn list_stream<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<ObjectMeta, StoreError>>;

    /// All objects whose keys start with `prefix`, in key order.
    ///
    /// # Errors
    /// Any [`StoreError`] of [`Store::list_page`].
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, StoreError> {
        self.list_stream(prefix).try_collect().await
    }

    /// Like [`Store::get`], with `None` for an object that does not exist.
    ///
    /// # Errors
    /// Any [`StoreError`] but `NotFound`.
    async fn get_optional(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        absent_as_none(self.get(key).await)
    }

    /// Like [`Store::get_at_most`], with `None` for an object that does not exist.
    ///
    /// # Errors
    /// Any [`StoreError`] but `NotFound`.
    async fn get_optional_at_most(&self, key: &str, limit_bytes: u64) -> Result<Option<Bytes>, StoreError> {
        absent_as_none(self.get_at_most(key, limit_bytes).await)
    }

    /// Like [`Store::head`], with `None` for an object that does not exist.
    ///
    /// # Errors
    /// Any [`StoreError`] but `NotFound`.
    async fn head_optional(&self, key: &str) -> Result<Option<ObjectMeta>, StoreError> {
        absent_as_none(self.head(key).await)
    }

    /// Writes an object that must not exist yet.
    ///
    /// # Errors
    /// `AlreadyExists`; any other [`StoreError`] of [`Store::put`].
    async fn create(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put(key, bytes, PutMode::Create).await
    }

    /// Writes an object, replacing one that exists.
    ///
    /// # Errors
    /// Any [`StoreError`] of [`Store::put`].
    async fn overwrite(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        self.put(key, bytes, PutMode::Overwrite).await
    }
}

impl<S: Store + ?Sized> StoreExt for S {
    fn list_stream<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, Result<ObjectMeta, StoreError>> {
        let start = Walk { page: VecDeque::new(), next: None, ended: false };
        stream::try_unfold(start, move |mut walk| async move {
            loop {
                if let Some(object) = walk.page.pop_front() {
                    return Ok(Some((object, walk)));
                }
                if walk.ended {
                    return Ok(None);
                }
                walk.turn(self, prefix).await?;
            }
        })
        .boxed()
    }
}

/// Where a listing stands.
struct Walk {
    page: VecDeque<ObjectMeta>,
    next: Option<String>,
    ended: bool,
}

impl Walk {
    /// Fetches the next page. A store that hands out the same token twice would never end.
    async fn turn<S: Store + ?Sized>(&mut self, store: &S, prefix: &str) -> Result<(), StoreError> {
        let page = store.list_page(prefix, self.next.as_deref()).await?;
        if page.next.is_some() && page.next == self.next {
            return Err(StoreError::new(ErrorKind::Unsupported, Operation::List, store.describe())
                .with_key(prefix)
                .with_detail("the store repeats the same page of the listing for ever"));
        }
        if page.objects.len() > MAX_PAGE_OBJECT_COUNT {
            let detail = format!("the store lists {} objects on one page", page.objects.len());
            return Err(StoreError::new(ErrorKind::Damaged, Operation::List, store.describe())
                .with_key(prefix)
                .with_detail(detail));
        }
        self.ended = page.next.is_none();
        self.next = page.next;
        self.page = page.objects.into();
        Ok(())
    }
}

fn absent_as_none<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
