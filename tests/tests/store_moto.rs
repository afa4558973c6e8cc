//! The store over moto, whose S3 is written independently of the one that the store's own tests serve.

use std::collections::BTreeMap;
use std::sync::Arc;

use dbhaul_store::{AccessKeys, ErrorKind, S3Store, Store, StoreExt as _, StoreUrl, contract};
use dbhaul_tests::{Dbhaul, Moto, S3Endpoint};
use serde_json::json;

async fn store(endpoint: &S3Endpoint, url: &str) -> Arc<dyn Store> {
    let keys = AccessKeys {
        access_key_id: endpoint.access_key.clone(),
        secret_access_key: endpoint.secret_key.clone(),
        session_token: None,
    };
    match StoreUrl::parse(url) {
        Ok(StoreUrl::S3(url)) => {
            Arc::new(S3Store::connect_with_keys(&url, keys).await.expect("keys are given"))
        }
        other => panic!("{url} is no bucket: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_passes_the_contract() {
    let moto = Moto::start();
    moto.create_bucket("backups");
    contract::check(store(moto.endpoint(), &moto.endpoint().store_url("backups", "nightly/shop")).await)
        .await;
}

#[tokio::test]
async fn encryption_and_storage_class_are_taken() {
    let moto = Moto::start();
    moto.create_bucket("backups");
    for options in ["sse=AES256", "sse=aws:kms&storage_class=STANDARD_IA"] {
        let url = format!("{}&{options}", moto.endpoint().store_url("backups", options));
        let store = store(moto.endpoint(), &url).await;
        store.create("a", "secret rows".into()).await.unwrap();
        assert_eq!(store.get("a").await.unwrap(), "secret rows", "{options}");
    }
}

#[tokio::test]
async fn a_missing_bucket_is_told_for_every_operation() {
    let moto = Moto::start();
    let store = store(moto.endpoint(), &moto.endpoint().store_url("no-such-bucket", "")).await;
    let failures = [
        store.list("").await.map(drop),
        store.overwrite("a", "x".into()).await,
        store.get("a").await.map(drop),
    ];
    for failure in failures {
        let error = failure.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MissingStore, "{error}");
        assert!(error.to_string().contains("bucket \"no-such-bucket\" does not exist"), "{error}");
    }
}

#[test]
fn a_probe_says_what_a_bucket_can_do_and_leaves_nothing() {
    let moto = Moto::start();
    moto.create_bucket("backups");
    let url = moto.endpoint().store_url("backups", "nightly");
    let probe = |url: &str, more: &[&str]| {
        Dbhaul::new(["store", "probe", url]).args(more).envs(moto.endpoint().env()).run()
    };
    let told = probe(&url, &[]);
    told.assert_code(0).assert_says("can be used").assert_says("conditional PUT").assert_says("latency");
    let report = probe(&url, &["--json"]).assert_code(0).json();
    let abilities = report["abilities"].as_array().unwrap();
    let answers: BTreeMap<&str, &str> = abilities
        .iter()
        .map(|found| (found["ability"].as_str().unwrap(), found["answer"].as_str().unwrap()))
        .collect();
    let conditional = ["conditional_put", "conditional_replace"];
    for ability in
        ["write", "range", "replace", "delete", "list", "bulk_delete", "clock"].iter().chain(&conditional)
    {
        assert_eq!(answers[*ability], "yes", "{ability}: {report}");
    }
    // a bucket that never had versioning answers with an empty configuration
    assert_eq!((answers["versioning"], answers["object_lock"]), ("no", "no"), "{report}");
    assert!(told.stdout.contains("  conditional replace yes "), "{told}");
    assert_eq!((&report["usable"], &report["left"]), (&json!(true), &json!([])));
    // the place is as empty as before
    let init = ["store", "init", &url, "--unencrypted"];
    Dbhaul::new(init).envs(moto.endpoint().env()).run().assert_code(0);
    let missing = moto.endpoint().store_url("no-such-bucket", "");
    probe(&missing, &[]).assert_code(1).assert_stderr_has(&["bucket \"no-such-bucket\" does not exist"]);
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    probe(place, &[]).assert_code(0).assert_says("free");
    assert_eq!(std::fs::read_dir(place).unwrap().count(), 0, "nothing is left");
}
