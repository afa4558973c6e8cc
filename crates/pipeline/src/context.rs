//! What every command is given beside its request.

use std::sync::Arc;
use std::time::Duration;

use dbhaul_progress::Progress;
use dbhaul_repository::StoreKeys;
use tokio_util::sync::CancellationToken;

/// How a command reports, and how it is stopped.
#[derive(Debug, Clone)]
pub struct Context {
    /// Receives what happens.
    pub progress: Progress,
    /// Cancelled to stop gracefully; what was done stays resumable.
    pub cancel: CancellationToken,
    /// How long a lock on a table, of the source or of the target, is waited for; none: until it is granted.
    pub lock_wait: Option<Duration>,
    /// The keys of the store, where it is encrypted.
    pub keys: Arc<StoreKeys>,
}

impl Context {
    /// A context that reports nothing and is never cancelled.
    pub fn silent() -> Self {
        Context {
            progress: Progress::silent(),
            cancel: CancellationToken::new(),
            lock_wait: None,
            keys: Arc::default(),
        }
    }
}
