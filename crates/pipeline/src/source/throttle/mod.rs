//! Holding back, so that the source has enough left for others.
//!
//! All rows read from the source pass a [`Throttle`]: a rate limit, and a gate that is shut while the
//! source has too much to do. Whether it has, a watcher asks every few seconds over a session of its own.

mod bucket;
mod watcher;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Context, PipelineError};
use bucket::Bucket;
use dbhaul_postgres::ConnectSettings;

/// How much of the source a run may take. Nothing is limited by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThrottleOptions {
    /// Bytes of rows read per second, as COPY text.
    pub max_rate_bytes: Option<u64>,
    /// Active sessions besides ours on the source's server, with more of which nothing is read.
    pub max_source_load: Option<u64>,
    /// Bytes of the log that a standby of the source may be behind; with more nothing is read.
    pub max_standby_lag_bytes: Option<u64>,
}

/// What rows read from the source have to pass.
#[derive(Clone)]
pub(crate) struct Throttle {
    bucket: Option<Arc<Mutex<Bucket>>>,
    began: Instant,
    gate: Option<Arc<Gate>>,
    cancel: CancellationToken,
}

/// The gate, and the task that opens and shuts it; the task ends with the last throttle.
struct Gate {
    is_shut: watch::Receiver<bool>,
    watcher: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl Throttle {
    /// A throttle for one run; looks at the source once before it returns, if it is to be watched.
    ///
    /// # Errors
    /// If the source cannot be asked.
    pub(crate) async fn start(
        options: ThrottleOptions,
        source: &ConnectSettings,
        context: &Context,
    ) -> Result<Self, PipelineError> {
        let bucket = options.max_rate_bytes.map(|rate| Arc::new(Mutex::new(Bucket::new(rate))));
        let watched = watcher::start(options, source, context).await?;
        let gate = watched.map(|(is_shut, watcher)| Arc::new(Gate { is_shut, watcher }));
        Ok(Throttle { bucket, began: Instant::now(), gate, cancel: context.cancel.clone() })
    }

    /// Waits until so many bytes may pass. Ends early, letting them pass, when the run is cancelled.
    pub(crate) async fn pass(&self, bytes: u64) {
        let wait = async {
            if let Some(gate) = &self.gate {
                // without its watcher the gate is open
                let _ = gate.is_shut.clone().wait_for(|is_shut| !is_shut).await;
            }
            if let Some(bucket) = &self.bucket {
                let now = self.began.elapsed();
                let pause = bucket.lock().unwrap_or_else(PoisonError::into_inner).take(bytes, now);
                tokio::time::sleep(pause).await;
            }
        };
        let _ = self.cancel.run_until_cancelled(wait).await;
    }
}
