//! Files that a report is written into, each in the form that its name asks for, and reports that are converted.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use dbhaul_pipeline::{Document, ReportError, for_terminal, html, junit, markdown};
use thiserror::Error;

use crate::output;

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReportForm {
    /// As printed, with nothing left out.
    Text,
    /// What the other forms are made of.
    Json,
    /// One page.
    Html,
    /// For a ticket.
    Markdown,
    /// For a CI.
    Junit,
}

/// A file to write a report into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportFile {
    pub(crate) path: PathBuf,
    pub(crate) form: ReportForm,
}

impl ReportFile {
    /// A file whose name says how it is to be written.
    ///
    /// # Errors
    /// What is wrong with it: known before hours of work rather than after.
    pub(crate) fn new(path: PathBuf) -> Result<Self, String> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if path.is_dir() || directory.is_some_and(|directory| !directory.is_dir()) {
            return Err("is a directory, or its parent does not exist".to_owned());
        }
        let form = form_of(&path).ok_or(
            "a name ends in .json, .html, .md, .xml (for JUnit) or .txt, which says how it is written",
        )?;
        Ok(ReportFile { path, form })
    }
}

fn form_of(path: &Path) -> Option<ReportForm> {
    let Some(extension) = path.extension() else {
        // a terminal or a pipe has no name to choose
        let is_stream = path.metadata().is_ok_and(|file| !file.is_file());
        return is_stream.then_some(ReportForm::Text);
    };
    match extension.to_str()?.to_ascii_lowercase().as_str() {
        "txt" => Some(ReportForm::Text),
        "json" => Some(ReportForm::Json),
        "html" | "htm" => Some(ReportForm::Html),
        "md" => Some(ReportForm::Markdown),
        "xml" | "junit" => Some(ReportForm::Junit),
        _ => None,
    }
}

impl ReportForm {
    /// Whether it is made of a comparison alone.
    pub(crate) fn needs_comparison(self) -> bool {
        matches!(self, ReportForm::Html | ReportForm::Markdown | ReportForm::Junit)
    }
}

/// A report in a form that is made of its JSON.
///
/// # Errors
/// If the form is not one of these, or cannot be written.
pub(crate) fn rendered(document: &Document, form: ReportForm) -> io::Result<String> {
    match form {
        ReportForm::Html => Ok(html(document)),
        ReportForm::Markdown => Ok(markdown(document)),
        ReportForm::Junit => junit(document).map_err(io::Error::other),
        ReportForm::Text | ReportForm::Json => Err(ErrorKind::Unsupported.into()),
    }
}

/// The JSON of a report as a file has it. The hash that the other forms show is of these bytes.
pub(crate) fn json_file(json: &str) -> String {
    format!("{}\n", for_terminal(json.trim_end()))
}

/// What keeps a report from being converted.
#[derive(Debug, Error)]
pub(crate) enum ConvertError {
    #[error("cannot read {}", file.display())]
    Unread { file: PathBuf, source: io::Error },
    #[error("cannot read {}: it is larger than {} MiB, which no report is", file.display(), MOST_BYTES >> 20)]
    TooLarge { file: PathBuf },
    #[error("{} {source}", file.display())]
    NoReport { file: PathBuf, source: ReportError },
    #[error("cannot write to {}", file.display())]
    Unwritten { file: PathBuf, source: io::Error },
}

/// No report is larger.
const MOST_BYTES: u64 = 512 << 20;

/// Writes a report that is there as JSON in other forms.
///
/// # Errors
/// If the file is no report, or another cannot be written.
pub(crate) fn convert(file: &Path, outputs: &[ReportFile]) -> Result<(), ConvertError> {
    let of_file = || file.to_owned();
    let unread = |source| ConvertError::Unread { file: of_file(), source };
    let mut json = Vec::new();
    File::open(file).and_then(|open| open.take(MOST_BYTES + 1).read_to_end(&mut json)).map_err(unread)?;
    if json.len() as u64 > MOST_BYTES {
        return Err(ConvertError::TooLarge { file: of_file() });
    }
    let document =
        Document::read(&json).map_err(|source| ConvertError::NoReport { file: of_file(), source })?;
    outputs.iter().try_for_each(|output| {
        let written =
            rendered(&document, output.form).and_then(|text| output::write_private(&output.path, &text));
        written.map_err(|source| ConvertError::Unwritten { file: output.path.clone(), source })
    })
}

#[cfg(test)]
mod tests {
    use super::{ReportFile, ReportForm};

    #[test]
    fn the_name_says_the_form() {
        let form = |name: &str| ReportFile::new(name.into()).map(|file| file.form);
        for (name, expected) in [
            ("r.txt", ReportForm::Text),
            ("r.json", ReportForm::Json),
            ("r.HTML", ReportForm::Html),
            ("r.md", ReportForm::Markdown),
            ("r.xml", ReportForm::Junit),
            ("a.b.junit", ReportForm::Junit),
            ("/dev/null", ReportForm::Text),
        ] {
            assert_eq!(form(name), Ok(expected), "{name}");
        }
        for name in ["report", "r.pdf", "r.", ".json/"] {
            assert!(form(name).unwrap_err().contains(".json, .html, .md, .xml"), "{name}");
        }
        assert!(form("/nowhere/at/all.json").unwrap_err().contains("parent does not exist"));
    }
}
