//! What a probe asks of a server beyond what a store does.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::types::{BucketVersioningStatus, ObjectLockEnabled};
use base64::Engine as _;
use bytes::Bytes;

use super::answer::BoundedAnswer;
use super::write::{Attempt, Guard};
use super::{ANSWER_TIMEOUT, S3Store};
use crate::probe::{Outcome, told};
use crate::{ErrorKind, Operation, StoreError};

impl S3Store {
    /// One PUT that the server alone refuses to let replace an object.
    pub(crate) async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<(), StoreError> {
        let attempt = Attempt { content_md5: false, conditional: true };
        self.write_once(key, bytes, "", (attempt, Guard::Exists)).await
    }

    /// One PUT that the server alone refuses unless the object has this `ETag`.
    pub(crate) async fn put_if_same(&self, key: &str, bytes: Bytes, etag: &str) -> Result<(), StoreError> {
        let attempt = Attempt { content_md5: false, conditional: true };
        self.write_once(key, bytes, "", (attempt, Guard::Changed(etag))).await
    }

    /// One PUT with a checksum that may be wrong.
    pub(crate) async fn put_with_md5(&self, key: &str, bytes: Bytes, md5: &[u8]) -> Result<(), StoreError> {
        let md5 = base64::engine::general_purpose::STANDARD.encode(md5);
        let attempt = Attempt { content_md5: true, conditional: false };
        self.write_once(key, bytes, &md5, (attempt, Guard::Nothing)).await
    }

    /// One bulk delete.
    pub(crate) async fn delete_by_one_request(&self, keys: &[String]) -> Result<(), StoreError> {
        self.delete_in_bulk(keys).await
    }

    /// Whether the bucket keeps older versions.
    pub(crate) async fn versioning(&self) -> Outcome {
        let request = self.request(Operation::Head, "");
        let call = self.client.get_bucket_versioning().bucket(&self.url.bucket);
        let call = call.customize().interceptor(BoundedAnswer::Any).send();
        let answer = match tokio::time::timeout(ANSWER_TIMEOUT, Box::pin(call)).await {
            Err(_) => return Outcome::Unknown(told(&request.timed_out(ANSWER_TIMEOUT))),
            Ok(Err(error)) if has_empty_configuration(&error) => return off(),
            Ok(answer) => answer.map_err(|error| request.failed(error)),
        };
        match answer {
            Err(error) => unanswered(&error),
            Ok(answer) => match answer.status() {
                Some(BucketVersioningStatus::Enabled) => Outcome::Yes,
                Some(BucketVersioningStatus::Suspended) => {
                    Outcome::No("it is suspended; older versions are kept".to_owned())
                }
                Some(other) => Outcome::Unknown(format!("it is {other}")),
                None => off(),
            },
        }
    }

    /// Whether objects can be locked, and how they are without anybody asking for it.
    pub(crate) async fn object_lock(&self) -> Outcome {
        let request = self.request(Operation::Head, "");
        let call = self.client.get_object_lock_configuration().bucket(&self.url.bucket);
        let call = call.customize().interceptor(BoundedAnswer::Any).send();
        let answer = match tokio::time::timeout(ANSWER_TIMEOUT, Box::pin(call)).await {
            Err(_) => return Outcome::Unknown(told(&request.timed_out(ANSWER_TIMEOUT))),
            Ok(answer) => answer.map_err(|error| request.failed(error)),
        };
        let lock = match answer {
            // ObjectLockConfigurationNotFoundError
            Err(error) if error.kind() == ErrorKind::NotFound => return off(),
            Err(error) => return unanswered(&error),
            Ok(answer) => answer.object_lock_configuration,
        };
        let Some(lock) = lock.filter(|lock| lock.object_lock_enabled() == Some(&ObjectLockEnabled::Enabled))
        else {
            return off();
        };
        let Some(retention) = lock.rule().and_then(|rule| rule.default_retention()) else {
            return Outcome::YesBut("no object is locked unless somebody asks for it".to_owned());
        };
        let mode = retention.mode().map_or("unknown", |mode| mode.as_str()).to_lowercase();
        let time = match (retention.days(), retention.years()) {
            (Some(days), _) => dbhaul_progress::counted(days.unsigned_abs(), "day"),
            (None, Some(years)) => dbhaul_progress::counted(years.unsigned_abs(), "year"),
            (None, None) => "an unknown time".to_owned(),
        };
        Outcome::YesBut(format!("each new object is locked for {time}, in {mode} mode"))
    }
}

fn off() -> Outcome {
    Outcome::No("it is off".to_owned())
}

/// What the server said instead of an answer. The store was opened, and what it lacks is no right to its objects, so only
/// the cause is told.
fn unanswered(error: &StoreError) -> Outcome {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    Outcome::Unknown(cause.unwrap_or_else(|| told(error)))
}

/// Whether the answer that could not be read is that of a bucket which never had versioning: an empty configuration.
/// Some servers send it under another name than S3 does, or nothing at all.
fn has_empty_configuration<E>(error: &SdkError<E, HttpResponse>) -> bool {
    let answer = error.raw_response().filter(|answer| answer.status().is_success());
    answer.and_then(|answer| answer.body().bytes()).is_some_and(is_empty_configuration)
}

fn is_empty_configuration(body: &[u8]) -> bool {
    // the element of S3, and that of moto
    const ROOTS: [&str; 2] = ["<VersioningConfiguration", "<GetBucketVersioningResponse"];
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let is_known = text.trim().is_empty() || ROOTS.iter().any(|root| text.contains(root));
    // what stands outside of tags
    let mut values = text.split('<').map(|part| part.split_once('>').map_or(part, |(_, after)| after));
    is_known && values.all(|value| value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::is_empty_configuration;

    #[test]
    fn an_empty_configuration_says_that_versioning_is_off() {
        for body in [
            "",
            "\n",
            "<VersioningConfiguration/>",
            "<?xml version=\"1.0\"?>\n<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n\
             </VersioningConfiguration>\n",
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<GetBucketVersioningResponse xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"/>",
            "<GetBucketVersioningResponse><Status></Status></GetBucketVersioningResponse>",
        ] {
            assert!(is_empty_configuration(body.as_bytes()), "{body}");
        }
        for body in [
            "<GetBucketVersioningResponse><Status>Enabled</Status></GetBucketVersioningResponse>",
            "<VersioningConfiguration><Status>Suspended</Status>",
            "<html><body></body></html>",
            "<Error><Code>Busy</Code></Error>",
            "{}",
            "ok",
        ] {
            assert!(!is_empty_configuration(body.as_bytes()), "{body}");
        }
        assert!(!is_empty_configuration(b"\xff"));
    }
}
