//! Credentials, region, endpoint: from a URL and the environment to a client.

use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Credentials, ProvideCredentials as _, RequestChecksumCalculation, ResponseChecksumValidation,
    SharedHttpClient,
};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::{ErrorKind, Operation, S3Url, StoreError};

/// How long a TCP and TLS connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Signed for when a server other than AWS is named without region; most take any.
const DEFAULT_REGION: &str = "us-east-1";

/// Keys to sign requests with, for a caller that has them from elsewhere than the AWS chain.
#[derive(Clone)]
pub struct AccessKeys {
    /// The public half.
    pub access_key_id: String,
    /// The secret half; never shown.
    pub secret_access_key: String,
    /// Of temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKeys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl AccessKeys {
    fn into_credentials(self) -> Credentials {
        Credentials::new(self.access_key_id, self.secret_access_key, self.session_token, None, "dbhaul")
    }
}

/// A client, and the endpoint it speaks to where that is not AWS.
pub(super) async fn client(
    url: &S3Url,
    keys: Option<AccessKeys>,
) -> Result<(aws_sdk_s3::Client, Option<String>), StoreError> {
    let shared = load(url, keys).await;
    let endpoint = endpoint(&shared);
    let region = shared.region().cloned().or_else(|| endpoint.as_ref().map(|_| Region::new(DEFAULT_REGION)));
    let Some(region) = region else {
        return Err(StoreError::new(ErrorKind::Invalid, Operation::Open, url.to_string()).with_detail(
            "no region is set; add ?region=... to the URL, or set AWS_REGION or the profile's region",
        ));
    };
    if endpoint.as_deref().is_some_and(has_user_info) {
        return Err(StoreError::new(ErrorKind::Invalid, Operation::Open, url.to_string()).with_detail(
            "the endpoint of the environment or the profile holds a user or a password, which would show in logs and \
             reports; keys belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or into the profile",
        ));
    }
    check_credentials(url, &shared).await?;
    let is_plain_http = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let config = aws_sdk_s3::config::Builder::from(&shared)
        .region(region)
        .http_client(http_client(is_plain_http))
        .force_path_style(url.path_style.unwrap_or(endpoint.is_some()))
        // Newer checksums are refused by many servers; Content-MD5 is sent in their place.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // A repeated `put` has to look first whether its predecessor took effect; see `RetryStore`.
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build())
        .build();
    Ok((aws_sdk_s3::Client::from_conf(config), endpoint))
}

async fn load(url: &S3Url, keys: Option<AccessKeys>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(false));
    if let Some(profile) = &url.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(keys) = keys {
        loader = loader.credentials_provider(keys.into_credentials());
    }
    if let Some(region) = &url.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &url.endpoint {
        loader = loader.endpoint_url(endpoint);
        if url.region.is_none() {
            loader = loader.region(region_away_from_aws(url));
        }
    }
    loader.load().await
}

/// The region of the environment or the profile, without asking the instance that this runs on:
/// where that is not a machine of AWS, nobody answers.
fn region_away_from_aws(url: &S3Url) -> RegionProviderChain {
    let mut of_profile = ProfileFileRegionProvider::builder();
    if let Some(profile) = &url.profile {
        of_profile = of_profile.profile_name(profile);
    }
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(of_profile.build())
        .or_else(Region::new(DEFAULT_REGION))
}

/// The endpoint of the URL, the environment or the profile; a variable for S3 alone comes first.
fn endpoint(shared: &SdkConfig) -> Option<String> {
    let of_s3 = std::env::var("AWS_ENDPOINT_URL_S3").ok().filter(|value| !value.is_empty());
    let general = shared.endpoint_url().map(str::to_owned);
    match shared.get_origin("endpoint_url").is_client_config() {
        true => general,
        false => of_s3.or(general),
    }
}

/// Whether a URL names more than a host before its path.
fn has_user_info(endpoint: &str) -> bool {
    let rest = endpoint.split_once("//").map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@') || rest.contains('@')
}

/// Resolves credentials once, so that their absence is told before any request fails for it.
async fn check_credentials(url: &S3Url, shared: &SdkConfig) -> Result<(), StoreError> {
    let failed = |cause: Option<crate::Source>| {
        let error = StoreError::new(ErrorKind::Auth, Operation::Open, url.to_string()).with_detail(
            "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile with \
             ?profile=, or run where a web identity or instance role is offered",
        );
        match cause {
            Some(cause) => error.with_source(cause),
            None => error,
        }
    };
    let provider = shared.credentials_provider().ok_or_else(|| failed(None))?;
    match provider.provide_credentials().await {
        Ok(_) => Ok(()),
        Err(error) => Err(failed(Some(super::failure::network_cause(&error)))),
    }
}

/// A client for `http://` alone does not load the system's certificates, so it works where there are none.
fn http_client(is_plain_http: bool) -> SharedHttpClient {
    if is_plain_http {
        return Builder::new().build_http();
    }
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}
