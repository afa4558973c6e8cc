//! Composes the engines into the commands: preflight, dump, restore, migrate, verify, backup, cleanup.
//!
//! A command is a *request* ([`DumpRequest`], ...) that becomes a *plan* by
//! `prepare`, which reads but changes nothing, and a *report* by `execute`. A
//! plan can be printed instead. Every report has a [`Status`], and every status
//! an exit code that is documented and never changed; an error has a status too.
//!
//! This crate does not know terminals, arguments or files of configuration.
//!
//! ```no_run
//! # async fn example(request: dbhaul_pipeline::DumpRequest) -> Result<(), dbhaul_pipeline::PipelineError> {
//! use dbhaul_pipeline::{Context, Dump};
//!
//! let dump = Dump::prepare_to_execute(request, Context::silent()).await?;
//! println!("{}", dump.plan());
//! let report = dump.execute().await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```

mod command;
mod context;
mod error;
mod hold;
mod notify;
mod output_file;
mod output_place;
mod report;
mod request;
mod shell;
mod sides;
mod source;
mod statistics;
mod target;

pub use command::backups::check::{
    CheckOutcome, CheckRequest, CheckSubset, CheckSummary, CheckedBackup, CheckedBackups, SubsetError,
    check_backups,
};
pub use command::backups::convert::{ConvertReport, ConvertRequest, convert_backup};
pub use command::backups::forget::{
    BackupGroup, ForgetChoice, ForgetReport, ForgetRequest, JudgedBackup, forget_backups, pin_backups,
};
pub use command::backups::list::{BackupList, BackupSummary, LastCheck, ListRequest, TooOld, list_backups};
pub use command::backups::prune::{PruneReport, PruneRequest, prune_store};
pub use command::backups::{
    BackupDetails, BackupToc, Definitions, TableDetails, show_backup, show_definitions, show_toc,
};
pub use command::cleanup::store::{StoreCleanupReport, StoreCleanupRequest, cleanup_store};
pub use command::cleanup::{CleanupReport, CleanupRequest, LeftRun, cleanup};
pub use command::dump::{Dump, DumpPlan, DumpReport, PlannedTable};
pub use command::export::{Compression, ExportReport, ExportRequest, ExportRows, RowFormat, export};
pub use command::import_rows::{ImportRowsReport, ImportRowsRequest, import_rows};
pub use command::job::{
    BackupJob, JobCheck, JobReport, Overlap, Step, StepKind, StepResult, UnusableJob, run_job, tell_unusable,
};
pub use command::migrate::copy_scope::CopyScope;
pub use command::migrate::{Migrate, MigratePlan, MigrateReport};
pub use command::preflight::{Finding, Level, PreflightReport, preflight};
pub use command::restore::{Restore, RestorePlan, RestoreReport};
pub use command::script::{Script, ScriptOptions, ScriptPlan, ScriptReport, ScriptRequest, ScriptSource};
pub use command::store::{
    InitReport, InitRequest, KeyChange, KeyList, KeyReport, ListedGeneration, ProbeReport, ProbedAbility,
    RecoveryKit, change_keys, init_store, list_keys, probe_store, recovery_kit,
};
pub use command::verify::{Computed, ShownRows, VerifyReport, verify};
pub use context::Context;
pub use error::PipelineError;
pub use hold::{HeldRun, HoldAnswer, HoldOrder, HoldProgram, HoldRequest, hold_snapshot};
pub use notify::{Address, AddressError, Notifications};
pub use output_file::FileCompression;
pub use output_place::{ByteStream, OutputPlace};
pub use report::import::{ImportSummary, NamedReason};
pub use report::status::Status;
pub use report::words::{format_age, format_bytes};
pub use request::{
    CopyChoice, DumpRequest, MigrateRequest, PreflightRequest, RestoreRequest, RoleOptions, RowStore,
    Scratch, VerifyRequest, VerifySide, WriteOptions, default_compression_helpers, default_jobs,
};
pub use shell::quoted_for_shell;
pub use source::throttle::ThrottleOptions;
pub use target::roles::RoleReport;

pub use dbhaul_archive::{
    CheckLevel, CheckReport, CheckResult, Holder, PackGroup, Recipient, Secret, WriterKey,
};
pub use dbhaul_catalog::{
    FilterError, RoleMap, RoleMapError, RoleScope, Selection, SelectionError, Tablespaces, for_terminal,
    in_one_line, is_command, quote_identifier,
};
pub use dbhaul_importer::StatisticsMode;
pub use dbhaul_postgres::{ConnectSettings, process_environment};
pub use dbhaul_progress::one_line;
pub use dbhaul_repository::{
    BackupRef, KeepCount, KeepPolicy, ParentRef, PolicyError, RepositoryError, StoreKeys,
};
pub use dbhaul_store::StoreUrl;
pub use dbhaul_verifier::{
    AcceptError, AcceptList, Check, Checks, Command as ReportCommand, Document, Mode, PhaseTime,
    REPORT_FORMAT, ReportError, RunRecord, ShowValues, TaskTime, html, junit, markdown,
};
pub use jiff::tz::TimeZone;
