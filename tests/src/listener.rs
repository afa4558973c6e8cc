//! Who is told how a backup job went.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Takes what is posted, and answers with 200; the first time something is sent to `/flaky`, with 503; to `/moved` with
/// 301. Told to [hang](Self::hang), it takes what is posted and never answers.
#[derive(Debug)]
pub struct Listener {
    port: u16,
    hangs: Arc<AtomicBool>,
    got: Arc<Mutex<Vec<(String, String)>>>,
}

impl Listener {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("bound").port();
        let got: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let hangs = Arc::<AtomicBool>::default();
        let (taken, is_hanging) = (Arc::clone(&got), Arc::clone(&hangs));
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let status = take(&mut stream, &taken);
                match is_hanging.load(Ordering::SeqCst) {
                    true => held.push(stream),
                    false => answer(&mut stream, status),
                }
            }
        });
        Listener { port, hangs, got }
    }

    /// From now on nobody is answered.
    pub fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    /// How many posts came since they were last taken.
    pub fn count(&self) -> usize {
        self.got.lock().expect("no answer panics").len()
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What was posted since the last call: paths and bodies.
    pub fn take(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.got.lock().expect("no answer panics"))
    }

    /// The paths of what was posted since the last call.
    pub fn paths(&self) -> Vec<String> {
        self.take().into_iter().map(|(path, _)| path).collect()
    }
}

/// Takes what is posted; returns the status to answer with.
fn take(stream: &mut TcpStream, got: &Mutex<Vec<(String, String)>>) -> &'static str {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).expect("a request") <= 2 {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a length"))
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("a body");
    let path = lines[0].split(' ').nth(1).expect("a path").to_owned();
    let mut got = got.lock().expect("no answer panics");
    let is_first = !got.iter().any(|(before, _)| *before == path);
    got.push((path.clone(), String::from_utf8(body).expect("text")));
    match () {
        () if path.ends_with("/flaky") && is_first => "503 Busy",
        () if path.ends_with("/moved") => "301 Moved",
        () => "200 OK",
    }
}

fn answer(stream: &mut TcpStream, status: &str) {
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).expect("who posted listens");
}
