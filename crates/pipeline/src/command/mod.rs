//! The commands: each a request, a plan and a report.

pub(crate) mod backups;
pub(crate) mod cleanup;
pub(crate) mod dump;
pub(crate) mod export;
pub(crate) mod import_rows;
pub(crate) mod job;
pub(crate) mod migrate;
pub(crate) mod preflight;
pub(crate) mod relation;
pub(crate) mod restore;
pub(crate) mod script;
pub(crate) mod store;
pub(crate) mod verify;
