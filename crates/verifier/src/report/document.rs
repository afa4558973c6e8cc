//! The JSON of a run, read back.

use dbhaul_rows::RowDigest;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{Report, RunRecord};

/// The version of the JSON that this dbhaul writes. Fields may be added to it; what a field means stays.
pub const REPORT_FORMAT: u64 = 1;

/// The commands whose reports hold a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// `verify`.
    Verify,
    /// `migrate`.
    Migrate,
    /// `restore`.
    Restore,
}

impl Command {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Command::Verify => "verify",
            Command::Migrate => "migrate",
            Command::Restore => "restore",
        }
    }

    /// What a report without a version is about, told by what it holds.
    fn guessed(fields: &Value) -> Option<Self> {
        let has = |name: &str| fields.get(name).is_some();
        match () {
            () if has("left") && has("right") && has("schema") && has("tables") => Some(Command::Verify),
            () if has("verification") && has("skipped") && has("backup") => Some(Command::Restore),
            () if has("verification") && has("skipped") && has("source") => Some(Command::Migrate),
            () => None,
        }
    }
}

/// A report of `verify`, `migrate` or `restore`, as its JSON has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Which of them.
    pub command: Command,
    /// How the run ended: `done`, `skipped`, `different`, `failed`.
    pub status: String,
    /// The run, where the report tells of it.
    pub run: Option<RunRecord>,
    /// What was written, by a command that writes.
    pub written: Option<Written>,
    /// The comparison, if there was one.
    pub comparison: Option<Report>,
    /// SHA-256 of the JSON, byte for byte, in hexadecimal.
    pub sha256: String,
}

/// What a run wrote.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Written {
    /// The source, of a migration.
    #[serde(default)]
    pub source: Option<String>,
    /// The backup, of a restore.
    #[serde(default)]
    pub backup: Option<String>,
    /// To where.
    pub target: String,
    /// Tables all of whose rows are there.
    pub table_count: u64,
    /// Count and digest of the rows.
    pub digest: RowDigest,
    /// What was skipped.
    pub skipped: Vec<WrittenReason>,
    /// What was left out on request.
    #[serde(default)]
    pub left_out_as_asked: Vec<WrittenReason>,
    /// What failed.
    pub failed: Vec<WrittenReason>,
    /// Why nothing was compared although that was asked for.
    #[serde(default)]
    pub unverified: Option<String>,
}

/// An object and a reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WrittenReason {
    /// The object.
    pub object: String,
    /// Why, or what happened.
    pub reason: String,
}

/// A text is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// It is no JSON.
    #[error("is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// It is other JSON.
    #[error("is JSON, but not a report of `verify`, `migrate` or `restore`")]
    Foreign,
    /// It is of a later dbhaul.
    #[error(
        "has report format {format}, and this dbhaul reads up to format {REPORT_FORMAT}: use a newer one"
    )]
    Newer {
        /// Its version.
        format: u64,
    },
    /// It begins as a report, and what follows is not as it must be.
    #[error("is damaged, or not a report that dbhaul wrote")]
    Broken(#[source] serde_json::Error),
}

impl Document {
    /// Reads what `--report FILE.json` and `--json` write, byte for byte.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(json: &[u8]) -> Result<Self, ReportError> {
        let fields: Value = serde_json::from_slice(json).map_err(ReportError::NotJson)?;
        let command = match (fields.get("format"), fields.get("report")) {
            (Some(format), _) if format.as_u64().is_some_and(|format| format > REPORT_FORMAT) => {
                return Err(ReportError::Newer { format: format.as_u64().unwrap_or_default() });
            }
            (Some(format), Some(command)) if format.as_u64() == Some(REPORT_FORMAT) => {
                Command::deserialize(command).ok()
            }
            (None, None) => Command::guessed(&fields),
            _ => None,
        };
        let command = command.ok_or(ReportError::Foreign)?;
        Self::of(command, fields, json).map_err(ReportError::Broken)
    }

    fn of(command: Command, fields: Value, json: &[u8]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct About {
            status: String,
            #[serde(default)]
            run: Option<RunRecord>,
        }
        #[derive(Deserialize)]
        struct Compared {
            verification: Option<Report>,
        }
        let About { status, run } = About::deserialize(&fields)?;
        let (written, comparison) = match command {
            Command::Verify => (None, Some(Report::deserialize(fields)?)),
            Command::Migrate | Command::Restore => {
                let written = Written::deserialize(&fields)?;
                (Some(written), Compared::deserialize(fields)?.verification)
            }
        };
        let sha256 = Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Document { command, status, run, written, comparison, sha256 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Command, Document, ReportError};
    use crate::report::sample;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let report = sample::hostile();
        let document = sample::document(&report);
        assert_eq!(document.command, Command::Verify);
        assert_eq!(document.comparison.as_ref(), Some(&report));
        assert_eq!(document.status, "different");
        assert!(document.run.is_some());
        // `printf x | sha256sum`
        let hash = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        let of_x: String =
            <sha2::Sha256 as sha2::Digest>::digest(b"x").iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(of_x, hash);
        assert_eq!(document.sha256.len(), 64);
    }

    #[test]
    fn reports_from_before_they_had_a_version_are_read() {
        let old = json!({
            "status": "done", "left": {"name": "a", "server_version": "17.2", "as_of": "then", "lsn": null},
            "right": {"name": "b", "server_version": "18.1", "as_of": "then", "lsn": "0/1"},
            "compared_at": "then", "dbhaul_version": "0.1.0", "schema": {"differences": []},
            "compared_object_count": 1, "compared_sequence_count": 0, "sequences": [], "not_compared": [],
            "tables": [{"name": "public.t", "verdict": "equal", "digest": "2:7"}],
        });
        let document = Document::read(old.to_string().as_bytes()).unwrap();
        assert!(document.comparison.unwrap().is_equal());
        let copy = json!({
            "status": "done", "source": "a", "target": "b", "created": false, "table_count": 1, "digest": "2:7",
            "skipped": [], "left_out_as_asked": [], "failed": [], "resumed_step_count": 0, "verification": null,
        });
        let document = Document::read(copy.to_string().as_bytes()).unwrap();
        assert_eq!((document.command, document.comparison), (Command::Migrate, None));
    }

    #[test]
    fn what_is_no_report_is_refused_with_the_reason() {
        let refused = |text: &str| Document::read(text.as_bytes()).unwrap_err();
        assert!(matches!(refused("{"), ReportError::NotJson(_)));
        for foreign in [
            "{}",
            "[]",
            "7",
            "{\"format\": 1}",
            "{\"format\": 1, \"report\": \"dump\"}",
            "{\"format\": \"x\"}",
        ] {
            assert!(matches!(refused(foreign), ReportError::Foreign), "{foreign}");
        }
        assert!(matches!(
            refused("{\"format\": 2, \"report\": \"verify\"}"),
            ReportError::Newer { format: 2 }
        ));
        let broken = refused("{\"format\": 1, \"report\": \"verify\", \"status\": \"done\"}");
        assert!(matches!(broken, ReportError::Broken(_)));
    }
}
