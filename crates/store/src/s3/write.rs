//! Writing an object with the protections that the server takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};
use base64::Engine as _;
use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::S3Store;
use super::answer::BoundedAnswer;
use crate::{ErrorKind, Operation, PutMode, Sse, Store as _, StoreError};

/// Slowest upload that is waited for, in bytes per second: 512 kbit/s.
const SLOWEST_UPLOAD_BYTES_PER_SECOND: u64 = 64 * 1024;

/// Protections of a `put` that some servers refuse. Each is tried; one that was refused, while the
/// same `put` without it was accepted, is not tried again.
#[derive(Debug)]
pub(super) struct Protections {
    /// `Content-MD5`: the server refuses bytes that were damaged on their way.
    content_md5: AtomicBool,
    /// `If-None-Match: *`: the server refuses to replace an object.
    conditional: AtomicBool,
}

impl Default for Protections {
    fn default() -> Self {
        Protections { content_md5: AtomicBool::new(true), conditional: AtomicBool::new(true) }
    }
}

/// Protections of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) content_md5: bool,
    pub(super) conditional: bool,
}

impl Protections {
    /// What to try, best first.
    fn attempts(&self, mode: PutMode) -> Vec<Attempt> {
        let has_md5 = self.content_md5.load(Ordering::Relaxed);
        let is_conditional = mode == PutMode::Create && self.conditional.load(Ordering::Relaxed);
        let mut attempts = Vec::with_capacity(4);
        for conditional in [true, false] {
            for content_md5 in [true, false] {
                if (is_conditional || !conditional) && (has_md5 || !content_md5) {
                    attempts.push(Attempt { content_md5, conditional });
                }
            }
        }
        attempts
    }

    /// Remembers what an accepted `put` had to do without.
    fn accepted(&self, attempt: Attempt, mode: PutMode, store: &str) {
        if !attempt.content_md5 && self.content_md5.swap(false, Ordering::Relaxed) {
            tracing::warn!(store, "the server refuses Content-MD5; uploads are checked by their size alone");
        }
        if mode == PutMode::Create && !attempt.conditional && self.conditional.swap(false, Ordering::Relaxed)
        {
            tracing::warn!(
                store,
                "the server refuses conditional writes; existence is checked before writing"
            );
        }
    }
}

impl S3Store {
    /// Writes an object. [`PutMode::Create`] looks first, as some servers accept `If-None-Match` and
    /// ignore it; on those, and on those that refuse it, two writers at the same instant can both
    /// believe that they created the object.
    pub(super) async fn write(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        if mode == PutMode::Create {
            self.refuse_existing(key).await?;
        }
        let md5 = base64::engine::general_purpose::STANDARD.encode(Md5::digest(&bytes));
        let mut attempts = self.protections.attempts(mode).into_iter().peekable();
        while let Some(attempt) = attempts.next() {
            match self.write_once(key, bytes.clone(), &md5, attempt).await {
                Ok(()) => {
                    self.protections.accepted(attempt, mode, &self.description);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Unsupported && attempts.peek().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Err(self.request(Operation::Put, key).error(ErrorKind::Unsupported))
    }

    async fn refuse_existing(&self, key: &str) -> Result<(), StoreError> {
        match self.head(key).await {
            Ok(_) => Err(self.request(Operation::Put, key).error(ErrorKind::AlreadyExists)),
            // A role that may only write is not told; the conditional write tells.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn write_once(
        &self,
        key: &str,
        bytes: Bytes,
        md5: &str,
        attempt: Attempt,
    ) -> Result<(), StoreError> {
        let request = self.request(Operation::Put, key);
        let limit =
            super::ANSWER_TIMEOUT + Duration::from_secs(bytes.len() as u64 / SLOWEST_UPLOAD_BYTES_PER_SECOND);
        let mut put = self
            .client
            .put_object()
            .bucket(&self.url.bucket)
            .key(self.name(key))
            .set_storage_class(self.url.storage_class.as_deref().map(StorageClass::from))
            .content_type("application/octet-stream")
            .body(ByteStream::from(bytes));
        put = match &self.url.sse {
            None => put,
            Some(Sse::Aes256) => put.server_side_encryption(ServerSideEncryption::Aes256),
            Some(Sse::Kms { key_id }) => {
                put.server_side_encryption(ServerSideEncryption::AwsKms).set_ssekms_key_id(key_id.clone())
            }
        };
        if attempt.content_md5 {
            put = put.content_md5(md5);
        }
        if attempt.conditional {
            put = put.if_none_match("*");
        }
        let answer =
            tokio::time::timeout(limit, Box::pin(put.customize().interceptor(BoundedAnswer::Any).send()))
                .await;
        answer.map_err(|_| request.timed_out(limit))?.map_err(|error| request.failed(error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Protections};
    use crate::PutMode;

    #[test]
    fn the_guard_against_replacing_is_given_up_last() {
        let attempts = Protections::default().attempts(PutMode::Create);
        let pairs: Vec<_> = attempts.iter().map(|a| (a.conditional, a.content_md5)).collect();
        assert_eq!(pairs, [(true, true), (true, false), (false, true), (false, false)]);
    }

    #[test]
    fn what_an_accepted_write_did_without_is_not_tried_again() {
        let protections = Protections::default();
        protections.accepted(Attempt { content_md5: false, conditional: true }, PutMode::Create, "s3://b/");
        let attempts = protections.attempts(PutMode::Create);
        assert!(attempts.iter().all(|attempt| !attempt.content_md5));
        assert!(attempts[0].conditional);
    }

    #[test]
    fn overwriting_asks_for_no_condition_and_learns_nothing_about_it() {
        let protections = Protections::default();
        let attempt = protections.attempts(PutMode::Overwrite)[0];
        assert_eq!(attempt, Attempt { content_md5: true, conditional: false });
        protections.accepted(attempt, PutMode::Overwrite, "s3://b/");
        assert!(protections.attempts(PutMode::Create)[0].conditional);
    }
}
