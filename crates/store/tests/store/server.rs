//! An S3 server in this process, with signature checks and a choice of bad manners.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use dbhaul_store::{AccessKeys, S3Store, S3Url, Store, StoreUrl};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(crate) const BUCKET: &str = "backups";
pub(crate) const ACCESS_KEY_ID: &str = "AKIDTESTS";
pub(crate) const SECRET_ACCESS_KEY: &str = "correct-horse-battery-staple";

/// What the server does not do as S3 does.
#[derive(Debug, Default)]
pub(crate) struct Manners {
    /// Answers 501 to `If-None-Match` and `If-Match`.
    pub(crate) refuses_conditions: AtomicBool,
    /// Accepts `If-None-Match` and replaces all the same.
    pub(crate) ignores_conditions: AtomicBool,
    /// Somebody deletes an object before each write that is to replace it as it is.
    pub(crate) vanishes_before_replace: AtomicBool,
    /// Answers 400 to `Content-MD5`.
    pub(crate) refuses_content_md5: AtomicBool,
    /// Answers 501 to bulk deletes.
    pub(crate) refuses_bulk_delete: AtomicBool,
    /// Answers 403 to reads of objects.
    pub(crate) denies_reads: AtomicBool,
    /// Answers 403 to deletions below `packs/`.
    pub(crate) denies_deletes_below_packs: AtomicBool,
    /// Answers 403 to PUTs below `packs/`.
    pub(crate) denies_puts_below_packs: AtomicBool,
    /// Answers 418, which says nothing of what the server can do, to PUTs below `packs/`.
    pub(crate) fails_puts_below_packs: AtomicBool,
    /// Answers 503 to a probe's PUTs of a damaged object, and of one by several writers.
    pub(crate) fails_damaged_and_raced: AtomicBool,
    /// Never answers reads of objects.
    pub(crate) hangs_reads: AtomicBool,
    /// Reads that were not answered.
    pub(crate) hung_read_count: AtomicU32,
    /// Answers 503 `SlowDown` to this many further requests.
    pub(crate) throttled_request_count: AtomicU32,
    /// Carries out this many further PUTs and closes the connection in the place of an answer.
    pub(crate) lost_answer_count: AtomicU32,
    /// Announces whole GET bodies and breaks off in the middle, this many times.
    pub(crate) broken_off_count: AtomicU32,
    /// Requests that carried a `Content-MD5`.
    pub(crate) seen_content_md5_count: AtomicU32,
    /// Deletes of single objects.
    pub(crate) single_delete_count: AtomicU32,
}

/// A running server; dropping it stops it and removes its objects.
pub(crate) struct Server {
    pub(crate) manners: Arc<Manners>,
    port: u16,
    _accepting: JoinSet<()>,
    _root: TempDir,
}

impl Server {
    /// Starts a server with one empty bucket, [`BUCKET`].
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let manners = Arc::new(Manners::default());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Front::new(builder.build(), Arc::clone(&manners), root.path())));
        Server { manners, port, _accepting: accepting, _root: root }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, bucket: &str, prefix: &str) -> S3Url {
        s3_url(&format!("s3://{bucket}/{prefix}?endpoint={}", self.endpoint()))
    }

    /// The store under `prefix` of the bucket, without retries.
    pub(crate) async fn store(&self, prefix: &str) -> Arc<dyn Store> {
        Arc::new(S3Store::connect_with_keys(&self.url(BUCKET, prefix), keys()).await.unwrap())
    }
}

pub(crate) fn keys() -> AccessKeys {
    AccessKeys {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        session_token: None,
    }
}

pub(crate) fn s3_url(text: &str) -> S3Url {
    match StoreUrl::parse(text).unwrap() {
        StoreUrl::S3(url) => url,
        other => panic!("{other:?}"),
    }
}

async fn accept(listener: TcpListener, front: Front) {
    let mut connections = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let front = front.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| front.clone().answer(request));
            let connection = hyper::server::conn::http1::Builder::new();
            // A client that goes away is no failure of the server.
            let _ = connection.serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

/// What stands before the S3 service and misbehaves.
#[derive(Clone)]
struct Front {
    service: S3Service,
    manners: Arc<Manners>,
    root: Arc<Path>,
    /// The service checks a condition and writes in two steps; real servers in one.
    writing: Arc<tokio::sync::Mutex<()>>,
}

type Answer = Response<s3s::Body>;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost")]
struct Lost;

impl Front {
    fn new(service: S3Service, manners: Arc<Manners>, root: &Path) -> Self {
        Front { service, manners, root: root.into(), writing: Arc::default() }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Answer, Lost> {
        if let Some(refusal) = self.refusal(&request) {
            return Ok(refusal);
        }
        if reads_object(&request) && self.manners.hangs_reads.load(Ordering::SeqCst) {
            self.manners.hung_read_count.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        let is = |manner: &AtomicBool, header| {
            manner.load(Ordering::SeqCst) && request.headers().contains_key(header)
        };
        if is(&self.manners.ignores_conditions, "if-none-match")
            || (request.method() == Method::PUT && is(&self.manners.vanishes_before_replace, "if-match"))
        {
            // The header is signed, so it stays; what it protects goes. A first write has nothing to remove.
            let _ = std::fs::remove_file(self.root.join(request.uri().path().trim_start_matches('/')));
        }
        let method = request.method().clone();
        let _writing = match method {
            Method::PUT => Some(self.writing.lock().await),
            _ => None,
        };
        let mut answer = self.service.call(request.map(s3s::Body::from)).await.map_err(|_| Lost)?;
        if method == Method::PUT && take(&self.manners.lost_answer_count) {
            return Err(Lost);
        }
        if method == Method::GET && answer.status().is_success() && take(&self.manners.broken_off_count) {
            // Announces more than it has: the client sees the connection end early.
            answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1000000"));
        }
        Ok(answer)
    }

    fn refusal(&self, request: &Request<Incoming>) -> Option<Answer> {
        let manners = &self.manners;
        let has = |name: &str| request.headers().contains_key(name);
        if has("content-md5") {
            manners.seen_content_md5_count.fetch_add(1, Ordering::SeqCst);
        }
        if request.method() == Method::DELETE {
            manners.single_delete_count.fetch_add(1, Ordering::SeqCst);
        }
        let is_bulk_delete = request.method() == Method::POST && request.uri().query() == Some("delete");
        let is = |manner: &AtomicBool| manner.load(Ordering::SeqCst);
        let path = request.uri().path();
        let below_packs = path.contains("/packs/");
        match () {
            () if take(&manners.throttled_request_count) => Some(refuse(503, "SlowDown")),
            () if reads_object(request) && manners.denies_reads.load(Ordering::SeqCst) => {
                Some(refuse(403, "AccessDenied"))
            }
            () if below_packs
                && request.method() == Method::DELETE
                && is(&manners.denies_deletes_below_packs) =>
            {
                Some(refuse(403, "AccessDenied"))
            }
            () if below_packs && request.method() == Method::PUT && is(&manners.denies_puts_below_packs) => {
                Some(refuse(403, "AccessDenied"))
            }
            () if below_packs && request.method() == Method::PUT && is(&manners.fails_puts_below_packs) => {
                Some(refuse(418, "Teapot"))
            }
            () if is(&manners.fails_damaged_and_raced)
                && request.method() == Method::PUT
                && (path.ends_with("damaged") || path.ends_with("race")) =>
            {
                Some(refuse(503, "ServiceUnavailable"))
            }
            () if (has("if-none-match") || has("if-match"))
                && manners.refuses_conditions.load(Ordering::SeqCst) =>
            {
                Some(refuse(501, "NotImplemented"))
            }
            () if has("content-md5") && manners.refuses_content_md5.load(Ordering::SeqCst) => {
                Some(refuse(400, "InvalidArgument"))
            }
            () if is_bulk_delete && manners.refuses_bulk_delete.load(Ordering::SeqCst) => {
                Some(refuse(501, "NotImplemented"))
            }
            () => None,
        }
    }
}

/// Whether it is a GET of an object, and not of a listing.
fn reads_object(request: &Request<Incoming>) -> bool {
    let is_listing = request.uri().query().is_some_and(|query| query.contains("list-type"));
    request.method() == Method::GET && !is_listing
}

/// Counts one down; false at zero.
fn take(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn refuse(status: u16, code: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>");
    let mut answer = Response::new(s3s::Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    answer
}
