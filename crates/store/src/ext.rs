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
        let start = Walk { page: VecDeque::new(), next: None, ended: false, empty_page_count: 0 };
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
    /// Pages without an object since the last object.
    empty_page_count: u32,
}

/// Pages without an object that may follow each other. Stores that remember what was deleted may have some.
const MAX_EMPTY_PAGES: u32 = 10_000;

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
        self.empty_page_count = if page.objects.is_empty() { self.empty_page_count + 1 } else { 0 };
        if self.empty_page_count > MAX_EMPTY_PAGES {
            let detail = format!("the store lists nothing on {MAX_EMPTY_PAGES} pages, and has more of them");
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

pub(crate) fn absent_as_none<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::ListPage;

    /// Pages that are empty, or all begin with the same token.
    #[derive(Debug, Default)]
    struct Endless {
        page_count: AtomicU32,
        repeats: bool,
    }

    fn no_such_thing<T>() -> Result<T, StoreError> {
        Err(StoreError::new(ErrorKind::Unsupported, Operation::Get, "endless"))
    }

    #[async_trait]
    impl Store for Endless {
        fn describe(&self) -> String {
            "endless".to_owned()
        }

        async fn put(&self, _: &str, _: Bytes, _: PutMode) -> Result<(), StoreError> {
            no_such_thing()
        }

        async fn get_at_most(&self, _: &str, _: u64) -> Result<Bytes, StoreError> {
            no_such_thing()
        }

        async fn get_range(&self, _: &str, _: Range<u64>) -> Result<Bytes, StoreError> {
            no_such_thing()
        }

        async fn head(&self, _: &str) -> Result<ObjectMeta, StoreError> {
            no_such_thing()
        }

        async fn list_page(&self, _: &str, _: Option<&str>) -> Result<ListPage, StoreError> {
            let number = self.page_count.fetch_add(1, Ordering::Relaxed);
            let token = if self.repeats { "same".to_owned() } else { number.to_string() };
            Ok(ListPage { objects: Vec::new(), next: Some(token) })
        }

        async fn delete(&self, _: &str) -> Result<(), StoreError> {
            no_such_thing()
        }
    }

    #[tokio::test]
    async fn a_listing_ends() {
        for (repeats, told) in [(true, "repeats the same page"), (false, "lists nothing on 10000 pages")] {
            let store = Endless { repeats, ..Endless::default() };
            let refused = store.list("backups/").await.unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
