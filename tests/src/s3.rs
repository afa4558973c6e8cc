//! Real HTTP servers that speak S3: moto, which knows conditional writes and much else of AWS, and an
//! in-process one that keeps objects as files and checks signatures.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::S3Result;
use s3s::auth::{S3Auth, SecretKey, SimpleAuth};
use s3s::service::{S3Service, S3ServiceBuilder};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::iam::Policies;
use crate::keeper::Keeper;
use crate::ports::Port;
use crate::{places, wait_until};

const ACCESS_KEY: &str = "AKIADBHAULTESTS00000";
const SECRET_KEY: &str = "dbhaul/tests/secret+key/0123456789abcdef";
const REGION: &str = "us-east-1";

/// Where an S3 server listens and who may use it.
#[derive(Debug, Clone)]
pub struct S3Endpoint {
    /// `http://127.0.0.1:port`
    pub url: String,
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: String,
    /// The region that signatures name.
    pub region: String,
}

impl S3Endpoint {
    fn at(port: u16) -> Self {
        Self {
            url: format!("http://127.0.0.1:{port}"),
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            region: REGION.to_owned(),
        }
    }

    /// The URL of a store in a bucket, with endpoint, region and path style in its query.
    pub fn store_url(&self, bucket: &str, prefix: &str) -> String {
        format!("s3://{bucket}/{prefix}?endpoint={}&region={}&path_style=true", self.url, self.region)
    }

    /// The credentials as variables of the environment.
    pub fn env(&self) -> [(&'static str, String); 2] {
        [("AWS_ACCESS_KEY_ID", self.access_key.clone()), ("AWS_SECRET_ACCESS_KEY", self.secret_key.clone())]
    }
}

/// Runs moto so that objects whose keys the regular expression in a file finds are a day older than they are.
const MOTO: &str = "
import re
import sys
from datetime import timedelta
from pathlib import Path
from moto.s3.models import FakeKey
from moto.server import main

aged, port = Path(sys.argv[1]), sys.argv[2]

def get(key):
    is_aged = aged.exists() and re.search(aged.read_text(), key.name)
    return key.__dict__['written'] - timedelta(days=1 if is_aged else 0)

def put(key, time):
    key.__dict__['written'] = time

FakeKey.last_modified = property(get, put)
main(['-H', '127.0.0.1', '-p', port])
";

/// A running moto server, stopped when dropped.
#[derive(Debug)]
pub struct Moto {
    endpoint: S3Endpoint,
    aged: PathBuf,
    _keeper: Keeper,
    port: Port,
}

impl Moto {
    /// Starts a server and waits until it answers.
    pub fn start() -> Self {
        let port = Port::reserve();
        let dir = places::scratch().join(format!("moto-{}-{}", std::process::id(), port.number));
        std::fs::create_dir_all(&dir).expect("scratch is writable");
        let python = places::python_program().display().to_string();
        let aged = dir.join("aged");
        let command = [python, "-c".into(), MOTO.into(), aged.display().to_string(), port.number.to_string()];
        let mut keeper = Keeper::new(&dir, &dir.join("moto.log"), "KILL", &command);
        keeper.start();
        let moto = Self { endpoint: S3Endpoint::at(port.number), aged, _keeper: keeper, port };
        wait_until("moto answers", || moto.request("GET", "/moto-api/").ok());
        moto
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &S3Endpoint {
        &self.endpoint
    }

    /// From now on objects whose keys this regular expression finds are a day older than they are.
    pub fn age(&self, keys: &str) {
        std::fs::write(&self.aged, keys).expect("scratch is writable");
    }

    /// Creates a bucket.
    pub fn create_bucket(&self, bucket: &str) {
        let answer = self.request("PUT", &format!("/{bucket}")).expect("moto answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "moto did not create {bucket}: {answer}");
    }

    /// moto takes unsigned requests, so that making a bucket needs no S3 client.
    fn request(&self, method: &str, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port.number))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={ACCESS_KEY}/20200101/{REGION}/s3/aws4_request\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n",
            self.port.number
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

/// What was asked of a server so far, each as method, path and query.
type Requests = Arc<Mutex<Vec<String>>>;

/// An S3 server in this process that keeps each bucket as a directory of files.
#[derive(Debug)]
pub struct S3Directory {
    endpoint: S3Endpoint,
    root: TempDir,
    revoked: Arc<AtomicBool>,
    requests: Requests,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl S3Directory {
    /// Starts a server over a new empty directory.
    pub fn start() -> Self {
        Self::start_with(Policies::default())
    }

    /// Starts a server that has other users too, each with a policy of IAM, of which only what it allows is looked at.
    pub fn with_users(users: &[(&str, serde_json::Value)]) -> Self {
        Self::start_with(Policies(
            users.iter().map(|(user, policy)| ((*user).to_owned(), policy.clone())).collect(),
        ))
    }

    fn start_with(policies: Policies) -> Self {
        let root = TempDir::new().expect("the temporary directory is writable");
        let files = s3s_fs::FileSystem::new(root.path()).expect("the directory exists");
        let mut builder = S3ServiceBuilder::new(files);
        let revoked = Arc::<AtomicBool>::default();
        let mut known = SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY);
        for user in policies.0.keys() {
            known.register(user.clone(), SECRET_KEY.into());
        }
        builder.set_access(policies);
        builder.set_auth(Keys { known, revoked: Arc::clone(&revoked) });
        let service = builder.build();
        let requests = Requests::default();
        let seen = Arc::clone(&requests);
        let (stop, stopped) = oneshot::channel();
        let (tell_port, port) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("threads can be made").block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
                tell_port.send(listener.local_addr().expect("bound").port()).expect("the starter waits");
                tokio::select! { () = serve(&listener, &service, &seen) => {}, _ = stopped => {} }
            });
        });
        let port = port.recv().expect("the server thread binds a port");
        Self {
            endpoint: S3Endpoint::at(port),
            root,
            revoked,
            requests,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> &S3Endpoint {
        &self.endpoint
    }

    /// Where it listens, for one of its users.
    pub fn endpoint_of(&self, user: &str) -> S3Endpoint {
        S3Endpoint { access_key: user.to_owned(), ..self.endpoint.clone() }
    }

    /// Creates a bucket and returns its directory, in which objects are plain files.
    pub fn create_bucket(&self, bucket: &str) -> PathBuf {
        let dir = self.root().join(bucket);
        std::fs::create_dir(&dir).expect("the bucket is new");
        dir
    }

    /// What was asked since the last call, each as method, path and query: `GET /bucket/key?versioning`.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().expect("no test panics while it adds a line"))
    }

    /// Accepts the credentials no more.
    pub fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
    }

    /// The directory of all buckets.
    pub fn root(&self) -> &Path {
        self.root.path()
    }
}

impl Drop for S3Directory {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Keys that may be taken back.
struct Keys {
    known: SimpleAuth,
    revoked: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if self.revoked.load(Ordering::SeqCst) {
            return Err(s3s::s3_error!(InvalidAccessKeyId));
        }
        self.known.get_secret_key(access_key).await
    }
}

async fn serve(listener: &TcpListener, service: &S3Service, requests: &Requests) {
    let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    while let Ok((socket, _)) = listener.accept().await {
        let (service, requests) = (service.clone(), Arc::clone(requests));
        let counting = service_fn(move |request: Request<Incoming>| {
            let line = format!("{} {}", request.method(), request.uri());
            requests.lock().expect("no test panics while it takes them").push(line);
            Service::call(&service, request)
        });
        let connection = http.serve_connection(TokioIo::new(socket), counting).into_owned();
        tokio::spawn(async move {
            // A client that hangs up is the client's affair.
            let _ = connection.await;
        });
    }
}
