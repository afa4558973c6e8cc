//! Getting in, and being told clearly why not: passwords, databases, hosts, certificates.

#![allow(clippy::unwrap_used, reason = "a helper fails its test by panicking")]

use std::path::Path;
use std::process::Command;

use dbhaul_postgres::{ConnectSettings, Error, ErrorClass, Session, SessionRole};
use dbhaul_tests::{Authority, CertificateFiles, Server, Validity};
use tokio_util::sync::CancellationToken;

async fn connect(text: &str) -> Result<Session, Error> {
    let settings = ConnectSettings::resolve(Some(text), &|_| None)?;
    Session::connect(&settings, SessionRole::Reader, &CancellationToken::new()).await
}

#[track_caller]
fn check(result: Result<Session, Error>, class: ErrorClass, words: &[&str]) {
    let error = result.unwrap_err();
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    assert_eq!(error.class(), class, "{message}");
    assert!(!format!("{message} {error:?}").contains("hush"), "{message}");
}

#[tokio::test]
async fn each_refusal_names_what_is_wrong() {
    let server = Server::builder(18).scram().start();
    let user = format!("postgres:{}", Server::PASSWORD);
    connect(&server.uri_as(&user, "postgres")).await.unwrap();
    connect(&server.socket_uri("postgres")).await.unwrap();
    let wrong = connect(&server.uri_as("postgres:hush", "postgres")).await;
    check(wrong, ErrorClass::Auth, &["password authentication failed for user \"postgres\"", "28P01"]);
    let missing = connect(&server.uri_as(&user, "nowhere")).await;
    check(missing, ErrorClass::Permanent, &["database \"nowhere\" does not exist", "3D000"]);
    let none = connect(&server.uri("postgres")).await;
    check(none, ErrorClass::Auth, &["wants a password", "~/.pgpass"]);
    let unknown = connect("postgres://u:hush@no-such-host.invalid/d").await;
    check(unknown, ErrorClass::Permanent, &["no-such-host.invalid", "cannot be looked up"]);
    let socket = connect("postgres://u:hush@/d?host=/no/such/directory").await;
    check(socket, ErrorClass::Transient, &["/no/such/directory/.s.PGSQL.5432"]);
    let plain = connect(&format!("{}?sslmode=require", server.uri_as(&user, "postgres"))).await;
    check(plain, ErrorClass::Permanent, &["does not support TLS"]);
    let kind = connect(&format!("{}?target_session_attrs=standby", server.uri_as(&user, "postgres"))).await;
    check(kind, ErrorClass::Permanent, &["target_session_attrs=standby"]);
}

#[tokio::test]
async fn the_first_host_that_answers_is_taken_and_else_all_are_named() {
    let mut stopped = Server::start(14);
    let server = Server::start(15);
    stopped.stop();
    let ports = format!("{},{}", stopped.port(), server.port());
    let text = format!("host=127.0.0.1,localhost port={ports} user=postgres dbname=postgres");
    assert_eq!(connect(&text).await.unwrap().version().major(), 15);
    let text = format!("host=127.0.0.1,no-such-host.invalid port={} user=u password=hush", stopped.port());
    check(
        connect(&text).await,
        ErrorClass::Transient,
        &["refused", "no-such-host.invalid", "cannot be looked up"],
    );
}

#[tokio::test]
async fn a_full_server_is_transient() {
    let server = Server::builder(16)
        .config("max_connections", "6")
        .config("superuser_reserved_connections", "3")
        .config("max_wal_senders", "0")
        .start();
    server.psql("postgres", "CREATE ROLE ann LOGIN");
    let uri = server.uri_as("ann", "postgres");
    let mut sessions = Vec::new();
    let refused = loop {
        match connect(&uri).await {
            Ok(session) => sessions.push(session),
            refused => break refused,
        }
        assert!(sessions.len() < 6, "nobody was refused");
    };
    check(refused, ErrorClass::Transient, &["53300", "fewer jobs"]);
}

fn over_tls(server: &Server, host: &str, more: &str) -> String {
    format!("host={host} hostaddr=127.0.0.1 port={} user=postgres dbname=postgres {more}", server.port())
}

#[tokio::test]
async fn certificates_are_checked_as_far_as_asked_for() {
    let authority = Authority::new();
    let server = Server::builder(17).tls(&authority.server(&["localhost"], Validity::Current)).start();
    let root = format!("sslrootcert={}", authority.certificate().display());
    let stranger = Authority::new();
    let other = format!("sslrootcert={}", stranger.certificate().display());

    for more in ["sslmode=prefer", "sslmode=require", "sslmode=require sslnegotiation=direct"] {
        assert!(is_encrypted(&connect(&over_tls(&server, "elsewhere", more)).await.unwrap()).await, "{more}");
    }
    assert!(!is_encrypted(&connect(&over_tls(&server, "localhost", "sslmode=disable")).await.unwrap()).await);
    assert!(!is_encrypted(&connect(&over_tls(&server, "localhost", "sslmode=allow")).await.unwrap()).await);

    let full =
        connect(&over_tls(&server, "localhost", &format!("sslmode=verify-full {root}"))).await.unwrap();
    assert!(is_encrypted(&full).await);
    connect(&over_tls(&server, "elsewhere", &format!("sslmode=verify-ca {root}"))).await.unwrap();
    let name = connect(&over_tls(&server, "elsewhere", &format!("sslmode=verify-full {root}"))).await;
    check(name, ErrorClass::Permanent, &["not for elsewhere but for localhost"]);
    let issuer = connect(&over_tls(&server, "localhost", &format!("sslmode=verify-full {other}"))).await;
    check(issuer, ErrorClass::Permanent, &["not trusted", "sslrootcert"]);
    // as libpq: require checks the issuer too once it is told a root certificate
    let issuer = connect(&over_tls(&server, "localhost", &format!("sslmode=require {other}"))).await;
    check(issuer, ErrorClass::Permanent, &["not trusted"]);
    let nothing = connect(&over_tls(&server, "localhost", "sslmode=verify-full")).await;
    check(nothing, ErrorClass::Settings, &["sslrootcert=FILE"]);
}

#[tokio::test]
async fn an_expired_certificate_is_said_to_be_expired() {
    let authority = Authority::new();
    let server = Server::builder(13).tls(&authority.server(&["localhost"], Validity::Expired)).start();
    let root = format!("sslmode=verify-full sslrootcert={}", authority.certificate().display());
    check(
        connect(&over_tls(&server, "localhost", &root)).await,
        ErrorClass::Permanent,
        &["localhost expired", "days ago"],
    );
}

#[tokio::test]
async fn a_client_certificate_and_channel_binding_let_us_in() {
    let authority = Authority::new();
    let server = Server::builder(16)
        .tls(&authority.server(&["localhost"], Validity::Current))
        .client_authority(authority.certificate())
        .hba("hostssl all ann 127.0.0.1/32 cert")
        .scram()
        .start();
    server.psql("postgres", "CREATE ROLE ann LOGIN");
    let ann = authority.client("ann");
    let files = format!("sslcert={} sslkey={}", ann.certificate.display(), ann.key.display());
    let text = format!("host=localhost hostaddr=127.0.0.1 port={} user=ann dbname=postgres", server.port());
    let session = connect(&format!("{text} sslmode=require {files}")).await.unwrap();
    assert_eq!(session.user(), "ann");
    check(connect(&format!("{text} sslmode=require")).await, ErrorClass::Auth, &["certificate"]);

    let bound = format!("password={} sslmode=require channel_binding=require", Server::PASSWORD);
    connect(&over_tls(&server, "localhost", &bound)).await.unwrap();
    let unbound = format!("password={} sslmode=disable channel_binding=require", Server::PASSWORD);
    check(connect(&over_tls(&server, "localhost", &unbound)).await, ErrorClass::Auth, &["channel binding"]);
}

#[tokio::test]
async fn a_cancel_request_goes_over_tls_too() {
    let authority = Authority::new();
    let server = Server::builder(18)
        .tls(&authority.server(&["localhost"], Validity::Current))
        .hba("hostnossl all all 127.0.0.1/32 reject")
        .start();
    let token = CancellationToken::new();
    let text = over_tls(&server, "localhost", "sslmode=require");
    let settings = ConnectSettings::resolve(Some(&text), &|_| None).unwrap();
    let session = Session::connect(&settings, SessionRole::Reader, &token).await.unwrap();
    let mut copy = session
        .copy_out("COPY (SELECT pg_catalog.generate_series(1, 1000000000000)) TO STDOUT")
        .await
        .unwrap();
    assert!(copy.next_block().await.unwrap().is_some());
    token.cancel();
    while copy.next_block().await.is_ok_and(|block| block.is_some()) {}
    session.rollback().await.unwrap();
    let log = server.log();
    assert!(log.contains("canceling statement due to user request"), "{log}");
}

#[tokio::test]
async fn certificates_of_the_manual_are_accepted() {
    // the PostgreSQL manual makes version 1 certificates with a common name only; openssl still does on demand
    let directory = tempfile::tempdir().unwrap();
    let files = Authority::new().server(&["localhost"], Validity::Current);
    make_as_in_the_manual(directory.path(), &files);
    let server = Server::builder(15).tls(&files).start();
    let root = format!("sslrootcert={}", directory.path().join("ca.crt").display());
    connect(&over_tls(&server, "localhost", "sslmode=require")).await.unwrap();
    connect(&over_tls(&server, "localhost", &format!("sslmode=verify-full {root}"))).await.unwrap();
    let name = connect(&over_tls(&server, "elsewhere", &format!("sslmode=verify-full {root}"))).await;
    check(name, ErrorClass::Permanent, &["not for elsewhere but for localhost"]);
    let stranger = Authority::new();
    let other = format!("sslmode=verify-ca sslrootcert={}", stranger.certificate().display());
    check(connect(&over_tls(&server, "localhost", &other)).await, ErrorClass::Permanent, &["not trusted"]);
}

async fn is_encrypted(session: &Session) -> bool {
    let sql = "SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()";
    session.query_one_text(sql).await.unwrap().as_deref() == Some("t")
}

/// Replaces a server's certificate by one of version 1, for `localhost` by its common name, signed by `ca.crt`.
fn make_as_in_the_manual(directory: &Path, files: &CertificateFiles) {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split(' ')).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl("req -new -x509 -days 9 -nodes -newkey rsa:2048 -keyout ca.key -out ca.crt -subj /CN=authority");
    openssl("req -new -nodes -newkey rsa:2048 -keyout s.key -out s.csr -subj /CN=localhost");
    openssl("x509 -req -in s.csr -days 9 -CA ca.crt -CAkey ca.key -CAcreateserial -out s.crt");
    std::fs::copy(directory.join("s.crt"), &files.certificate).unwrap();
    std::fs::copy(directory.join("s.key"), &files.key).unwrap();
}
