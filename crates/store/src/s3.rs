//! A store in a bucket of an S3-compatible server.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{ErrorKind, ListPage, ObjectMeta, Operation, PutMode, S3Url, Store, StoreError};

/// Speaks to a bucket; connecting is refused until the client is written.
#[derive(Debug)]
pub struct S3Store {}
impl S3Store {
    /// Speaks to a bucket; connecting is refused until the client is written.
    pub async fn connect(url: &S3Url) -> Result<Self, StoreError> {
        Err(StoreError::new(ErrorKind::Unsupported, Operation::Open, url.to_string()))
    }
}
#[async_trait]
impl Store for S3Store {
    fn describe(&self) -> String {
        String::new()
    }
    async fn put(&self, key: &str, _: Bytes, _: PutMode) -> Result<(), StoreError> {
        Err(StoreError::new(ErrorKind::Unsupported, Operation::Put, key))
    }
    async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        Err(StoreError::new(ErrorKind::Unsupported, Operation::Put, key))
    }
    async fn get_range(&self, key: &str, _: Range<u64>) -> Result<Bytes, StoreError> {
        Err(StoreError::new(ErrorKind::Unsupported, Operation::Put, key))
    }
    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        Err(StoreError::new(ErrorKind::Unsupported, Operation::Put, key))
    }
    async fn list_page(&self, key: &str, _: Option<&str>) -> Result<ListPage, StoreError> {
        Err(StoreError::new(ErrorKind::Unsupported, Operation::Put, key))
    }
    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        Err(StoreError::new(ErrorKind::Unsupported, Operation::Put, key))
    }
}
