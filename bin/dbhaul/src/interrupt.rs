//! Ctrl-C and termination: the first stops gracefully, the second at once.

use dbhaul_pipeline::Status;
use dbhaul_progress::Progress;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Cancels `cancel` on the first SIGINT or SIGTERM and ends the process on the second.
///
/// # Errors
/// If signals cannot be received.
pub(crate) fn watch(cancel: CancellationToken, progress: Progress) -> std::io::Result<JoinHandle<()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if cancel.is_cancelled() {
                std::process::exit(i32::from(Status::Interrupted.exit_code()));
            }
            progress.warning("stopping gracefully; once more stops at once");
            cancel.cancel();
        }
    }))
}
