//! Who is told how a backup job went.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Takes what is posted, and answers with 200; the first time something is sent to `/flaky`, with 503; to `/moved` with
/// 301.
#[derive(Debug)]
pub struct Listener {
    port: u16,
    got: Arc<Mutex<Vec<(String, String)>>>,
}

impl Listener {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("bound").port();
        let got: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let taken = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.expect("a connection"), &taken);
            }
        });
        Listener { port, got }
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

fn answer(mut stream: TcpStream, got: &Mutex<Vec<(String, String)>>) {
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
    let status = match () {
        () if path.ends_with("/flaky") && is_first => "503 Busy",
        () if path.ends_with("/moved") => "301 Moved",
        () => "200 OK",
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).expect("who posted listens");
}
