//! What every command is given beside its request.

use dbhaul_progress::Progress;
use tokio_util::sync::CancellationToken;

/// How a command reports, and how it is stopped.
#[derive(Debug, Clone)]
pub struct Context {
    /// Receives what happens.
    pub progress: Progress,
    /// Cancelled to stop gracefully; what was done stays resumable.
    pub cancel: CancellationToken,
}

impl Context {
    /// A context that reports nothing and is never cancelled.
    pub fn silent() -> Self {
        Context { progress: Progress::silent(), cancel: CancellationToken::new() }
    }
}
