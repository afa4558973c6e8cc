//! What can stop a verification as a whole. A single table that cannot be read
//! does not: it is reported as not verified.

use dbhaul_postgres as postgres;
use thiserror::Error;

/// A verification could not be carried out.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// A side cannot be asked any more: its server is away, or its snapshot gone.
    #[error("cannot go on reading {side}, at {table}")]
    Side {
        /// The side's description.
        side: String,
        /// What was to be read, as the report calls it.
        table: String,
        /// What happened.
        #[source]
        source: postgres::Error,
    },
    /// A worker ended abnormally, so results may be missing.
    #[error("a digest worker of {side} ended abnormally: {reason}")]
    Worker {
        /// The side's description.
        side: String,
        /// How it ended.
        reason: String,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
}
