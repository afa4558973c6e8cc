//! What `verify` is to compare.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dbhaul_pipeline::{
    AcceptError, AcceptList, Checks, Computed, Mode, Selection, ShowValues, ShownRows, VerifySide,
};

use super::UsageError;
use crate::args::{CompareArgs, ModeName, ValuesName};
use crate::config::read_checks;

/// Bytes of a file of checks or of accepted differences.
const MOST_BYTES: u64 = 1 << 20;

/// What is compared, each once, in the order of a report.
pub(super) fn mode(args: &CompareArgs, selection: &Selection) -> Result<Vec<Mode>, UsageError> {
    if args.mode.is_empty() {
        return Ok(Mode::usual());
    }
    let mut mode: Vec<Mode> = args.mode.iter().map(|name| named(*name)).collect();
    mode.sort_unstable();
    mode.dedup();
    let has_rows = mode.iter().any(|mode| *mode != Mode::Schema);
    let is_something = (mode.contains(&Mode::Schema) && (selection.pre_data || selection.post_data))
        || (has_rows && selection.data);
    if !is_something {
        let mode = mode.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        return Err(UsageError::new(format!(
            "--mode {mode} compares nothing that is selected: leave out --schema-only, --data-only or --section"
        )));
    }
    Ok(mode)
}

/// What is shown of rows that differ.
pub(super) fn shown(
    args: &CompareArgs,
    (left, right): (&VerifySide, &VerifySide),
) -> Result<ShownRows, UsageError> {
    let is_backup = |side: &VerifySide| matches!(side, VerifySide::Backup { .. });
    let has_rows = args.mode.contains(&ModeName::Deep);
    if args.settle.is_some() && (is_backup(left) || is_backup(right)) {
        return Err(UsageError::new("--settle needs two live databases: rows of a backup do not change"));
    }
    if args.settle.is_some() && !has_rows {
        return Err(UsageError::new("--settle needs --mode deep, which finds the rows"));
    }
    if !has_rows && args.check.is_none() {
        let given = [("--max-rows", args.max_rows.is_some()), ("--values", args.values.is_some())];
        if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) {
            return Err(UsageError::new(format!(
                "{option} needs --mode deep, which finds the rows, or --check"
            )));
        }
    }
    let usual = ShownRows::default();
    let values = match args.values {
        Some(ValuesName::Show) => ShowValues::Show,
        Some(ValuesName::Mask) => ShowValues::Mask,
        Some(ValuesName::Omit) => ShowValues::Omit,
        None => usual.values,
    };
    let settle = args.settle.map(Duration::from_secs);
    Ok(ShownRows { max_rows: args.max_rows.unwrap_or(usual.max_rows), values, settle })
}

/// Which computed values are compared too.
pub(super) fn computed(
    args: &CompareArgs,
    sides: (&VerifySide, &VerifySide),
    mode: &[Mode],
) -> Result<Computed, UsageError> {
    let (materialized_views, generated_columns) = (args.materialized_views, args.generated_columns);
    let given = [("--materialized-views", materialized_views), ("--generated-columns", generated_columns)];
    let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) else {
        return Ok(Computed::default());
    };
    if [sides.0, sides.1].into_iter().any(|side| matches!(side, VerifySide::Backup { .. })) {
        return Err(UsageError::new(format!(
            "{option} needs two live databases: a backup holds no values that are computed from others"
        )));
    }
    let reads_rows = mode.iter().any(|mode| mode.reads_rows());
    if !reads_rows && (generated_columns || !mode.contains(&Mode::Counts)) {
        let needed = if generated_columns { "digest or deep" } else { "counts, digest or deep" };
        return Err(UsageError::new(format!("{option} needs --mode {needed}")));
    }
    Ok(Computed { materialized_views, generated_columns })
}

/// The queries that both sides have to answer alike.
pub(super) fn checks(file: Option<&Path>) -> Result<Checks, UsageError> {
    let Some(file) = file else { return Ok(Checks::default()) };
    let text = read("--check", file)?;
    read_checks(&text).map_err(|problem| UsageError::new(format!("--check {}: {problem}", file.display())))
}

/// The differences that do not count.
pub(super) fn accept(args: &CompareArgs) -> Result<AcceptList, UsageError> {
    let Some(file) = &args.accept else { return Ok(AcceptList::default()) };
    let wrong = |error: AcceptError| UsageError::new(format!("--accept {}: {error}", file.display()));
    read("--accept", file)?.parse().map_err(wrong)
}

/// Where to write the statements that would make the right side equal.
pub(super) fn repair_sql(args: &CompareArgs, right: &VerifySide) -> Result<Option<PathBuf>, UsageError> {
    let Some(file) = &args.repair_sql else { return Ok(None) };
    if !args.mode.contains(&ModeName::Deep) {
        return Err(UsageError::new("--repair-sql needs --mode deep, which finds the rows"));
    }
    if args.settle.is_some() {
        return Err(UsageError::new(
            "--repair-sql is for sides that nobody writes to: leave out --settle, and run it when the target follows no more",
        ));
    }
    if matches!(right, VerifySide::Backup { .. }) {
        return Err(UsageError::new(
            "--repair-sql writes statements for a live database on the right, not for a backup",
        ));
    }
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    if file.is_dir() || directory.is_some_and(|directory| !directory.is_dir()) {
        let file = file.display();
        return Err(UsageError::new(format!(
            "--repair-sql {file}: is a directory, or its parent does not exist"
        )));
    }
    Ok(Some(file.clone()))
}

/// The text of a file that an option names.
fn read(option: &str, file: &Path) -> Result<String, UsageError> {
    let fault = |problem: String| UsageError::new(format!("{option} {}: {problem}", file.display()));
    let mut text = String::new();
    File::open(file)
        .and_then(|open| open.take(MOST_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| fault(error.to_string()))?;
    match text.len() as u64 > MOST_BYTES {
        true => Err(fault(format!("it is larger than {} MiB", MOST_BYTES >> 20))),
        false => Ok(text),
    }
}

fn named(name: ModeName) -> Mode {
    match name {
        ModeName::Schema => Mode::Schema,
        ModeName::Counts => Mode::Counts,
        ModeName::Digest => Mode::Digest,
        ModeName::Deep => Mode::Deep,
    }
}
