//! Answers that are read as a whole are no longer than they can be.

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use http_body_util::Limited;

/// A page of 1,000 names has less, even if each is written in references to characters.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Cuts off what follows in the answer to a request.
#[derive(Debug)]
pub(super) enum BoundedAnswer {
    /// In any answer.
    Any,
    /// In a refusal; who reads an object has a limit of its own.
    Refusal,
}

impl Intercept for BoundedAnswer {
    fn name(&self) -> &'static str {
        "BoundedAnswer"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if matches!(self, Self::Refusal) && context.response().status().is_success() {
            return Ok(());
        }
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, MAX_ANSWER_BYTES));
        Ok(())
    }
}
