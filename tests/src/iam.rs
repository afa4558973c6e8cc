//! Who may do what in a bucket: users of an S3 server, each with a policy of IAM.

use std::collections::BTreeMap;

use s3s::access::{S3Access, S3AccessContext};
use s3s::dto::DeleteObjectsInput;
use s3s::path::S3Path;
use s3s::{S3Request, S3Result};
use serde_json::Value;

/// Policies by access key. Who has none may do everything.
#[derive(Debug, Default)]
pub(crate) struct Policies(pub(crate) BTreeMap<String, Value>);

impl Policies {
    /// Whether a user may do something to a bucket, or an object in it.
    fn allows(&self, user: Option<&str>, action: &str, resource: &str) -> bool {
        let Some(policy) = user.map(|user| self.0.get(user)) else { return false };
        let Some(policy) = policy else { return true };
        let statements = policy["Statement"].as_array().expect("a policy has statements");
        let names = |value: &Value, text: &str| match value {
            Value::String(pattern) => matches(pattern, text),
            Value::Array(patterns) => {
                patterns.iter().filter_map(Value::as_str).any(|pattern| matches(pattern, text))
            }
            other => panic!("{other} names nothing"),
        };
        statements.iter().any(|statement| {
            assert_eq!(statement["Effect"], "Allow", "what a policy denies is not looked at here");
            names(&statement["Action"], action) && names(&statement["Resource"], resource)
        })
    }

    fn check(&self, user: Option<&str>, action: &str, resource: &str) -> S3Result<()> {
        match self.allows(user, action, resource) {
            true => Ok(()),
            false => Err(s3s::s3_error!(AccessDenied, "{:?} may not {} on {}", user, action, resource)),
        }
    }
}

/// Whether a text fits a pattern, in which `*` stands for anything at its end.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => text == pattern,
    }
}

/// The action that an operation needs, as in the "Actions, resources, and condition keys for Amazon S3".
fn action_of(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "PutObject" => "s3:PutObject",
        "GetObject" | "HeadObject" => "s3:GetObject",
        "DeleteObject" => "s3:DeleteObject",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "s3:ListBucket",
        "GetBucketLocation" => "s3:GetBucketLocation",
        // that of each object
        "DeleteObjects" => return None,
        other => panic!("{other} is not known here"),
    })
}

fn arn(path: &S3Path) -> String {
    match path {
        S3Path::Root => "*".to_owned(),
        S3Path::Bucket { bucket } => format!("arn:aws:s3:::{bucket}"),
        S3Path::Object { bucket, key } => format!("arn:aws:s3:::{bucket}/{key}"),
    }
}

#[async_trait::async_trait]
impl S3Access for Policies {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let user = context.credentials().map(|credentials| credentials.access_key.as_str());
        if self.0.is_empty() {
            return match user {
                Some(_) => Ok(()),
                None => Err(s3s::s3_error!(AccessDenied, "Signature is required")),
            };
        }
        match action_of(context.s3_op().name()) {
            Some(action) => Policies::check(self, user, action, &arn(context.s3_path())),
            None => Ok(()),
        }
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        let user = request.credentials.as_ref().map(|credentials| credentials.access_key.as_str());
        if self.0.is_empty() {
            return Ok(());
        }
        request.input.delete.objects.iter().try_for_each(|object| {
            let resource = format!("arn:aws:s3:::{}/{}", request.input.bucket, object.key);
            Policies::check(self, user, "s3:DeleteObject", &resource)
        })
    }
}
