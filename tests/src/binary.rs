//! Runs of the real binary.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{places, wait_until};

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(600);

/// One command line of dbhaul, in an environment that holds nothing of the tester's own connections,
/// credentials or home directory.
#[derive(Debug)]
pub struct Dbhaul {
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    file_limit_kib: Option<u64>,
    umask: Option<&'static str>,
}

impl Dbhaul {
    /// A command line, without the program's name.
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(|a| a.as_ref().to_owned()).collect();
        Self { arguments, environment: Vec::new(), dir: None, file_limit_kib: None, umask: None }
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|a| a.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets several variables, for example the credentials of an S3 server.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(self, variables: impl IntoIterator<Item = (N, V)>) -> Self {
        variables.into_iter().fold(self, |run, (name, value)| run.env(name, value))
    }

    /// Sets the working directory; by default the run's own empty home.
    pub fn current_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Lets no file of the run grow beyond a size: writing more fails as on a full disk, and does so
    /// without a disk of one's own to fill.
    pub fn file_limit_kib(mut self, limit_kib: u64) -> Self {
        self.file_limit_kib = Some(limit_kib);
        self
    }

    /// Runs under another umask than the tests', in octal digits.
    pub fn umask(mut self, digits: &'static str) -> Self {
        self.umask = Some(digits);
        self
    }

    /// Runs to the end.
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }

    /// Starts, and returns at once.
    pub fn spawn(self) -> Running {
        let home = TempDir::new().expect("the temporary directory is writable");
        let program = dbhaul_program();
        let mut command = match (self.file_limit_kib, self.umask) {
            (Some(limit_kib), _) => limited(&program, limit_kib),
            (None, Some(digits)) => with_umask(&program, digits),
            (None, None) => Command::new(&program),
        };
        let inherited = ["PATH", "LANG", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE"];
        let inherited = inherited.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command
            .args(&self.arguments)
            .env_clear()
            .envs(inherited)
            .env("HOME", home.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.environment)
            .current_dir(self.dir.as_deref().unwrap_or_else(|| home.path()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let stdout = collect(child.stdout.take().expect("stdout is piped"));
        let stderr = collect(child.stderr.take().expect("stderr is piped"));
        let arguments = self.arguments;
        Running { arguments, child, stdout: Some(stdout), stderr: Some(stderr), peak: 0, _home: home }
    }
}

/// A command that runs the program with a limit on the size of files. The signal that comes with the
/// error is ignored, so that the program sees the error.
fn limited(program: &Path, limit_kib: u64) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\""])
        .arg(limit_kib.to_string())
        .arg(program);
    command
}

/// A command that runs the program with a umask.
fn with_umask(program: &Path, digits: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "umask \"$0\"; exec \"$@\"", digits]).arg(program);
    command
}

/// The binary named by `DBHAUL_BIN`, else the newest that cargo has built.
pub fn dbhaul_program() -> PathBuf {
    if let Some(path) = std::env::var_os("DBHAUL_BIN") {
        return PathBuf::from(path);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| places::workspace().join("target"), PathBuf::from);
    let built = ["quick", "release", "debug"].map(|profile| target.join(profile).join("dbhaul"));
    let newest =
        built.into_iter().filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path))).max();
    newest.expect("dbhaul is not built: run cargo build --profile quick -p dbhaul").1
}

/// What a stream has carried so far, read by a thread of its own.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

fn collect(mut stream: impl Read + Send + 'static) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&bytes);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        // A killed child may leave a partial line; what came is what counts.
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            shared.lock().expect("no reader panics").extend_from_slice(&buffer[..count]);
        }
    });
    Collected { bytes, reader }
}

impl Collected {
    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no reader panics")).into_owned()
    }

    fn into_text(self) -> String {
        let _ = self.reader.join();
        String::from_utf8_lossy(&self.bytes.lock().expect("no reader panics")).into_owned()
    }
}

/// A run that has not ended; killed when dropped.
#[derive(Debug)]
pub struct Running {
    arguments: Vec<OsString>,
    child: Child,
    stdout: Option<Collected>,
    stderr: Option<Collected>,
    peak: u64,
    _home: TempDir,
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the run has ended.
    pub fn has_ended(&mut self) -> bool {
        self.try_wait().is_some()
    }

    /// Kills the process as `kill -9` does, and waits until it has gone.
    pub fn kill(mut self) -> Finished {
        let _ = self.child.kill();
        self.wait()
    }

    /// Sends the signal that Ctrl-C sends.
    pub fn interrupt(&self) {
        self.signal("INT");
    }

    /// Sends a signal by its name, for example `STOP` and `CONT` to hold a run where it is.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "no process {} to send {name}", self.pid());
    }

    /// What it has printed on standard error so far.
    pub fn stderr_so_far(&self) -> String {
        self.stderr.as_ref().map(Collected::so_far).unwrap_or_default()
    }

    /// Waits until standard error has this many lines; false if the run ends before.
    pub fn reaches_lines(&mut self, count: usize) -> bool {
        wait_until("standard error grows", || {
            let lines = self.stderr_so_far().matches('\n').count();
            if lines >= count { Some(true) } else { self.has_ended().then_some(false) }
        })
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// With everything printed so far when the run takes longer than ten minutes.
    pub fn wait(mut self) -> Finished {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.try_wait() {
                break status;
            }
            if started.elapsed() > LIMIT {
                let _ = self.child.kill();
                let end = self.finish(None);
                panic!("dbhaul still ran after {} s\n{end}", LIMIT.as_secs());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        self.finish(Some(status))
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        self.peak = self.peak.max(peak_resident_bytes(self.child.id()).unwrap_or(0));
        self.child.try_wait().expect("the child is ours")
    }

    fn finish(&mut self, status: Option<ExitStatus>) -> Finished {
        let text = |stream: Option<Collected>| stream.map(Collected::into_text).unwrap_or_default();
        Finished {
            arguments: self.arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect(),
            code: status.and_then(|status| status.code()),
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
            peak_resident_bytes: self.peak,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The kernel's high-water mark of resident memory of a living process.
fn peak_resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What a run left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The arguments it was given.
    pub arguments: Vec<String>,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Everything on standard output.
    pub stdout: String,
    /// Everything on standard error.
    pub stderr: String,
    /// The most memory it had resident, sampled every few milliseconds.
    pub peak_resident_bytes: u64,
}

impl Finished {
    /// Asserts the exit code.
    ///
    /// # Panics
    /// With both outputs when it was another.
    #[track_caller]
    pub fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }

    /// Asserts that standard error contains every one of these texts, wherever lines are wrapped.
    ///
    /// # Panics
    /// With both outputs when one is absent.
    #[track_caller]
    pub fn assert_stderr_has(&self, texts: &[&str]) -> &Self {
        let printed = unwrapped(&self.stderr);
        for text in texts {
            assert!(printed.contains(&unwrapped(text)), "standard error lacks {text:?}\n{self}");
        }
        self
    }

    /// Asserts that one of the outputs contains this text, wherever lines are wrapped.
    ///
    /// # Panics
    /// With both outputs when it is absent.
    #[track_caller]
    pub fn assert_says(&self, text: &str) -> &Self {
        let says = |output: &str| unwrapped(output).contains(&unwrapped(text));
        assert!(says(&self.stdout) || says(&self.stderr), "it does not say {text:?}\n{self}");
        self
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// With both outputs when it is no JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}\n{self}"))
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.map_or("a signal".to_owned(), |code| format!("code {code}"));
        writeln!(f, "dbhaul {} ended with {code}", self.arguments.join(" "))?;
        write!(f, "--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// Text without the line breaks and margin bars of a rendered error.
fn unwrapped(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !matches!(*word, "│" | "|" | "×" | "╰─▶" | "├─▶"));
    words.collect::<Vec<_>>().join(" ")
}
