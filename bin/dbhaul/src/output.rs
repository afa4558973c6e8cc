//! Results on standard output, in a report file, and words on standard error.
//!
//! The one place through which text leaves. Names, messages of servers and whatever a store holds may be made
//! to command a terminal or to read backwards, so every text that is printed here is escaped on its way, but
//! for line breaks and tabs. Only SQL that goes to a file or a pipe leaves as it is.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use dbhaul_pipeline::{
    ByteStream, Document, REPORT_FORMAT, ReportCommand, RunRecord, Status, for_terminal, in_one_line,
    is_command,
};
use serde::Serialize;

use crate::report_file::{ReportFile, ReportForm, json_file, rendered};

/// What a command produced, for people and for programs.
pub(crate) struct Outcome {
    text: String,
    /// The same with nothing left out, where that is more.
    whole: Option<String>,
    json: serde_json::Result<String>,
    status: Status,
    /// Standard output holds data, so words go to standard error.
    beside_data: bool,
    /// It only says that all went well or what did not, so that `-q` leaves it out where all did.
    is_report: bool,
    /// The text is SQL, which means something else with a character changed.
    is_sql: bool,
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
        Outcome { whole, is_report: true, ..Outcome::new(text, &WithStatus { status, report }, status) }
    }

    /// A report that holds a comparison: its JSON also tells its version and of the run.
    pub(crate) fn comparison(
        report: &(impl Display + Serialize),
        status: Status,
        command: ReportCommand,
        run: RunRecord,
    ) -> Self {
        #[derive(Serialize)]
        struct Versioned<'a, T> {
            format: u64,
            report: &'static str,
            run: RunRecord,
            #[serde(flatten)]
            rest: &'a T,
        }
        impl<T: Display> Display for Versioned<'_, T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.rest.fmt(f)
            }
        }
        let versioned = Versioned { format: REPORT_FORMAT, report: command.name(), run, rest: report };
        Outcome::report(&versioned, status)
    }

    /// A plan or a listing, which is done once it is printed.
    pub(crate) fn listing(listing: &(impl Display + Serialize)) -> Self {
        Outcome::new(listing.to_string(), listing, Status::Done)
    }

    /// A listing of what may be in order or not.
    pub(crate) fn judged(listing: &(impl Display + Serialize), status: Status) -> Self {
        Outcome::new(listing.to_string(), listing, status)
    }

    /// Statements, which a file or a pipe gets unchanged.
    pub(crate) fn sql(listing: &(impl Display + Serialize)) -> Self {
        Outcome { is_sql: true, ..Outcome::listing(listing) }
    }

    /// A plan, with everything there is to say of it if that is wanted.
    pub(crate) fn plan(plan: &(impl Display + Serialize), status: Status, verbose: bool) -> Self {
        let text = if verbose { format!("{plan:#}") } else { plan.to_string() };
        Outcome::new(text, plan, status)
    }

    /// Nothing to print, done.
    pub(crate) fn nothing() -> Self {
        let (text, json) = (String::new(), Ok(String::new()));
        Outcome {
            text,
            whole: None,
            json,
            status: Status::Done,
            beside_data: false,
            is_report: false,
            is_sql: false,
        }
    }

    fn new(text: String, value: &impl Serialize, status: Status) -> Self {
        let json = serde_json::to_string_pretty(value).map(|json| plain_json(&json));
        Outcome { text, whole: None, json, status, beside_data: false, is_report: false, is_sql: false }
    }

    /// The same where standard output holds what the command made.
    pub(crate) fn beside_data(self) -> Self {
        Outcome { beside_data: true, ..self }
    }

    /// How the command ended.
    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// The same if it is asked for nothing but what went wrong: of a report where nothing did, nothing is left.
    pub(crate) fn quietened(self, quiet: bool, json: bool) -> Self {
        let says_nothing =
            quiet && self.is_report && self.status == Status::Done && (!json || self.beside_data);
        if says_nothing { Outcome { text: String::new(), ..self } } else { self }
    }

    /// Prints it to standard output, with nothing left out if `verbose`.
    ///
    /// # Errors
    /// If it cannot be written whole, but for a reader that has gone away.
    pub(crate) fn print(&self, json: bool, verbose: bool) -> Result<(), NotPrinted> {
        let printed = self.try_print(json, verbose);
        printed.map_err(|source| self.not_printed("standard output".to_owned(), source))
    }

    fn try_print(&self, json: bool, verbose: bool) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        if self.beside_data {
            to_stderr(&self.text);
            return Ok(());
        }
        let rendered = self.rendered(json, verbose)?;
        match self.is_sql && !json && !io::stdout().is_terminal() {
            true => print_whole(rendered),
            false => to_stdout(rendered),
        }
    }

    /// Writes it into a file, with nothing left out, in the file's form.
    ///
    /// # Errors
    /// If it cannot be written whole; the error names the file.
    pub(crate) fn write(&self, file: &ReportFile) -> Result<(), NotPrinted> {
        let written = self.file(file.form).and_then(|text| write_private(&file.path, &text));
        written.map_err(|source| self.not_printed(file.path.display().to_string(), source))
    }

    fn not_printed(&self, place: String, source: io::Error) -> NotPrinted {
        NotPrinted { place, source, is_done: self.is_report && self.has_ended() }
    }

    /// Whether the command did what it could, even if that was not everything or showed differences.
    fn has_ended(&self) -> bool {
        matches!(self.status, Status::Done | Status::Skipped | Status::Different)
    }

    fn file(&self, form: ReportForm) -> io::Result<String> {
        match form {
            ReportForm::Text => Ok(format!("{}\n", for_terminal(self.rendered(false, true)?.trim_end()))),
            ReportForm::Json => Ok(json_file(self.rendered(true, true)?)),
            ReportForm::Html | ReportForm::Markdown | ReportForm::Junit => {
                let json = json_file(self.rendered(true, true)?);
                let document = Document::read(json.as_bytes());
                rendered(&document.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?, form)
            }
        }
    }

    fn rendered(&self, json: bool, verbose: bool) -> io::Result<&str> {
        match &self.json {
            _ if !json => Ok(self.whole.as_ref().filter(|_| verbose).unwrap_or(&self.text)),
            Ok(json) => Ok(json),
            Err(error) => Err(io::Error::new(ErrorKind::InvalidData, error.to_string())),
        }
    }
}

/// Writes a text into a file of its own.
///
/// # Errors
/// If it cannot be written whole.
pub(crate) fn write_private(file: &Path, text: &str) -> io::Result<()> {
    private_file(file)?.write_all(text.as_bytes())
}

/// A file to write anew. A report names what is in a database: a new file is for its owner alone, whatever the umask; one
/// that is there already keeps its mode.
fn private_file(file: &Path) -> io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).mode(0o600);
    match options.clone().create_new(true).open(file) {
        Ok(fresh) => {
            fresh.set_permissions(std::fs::Permissions::from_mode(0o600))?;
            Ok(fresh)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            options.create(true).truncate(true).open(file)
        }
        Err(error) => Err(error),
    }
}

/// A report or listing could not be written. The command had done its work before.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to {place}")]
pub(crate) struct NotPrinted {
    /// The file, or what the stream is called.
    place: String,
    source: io::Error,
    /// Whether the command had done its work.
    is_done: bool,
}

impl NotPrinted {
    /// What the person can rely on.
    pub(crate) fn help(&self) -> Option<String> {
        let help =
            "the command itself had ended, and only its report is missing: there is no need to run it again";
        self.is_done.then(|| help.to_owned())
    }
}

/// Prints a text and a line break to standard output.
///
/// # Errors
/// If it cannot be written whole. That the reader has gone away is no error: it has seen enough.
pub(crate) fn to_stdout(text: &str) -> io::Result<()> {
    print_whole(&for_terminal(text))
}

fn print_whole(text: &str) -> io::Result<()> {
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
    styled_to_stderr(&for_terminal(line));
}

/// As [`to_stderr`] for a text with colours, made of parts that have been through [`for_terminal`].
pub(crate) fn styled_to_stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", line.trim_end());
}

/// A message of several lines with the further ones indented: they may be of a name, and must not pass for
/// lines of their own.
pub(crate) fn indented(message: &str) -> String {
    message.trim_end().replace('\n', "\n           ")
}

/// The same JSON with the characters escaped that a terminal would obey; such are in strings only.
pub(crate) fn plain_json(json: &str) -> String {
    let mut plain = String::with_capacity(json.len());
    for character in json.chars() {
        if is_command(character) && character != '\n' {
            // All of them are in the basic plane.
            plain.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Standard error for the log: each event is one line, whatever is in it.
pub(crate) struct LogWriter {
    /// Whether events are JSON.
    pub(crate) is_json: bool,
    /// Whether they come with colours. What is in them has been escaped by then, but for directions.
    pub(crate) is_coloured: bool,
}

impl Write for LogWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        const ESCAPE: char = '\u{1b}';
        let text = String::from_utf8_lossy(event);
        let text = text.trim_end_matches('\n');
        let line = match (self.is_json, self.is_coloured) {
            (true, _) => plain_json(text),
            (_, false) => in_one_line(text),
            (_, true) => text.split(ESCAPE).map(in_one_line).collect::<Vec<_>>().join("\u{1b}"),
        };
        writeln!(io::stderr().lock(), "{line}")?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Whether colours are welcome on a terminal: `NO_COLOR` (<https://no-color.org>) is not set.
pub(crate) fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use dbhaul_pipeline::Status;

    use super::{Outcome, indented, plain_json};

    #[test]
    fn quiet_leaves_out_what_went_well_and_nothing_else() {
        let text = |outcome: Outcome, quiet, json| outcome.quietened(quiet, json).text;
        let report = |status| Outcome::report(&"report", status);
        assert_eq!(text(report(Status::Done), false, false), "report");
        assert_eq!(text(report(Status::Done), true, false), "");
        assert_eq!(text(report(Status::Done), true, true), "report", "JSON was asked for");
        assert_eq!(text(report(Status::Done).beside_data(), true, true), "");
        for status in [Status::Failed, Status::Skipped, Status::Different, Status::Blocked] {
            assert_eq!(text(report(status), true, false), "report", "{status:?}");
        }
        assert_eq!(text(Outcome::listing(&"list"), true, false), "list");
    }

    #[test]
    fn json_stays_what_it_says() {
        let value = serde_json::json!({"a\u{202e}": ["\u{7f}\u{9b}\u{1b}[1m\n", "größe"]});
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let plain = plain_json(&json);
            assert!(!plain.contains(|c| dbhaul_pipeline::is_command(c) && c != '\n'), "{plain}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&plain).unwrap(), value);
        }
    }

    #[test]
    fn further_lines_are_indented() {
        assert_eq!(indented("a\nb\n"), "a\n           b");
    }
}
