//! Groups of flags that several commands share.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, RangedU64ValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, ValueEnum};

use super::{CompressionName, ProgressMode};

/// Takes a number of sessions. The limit keeps a typing error from exhausting a server.
pub(super) fn jobs() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=256)
}

/// Takes a number of threads that only lend a hand, so that there may be none.
pub(super) fn helpers() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=256)
}

/// Takes a size in bytes: `1048576`, `512kB`, `64MB`, `1GiB`. Units are powers of 1024, as PostgreSQL's.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err("expected bytes, or a number with kB, MB or GB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number".to_owned())?;
    number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(|| "out of range".to_owned())
}

/// How a dump is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compress {
    /// By what the format uses, at this level.
    Level(i32),
    /// By this, at this level or its usual one.
    Method(CompressionName, Option<i32>),
}

/// Takes what `pg_dump` takes: `3`, `zstd`, `zstd:3`, `zstd:level=3`.
pub(super) fn compress(text: &str) -> Result<Compress, String> {
    if let Ok(level) = text.parse() {
        return Ok(Compress::Level(level));
    }
    let (method, level) = match text.split_once(':') {
        None => (text, None),
        Some((method, detail)) => (method, Some(detail.strip_prefix("level=").unwrap_or(detail))),
    };
    let level =
        level.map(|level| level.parse().map_err(|_| format!("{level} is not a number"))).transpose()?;
    match CompressionName::from_str(method, false) {
        Ok(method) => Ok(Compress::Method(method, level)),
        Err(_) => Err("expected a level, or gzip, zstd, xz, bzip2, lz4 or none, as in zstd:3".to_owned()),
    }
}

/// Takes a level of zstd, alone or as `pg_dump` takes it: `3`, `zstd`, `zstd:3`, `zstd:level=3`.
pub(super) fn zstd_level(text: &str) -> Result<i32, String> {
    level_of_rows(compress(text)?)
}

/// The level of zstd that the rows of a backup are compressed at.
pub(crate) fn level_of_rows(given: Compress) -> Result<i32, String> {
    match given {
        Compress::Method(CompressionName::Zstd, None) => Ok(DEFAULT_COMPRESSION_LEVEL),
        Compress::Level(level) | Compress::Method(CompressionName::Zstd, Some(level)) => Some(level)
            .filter(|level| (1..=19).contains(level))
            .ok_or_else(|| format!("{level} is not in 1..=19")),
        Compress::Method(..) => {
            Err("the rows of a backup are compressed with zstd: expected a level from 1 to 19, or zstd:LEVEL"
                .to_owned())
        }
    }
}

/// zstd level of rows where none is asked for.
pub(crate) const DEFAULT_COMPRESSION_LEVEL: i32 = 1;

/// Takes the name of a format, and knows those of `pg_dump` that are none here.
#[derive(Debug, Clone)]
pub(super) struct FormatParser;

impl TypedValueParser for FormatParser {
    type Value = DumpFormat;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<DumpFormat, clap::Error> {
        let names_archive =
            value.to_str().is_some_and(|name| ["c", "custom", "d", "directory", "t", "tar"].contains(&name));
        if names_archive {
            let problem = "dbhaul writes no archive files of pg_dump's: give --store for a backup that `dbhaul restore` \
                           reads, or --format sql for a script\n";
            return Err(clap::Error::raw(ErrorKind::InvalidValue, problem).with_cmd(command));
        }
        clap::builder::EnumValueParser::<DumpFormat>::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(DumpFormat::value_variants().iter().filter_map(ValueEnum::to_possible_value)))
    }
}

/// Takes a time as PostgreSQL's settings do: a number of milliseconds, or one with its unit.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("expected milliseconds, or a number with ms, s, min, h or d".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number".to_owned())?;
    let limit_ms = number.checked_mul(unit_ms).filter(|ms| (1..=i32::MAX as u64).contains(ms));
    limit_ms.map(Duration::from_millis).ok_or_else(|| "out of range".to_owned())
}

/// Takes the memory of an index build, within what `maintenance_work_mem` may be.
fn memory(text: &str) -> Result<u64, String> {
    size(text).and_then(|bytes| match bytes {
        0x10_0000..=0x1FF_FFFF_FC00 => Ok(bytes),
        _ => Err("expected 1MB to 2047GB".to_owned()),
    })
}

/// How much of the source may be taken.
#[derive(Debug, Args)]
#[command(next_help_heading = "Throttling")]
pub(crate) struct ThrottleArgs {
    /// Limit reading to RATE bytes of rows per second: 50MB, 1GB
    #[arg(long, value_name = "RATE", value_parser = size)]
    pub(crate) max_rate: Option<u64>,
    /// Pause while more than N other sessions are active on the source's server
    #[arg(long, value_name = "N")]
    pub(crate) max_source_load: Option<u64>,
    /// Pause while a standby of the source is behind by more than BYTES
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) max_standby_lag: Option<u64>,
    /// Fail if a lock on a table is not granted within this time: 500 (milliseconds), 30s, 5min
    #[arg(long, value_name = "TIMEOUT", value_parser = wait)]
    pub(crate) lock_wait_timeout: Option<Duration>,
}

/// The database to read.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// The database to read: postgres://user@host:port/db, or "host=... dbname=..."
    ///
    /// What it leaves out comes from libpq's environment, service and password files. Do not write passwords
    /// here: other users of this machine can see the command line.
    /// [env: DBHAUL_SOURCE, then PGHOST, PGDATABASE, ...]
    #[arg(long, value_name = "URI", help_heading = "Where")]
    pub(crate) source: Option<String>,
}

/// The target: the database that is written, or compared with the source.
#[derive(Debug, Args)]
pub(crate) struct TargetArgs {
    /// The target database, in the same form as --source [env: DBHAUL_TARGET]
    #[arg(long, value_name = "URI", help_heading = "Where")]
    pub(crate) target: Option<String>,
}

/// The roles of both sides.
#[derive(Debug, Args)]
pub(crate) struct SideRoleArgs {
    /// The role to read as: SET ROLE after connecting to the source [env: DBHAUL_SOURCE_ROLE]
    #[arg(long, value_name = "ROLE", help_heading = "Where")]
    pub(crate) source_role: Option<String>,
    /// The role to act as on the target: SET ROLE after connecting to it [env: DBHAUL_TARGET_ROLE]
    #[arg(long, value_name = "ROLE", help_heading = "Where")]
    pub(crate) target_role: Option<String>,
}

/// The store.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The store: a directory, file:///dir, or s3://bucket/prefix?region=...&endpoint=... [env: DBHAUL_STORE]
    ///
    /// Options of s3:// are endpoint, region, path_style=true, profile, sse,
    /// sse_kms_key_id and storage_class. Keys come from AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY, a profile, or the machine's role.
    #[arg(long, value_name = "STORE", help_heading = "Where")]
    pub(crate) store: Option<String>,
}

/// Which backup of a store.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The backup: `latest`, or the beginning of its ID [default: latest]
    #[arg(long, value_name = "ID", help_heading = "Where")]
    pub(crate) backup: Option<String>,
    /// Consider only backups of this database
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    pub(crate) database: Option<String>,
}

/// A section of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SectionName {
    /// Schemas, types, functions, tables
    PreData,
    /// Rows, sequence values, large objects
    Data,
    /// Indexes, constraints, triggers
    PostData,
}

/// Which objects, with `pg_dump`'s letters.
#[derive(Debug, Args)]
#[command(
    next_help_heading = "Objects (patterns as in pg_dump; a pattern to include that matches nothing is an error)"
)]
pub(crate) struct SelectionArgs {
    /// Only these schemas
    #[arg(short = 'n', long = "schema", value_name = "PATTERN")]
    pub(crate) schemas: Vec<String>,
    /// Not these schemas
    #[arg(short = 'N', long = "exclude-schema", value_name = "PATTERN")]
    pub(crate) exclude_schemas: Vec<String>,
    /// Only these tables, views, materialized views, sequences and foreign tables
    #[arg(short = 't', long = "table", value_name = "PATTERN")]
    pub(crate) tables: Vec<String>,
    /// Only these tables, with their partitions and the tables that inherit from them
    #[arg(long = "table-and-children", value_name = "PATTERN")]
    pub(crate) tables_and_children: Vec<String>,
    /// Not these tables
    #[arg(short = 'T', long = "exclude-table", value_name = "PATTERN")]
    pub(crate) exclude_tables: Vec<String>,
    /// Not these tables, their partitions and the tables that inherit from them
    #[arg(long = "exclude-table-and-children", value_name = "PATTERN")]
    pub(crate) exclude_tables_and_children: Vec<String>,
    /// The definitions of these tables without their rows
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude_table_data: Vec<String>,
    /// The definitions of these tables and their children without their rows
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude_table_data_and_children: Vec<String>,
    /// Also what the selected objects need: tables that foreign keys refer to, types, functions, sequences,
    /// schemas, extensions
    #[arg(long)]
    pub(crate) with_dependencies: bool,
    /// Definitions only, no rows
    #[arg(short = 's', long, conflicts_with_all = ["data_only", "sections"])]
    pub(crate) schema_only: bool,
    /// Rows only, no definitions
    #[arg(short = 'a', long, conflicts_with = "sections")]
    pub(crate) data_only: bool,
    /// Only these sections
    #[arg(long = "section", value_name = "SECTION", value_delimiter = ',')]
    pub(crate) sections: Vec<SectionName>,
    /// Only these extensions
    #[arg(short = 'e', long = "extension", value_name = "PATTERN")]
    pub(crate) extensions: Vec<String>,
    /// Not these extensions
    #[arg(long = "exclude-extension", value_name = "PATTERN")]
    pub(crate) exclude_extensions: Vec<String>,
    /// Rows of the foreign tables of these servers; restoring them writes to those servers
    #[arg(long = "include-foreign-data", value_name = "PATTERN")]
    pub(crate) foreign_data: Vec<String>,
    /// Patterns from a file in the syntax of pg_dump --filter; - is standard input
    #[arg(long = "filter", value_name = "FILE")]
    pub(crate) filters: Vec<PathBuf>,
    /// Every pattern must match: what dbhaul does anyway, accepted for pg_dump's sake
    #[arg(long, hide = true)]
    pub(crate) strict_names: bool,
    /// Include large objects, which a selection excludes by default
    #[arg(short = 'b', long, visible_alias = "blobs", conflicts_with = "no_large_objects")]
    pub(crate) large_objects: bool,
    /// No large objects
    #[arg(short = 'B', long, visible_alias = "no-blobs")]
    pub(crate) no_large_objects: bool,
    /// No owners: everything belongs to the connecting role
    #[arg(short = 'O', long = "no-owner", action = ArgAction::SetFalse)]
    pub(crate) owners: bool,
    /// No privileges: nothing is granted or revoked
    #[arg(short = 'x', long = "no-privileges", visible_alias = "no-acl", action = ArgAction::SetFalse)]
    pub(crate) privileges: bool,
    /// No comments
    #[arg(long = "no-comments", action = ArgAction::SetFalse)]
    pub(crate) comments: bool,
    /// No security labels
    #[arg(long = "no-security-labels", action = ArgAction::SetFalse)]
    pub(crate) security_labels: bool,
    /// No row-security policies
    #[arg(long = "no-policies", action = ArgAction::SetFalse)]
    pub(crate) policies: bool,
    /// No publications
    #[arg(long = "no-publications", action = ArgAction::SetFalse)]
    pub(crate) publications: bool,
    /// No subscriptions
    #[arg(long = "no-subscriptions", action = ArgAction::SetFalse)]
    pub(crate) subscriptions: bool,
    /// No tablespaces: everything goes where the target puts it
    #[arg(long, conflicts_with = "tablespace_map")]
    pub(crate) no_tablespaces: bool,
    /// Put what is in tablespace OLD into tablespace NEW; an empty NEW is the database's own tablespace
    #[arg(long, value_name = "OLD=NEW", value_parser = tablespace_pair)]
    pub(crate) tablespace_map: Vec<(String, String)>,
}

/// Takes two names with `=` between; the first may not be empty.
fn tablespace_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err("two names with = between are needed: OLD=NEW".to_owned()),
    }
}

/// What a dump becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DumpFormat {
    /// A backup in a store
    Store,
    /// A backup in a store, with its rows as files of Parquet that other programs read
    Parquet,
    /// One SQL script for psql, to standard output or --file
    #[value(alias = "plain", alias = "p")]
    Sql,
}

/// How a script is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Script")]
pub(crate) struct ScriptArgs {
    /// Write the script into this file, which appears once it is complete [default: standard output]
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Drop objects before creating them
    #[arg(short = 'c', long, conflicts_with = "data_only")]
    pub(crate) clean: bool,
    /// With --clean, use DROP ... IF EXISTS
    #[arg(long, requires = "clean")]
    pub(crate) if_exists: bool,
    /// Begin with creating the database and connecting to it
    #[arg(short = 'C', long, conflicts_with = "data_only")]
    pub(crate) create: bool,
    /// Write a script for servers up to this major version [default: the source's version and newer ones]
    #[arg(long, value_name = "MAJOR")]
    pub(crate) target_version: Option<u32>,
}

/// Which roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RolesArg {
    /// None
    None,
    /// Roles that the database names, and roles that these are members of
    Used,
    /// All roles except the predefined ones
    All,
}

/// Which roles a backup holds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Roles")]
pub(crate) struct RecordArgs {
    /// The roles to record [default: used, without passwords]
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(crate) roles: Option<RolesArg>,
    /// With --roles, do not record password hashes
    #[arg(long = "no-role-passwords", action = ArgAction::SetFalse, requires = "roles")]
    pub(crate) role_passwords: bool,
}

/// Which roles are created on a target.
#[derive(Debug, Args)]
#[command(next_help_heading = "Roles")]
pub(crate) struct RoleArgs {
    /// The roles to create first if the target lacks them; existing roles are not changed
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = RolesArg::None)]
    pub(crate) roles: RolesArg,
    /// With --roles, do not carry hashes of passwords
    #[arg(long = "no-role-passwords", action = ArgAction::SetFalse, requires = "roles")]
    pub(crate) role_passwords: bool,
    /// Roles under other names.
    #[command(flatten)]
    pub(crate) map: RoleMapArgs,
}

/// Other names for roles.
#[derive(Debug, Args)]
pub(crate) struct RoleMapArgs {
    /// A file of lines `source_role = target_role`, or `source_role = -` to drop the role
    ///
    /// Applied to owners, grants, default privileges, policies, user mappings
    /// and memberships. What a dropped role owns belongs to the connecting role.
    /// `#` begins a comment; a name with `=`, `#` or quotes stands in double quotes.
    #[arg(long, value_name = "FILE", help_heading = "Roles")]
    pub(crate) role_map: Option<PathBuf>,
}

/// Where planner statistics come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatisticsName {
    /// ANALYZE after the rows and indexes, parents of partitions too
    Analyze,
    /// The source's own, where the target is 18 or newer; else as analyze. Extended statistics are always gathered anew
    Copy,
    /// None
    None,
}

/// How a database is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "How")]
pub(crate) struct WriteArgs {
    /// Sessions that work at the same time [default: one for each processor, 4 at most]
    #[arg(short, long, value_name = "N", value_parser = jobs())]
    pub(crate) jobs: Option<usize>,
    /// Drop objects before creating them
    #[arg(short = 'c', long, conflicts_with = "data_only")]
    pub(crate) clean: bool,
    /// With --clean, use DROP ... IF EXISTS
    #[arg(long, requires = "clean")]
    pub(crate) if_exists: bool,
    /// Create the database, named as the source's, first; --target names another one of that server
    #[arg(short = 'C', long, conflicts_with = "data_only")]
    pub(crate) create: bool,
    /// Load into a database that is not empty
    #[arg(long)]
    pub(crate) allow_non_empty: bool,
    /// Write although default_transaction_read_only is on for the target's database or role
    #[arg(long)]
    pub(crate) allow_read_only: bool,
    /// With --data-only, triggers and foreign keys of the target's tables take no part (needs a superuser)
    #[arg(long, requires = "data_only")]
    pub(crate) disable_triggers: bool,
    /// Write to a server of an older major version; what it does not know is left out and listed
    #[arg(long)]
    pub(crate) allow_downgrade: bool,
    /// Planner statistics: analyze every table, copy the source's (to 18 and newer), or none
    #[arg(long, value_name = "MODE", value_enum, default_value_t = StatisticsName::Analyze)]
    pub(crate) statistics: StatisticsName,
    /// The same as --statistics none
    #[arg(long, conflicts_with = "statistics")]
    pub(crate) no_analyze: bool,
    /// maintenance_work_mem of each session [default: by the target's memory and the sessions]
    #[arg(long, value_name = "BYTES", value_parser = memory)]
    pub(crate) maintenance_work_mem: Option<u64>,
    /// Workers that help an index build [default: by the target's settings and the sessions]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1024))]
    pub(crate) index_workers: Option<u32>,
}

/// Where a report goes beside standard output.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Write the report into this file too, as its name ends: .json, .txt, and of verify, migrate and restore .html,
    /// .md and .xml (JUnit). Can be repeated
    #[arg(long = "report", value_name = "FILE", help_heading = "Output")]
    pub(crate) report_files: Vec<PathBuf>,
}

/// How a run speaks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// How to show progress, on standard error
    #[arg(long, value_name = "MODE", value_enum, default_value_t = ProgressMode::Auto)]
    pub(crate) progress: ProgressMode,
    /// Show warnings and errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Log what is done; more with -vv and -vvv
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[cfg(test)]
mod tests {
    use super::{memory, size, wait};

    #[test]
    fn sizes() {
        let sizes = ["17", "512kB", "64 MB", "1GiB", "2g"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [17, 512 << 10, 64 << 20, 1 << 30, 2 << 30]);
        for wrong in ["", "MB", "0", "-1", "1.5GB", "3 bananas", "99999999999GB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        let waits = ["500", "500ms", "30s", "2 min", "1h", "1d"].map(|text| wait(text).unwrap().as_millis());
        assert_eq!(waits, [500, 500, 30_000, 120_000, 3_600_000, 86_400_000]);
        for wrong in ["", "s", "0", "-1", "1.5s", "5 weeks", "99999d"] {
            assert!(wait(wrong).is_err(), "{wrong}");
        }
        assert!(memory("64MB").is_ok() && memory("1kB").is_err() && memory("3000GB").is_err());
    }
}
