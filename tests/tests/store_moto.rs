//! The store over moto, whose S3 is written independently of the one that the store's own tests serve.

use std::sync::Arc;

use dbhaul_store::{AccessKeys, ErrorKind, S3Store, Store, StoreExt as _, StoreUrl, contract};
use dbhaul_tests::{Moto, S3Endpoint};

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
