//! A store in a bucket of an S3-compatible server.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{Object, ServerSideEncryption};
use bytes::Bytes;

use crate::key::{check_key, valid_key, valid_prefix, valid_range};
use crate::memory::past_the_end;
use crate::{
    ErrorKind, ListPage, MAX_PAGE_OBJECT_COUNT, ObjectMeta, Operation, PutMode, Replaced, S3Url, Store,
    StoreError,
};

mod answer;
mod connect;
mod failure;
mod probe;
mod read;
mod remove;
mod write;

use answer::BoundedAnswer;
pub use connect::AccessKeys;
use failure::Request;
pub(crate) use failure::{answer_status, is_conflict};

/// How long a server may take to begin an answer, and to send the next part of one.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Keeps each object in a bucket under the URL's prefix and its key.
///
/// Every request is a single attempt bounded in time; wrap it in a
/// [`RetryStore`](crate::RetryStore), as [`open`](crate::open) does. Objects are written by a
/// single PUT, without multipart: 5 GiB is the most that S3 takes.
pub struct S3Store {
    client: Client,
    url: S3Url,
    description: Arc<str>,
    protections: write::Protections,
    /// Whether bulk deletes are taken; the first refusal clears it.
    bulk_delete: AtomicBool,
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Store").field("store", &self.description).finish_non_exhaustive()
    }
}

impl S3Store {
    /// Finds region, endpoint and credentials. Does not speak to the store yet.
    ///
    /// # Errors
    /// `Auth` when no credentials are found, `Invalid` when no region is known.
    pub async fn connect(url: &S3Url) -> Result<Self, StoreError> {
        Self::connect_with(url, None).await
    }

    /// Like [`Self::connect`], signing with these keys rather than those of the AWS chain.
    ///
    /// # Errors
    /// `Invalid` when no region is known.
    pub async fn connect_with_keys(url: &S3Url, keys: AccessKeys) -> Result<Self, StoreError> {
        Self::connect_with(url, Some(keys)).await
    }

    async fn connect_with(url: &S3Url, keys: Option<AccessKeys>) -> Result<Self, StoreError> {
        let (client, endpoint) = Box::pin(connect::client(url, keys)).await?;
        let description = match endpoint {
            Some(endpoint) if url.endpoint.is_none() => format!("{url} at {endpoint}"),
            _ => url.to_string(),
        };
        Ok(S3Store {
            client,
            url: url.clone(),
            description: description.into(),
            protections: write::Protections::default(),
            bulk_delete: AtomicBool::new(true),
        })
    }

    /// The object's whole name in the bucket.
    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.url.prefix)
    }

    fn request<'a>(&'a self, operation: Operation, key: &'a str) -> Request<'a> {
        Request { store: &self.description, bucket: &self.url.bucket, operation, key }
    }

    /// One object of a listing; `None` for what is not an object of this store.
    fn listed(&self, object: &Object) -> Option<Result<ObjectMeta, StoreError>> {
        let key = object.key()?.strip_prefix(&self.url.prefix)?;
        // Consoles and file system gateways mark directories so; what cannot be a key here is somebody else's.
        if key.is_empty() || key.ends_with('/') || check_key(key).is_err() {
            return None;
        }
        let Some(size_bytes) = object.size().and_then(|size| u64::try_from(size).ok()) else {
            let damaged = self.request(Operation::List, key).error(ErrorKind::Damaged);
            return Some(Err(damaged.with_detail("the server listed the object without its size")));
        };
        let modified = object.last_modified().and_then(|at| SystemTime::try_from(*at).ok());
        // The ETag of a listing may be an MD5 or not; only a HEAD says whether it is encrypted.
        Some(Ok(ObjectMeta { key: key.to_owned(), size_bytes, modified, md5: None }))
    }
}

#[async_trait]
impl Store for S3Store {
    fn describe(&self) -> String {
        self.description.to_string()
    }

    async fn put(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        valid_key(key, Operation::Put, &self.description)?;
        self.write(key, bytes, mode).await
    }

    async fn replace(&self, key: &str, old: &Bytes, new: Bytes) -> Result<Replaced, StoreError> {
        valid_key(key, Operation::Put, &self.description)?;
        self.write_over(key, old, new).await
    }

    async fn get_at_most(&self, key: &str, limit_bytes: u64) -> Result<Bytes, StoreError> {
        valid_key(key, Operation::Get, &self.description)?;
        Ok(self.read(self.request(Operation::Get, key), None, limit_bytes).await?.bytes)
    }

    async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        valid_key(key, Operation::GetRange, &self.description)?;
        let wanted_bytes = valid_range(&range, key, &self.description)?;
        if wanted_bytes == 0 {
            // HTTP has no empty range.
            let size_bytes = self.head(key).await?.size_bytes;
            let is_inside = range.end <= size_bytes;
            return if is_inside {
                Ok(Bytes::new())
            } else {
                Err(past_the_end(&self.description, key, &range, size_bytes))
            };
        }
        self.read_range(key, range, wanted_bytes).await
    }

    async fn head(&self, key: &str) -> Result<ObjectMeta, StoreError> {
        valid_key(key, Operation::Head, &self.description)?;
        let request = self.request(Operation::Head, key);
        let call = self.client.head_object().bucket(&self.url.bucket).key(self.name(key));
        let call = call.customize().interceptor(BoundedAnswer::Any).send();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, Box::pin(call)).await;
        let head =
            answer.map_err(|_| request.timed_out(ANSWER_TIMEOUT))?.map_err(|error| request.failed(error))?;
        let Some(size_bytes) = head.content_length().and_then(|size| u64::try_from(size).ok()) else {
            return Err(request
                .error(ErrorKind::Damaged)
                .with_detail("the server does not tell the object's size"));
        };
        let modified = head.last_modified().and_then(|at| SystemTime::try_from(*at).ok());
        Ok(ObjectMeta { key: key.to_owned(), size_bytes, modified, md5: plain_md5(&head) })
    }

    async fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<ListPage, StoreError> {
        valid_prefix(prefix, &self.description)?;
        let request = self.request(Operation::List, prefix);
        let call = self
            .client
            .list_objects_v2()
            .bucket(&self.url.bucket)
            .prefix(self.name(prefix))
            .set_continuation_token(token.map(str::to_owned))
            .customize()
            .interceptor(BoundedAnswer::Any)
            .send();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, Box::pin(call)).await;
        let listed =
            answer.map_err(|_| request.timed_out(ANSWER_TIMEOUT))?.map_err(|error| request.failed(error))?;
        if listed.contents().len() > MAX_PAGE_OBJECT_COUNT {
            let detail = format!("the server listed {} objects on one page", listed.contents().len());
            return Err(request.error(ErrorKind::Damaged).with_detail(detail));
        }
        let objects =
            listed.contents().iter().filter_map(|object| self.listed(object)).collect::<Result<_, _>>()?;
        let next = listed.next_continuation_token().filter(|_| listed.is_truncated() == Some(true));
        if next.is_none() && listed.is_truncated() == Some(true) {
            let detail = "the server says that the listing goes on, but not where";
            return Err(request.error(ErrorKind::Damaged).with_detail(detail));
        }
        Ok(ListPage { objects, next: next.map(str::to_owned) })
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        valid_key(key, Operation::Delete, &self.description)?;
        self.delete_one(key).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        for key in keys {
            valid_key(key, Operation::Delete, &self.description)?;
        }
        for batch in keys.chunks(remove::MAX_BATCH_KEY_COUNT) {
            if self.bulk_delete.load(Ordering::Relaxed) {
                self.delete_batch(batch).await?;
            } else {
                self.delete_singly(batch).await?;
            }
        }
        Ok(())
    }
}

/// The MD5 that an `ETag` is when the object was written whole and not encrypted with a key of KMS or
/// the client (S3 API reference, "Object", `ETag`).
fn plain_md5(head: &HeadObjectOutput) -> Option<[u8; 16]> {
    let is_plain = matches!(head.server_side_encryption(), None | Some(ServerSideEncryption::Aes256))
        && head.sse_customer_algorithm().is_none();
    let digits = head.e_tag().filter(|_| is_plain)?.trim_matches('"');
    let mut md5 = [0; 16];
    hex::decode_to_slice(digits, &mut md5).ok()?;
    Some(md5)
}
