//! The one place where errors become text.
//!
//! An error is what happened, the chain of its causes (each said once), and
//! what a person can do about it.

use std::error::Error;
use std::fmt;
use std::io::IsTerminal;

use dbhaul_pipeline::{PipelineError, Status, for_terminal, one_line};
use jiff::Timestamp;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, ThemeCharacters, ThemeStyles};
use serde::Serialize;

use crate::log::{dated, run_id};
use crate::secrets;

/// An error as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    /// What happened.
    message: String,
    /// Why, outermost first.
    causes: Vec<String>,
    /// The way out.
    help: Option<String>,
}

impl Shown {
    /// An error of a command.
    pub(crate) fn of_command(error: &PipelineError) -> Self {
        Shown { help: error.help().as_deref().map(tidy), ..Shown::new(error) }
    }

    /// The error with which a command ended that the user had stopped, with the way on. What the
    /// stopping looked like from inside is a cause, unless it was told as what it is.
    pub(crate) fn of_stopped(error: &PipelineError, way_on: &str) -> Self {
        if error.tells_what_stands() {
            return Shown::of_command(error);
        }
        let stopped = Shown { help: Some(tidy(way_on)), ..Shown::new(&PipelineError::Cancelled) };
        if error.status() == Status::Interrupted {
            return stopped;
        }
        Shown { causes: vec![tidy(&one_line(error))], ..stopped }
    }

    /// Any error. A cause that the text before it has told already is left out.
    pub(crate) fn new(error: &(dyn Error + 'static)) -> Self {
        let message = tidy(&error.to_string());
        let mut told = message.clone();
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = tidy(&cause.to_string());
            if !told.contains(&text) {
                told.push('\n');
                told.push_str(&text);
                causes.push(text);
            }
            source = cause.source();
        }
        Shown { message, causes, help: None }
    }

    /// The same with a way out.
    pub(crate) fn with_help(self, help: Option<String>) -> Self {
        Shown { help, ..self }
    }

    /// Writes it to standard error, in the terminal's width and colours.
    pub(crate) fn print(&self) {
        let terminal = std::io::stderr().is_terminal();
        let width = terminal.then(|| usize::from(console::Term::stderr().size().1));
        // Its parts are clean; colours are ours.
        crate::output::styled_to_stderr(&self.render(width, terminal && crate::output::wants_colour()));
    }

    /// As [`print`](Self::print) for what ends a run: in a log its first line begins as the others of the run do.
    pub(crate) fn print_of_run(&self) {
        if std::io::stderr().is_terminal() {
            return self.print();
        }
        crate::output::styled_to_stderr(&dated(Timestamp::now(), run_id(), &self.render(None, false)));
    }

    /// The text; lines are wrapped only if there is a width.
    pub(crate) fn render(&self, width: Option<usize>, colour: bool) -> String {
        let characters = ThemeCharacters { error: "error:".to_owned(), ..ThemeCharacters::unicode() };
        let styles = if colour { ThemeStyles::ansi() } else { ThemeStyles::none() };
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme { characters, styles })
            .with_width(width.unwrap_or(100))
            .with_wrap_lines(width.is_some())
            .with_break_words(false)
            .with_links(false);
        let mut text = String::new();
        match handler.render_report(&mut text, &Link::chain(self)) {
            Ok(()) => text.trim().to_owned(),
            // Only a broken formatter gets here; the error must be seen all the same.
            Err(fmt::Error) => format!("{self:?}"),
        }
    }
}

fn tidy(text: &str) -> String {
    for_terminal(&secrets::redact(text.trim_end()))
}

/// A link of the chain, as miette wants it.
#[derive(Debug)]
struct Link {
    text: String,
    help: Option<String>,
    cause: Option<Box<Link>>,
}

impl Link {
    fn chain(shown: &Shown) -> Self {
        let link = |text: &String, cause| Link { text: text.clone(), help: None, cause };
        let causes = shown.causes.iter().rev().fold(None, |cause, text| Some(Box::new(link(text, cause))));
        Link { help: shown.help.clone(), ..link(&shown.message, causes) }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Link {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl Diagnostic for Link {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }
}

#[cfg(test)]
mod tests {
    use dbhaul_pipeline::PipelineError;

    use super::Shown;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    fn chain(texts: &[&'static str]) -> Layer {
        let mut layers =
            texts.iter().rev().fold(None, |source, text| Some(Layer { text, source: source.map(Box::new) }));
        layers.take().unwrap()
    }

    fn check(texts: &[&'static str], help: Option<&str>, expected: &str) {
        let shown = Shown { help: help.map(str::to_owned), ..Shown::new(&chain(texts)) };
        assert_eq!(shown.render(None, false), expected);
    }

    #[test]
    fn each_cause_is_told_once() {
        check(&["it stopped"], None, "error: it stopped");
        check(
            &["cannot connect: refused by db", "refused by db", "no route"],
            Some("start the server"),
            "error: cannot connect: refused by db\n  ╰─▶ no route\n  help: start the server",
        );
    }

    #[test]
    fn a_stopped_command_says_so_and_hides_nothing() {
        let check = |error: PipelineError, causes: &[&str]| {
            let shown = Shown::of_stopped(&error, "go on with --resume");
            assert_eq!(shown.message, "stopped before it was finished");
            assert_eq!(shown.causes, causes);
            assert!(shown.help.unwrap().contains("--resume"));
        };
        check(PipelineError::Cancelled, &[]);
        let (what, reason) = ("a task".to_owned(), "lost".to_owned());
        check(PipelineError::Worker { what, reason }, &["a task ended abnormally: lost"]);
    }

    #[test]
    fn lines_of_a_server_are_kept_and_passwords_are_not() {
        check(
            &["cannot create table t", "ERROR: no\nDETAIL: because\nHINT: postgres://u:pw@h/d"],
            None,
            "error: cannot create table t\n  ╰─▶ ERROR: no\n      DETAIL: because\n      HINT: postgres://u:***@h/d",
        );
    }
}
