//! Deleting objects, in bulk where the server takes it.

use std::sync::atomic::Ordering;

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::answer::BoundedAnswer;
use super::{ANSWER_TIMEOUT, S3Store};
use crate::{ErrorKind, Operation, StoreError};

/// Most keys that one bulk delete takes (S3 API reference, "DeleteObjects").
pub(super) const MAX_BATCH_KEY_COUNT: usize = 1000;

/// Single deletes under way at once where bulk deletes are refused.
const CONCURRENT_DELETE_COUNT: usize = 8;

impl S3Store {
    /// Deletes one object.
    pub(super) async fn delete_one(&self, key: &str) -> Result<(), StoreError> {
        let request = self.request(Operation::Delete, key);
        let call = self.client.delete_object().bucket(&self.url.bucket).key(self.name(key));
        let call = call.customize().interceptor(BoundedAnswer::Any).send();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, Box::pin(call)).await;
        let result =
            answer.map_err(|_| request.timed_out(ANSWER_TIMEOUT))?.map_err(|error| request.failed(error));
        match result {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    /// Deletes at most [`MAX_BATCH_KEY_COUNT`] objects by one request; if the server refuses that
    /// kind of request, one by one, now and from now on.
    pub(super) async fn delete_batch(&self, keys: &[String]) -> Result<(), StoreError> {
        let Err(error) = self.delete_in_bulk(keys).await else { return Ok(()) };
        if error.is_transient() || matches!(error.kind(), ErrorKind::Auth | ErrorKind::MissingStore) {
            return Err(error);
        }
        self.delete_singly(keys).await?;
        if self.bulk_delete.swap(false, Ordering::Relaxed) {
            tracing::debug!(store = %self.description, %error, "bulk deletes are refused; deleting one by one");
        }
        Ok(())
    }

    /// Deletes objects one by one, a few at once.
    pub(super) async fn delete_singly(&self, keys: &[String]) -> Result<(), StoreError> {
        stream::iter(keys.to_vec())
            .map(|key| async move { self.delete_one(&key).await })
            .buffer_unordered(CONCURRENT_DELETE_COUNT)
            .try_collect::<()>()
            .await
    }

    pub(super) async fn delete_in_bulk(&self, keys: &[String]) -> Result<(), StoreError> {
        let request = self.request(Operation::Delete, keys.first().map_or("", String::as_str));
        let malformed = |error| request.error(ErrorKind::Other).with_source(Box::new(error));
        let mut objects = Vec::with_capacity(keys.len());
        for key in keys {
            objects.push(ObjectIdentifier::builder().key(self.name(key)).build().map_err(malformed)?);
        }
        let delete = Delete::builder().set_objects(Some(objects)).quiet(true).build().map_err(malformed)?;
        let call = self.client.delete_objects().bucket(&self.url.bucket).delete(delete);
        let call = call.customize().interceptor(BoundedAnswer::Any).send();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, Box::pin(call)).await;
        let answer =
            answer.map_err(|_| request.timed_out(ANSWER_TIMEOUT))?.map_err(|error| request.failed(error))?;
        let refused = answer.errors().iter().find(|error| error.code() != Some("NoSuchKey"));
        let Some(refused) = refused else { return Ok(()) };
        let name = refused.key().unwrap_or_default();
        let key = name.strip_prefix(&self.url.prefix).unwrap_or(name);
        let (code, message) = (refused.code().unwrap_or_default(), refused.message().unwrap_or_default());
        Err(self.request(Operation::Delete, key).refused(200, code, message, None))
    }
}
