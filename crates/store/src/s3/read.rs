//! Reading objects, whole and in part.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::{Bytes, BytesMut};
use dbhaul_progress::counted;

use super::answer::BoundedAnswer;
use super::failure::{Request, network_cause};
use super::{ANSWER_TIMEOUT, S3Store};
use crate::memory::past_the_end;
use crate::{ErrorKind, Operation, Store as _, StoreError};

/// Slowest download that is waited for, in bytes per second: 512 kbit/s. A server that sends a byte now and
/// then is not waited for.
const SLOWEST_DOWNLOAD_BYTES_PER_SECOND: u64 = 64 * 1024;

/// Most that is reserved on the word of a server.
const MAX_RESERVED_BYTES: usize = 64 << 20;

/// What a GET brought.
pub(super) struct Content {
    pub(super) bytes: Bytes,
    /// `Content-Range` of the answer.
    range: Option<String>,
    /// `ETag` of the answer, as it is sent.
    pub(super) etag: Option<String>,
}

impl S3Store {
    /// One GET, checked against the length that the server announces.
    pub(super) async fn read(
        &self,
        request: Request<'_>,
        range: Option<String>,
        limit_bytes: u64,
    ) -> Result<Content, StoreError> {
        let call = self
            .client
            .get_object()
            .bucket(&self.url.bucket)
            .key(self.name(request.key))
            .set_range(range)
            .customize()
            .interceptor(BoundedAnswer::Refusal)
            .send();
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, Box::pin(call)).await;
        let answer =
            answer.map_err(|_| request.timed_out(ANSWER_TIMEOUT))?.map_err(|error| request.failed(error))?;
        let announced_bytes = answer.content_length().and_then(|length| usize::try_from(length).ok());
        let range = answer.content_range().map(str::to_owned);
        let etag = answer.e_tag().map(str::to_owned);
        let wanted_bytes = limit_bytes.min(announced_bytes.map_or(limit_bytes, |bytes| bytes as u64));
        let limit = ANSWER_TIMEOUT + Duration::from_secs(wanted_bytes / SLOWEST_DOWNLOAD_BYTES_PER_SECOND);
        let collecting = collect(request, answer.body, announced_bytes, limit_bytes);
        let bytes = tokio::time::timeout(limit, collecting).await.map_err(|_| request.timed_out(limit))??;
        Ok(Content { bytes, range, etag })
    }

    /// A GET of a range that is not empty.
    pub(super) async fn read_range(
        &self,
        key: &str,
        range: Range<u64>,
        wanted_bytes: u64,
    ) -> Result<Bytes, StoreError> {
        let request = self.request(Operation::GetRange, key);
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let content = match self.read(request, Some(header), wanted_bytes).await {
            Ok(content) => content,
            Err(error) if error.kind() == ErrorKind::Damaged => {
                let size_bytes = self.head(key).await?.size_bytes;
                return Err(match size_bytes < range.end {
                    true => past_the_end(&self.description, key, &range, size_bytes),
                    false => other_range(request),
                });
            }
            Err(error) => return Err(error),
        };
        let starts_right =
            content.range.as_deref().is_some_and(|text| text.starts_with(&format!("bytes {}-", range.start)));
        if starts_right && content.bytes.len() as u64 == wanted_bytes {
            return Ok(content.bytes);
        }
        // A server may end its answer where the object ends; one that ignores ranges sends it all.
        let size_bytes = self.head(key).await?.size_bytes;
        if size_bytes < range.end {
            return Err(past_the_end(&self.description, key, &range, size_bytes));
        }
        Err(other_range(request))
    }
}

fn other_range(request: Request<'_>) -> StoreError {
    request.error(ErrorKind::Unsupported).with_detail("the server did not answer with the range asked for")
}

/// Collects a body, waiting a bounded time for each part of it, and cuts it where it is longer than it may be.
async fn collect(
    request: Request<'_>,
    mut body: ByteStream,
    announced_bytes: Option<usize>,
    limit_bytes: u64,
) -> Result<Bytes, StoreError> {
    let too_long = || {
        let detail = format!("the answer has more than the {limit_bytes} bytes that it may have");
        request.error(ErrorKind::Damaged).with_detail(detail)
    };
    if announced_bytes.is_some_and(|announced| announced as u64 > limit_bytes) {
        return Err(too_long());
    }
    let mut bytes = BytesMut::with_capacity(announced_bytes.unwrap_or(0).min(MAX_RESERVED_BYTES));
    loop {
        let next = tokio::time::timeout(ANSWER_TIMEOUT, body.next()).await;
        match next.map_err(|_| request.timed_out(ANSWER_TIMEOUT))? {
            Some(Ok(part)) if (bytes.len() + part.len()) as u64 > limit_bytes => return Err(too_long()),
            Some(Ok(part)) => bytes.extend_from_slice(&part),
            Some(Err(error)) => {
                let cut = format!("the answer broke off after {}", counted(bytes.len(), "byte"));
                return Err(request
                    .error(ErrorKind::Unreachable)
                    .with_detail(cut)
                    .with_source(network_cause(&error)));
            }
            None => break,
        }
    }
    match announced_bytes {
        Some(announced) if announced != bytes.len() => {
            Err(request.error(ErrorKind::Unreachable).with_detail(format!(
                "the answer ended after {} of {}",
                bytes.len(),
                counted(announced, "byte")
            )))
        }
        _ => Ok(bytes.freeze()),
    }
}
