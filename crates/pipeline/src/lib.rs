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
//! let dump = Dump::prepare(request, Context::silent()).await?;
//! println!("{}", dump.plan());
//! let report = dump.execute().await?;
//! println!("{report}");
//! # Ok(())
//! # }
//! ```

mod adapted;
mod backup_segments;
mod backups;
mod cleanup;
mod cleanup_store;
mod context;
mod copy_format;
mod copy_scope;
mod dump;
mod dump_lists;
mod dump_rows;
mod error;
mod explained;
mod exported_segments;
mod extensions;
mod hold;
mod hypertables;
mod import_report;
mod left_out;
mod locales;
mod lock_wait;
mod migrate;
mod preflight;
mod progress_tables;
mod readable;
mod request;
mod restore;
mod resume;
mod roles;
mod rows_left_out;
mod script;
mod sealing;
mod sides;
mod source;
mod source_state;
mod statistics;
mod status;
mod store_trial;
mod target;
mod throttle;
mod unplanned;
mod verify;
mod verify_copy;
mod verify_lsn;
mod verify_roots;
mod verify_scope;
mod words;

pub use backups::{
    BackupDetails, BackupList, BackupSummary, BackupToc, Definitions, TableDetails, list_backups,
    show_backup, show_definitions, show_toc,
};
pub use cleanup::{CleanupReport, CleanupRequest, LeftRun, cleanup};
pub use cleanup_store::{LeftPack, StoreCleanupReport, StoreCleanupRequest, cleanup_store};
pub use context::Context;
pub use copy_scope::CopyScope;
pub use dump::{Dump, DumpPlan, DumpReport, PlannedTable};
pub use error::PipelineError;
pub use hold::{HeldRun, HoldAnswer, HoldOrder, HoldProgram, HoldRequest, hold_snapshot};
pub use import_report::{ImportSummary, NamedReason};
pub use migrate::{Migrate, MigratePlan, MigrateReport};
pub use preflight::{Finding, Level, PreflightReport, preflight};
pub use request::{
    CopyChoice, DumpRequest, MigrateRequest, PreflightRequest, RestoreRequest, RoleOptions, Scratch,
    VerifyRequest, VerifySide, WriteOptions, default_compression_helpers, default_jobs,
};
pub use restore::{Restore, RestorePlan, RestoreReport};
pub use roles::RoleReport;
pub use script::{
    ByteStream, Script, ScriptOptions, ScriptOutput, ScriptPlan, ScriptReport, ScriptRequest, ScriptSource,
};
pub use status::Status;
pub use throttle::ThrottleOptions;
pub use verify::{VerifyReport, verify};
pub use words::{format_age, format_bytes};

pub use dbhaul_catalog::{
    FilterError, RoleMap, RoleMapError, RoleScope, Selection, SelectionError, Tablespaces, for_terminal,
    in_one_line, is_command, quote_identifier,
};
pub use dbhaul_importer::StatisticsMode;
pub use dbhaul_postgres::{ConnectSettings, process_environment};
pub use dbhaul_progress::one_line;
pub use dbhaul_repository::{BackupRef, RepositoryError};
pub use dbhaul_store::StoreUrl;
