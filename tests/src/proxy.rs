//! A TCP proxy that stands between a client and a server, and fails on command.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::statements::{Frontend, Sent, Statement};

/// How often a slow connection may send, and a stalled one looks whether it may go on.
const TICK: Duration = Duration::from_millis(1);

/// How connections end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// In good order, as when the other side closes.
    Fin,
    /// As when the other side's machine was started anew.
    Rst,
}

/// How bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Free,
    Stalled,
    BytesPerTick(usize),
}

/// A proxy on a port of its own before a server on 127.0.0.1; ends with all its connections when dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: SocketAddr,
    pace: watch::Sender<Pace>,
    /// Counts the cuts; connections end when it moves on.
    cuts: watch::Sender<(u64, Cut)>,
    passed_bytes: AtomicU64,
    /// Connections are cut once so many bytes have passed in all.
    cut_at_bytes: AtomicU64,
    connections: AtomicU64,
    /// What clients have said.
    sent: Sent,
    /// How long what servers say is held back.
    lag: watch::Sender<Duration>,
    /// Round trips of all connections.
    round_trips: AtomicU64,
}

impl Proxy {
    /// Starts a proxy before the server on this port.
    pub fn before(port: u16) -> Self {
        let shared = Arc::new(Shared {
            server: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            pace: watch::Sender::new(Pace::Free),
            cuts: watch::Sender::new((0, Cut::Fin)),
            passed_bytes: AtomicU64::new(0),
            cut_at_bytes: AtomicU64::new(u64::MAX),
            connections: AtomicU64::new(0),
            sent: Sent::default(),
            lag: watch::Sender::new(Duration::ZERO),
            round_trips: AtomicU64::new(0),
        });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (told, port) = mpsc::channel();
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async move {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port is free");
                told.send(listener.local_addr().expect("it is bound").port()).expect("we are waited for");
                tokio::select! {
                    () = serve(listener, for_thread) => {}
                    _ = stopped => {}
                }
            });
        });
        let port = port.recv().expect("the proxy starts");
        Self { port, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URI of a database behind it as the superuser.
    pub fn uri(&self, db: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{db}", self.port)
    }

    /// Bytes that have passed in both directions.
    pub fn passed_bytes(&self) -> u64 {
        self.shared.passed_bytes.load(Ordering::Relaxed)
    }

    /// Connections made so far.
    pub fn connection_count(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The statements that clients have sent so far, where they did not encrypt them.
    pub fn statements(&self) -> Vec<Statement> {
        self.shared.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Round trips so far: how often a server has begun to answer something that a client has said. What a
    /// client says while an answer is still under way counts anew only after more of an answer has come, so on
    /// each connection these are trips of which one waits for another, and what is sent together is one.
    /// Exact where [`lag`](Self::lag) is longer than a client takes to send what it sends together.
    pub fn round_trips(&self) -> u64 {
        self.shared.round_trips.load(Ordering::Relaxed)
    }

    /// Holds back what servers say for so long, as a line does.
    pub fn lag(&self, lag: Duration) {
        self.shared.lag.send_replace(lag);
    }

    /// Ends all connections that there are; new ones pass.
    pub fn cut(&self, how: Cut) {
        self.shared.cut(how);
    }

    /// Resets all connections once so many more bytes have passed; once.
    pub fn cut_after(&self, more_bytes: u64) {
        let at = self.passed_bytes().saturating_add(more_bytes);
        self.shared.cut_at_bytes.store(at, Ordering::Relaxed);
    }

    /// Lets nothing pass any more, and keeps connections open.
    pub fn stall(&self) {
        self.shared.pace.send_replace(Pace::Stalled);
    }

    /// Lets each connection pass so many bytes a millisecond.
    pub fn slow(&self, bytes_per_tick: usize) {
        self.shared.pace.send_replace(Pace::BytesPerTick(bytes_per_tick.max(1)));
    }

    /// Lets everything pass again.
    pub fn flow(&self) {
        self.shared.pace.send_replace(Pace::Free);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn cut(&self, how: Cut) {
        self.cuts.send_modify(|(count, cut)| (*count, *cut) = (*count + 1, how));
    }

    fn count(&self, bytes: usize) {
        let passed = self.passed_bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64;
        if passed >= self.cut_at_bytes.load(Ordering::Relaxed)
            && self.cut_at_bytes.swap(u64::MAX, Ordering::Relaxed) != u64::MAX
        {
            self.cut(Cut::Rst);
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let frontend = Frontend::new(number, Arc::clone(&shared.sent));
        tokio::spawn(forward(client, frontend, Arc::clone(&shared)));
    }
}

/// One connection, until both sides have ended it or it is cut.
async fn forward(mut client: TcpStream, frontend: Frontend, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    cuts.mark_unchanged();
    let Ok(mut server) = TcpStream::connect(shared.server).await else { return };
    // as on the connections it stands between: else each answer to a small message waits 40 ms for the one before
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let is_asked = AtomicBool::new(false);
    let both = async {
        tokio::join!(
            pump(from_client, to_server, Some(frontend), &is_asked, &shared),
            pump(from_server, to_client, None, &is_asked, &shared)
        )
    };
    let how = tokio::select! {
        _ = both => return,
        _ = cuts.changed() => cuts.borrow().1,
    };
    if how == Cut::Rst {
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut frontend: Option<Frontend>,
    is_asked: &AtomicBool,
    shared: &Shared,
) {
    let mut pace = shared.pace.subscribe();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let now = *pace.borrow_and_update();
        let limit = match now {
            Pace::Free => buffer.len(),
            Pace::BytesPerTick(bytes) => bytes.min(buffer.len()),
            Pace::Stalled => {
                let _ = pace.changed().await;
                continue;
            }
        };
        let Ok(count @ 1..) = from.read(&mut buffer[..limit]).await else { break };
        while *pace.borrow_and_update() == Pace::Stalled {
            let _ = pace.changed().await;
        }
        shared.count(count);
        match &mut frontend {
            Some(frontend) => {
                frontend.push(&buffer[..count]);
                is_asked.store(true, Ordering::Relaxed);
            }
            None => {
                let lag = *shared.lag.borrow();
                if !lag.is_zero() {
                    tokio::time::sleep(lag).await;
                }
                let has_begun = is_asked.swap(false, Ordering::Relaxed);
                shared.round_trips.fetch_add(u64::from(has_begun), Ordering::Relaxed);
            }
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            break;
        }
        if matches!(now, Pace::BytesPerTick(_)) {
            tokio::time::sleep(TICK).await;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::{Cut, Proxy};

    /// A server that sends back what it gets, and the port it is on.
    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut copy = stream.try_clone().unwrap();
                    let _ = std::io::copy(&mut stream, &mut copy);
                });
            }
        });
        port
    }

    fn round_trip(stream: &mut TcpStream) -> std::io::Result<[u8; 4]> {
        let mut answer = [0; 4];
        stream.write_all(b"ping")?;
        stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    #[test]
    fn what_is_cut_ends_and_what_comes_after_passes() {
        let proxy = Proxy::before(echo());
        for how in [Cut::Fin, Cut::Rst] {
            let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            assert_eq!(&round_trip(&mut stream).unwrap(), b"ping");
            proxy.cut(how);
            assert!(round_trip(&mut stream).is_err(), "{how:?}");
        }
        proxy.slow(1);
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        proxy.cut_after(10);
        assert_eq!(&round_trip(&mut stream).unwrap(), b"ping");
        assert!(round_trip(&mut stream).is_err(), "eight bytes had passed, and ten were the limit");
        assert_eq!(proxy.connection_count(), 3);
    }

    #[test]
    fn what_waits_for_an_answer_is_a_round_trip_of_its_own() {
        let proxy = Proxy::before(echo());
        proxy.lag(Duration::from_millis(50));
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        for trips in 1..=3 {
            stream.write_all(b"sent toge").unwrap();
            stream.write_all(b"ther").unwrap();
            stream.read_exact(&mut [0; 13]).unwrap();
            assert_eq!(proxy.round_trips(), trips);
        }
        // what nobody answers is none
        drop(stream);
        assert_eq!(
            &round_trip(&mut TcpStream::connect(("127.0.0.1", proxy.port())).unwrap()).unwrap(),
            b"ping"
        );
        assert_eq!(proxy.round_trips(), 4);
    }
}
