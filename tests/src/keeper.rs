//! A process that keeps a server for a test, and ends it when the test ends, however the test ends.
//!
//! The keeper is a shell in a process group of its own, so that a runner that kills the test's group does
//! not kill the keeper. It takes commands on its standard input; when that closes, because the test dropped
//! its end or died, it stops the server and deletes its directory.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const SCRIPT: &str = r#"
# An answer that nobody reads any more must not end the keeper before it has cleaned up.
trap '' PIPE
dir=$1 log=$2 last=$3; shift 3
pid=
halt() {
    if [ -n "$pid" ]; then kill -s "$1" "$pid" 2>/dev/null; wait "$pid" 2>/dev/null; fi
    pid=
}
while read -r verb argument; do
    case $verb in
        copy) if cp -a --reflink=auto "$argument" "$dir/data" 2>>"$log"; then echo copied; else echo failed; fi ;;
        start) "$@" </dev/null >>"$log" 2>&1 & pid=$!; echo "$pid" ;;
        stop) halt "$argument"; echo stopped ;;
    esac
done
halt "$last"
rm -rf "$dir"
"#;

/// Keeps one server process.
#[derive(Debug)]
pub(crate) struct Keeper {
    shell: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Keeper {
    /// A keeper that will run `command`, log to `log`, end it with `signal`, and delete `dir` at the end.
    pub(crate) fn new(dir: &Path, log: &Path, signal: &str, command: &[String]) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "keeper"])
            .args([dir, log])
            .arg(signal)
            .args(command)
            .current_dir(dir)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh runs");
        let commands = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().expect("stdout is piped"));
        Self { shell, commands, answers }
    }

    /// Copies a template to `data` in the directory, sharing blocks where the file system can. The keeper does
    /// this itself, so that no copy goes on after the directory was deleted.
    pub(crate) fn copy(&mut self, template: &Path) {
        assert_eq!(self.ask(&format!("copy {}", template.display())), "copied", "cannot copy {template:?}");
    }

    /// Starts the process and returns its id.
    pub(crate) fn start(&mut self) -> u32 {
        self.ask("start").parse().expect("the keeper answers with a process id")
    }

    /// Sends a signal and waits until the process has ended.
    pub(crate) fn stop(&mut self, signal: &str) {
        assert_eq!(self.ask(&format!("stop {signal}")), "stopped");
    }

    fn ask(&mut self, command: &str) -> String {
        let commands = self.commands.as_mut().expect("the keeper lives as long as we do");
        writeln!(commands, "{command}").expect("the keeper listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the keeper answers");
        answer.trim().to_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.shell.wait();
    }
}
