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
use super::read::Content;
use crate::ext::absent_as_none;
use crate::store::longest;
use crate::{ErrorKind, Operation, PutMode, Replaced, Sse, Store as _, StoreError};

/// Slowest upload that is waited for, in bytes per second: 512 kbit/s.
const SLOWEST_UPLOAD_BYTES_PER_SECOND: u64 = 64 * 1024;

/// Protections of a `put` that some servers refuse. Each is tried; one that was refused, while the
/// same `put` without it was accepted, is not tried again.
#[derive(Debug)]
pub(super) struct Protections {
    /// `Content-MD5`: the server refuses bytes that were damaged on their way.
    content_md5: AtomicBool,
    /// `If-None-Match: *`: the server refuses to replace an object.
    if_absent: AtomicBool,
    /// `If-Match`: the server refuses to replace an object that has changed.
    if_same: AtomicBool,
}

impl Default for Protections {
    fn default() -> Self {
        let [content_md5, if_absent, if_same] = [true; 3].map(AtomicBool::new);
        Protections { content_md5, if_absent, if_same }
    }
}

/// What a server is asked to refuse a write for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard<'a> {
    Nothing,
    /// That the object exists.
    Exists,
    /// That it has another `ETag`, or does not exist.
    Changed(&'a str),
}

/// Protections of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) content_md5: bool,
    pub(super) conditional: bool,
}

impl Protections {
    /// Whether the server is known to refuse this condition itself.
    fn flag(&self, guard: Guard<'_>) -> Option<&AtomicBool> {
        match guard {
            Guard::Nothing => None,
            Guard::Exists => Some(&self.if_absent),
            Guard::Changed(_) => Some(&self.if_same),
        }
    }

    /// What to try, best first.
    fn attempts(&self, guard: Guard<'_>) -> Vec<Attempt> {
        let has_md5 = self.content_md5.load(Ordering::Relaxed);
        let is_conditional = self.flag(guard).is_some_and(|flag| flag.load(Ordering::Relaxed));
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
    fn accepted(&self, attempt: Attempt, guard: Guard<'_>, store: &str) {
        if !attempt.content_md5 && self.content_md5.swap(false, Ordering::Relaxed) {
            tracing::warn!(store, "the server refuses Content-MD5; uploads are checked by their size alone");
        }
        let Some(flag) = self.flag(guard).filter(|_| !attempt.conditional) else { return };
        if flag.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                store,
                "the server refuses conditional writes; objects are looked up before writing"
            );
        }
    }
}

impl S3Store {
    /// Writes an object. [`PutMode::Create`] looks first, as some servers accept `If-None-Match` and
    /// ignore it; on those, and on those that refuse it, two writers at the same instant can both
    /// believe that they created the object.
    pub(super) async fn write(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let guard = match mode {
            PutMode::Overwrite => Guard::Nothing,
            PutMode::Create => Guard::Exists,
        };
        if mode == PutMode::Create {
            self.refuse_existing(key).await?;
        }
        self.write_guarded(key, bytes, guard).await
    }

    /// Replaces an object that has these bytes. Servers that refuse `If-Match`, or ignore it, replace also what somebody
    /// wrote, or deleted, since it was read.
    pub(super) async fn write_over(
        &self,
        key: &str,
        old: &Bytes,
        new: Bytes,
    ) -> Result<Replaced, StoreError> {
        let Some(read) = self.read_either(key, old, &new).await? else { return Ok(Replaced::Found(None)) };
        if read.bytes != *old {
            return Ok(Replaced::Found(Some(read.bytes)));
        }
        let guard = read.etag.as_deref().map_or(Guard::Nothing, Guard::Changed);
        match self.write_guarded(key, new.clone(), guard).await {
            Ok(()) => Ok(Replaced::Done),
            // 404 where it was deleted
            Err(error) if error.is_already_exists() || error.is_not_found() => {
                let found = self.read_either(key, old, &new).await?.map(|read| read.bytes);
                if found.as_ref() != Some(old) {
                    return Ok(Replaced::Found(found));
                }
                // unchanged, and refused: this server does not know its own ETag
                self.write_guarded(key, new, Guard::Nothing).await?;
                Ok(Replaced::Done)
            }
            Err(error) => Err(error),
        }
    }

    async fn read_either(&self, key: &str, old: &Bytes, new: &Bytes) -> Result<Option<Content>, StoreError> {
        absent_as_none(self.read(self.request(Operation::Get, key), None, longest(old, new)).await)
    }

    async fn write_guarded(&self, key: &str, bytes: Bytes, guard: Guard<'_>) -> Result<(), StoreError> {
        let md5 = base64::engine::general_purpose::STANDARD.encode(Md5::digest(&bytes));
        let mut attempts = self.protections.attempts(guard).into_iter().peekable();
        while let Some(attempt) = attempts.next() {
            match self.write_once(key, bytes.clone(), &md5, (attempt, guard)).await {
                Ok(()) => {
                    self.protections.accepted(attempt, guard, &self.description);
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
        (attempt, guard): (Attempt, Guard<'_>),
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
        put = match guard {
            Guard::Exists if attempt.conditional => put.if_none_match("*"),
            Guard::Changed(etag) if attempt.conditional => put.if_match(etag),
            _ => put,
        };
        let answer =
            tokio::time::timeout(limit, Box::pin(put.customize().interceptor(BoundedAnswer::Any).send()))
                .await;
        answer.map_err(|_| request.timed_out(limit))?.map_err(|error| request.failed(error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Guard, Protections};

    #[test]
    fn the_guard_against_replacing_is_given_up_last() {
        let attempts = Protections::default().attempts(Guard::Exists);
        let pairs: Vec<_> = attempts.iter().map(|a| (a.conditional, a.content_md5)).collect();
        assert_eq!(pairs, [(true, true), (true, false), (false, true), (false, false)]);
    }

    #[test]
    fn what_an_accepted_write_did_without_is_not_tried_again() {
        let protections = Protections::default();
        protections.accepted(Attempt { content_md5: false, conditional: true }, Guard::Exists, "s3://b/");
        let attempts = protections.attempts(Guard::Exists);
        assert!(attempts.iter().all(|attempt| !attempt.content_md5));
        assert!(attempts[0].conditional);
    }

    #[test]
    fn overwriting_asks_for_no_condition_and_learns_nothing_about_it() {
        let protections = Protections::default();
        let attempt = protections.attempts(Guard::Nothing)[0];
        assert_eq!(attempt, Attempt { content_md5: true, conditional: false });
        protections.accepted(attempt, Guard::Nothing, "s3://b/");
        assert!(protections.attempts(Guard::Exists)[0].conditional);
    }

    #[test]
    fn a_server_that_refuses_one_condition_is_asked_for_the_other() {
        let protections = Protections::default();
        let without = Attempt { content_md5: true, conditional: false };
        protections.accepted(without, Guard::Changed("\"x\""), "s3://b/");
        assert_eq!(protections.attempts(Guard::Changed("\"x\""))[0], without);
        assert!(protections.attempts(Guard::Exists)[0].conditional);
    }
}
