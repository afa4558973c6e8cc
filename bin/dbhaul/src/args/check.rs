//! What backups there are and whether they can be relied on: `backup list` and `backup check`.

use std::time::Duration;

use clap::Args;
use dbhaul_pipeline::{CheckLevel, CheckSubset};

use super::{BackupArgs, OutputArgs, ReaderKeyArgs, ReportArgs, StoreArgs, TargetArgs, groups};

/// `backup list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    /// Only backups of this database
    #[arg(long, value_name = "NAME", help_heading = "Which")]
    pub(crate) database: Option<String>,
    /// End with 1 unless each database has a good backup that is no older than AGE: 26h, 90min, 8d, 2w
    ///
    /// A backup is good if its manifest can be read and no check has found damage in it. A store without backups has
    /// none.
    #[arg(long, value_name = "AGE", value_parser = age, help_heading = "Which")]
    pub(crate) max_age: Option<Duration>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// `backup check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The same as --backup
    #[arg(value_name = "BACKUP", conflicts_with = "backup")]
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: ReaderKeyArgs,
    #[command(flatten)]
    pub(crate) backup: BackupArgs,
    /// Check all backups of the store, or of --database
    #[arg(long, conflicts_with_all = ["id", "backup"], help_heading = "Where")]
    pub(crate) all: bool,
    /// How closely to look, 0 to 3: what is there, hashes of bytes, rows, a restore
    #[arg(long, value_name = "LEVEL", value_parser = level, default_value = "1", help_heading = "How")]
    pub(crate) level: CheckLevel,
    /// Read only a part of the packs of rows: 3/20 for the third of 20 groups, 5% for another 5% each day
    ///
    /// With levels 1 and 2. Which group a pack is in follows from its name, so that all groups are all packs. With a
    /// percentage, the day (in UTC) decides which group: 5% make 20 groups, so that checks on 20 days in a row read
    /// all packs; with 4% or more, those of a month do.
    #[arg(long, value_name = "PART", help_heading = "How")]
    pub(crate) subset: Option<CheckSubset>,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// The role to restore as: SET ROLE after connecting [env: DBHAUL_TARGET_ROLE]
    #[arg(long, value_name = "ROLE", help_heading = "Where")]
    pub(crate) role: Option<String>,
    /// Sessions that restore at the same time, with level 3 [default: one for each processor, 4 at most]
    #[arg(short, long, value_name = "N", value_parser = groups::jobs(), help_heading = "How")]
    pub(crate) jobs: Option<usize>,
    /// Write no report into the store, which then is only read
    #[arg(long = "no-record", action = clap::ArgAction::SetFalse, help_heading = "How")]
    pub(crate) record: bool,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

fn level(text: &str) -> Result<CheckLevel, String> {
    let number: u8 = text.parse().map_err(|_| "levels are 0 to 3".to_owned())?;
    CheckLevel::try_from(number)
}

/// Takes an age. A number needs its unit: minutes and months would be mistaken for each other.
fn age(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err("expected a number with min, h, d or w".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number with min, h, d or w".to_owned())?;
    let age = number.checked_mul(seconds).filter(|age| (1..=u64::from(u32::MAX)).contains(age));
    age.map(Duration::from_secs).ok_or_else(|| "out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::age;

    #[test]
    fn an_age_has_a_unit() {
        for (text, seconds) in [("26h", 26 * 3600), ("90min", 5400), ("8d", 8 * 86_400), ("2w", 14 * 86_400)]
        {
            assert_eq!(age(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "26", "0h", "1m", "1mo", "h", "-1h", "1.5h", "1h30min", "99999999999999999999h", "999999w"]
        {
            assert!(age(text).is_err(), "{text}");
        }
    }
}
