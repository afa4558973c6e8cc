//! What a person reads when S3 says no.

use std::sync::Arc;

use dbhaul_progress::Progress;
use dbhaul_store::{
    AccessKeys, ErrorKind, PutMode, RetryPolicy, RetryStore, S3Store, S3Url, Store, StoreError, StoreExt as _,
};
use tokio_util::sync::CancellationToken;

use crate::server::{BUCKET, Server, keys, s3_url};

async fn connect(url: &S3Url, keys: AccessKeys) -> RetryStore {
    let store = Arc::new(S3Store::connect_with_keys(url, keys).await.unwrap());
    let policy = RetryPolicy { max_attempts: 2, ..RetryPolicy::default() };
    RetryStore::new(store, policy, CancellationToken::new(), Progress::silent())
}

/// The error with its causes, as it is rendered.
fn whole_text(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

fn check_error(error: &StoreError, kind: ErrorKind, words: &[&str]) {
    let text = whole_text(error);
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_told_and_not_repeated() {
    let server = Server::start().await;
    let wrong = AccessKeys { secret_access_key: "hunter2".into(), ..keys() };
    let store = connect(&server.url(BUCKET, "p"), wrong).await;
    let error = store.list("").await.unwrap_err();
    check_error(&error, ErrorKind::Auth, &["s3://backups/p/", "credentials", "SignatureDoesNotMatch"]);
    assert!(!whole_text(&error).contains("hunter2") && !format!("{store:?}{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn an_unknown_key_is_told() {
    let server = Server::start().await;
    let wrong = AccessKeys { access_key_id: "AKIDOTHER".into(), ..keys() };
    let error = connect(&server.url(BUCKET, "p"), wrong).await.list("").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Auth | ErrorKind::PermissionDenied), "{}", whole_text(&error));
}

#[tokio::test]
async fn a_missing_bucket_is_told_by_name_with_the_way_out() {
    let server = Server::start().await;
    let store = connect(&server.url("no-such-bucket", ""), keys()).await;
    let error = store.list("").await.unwrap_err();
    check_error(&error, ErrorKind::MissingStore, &["\"no-such-bucket\"", "does not exist", "create it"]);
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_told_with_its_address() {
    let port = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let url = s3_url(&format!("s3://backups?endpoint=http://127.0.0.1:{port}"));
    let error = connect(&url, keys()).await.list("").await.unwrap_err();
    let address = format!("127.0.0.1:{port}");
    check_error(&error, ErrorKind::Unreachable, &[&address, "refused", "check its endpoint"]);
}

#[tokio::test]
async fn an_unknown_host_is_told() {
    let url = s3_url("s3://backups?endpoint=http://no-such-host.invalid");
    let error = connect(&url, keys()).await.list("").await.unwrap_err();
    check_error(&error, ErrorKind::Unreachable, &["no-such-host.invalid"]);
}

/// Time stands still but for waits that are certain to end, so a test need not wait a minute.
#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = s3_url(&format!("s3://backups?endpoint=http://{}", listener.local_addr().unwrap()));
    let error = connect(&url, keys()).await.get("a").await.unwrap_err();
    check_error(&error, ErrorKind::Unreachable, &["\"a\""]);
    drop(listener);
}

/// A server whose answers, of this status, do not end; returns its port.
async fn endless_server(status: &'static str) -> u16 {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(socket.read_u8().await.unwrap_or(b'\n'));
                }
                let head = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
                let _ = socket.write_all(head.as_bytes()).await;
                let chunk = format!("10000\r\n{}\r\n", "<Contents>      ".repeat(0x1000));
                // until the client has had enough
                while socket.write_all(chunk.as_bytes()).await.is_ok() {}
            });
        }
    });
    port
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let url = s3_url(&format!("s3://backups?endpoint=http://127.0.0.1:{}", endless_server("200 OK").await));
    let store = S3Store::connect_with_keys(&url, keys()).await.unwrap();
    let error = store.get_at_most("repo.json", 1 << 20).await.unwrap_err();
    check_error(&error, ErrorKind::Damaged, &["\"repo.json\"", "more than the 1048576 bytes"]);
    let error = store.get_range("repo.json", 5..10).await.unwrap_err();
    check_error(&error, ErrorKind::Damaged, &["\"repo.json\""]);
    let error = store.list("").await.unwrap_err();
    check_error(&error, ErrorKind::Unreachable, &["length limit exceeded"]);
}

/// Answers to what writes and deletes are read as a whole, good ones and refusals.
#[tokio::test]
async fn no_answer_to_a_change_is_read_without_end() {
    for status in ["200 OK", "500 Internal Server Error", "403 Forbidden"] {
        let port = endless_server(status).await;
        let url = s3_url(&format!("s3://backups?endpoint=http://127.0.0.1:{port}"));
        let store = S3Store::connect_with_keys(&url, keys()).await.unwrap();
        let content = bytes::Bytes::from_static(b"content");
        store.put("a", content, PutMode::Overwrite).await.unwrap_err();
        store.delete("a").await.unwrap_err();
        store.delete_many(&["a".to_owned(), "b".to_owned()]).await.unwrap_err();
    }
}
