//! Servers that are none, or hostile ones: nothing that they send may cost much, be believed, or get a
//! password out of us that they may not have.

#![allow(clippy::unwrap_used, reason = "a helper fails its test by panicking")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dbhaul_tests::{Dbhaul, Finished, Server};

/// The password that every run has.
const PASSWORD: &str = "S3CR3Tz";
/// What a server that is refused may have sent by then: what sockets hold, not what it announced.
const MUCH_BYTES: u64 = 32 << 20;
/// What refusing it may cost in memory.
const MEMORY_BYTES: u64 = 160 << 20;

/// Something that listens where a server is expected.
struct Rogue {
    port: u16,
    /// How many bytes it could send.
    sent_bytes: Arc<AtomicU64>,
    /// All that it was sent.
    received: Arc<Mutex<Vec<u8>>>,
}

/// One connection to it.
struct Peer {
    stream: TcpStream,
    sent_bytes: Arc<AtomicU64>,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Rogue {
    /// Starts one that treats each connection alike.
    fn start(script: impl Fn(&mut Peer) -> std::io::Result<()> + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sent_bytes, received) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let rogue = Rogue { port, sent_bytes: Arc::clone(&sent_bytes), received: Arc::clone(&received) };
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let (sent_bytes, received) = (Arc::clone(&sent_bytes), Arc::clone(&received));
                let mut peer = Peer { stream, sent_bytes, received };
                // That it is left is what the tests want.
                let _ = script(&mut peer);
            }
        });
        rogue
    }

    fn uri(&self, options: &str) -> String {
        format!("postgres://u:{PASSWORD}@127.0.0.1:{}/d?{options}", self.port)
    }

    /// Has the binary try to read a database there, with TLS or without, as the options say.
    fn meet(&self, options: &str) -> Finished {
        self.meet_in(options, &[])
    }

    fn meet_in(&self, options: &str, environment: &[(&str, &str)]) -> Finished {
        let run = Dbhaul::new(["dump", "--dry-run", "--store", "unused", "--source", &self.uri(options)]);
        let run = run.envs(environment.iter().copied()).run();
        assert!(!format!("{run:?}").replace(&self.uri(options), "").contains(PASSWORD), "{run}");
        run
    }

    /// As [`meet`](Self::meet): the run is to fail with these words and the server's name, having taken little.
    #[track_caller]
    fn check(&self, options: &str, words: &[&str]) {
        let run = self.meet(options);
        run.assert_code(1).assert_stderr_has(words);
        run.assert_stderr_has(&[&format!("127.0.0.1:{}", self.port)]);
        assert!(run.peak_resident_bytes < MEMORY_BYTES, "{} bytes: {run}", run.peak_resident_bytes);
        let sent_bytes = self.sent_bytes.load(Ordering::Relaxed);
        assert!(sent_bytes < MUCH_BYTES, "{sent_bytes} bytes were taken: {run}");
    }

    fn has_received(&self, text: &str) -> bool {
        self.received.lock().unwrap().windows(text.len()).any(|window| window == text.as_bytes())
    }
}

impl Peer {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes)?;
        self.sent_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn message(&mut self, kind: u8, body: &[u8]) -> std::io::Result<()> {
        self.send(&message(kind, body))
    }

    /// What comes next, as much as is there.
    fn receive(&mut self) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; 64 << 10];
        let count = self.stream.read(&mut bytes)?;
        bytes.truncate(count);
        if bytes.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        self.received.lock().unwrap().extend_from_slice(&bytes);
        Ok(bytes)
    }

    /// Lets the client in without a question, and waits for its first query.
    fn let_in(&mut self) -> std::io::Result<()> {
        self.receive()?;
        self.message(b'R', &0_u32.to_be_bytes())?;
        self.message(b'Z', b"I")?;
        self.receive().map(drop)
    }

    /// A header, and then zeros for as long as anybody takes them.
    fn announce(&mut self, kind: u8, length: i32) -> std::io::Result<()> {
        self.send(&[&[kind], &length.to_be_bytes()[..]].concat())?;
        let zeros = vec![0; 64 << 10];
        loop {
            self.send(&zeros)?;
        }
    }

    /// Stays until the client goes.
    fn wait(&mut self) -> std::io::Result<()> {
        loop {
            self.receive()?;
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], &length[..], body].concat()
}

/// The body of a warning of about this length.
fn warning(bytes: usize) -> Vec<u8> {
    let text = "x".repeat(bytes);
    format!("SWARNING\0VWARNING\0C01000\0M{text}\0\0").into_bytes()
}

#[test]
fn no_message_of_a_login_is_long() {
    for kind in [b'R', b'E', b'N', b'S', b'K', b'Z', b'v', b'd', b'?'] {
        for length in [i32::MAX, 0x1000_0000, 65_537] {
            let rogue = Rogue::start(move |peer| {
                peer.receive()?;
                peer.announce(kind, length)
            });
            let announced = format!("message of type '{}' and {length} bytes", char::from(kind));
            rogue.check("sslmode=disable", &[&announced, "before the login is over"]);
        }
    }
}

#[test]
fn no_length_is_negative_or_shorter_than_itself() {
    for length in [i32::MIN, -1, 0, 3] {
        for kind in [b'R', b'N', b'Z'] {
            let before = Rogue::start(move |peer| {
                peer.receive()?;
                peer.announce(kind, length)
            });
            before.check("sslmode=disable", &[&format!("the length {length}, which no message has")]);
            let after = Rogue::start(move |peer| {
                peer.let_in()?;
                peer.announce(kind, length)
            });
            after.check("sslmode=disable", &[&format!("the length {length}, which no message has")]);
        }
    }
}

#[test]
fn after_the_login_a_message_is_as_long_as_its_kind_can_be() {
    for kind in [b'T', b't', b'D', b'd', b'E', b'N', b'S', b'A', b'C', b'H', b'Z', b'1', b'?'] {
        let rogue = Rogue::start(move |peer| {
            peer.let_in()?;
            peer.announce(kind, i32::MAX)
        });
        let announced = format!("message of type '{}' and {} bytes", char::from(kind), i32::MAX);
        rogue.check("sslmode=disable", &[&announced, "was ended"]);
    }
}

#[test]
fn answers_to_the_first_queries_are_short() {
    // one row message of half a GiB, and rows without end
    let long = Rogue::start(|peer| {
        peer.let_in()?;
        peer.announce(b'D', 1 << 29)
    });
    let many = Rogue::start(|peer| {
        peer.let_in()?;
        let column =
            [&b"\0\x01a\0"[..], &[0; 4], &[0, 0], &25_u32.to_be_bytes(), &[0xff; 6], &[0, 0]].concat();
        peer.message(b'T', &column)?;
        let rows = message(b'D', b"\0\x01\0\0\0\x01x").repeat(1000);
        loop {
            peer.send(&rows)?;
        }
    });
    for rogue in [long, many] {
        rogue.check("sslmode=disable", &["in answer to the first queries"]);
    }
}

#[test]
fn a_login_ends_somewhere() {
    for flood in [message(b'N', &warning(200)), message(b'S', b"a\0b\0")] {
        let rogue = Rogue::start(move |peer| {
            peer.receive()?;
            peer.message(b'R', &0_u32.to_be_bytes())?;
            let flood = flood.repeat(100);
            loop {
                peer.send(&flood)?;
            }
        });
        rogue.check("sslmode=disable", &["was still not ready for a query"]);
    }
}

#[test]
fn a_flood_of_warnings_is_not_kept() {
    let rogue = Rogue::start(|peer| {
        peer.let_in()?;
        let warning = message(b'N', &warning(1 << 20));
        (0..400).try_for_each(|_| peer.send(&warning))
    });
    let run = rogue.meet("sslmode=disable");
    run.assert_code(1);
    assert!(run.peak_resident_bytes < MEMORY_BYTES, "{} bytes: {run}", run.peak_resident_bytes);
    assert!(rogue.sent_bytes.load(Ordering::Relaxed) > 400 << 20, "{run}");
}

#[test]
fn parameters_that_change_for_ever_are_not_kept() {
    let rogue = Rogue::start(|peer| {
        peer.let_in()?;
        for number in 0..40_000 {
            peer.message(b'S', format!("{number:01000}\0{number:04000}\0").as_bytes())?;
        }
        Ok(())
    });
    let run = rogue.meet("sslmode=disable");
    run.assert_code(1);
    assert!(run.peak_resident_bytes < MEMORY_BYTES, "{} bytes: {run}", run.peak_resident_bytes);
    assert!(rogue.sent_bytes.load(Ordering::Relaxed) > 200_000_000, "{run}");
}

#[test]
fn bytes_between_the_answer_about_tls_and_its_beginning_are_refused() {
    // CVE-2021-23222: they would be taken for bytes of the encrypted connection.
    let injected = [b"S".to_vec(), message(b'R', &[0; 4]), message(b'Z', b"I")].concat();
    let rogue = Rogue::start(move |peer| {
        peer.receive()?;
        peer.send(&injected)?;
        peer.wait()
    });
    for mode in ["prefer", "require"] {
        rogue.check(&format!("sslmode={mode}"), &["unencrypted bytes after it had agreed to TLS"]);
    }
}

#[test]
fn an_answer_about_tls_is_yes_or_no() {
    let error = message(b'E', b"SFATAL\0C53300\0Mgive me your password\0\0");
    for answer in [error, b"H".to_vec(), vec![0]] {
        let rogue = Rogue::start(move |peer| {
            peer.receive()?;
            peer.send(&answer)?;
            peer.wait()
        });
        for mode in ["prefer", "require"] {
            let run = rogue.meet(&format!("sslmode={mode}"));
            run.assert_code(1).assert_stderr_has(&["answered the request for TLS with an error"]);
            assert!(!run.stderr.contains("give me"), "it is nobody's word yet: {run}");
        }
    }
}

#[test]
fn a_server_that_never_answers_is_left() {
    let silent = Rogue::start(Peer::wait);
    for options in ["sslmode=disable", "sslmode=require"] {
        silent.check(&format!("{options}&connect_timeout=2"), &["no answer within 2 s"]);
    }
}

/// A server that asks for SCRAM and answers the client's first message.
fn scram(answer: impl Fn(&str) -> String + Send + 'static) -> Rogue {
    Rogue::start(move |peer| {
        peer.receive()?;
        peer.message(b'R', &[&10_u32.to_be_bytes()[..], b"SCRAM-SHA-256\0\0"].concat())?;
        let first = String::from_utf8_lossy(&peer.receive()?).into_owned();
        let nonce = first.split("r=").last().unwrap();
        peer.message(b'R', &[&11_u32.to_be_bytes()[..], answer(nonce).as_bytes()].concat())?;
        peer.receive()?;
        // Without the proof that it knows the password.
        peer.message(b'R', &0_u32.to_be_bytes())?;
        peer.message(b'Z', b"I")?;
        peer.wait()
    })
}

#[test]
fn a_server_cannot_have_us_compute_for_long_or_skip_its_own_proof() {
    let endless = scram(|nonce| format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i={}", i32::MAX));
    endless.check("sslmode=disable", &["asks for 2147483647 iterations of SCRAM", "at most 100000"]);
    let other_nonce = scram(|_| "r=other,s=QSXCR+Q6sek8bf92,i=4096".to_owned());
    other_nonce.check("sslmode=disable", &["authentication: ", "nonce"]);
    let unproven = scram(|nonce| format!("r={nonce}x,s=QSXCR+Q6sek8bf92,i=4096"));
    unproven.check("sslmode=disable", &["unexpected message"]);
}

/// What a server asks for, and the words for it.
const REQUESTS: [(u32, &str); 3] = [
    (3, "asks for the password in clear text"),
    (5, "asks for an MD5 hash of the password"),
    (0, "without any"),
];

/// A server that asks for a proof of its choice.
fn asking(code: u32) -> Rogue {
    Rogue::start(move |peer| {
        peer.receive()?;
        let salt: &[u8] = if code == 5 { b"salt" } else { b"" };
        peer.message(b'R', &[&code.to_be_bytes()[..], salt].concat())?;
        // The password, or the first query.
        peer.receive()?;
        peer.message(b'E', b"SFATAL\0VFATAL\0C28P01\0Mno\0\0")
    })
}

#[test]
fn require_auth_keeps_the_password_from_a_server_that_asks_otherwise() {
    for (code, words) in REQUESTS {
        for required in ["scram-sha-256", "!password,!md5,!none", "gss"] {
            let rogue = asking(code);
            let option = format!("sslmode=disable&require_auth={required}");
            rogue.check(&option, &[&format!("require_auth={required} does not allow this"), words]);
            let run = rogue.meet_in("sslmode=disable", &[("PGREQUIREAUTH", required)]);
            run.assert_code(1).assert_stderr_has(&["does not allow this", words]);
            assert!(!rogue.has_received(PASSWORD) && !rogue.has_received("md5"));
        }
    }
    // As to libpq, a server may ask for it where nothing is required.
    let rogue = asking(3);
    rogue.check("sslmode=disable", &["28P01"]);
    assert!(rogue.has_received(PASSWORD));
}

#[test]
fn a_way_of_logging_in_that_is_not_spoken_is_named() {
    for (code, words) in [(7, "GSSAPI"), (9, "SSPI"), (2, "Kerberos"), (4711, "unknown")] {
        asking(code).check("sslmode=disable", &[words, "does not support"]);
    }
    let oauth = Rogue::start(|peer| {
        peer.receive()?;
        peer.message(b'R', &[&10_u32.to_be_bytes()[..], b"OAUTHBEARER\0\0"].concat())?;
        peer.wait()
    });
    oauth.check("sslmode=disable", &["authentication: unsupported SASL mechanism"]);
}

#[test]
fn require_auth_is_what_it_is_to_libpq_on_real_servers() {
    let server = Server::builder(18)
        .hba("host all scram 127.0.0.1/32 scram-sha-256")
        .hba("host all md5 127.0.0.1/32 md5")
        .hba("host all clear 127.0.0.1/32 password")
        .hba("host all free 127.0.0.1/32 trust")
        .start();
    server.psql(
        "postgres",
        "CREATE ROLE scram LOGIN SUPERUSER PASSWORD 'pw'; CREATE ROLE clear LOGIN SUPERUSER PASSWORD 'pw';
         CREATE ROLE free LOGIN SUPERUSER; SET password_encryption = 'md5';
         CREATE ROLE md5 LOGIN SUPERUSER PASSWORD 'pw'",
    );
    let lists = [
        "password",
        "md5",
        "scram-sha-256",
        "none",
        "gss",
        "!password",
        "!md5",
        "!scram-sha-256",
        "!none",
        "md5,scram-sha-256",
        "none,password",
        "!none,!password",
        "sspi",
        "oauth",
        "!gss",
        "!sspi,!oauth",
    ];
    for user in ["scram", "md5", "clear", "free"] {
        for list in lists {
            let uri = format!("{}?require_auth={list}", server.uri_as(&format!("{user}:pw"), "postgres"));
            let psql = server.client("psql").args(["-XAtwc", "SELECT 1", &uri]).output().unwrap();
            let run = Dbhaul::new(["dump", "--dry-run", "--store", "unused", "--source", &uri]).run();
            assert_eq!(run.code == Some(0), psql.status.success(), "{user} {list}: {run}");
        }
    }
}
