//! What `verify` is to compare.

use std::time::Duration;

use dbhaul_pipeline::{Mode, Selection, ShowValues, ShownRows, VerifySide};

use super::UsageError;
use crate::args::{CompareArgs, ModeName, ValuesName};

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
pub(super) fn shown(args: &CompareArgs, left: &VerifySide) -> Result<ShownRows, UsageError> {
    if args.settle.is_some() && matches!(left, VerifySide::Backup { .. }) {
        return Err(UsageError::new(
            "--settle needs two live databases: rows of a backup do not change".to_owned(),
        ));
    }
    if !args.mode.contains(&ModeName::Deep) {
        let given = [
            ("--max-rows", args.max_rows.is_some()),
            ("--values", args.values.is_some()),
            ("--settle", args.settle.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) {
            return Err(UsageError::new(format!("{option} needs --mode deep, which finds the rows")));
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

fn named(name: ModeName) -> Mode {
    match name {
        ModeName::Schema => Mode::Schema,
        ModeName::Counts => Mode::Counts,
        ModeName::Digest => Mode::Digest,
        ModeName::Deep => Mode::Deep,
    }
}
