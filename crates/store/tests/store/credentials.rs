//! Where credentials, region and endpoint come from. The environment belongs to a whole process,
//! so each case opens the store in a child of this test binary.

use std::process::{Command, Output};

use dbhaul_progress::Progress;
use dbhaul_store::{Access, StoreExt as _, StoreUrl, open};
use tokio_util::sync::CancellationToken;

use crate::server::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, Server};

const URL_VARIABLE: &str = "DBHAUL_STORE_TEST_URL";

/// Opens the store that its parent names and writes to it; without that parent, one in memory.
#[tokio::test]
async fn opens_for_another_test() {
    let text = std::env::var(URL_VARIABLE).unwrap_or_else(|_| "memory://".to_owned());
    let url = StoreUrl::parse(&text).unwrap();
    match open(&url, Access::Write, &CancellationToken::new(), &Progress::silent()).await {
        Ok(store) => store.create("a", "x".into()).await.unwrap(),
        Err(error) => panic!("{error}"),
    }
}

/// The child's output when it opens `url` in an environment without credentials but `variables`.
async fn open_in_child(url: &str, variables: &[(&str, &str)]) -> Output {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "credentials::opens_for_another_test", "--nocapture"]).env(URL_VARIABLE, url);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        child.env_remove(name);
    }
    child.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", "/nonexistent").env("RUST_BACKTRACE", "0");
    child.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap()
}

fn check_opened(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_environment() {
    let server = Server::start().await;
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)];
    let url = format!("s3://{BUCKET}/p?endpoint={}", server.endpoint());
    check_opened(&open_in_child(&url, &keys).await);
    assert_eq!(server.store("p").await.get("a").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_environment_with_the_endpoint() {
    let server = Server::start().await;
    let endpoint = server.endpoint();
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
        let keys = [
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            ("AWS_REGION", "us-east-1"),
            (variable, endpoint.as_str()),
        ];
        check_opened(&open_in_child(&format!("s3://{BUCKET}/{variable}"), &keys).await);
        assert_eq!(server.store(variable).await.get("a").await.unwrap(), "x");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_profile() {
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let (config, credentials) = (directory.path().join("config"), directory.path().join("credentials"));
    let endpoint = server.endpoint();
    std::fs::write(&config, format!("[profile nightly]\nregion = eu-west-3\nendpoint_url = {endpoint}\n"))
        .unwrap();
    let keys = format!("aws_access_key_id = {ACCESS_KEY_ID}\naws_secret_access_key = {SECRET_ACCESS_KEY}\n");
    std::fs::write(&credentials, format!("[nightly]\n{keys}")).unwrap();
    let variables = [
        ("AWS_CONFIG_FILE", config.to_str().unwrap()),
        ("AWS_SHARED_CREDENTIALS_FILE", credentials.to_str().unwrap()),
    ];
    check_opened(&open_in_child(&format!("s3://{BUCKET}/p?profile=nightly"), &variables).await);
    assert_eq!(server.store("p").await.get("a").await.unwrap(), "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_nowhere_are_told_with_the_way_out() {
    let server = Server::start().await;
    let url = format!("s3://{BUCKET}/p?endpoint={}", server.endpoint());
    let output = open_in_child(&url, &[]).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("no credentials were found") && text.contains("AWS_ACCESS_KEY_ID"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_region_is_told_with_the_way_out() {
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)];
    let output = open_in_child("s3://backups", &keys).await;
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(text.contains("no region is set") && text.contains("?region="), "{text}");
}
