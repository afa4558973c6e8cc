//! What commands print that somebody else names: a password manager, mostly.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How often the end of a command is looked for once it has closed its output.
const LOOK: Duration = Duration::from_millis(20);

/// How much a command may print, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) patience: Duration,
}

/// What a command prints, which `sh` runs. Nothing of the command is told: any part of it may be a secret.
pub(crate) fn printed(command: &str, input: Stdio, bounds: Bounds) -> Result<String, String> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(input).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut child = shell.spawn().map_err(|error| format!("the command could not be run: {error}"))?;
    let deadline = Instant::now() + bounds.patience;
    let result = read(&mut child, bounds).and_then(|text| Ok((text, end(&mut child, deadline, bounds)?)));
    if result.is_err() {
        // it is gone, or goes now
        let _ = child.kill();
        let _ = child.wait();
    }
    match result? {
        (_, status) if !status.success() => Err(failed(status)),
        (text, _) => String::from_utf8(text).map_err(|_| "the command printed what is not UTF-8".to_owned()),
    }
}

fn read(child: &mut Child, bounds: Bounds) -> Result<Vec<u8>, String> {
    let output = child.stdout.take();
    let (sender, printed) = mpsc::channel();
    // not joined: what a command has left in the background may hold its output open for ever
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let read = output.map(|output| output.take(bounds.bytes as u64 + 1).read_to_end(&mut text));
        drop(sender.send(read.unwrap_or(Ok(0)).map(|_| text)));
    });
    match printed.recv_timeout(bounds.patience) {
        Ok(Ok(text)) if text.len() > bounds.bytes => {
            Err(format!("the command printed more than {} KiB", bounds.bytes >> 10))
        }
        Ok(text) => text.map_err(|error| format!("the output of the command could not be read: {error}")),
        Err(_) => Err(late(bounds)),
    }
}

/// How a command ended, which may close its output and go on.
fn end(child: &mut Child, deadline: Instant, bounds: Bounds) -> Result<ExitStatus, String> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() >= deadline => return Err(late(bounds)),
            Ok(None) => std::thread::sleep(LOOK),
            Err(error) => return Err(format!("the command could not be waited for: {error}")),
        }
    }
}

fn failed(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("the command ended with exit status {code}"),
        (None, Some(signal)) => format!("the command was ended by signal {signal}"),
        (None, None) => "the command failed".to_owned(),
    }
}

fn late(bounds: Bounds) -> String {
    format!("the command did not end within {} seconds", bounds.patience.as_secs())
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;
    use std::time::Duration;

    use super::{Bounds, printed};

    fn run(command: &str, patience: Duration) -> Result<String, String> {
        printed(command, Stdio::null(), Bounds { bytes: 1 << 10, patience })
    }

    #[test]
    fn a_command_is_bounded_in_all_it_does() {
        let long = Duration::from_secs(60);
        assert_eq!(run("echo text", long).unwrap(), "text\n");
        let endless = run("cat /dev/zero", long).unwrap_err();
        assert!(endless.contains("more than 1 KiB"), "{endless}");
        for late in ["exec 1>&-; exec sleep 1000", "exec sleep 1000"] {
            let error = run(late, Duration::from_millis(50)).unwrap_err();
            assert!(error.contains("did not end within"), "{error}");
        }
    }

    #[test]
    fn nothing_of_a_command_is_told() {
        for (command, end) in [
            ("PGPASSWORD=s3cret false", "ended with exit status 1"),
            ("PASS=s3cret; exit 3", "ended with exit status 3"),
            ("kill -9 $$ # s3cret", "was ended by signal 9"),
        ] {
            assert_eq!(run(command, Duration::from_secs(60)).unwrap_err(), format!("the command {end}"));
        }
    }
}
