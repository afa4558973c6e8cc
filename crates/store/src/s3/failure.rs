//! What an S3 server's refusals and a network's failures mean.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{ErrorKind, Operation, StoreError};

/// The answer of a server that refused, as the cause of a [`StoreError`].
#[derive(Debug, thiserror::Error)]
#[error("the server answered HTTP {status}{}{code}{}{message}", before(code, " "), before(message, ": "))]
struct Answer {
    status: u16,
    code: String,
    message: String,
}

/// What stands before a part of a message, if there is one.
fn before(part: &str, separator: &'static str) -> &'static str {
    if part.is_empty() { "" } else { separator }
}

/// The HTTP status of the answer that a server gave, if it gave one.
pub(crate) fn answer_status(error: &StoreError) -> Option<u16> {
    answer(error).map(|answer| answer.status)
}

/// Whether the server refused because another writer was at work on the same object.
pub(crate) fn is_conflict(error: &StoreError) -> bool {
    let codes = ["ConditionalRequestConflict", "OperationAborted"];
    answer(error).is_some_and(|answer| codes.contains(&answer.code.as_str()))
}

fn answer(error: &StoreError) -> Option<&Answer> {
    std::error::Error::source(error)?.downcast_ref()
}

/// A failure below HTTP, as the cause of a [`StoreError`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NetworkFailure(String);

/// Who was asked for what; turns the SDK's errors into this crate's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) store: &'a str,
    pub(super) bucket: &'a str,
    pub(super) operation: Operation,
    pub(super) key: &'a str,
}

impl Request<'_> {
    /// An error of this request.
    pub(super) fn error(&self, kind: ErrorKind) -> StoreError {
        let error = StoreError::new(kind, self.operation, self.store);
        if self.key.is_empty() { error } else { error.with_key(self.key) }
    }

    /// The error of a request that got no whole answer in time.
    pub(super) fn timed_out(&self, limit: std::time::Duration) -> StoreError {
        self.error(ErrorKind::Unreachable).with_detail(format!(
            "the store did not answer within {} s; check its endpoint and the network",
            limit.as_secs()
        ))
    }

    /// Translates an error of the SDK.
    pub(super) fn failed<E>(&self, error: SdkError<E, HttpResponse>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let raw = error.raw_response();
        let status = raw.map_or(0, |response| response.status().as_u16());
        let region =
            raw.and_then(|response| response.headers().get("x-amz-bucket-region")).map(str::to_owned);
        match &error {
            SdkError::ServiceError(service) => {
                let meta = service.err().meta();
                let (code, message) = (meta.code().unwrap_or_default(), meta.message().unwrap_or_default());
                self.refused(status, code, message, region.as_deref())
            }
            SdkError::ConstructionFailure(_) => {
                self.error(ErrorKind::Other).with_source(NetworkFailure(roots(&error)))
            }
            SdkError::DispatchFailure(dispatch) if dispatch.is_user() => {
                self.error(ErrorKind::Other).with_source(NetworkFailure(roots(&error)))
            }
            // An answer that cannot be parsed is as good as none: what it said is not known.
            _ => self.error(ErrorKind::Unreachable).with_source(NetworkFailure(roots(&error))),
        }
    }

    /// The error of an answer with this status and error code.
    pub(super) fn refused(&self, status: u16, code: &str, message: &str, region: Option<&str>) -> StoreError {
        let kind = classify(status, code);
        let error = self.error(kind).with_source(Answer {
            status,
            code: code.to_owned(),
            message: message.to_owned(),
        });
        match self.way_out(kind, code, region) {
            Some(detail) => error.with_detail(detail),
            None => error,
        }
    }

    /// Words for what the general phrase of the kind does not tell.
    fn way_out(&self, kind: ErrorKind, code: &str, region: Option<&str>) -> Option<String> {
        let bucket = self.bucket;
        match (kind, code) {
            (ErrorKind::MissingStore, _) => Some(format!(
                "bucket {bucket:?} does not exist there; create it, or check its name and the endpoint"
            )),
            (ErrorKind::Auth, "RequestTimeTooSkewed") => {
                Some("the clock of this machine differs too much from the server's; set it".to_owned())
            }
            (ErrorKind::Auth, "ExpiredToken" | "ExpiredTokenException") => {
                Some("the temporary credentials have expired; get new ones".to_owned())
            }
            (ErrorKind::Invalid, _) => Some(format!(
                "bucket {bucket:?} is in {}; name its region in the URL, as in s3://{bucket}?region=...",
                region.map_or_else(|| "another region".to_owned(), |region| format!("region {region}"))
            )),
            // the answer to a HEAD has no body that could tell a wrong key from a missing right
            (ErrorKind::PermissionDenied, "") => Some(format!(
                "access to bucket {bucket:?} is denied; check the key, secret and profile, and grant s3:ListBucket \
                 on it and s3:GetObject, s3:PutObject, s3:DeleteObject on its objects"
            )),
            (ErrorKind::PermissionDenied, _) => Some(format!(
                "access to bucket {bucket:?} is denied; grant s3:ListBucket on it and s3:GetObject, \
                 s3:PutObject, s3:DeleteObject on its objects"
            )),
            _ => None,
        }
    }
}

/// The class of a refusal. The codes are those of the S3 API reference, "Error responses", and of
/// the servers known to have others.
fn classify(status: u16, code: &str) -> ErrorKind {
    match code {
        "NoSuchBucket" => ErrorKind::MissingStore,
        "NoSuchKey" | "NotFound" => ErrorKind::NotFound,
        "PreconditionFailed" => ErrorKind::AlreadyExists,
        "ConditionalRequestConflict" | "OperationAborted" | "BadDigest" | "InternalError" => {
            ErrorKind::ServerFault
        }
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "RequestTimeTooSkewed"
        | "AuthorizationHeaderMalformed"
        | "InvalidSecurity"
        | "NotSignedUp"
        | "Unauthorized" => ErrorKind::Auth,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => ErrorKind::PermissionDenied,
        "SlowDown"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "ServiceUnavailable"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "BandwidthLimitExceeded" => ErrorKind::Throttled,
        "RequestTimeout" | "IncompleteBody" => ErrorKind::Unreachable,
        "EntityTooLarge"
        | "QuotaExceeded"
        | "XMinioStorageFull"
        | "XMinioBackendDown"
        | "StorageLimitExceeded"
        | "InsufficientStorage"
        | "QuotaExceededException" => ErrorKind::OutOfSpace,
        "InvalidRange" => ErrorKind::Damaged,
        "NotImplemented" | "XNotImplemented" | "MethodNotAllowed" | "InvalidArgument" | "InvalidRequest"
        | "InvalidDigest" | "MissingContentMD5" | "MalformedXML" | "UnsupportedHeader" => {
            ErrorKind::Unsupported
        }
        "PermanentRedirect" | "TemporaryRedirect" | "IllegalLocationConstraintException" => {
            ErrorKind::Invalid
        }
        _ => classify_status(status),
    }
}

/// The class of a refusal whose code says nothing, as for HEAD, which has no body.
fn classify_status(status: u16) -> ErrorKind {
    match status {
        301 | 307 | 308 => ErrorKind::Invalid,
        400 | 405 | 411 | 501 => ErrorKind::Unsupported,
        401 => ErrorKind::Auth,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        408 => ErrorKind::Unreachable,
        409 => ErrorKind::ServerFault,
        412 => ErrorKind::AlreadyExists,
        413 | 507 => ErrorKind::OutOfSpace,
        416 => ErrorKind::Damaged,
        429 | 503 => ErrorKind::Throttled,
        500.. => ErrorKind::ServerFault,
        _ => ErrorKind::Other,
    }
}

/// The deepest causes of an error, which say more than the layers above them.
fn roots(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        // A layer that repeats its cause adds nothing.
        texts.retain(|earlier| !earlier.contains(&text));
        texts.push(text);
        next = cause.source();
    }
    let kept = texts.len().saturating_sub(2);
    texts.split_off(kept).join(": ")
}

/// [`roots`] as the source of a [`StoreError`].
pub(super) fn network_cause(error: &(dyn std::error::Error + 'static)) -> crate::Source {
    Box::new(NetworkFailure(roots(error)))
}

#[cfg(test)]
mod tests {
    use super::{Request, classify};
    use crate::{ErrorKind, Operation};

    #[test]
    fn codes_come_before_statuses() {
        for (status, code, kind) in [
            (404, "NoSuchBucket", ErrorKind::MissingStore),
            (404, "NoSuchKey", ErrorKind::NotFound),
            (404, "", ErrorKind::NotFound),
            (403, "SignatureDoesNotMatch", ErrorKind::Auth),
            (403, "", ErrorKind::PermissionDenied),
            (412, "PreconditionFailed", ErrorKind::AlreadyExists),
            (409, "ConditionalRequestConflict", ErrorKind::ServerFault),
            (400, "RequestTimeout", ErrorKind::Unreachable),
            (400, "ExpiredToken", ErrorKind::Auth),
            (400, "EntityTooLarge", ErrorKind::OutOfSpace),
            (503, "SlowDown", ErrorKind::Throttled),
            (500, "InternalError", ErrorKind::ServerFault),
            (502, "", ErrorKind::ServerFault),
            (501, "NotImplemented", ErrorKind::Unsupported),
            (507, "", ErrorKind::OutOfSpace),
            (418, "", ErrorKind::Other),
        ] {
            assert_eq!(classify(status, code), kind, "{status} {code}");
        }
    }

    #[test]
    fn what_an_answer_does_not_say_leaves_no_gap() {
        let request = Request { store: "s3://b/", bucket: "b", operation: Operation::Head, key: "" };
        for (code, message, expected) in [
            ("", "", "the server answered HTTP 418"),
            ("Teapot", "", "the server answered HTTP 418 Teapot"),
            ("Teapot", "short", "the server answered HTTP 418 Teapot: short"),
        ] {
            let error = request.refused(418, code, message, None);
            assert_eq!(std::error::Error::source(&error).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_bucket_elsewhere_is_told_with_its_region() {
        let request = Request { store: "s3://b/", bucket: "b", operation: Operation::List, key: "" };
        let error = request.refused(301, "PermanentRedirect", "moved", Some("eu-west-3"));
        let text = error.to_string();
        assert!(text.contains("\"b\" is in region eu-west-3") && text.contains("?region="), "{text}");
    }
}
