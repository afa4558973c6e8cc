//! Results on standard output, in a report file, and words on standard error.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::path::Path;

use dbhaul_pipeline::{ByteStream, Status};
use serde::Serialize;

/// What a command produced, for people and for programs.
pub(crate) struct Outcome {
    text: String,
    /// The same with nothing left out, where that is more.
    whole: Option<String>,
    json: serde_json::Result<String>,
    status: Status,
    /// Standard output holds data, so words go to standard error.
    beside_data: bool,
}

impl Outcome {
    /// A report, which ends a command; its JSON also tells the status.
    pub(crate) fn report(report: &(impl Display + Serialize), status: Status) -> Self {
        #[derive(Serialize)]
        struct WithStatus<'a, T> {
            status: Status,
            #[serde(flatten)]
            report: &'a T,
        }
        let (text, whole) = (report.to_string(), format!("{report:#}"));
        let whole = Some(whole).filter(|whole| *whole != text);
        Outcome { whole, ..Outcome::new(text, &WithStatus { status, report }, status) }
    }

    /// A plan or a listing, which is done once it is printed.
    pub(crate) fn listing(listing: &(impl Display + Serialize)) -> Self {
        Outcome::new(listing.to_string(), listing, Status::Done)
    }

    /// A plan, with everything there is to say of it if that is wanted.
    pub(crate) fn plan(plan: &(impl Display + Serialize), status: Status, verbose: bool) -> Self {
        let text = if verbose { format!("{plan:#}") } else { plan.to_string() };
        Outcome::new(text, plan, status)
    }

    /// Nothing to print, done.
    pub(crate) fn nothing() -> Self {
        let (text, json) = (String::new(), Ok(String::new()));
        Outcome { text, whole: None, json, status: Status::Done, beside_data: false }
    }

    fn new(text: String, value: &impl Serialize, status: Status) -> Self {
        Outcome { text, whole: None, json: serde_json::to_string_pretty(value), status, beside_data: false }
    }

    /// The same where standard output holds what the command made.
    pub(crate) fn beside_data(self) -> Self {
        Outcome { beside_data: true, ..self }
    }

    /// How the command ended.
    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// Prints it to standard output, with nothing left out if `verbose`.
    ///
    /// # Errors
    /// If it cannot be written whole, but for a reader that has gone away.
    pub(crate) fn print(&self, json: bool, verbose: bool) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        if self.beside_data {
            to_stderr(&self.text);
            return Ok(());
        }
        to_stdout(self.rendered(json, verbose)?)
    }

    /// Writes it into a file, with nothing left out: as JSON if the name ends so, as text otherwise.
    ///
    /// # Errors
    /// If it cannot be written whole.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let text = self.rendered(json, true)?;
        std::fs::write(file, format!("{}\n", text.trim_end()))
    }

    fn rendered(&self, json: bool, verbose: bool) -> io::Result<&str> {
        match &self.json {
            _ if !json => Ok(self.whole.as_ref().filter(|_| verbose).unwrap_or(&self.text)),
            Ok(json) => Ok(json),
            Err(error) => Err(io::Error::new(ErrorKind::InvalidData, error.to_string())),
        }
    }
}

/// Prints a text and a line break to standard output.
///
/// # Errors
/// If it cannot be written whole. That the reader has gone away is no error: it has seen enough.
pub(crate) fn to_stdout(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Standard output as a stream of bytes, past the buffer that breaks lines.
///
/// # Errors
/// If it is closed.
pub(crate) fn stdout_stream() -> io::Result<ByteStream> {
    let handle = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(tokio::fs::File::from_std(std::fs::File::from(handle))))
}

/// Prints a line to standard error. Nobody is left to tell if that fails.
pub(crate) fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", line.trim_end());
}

/// Whether colours are welcome on a terminal: `NO_COLOR` (<https://no-color.org>) is not set.
pub(crate) fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
