//! Ctrl-C, termination and a terminal that goes away: the first stops gracefully, the second at once.

use dbhaul_pipeline::Status;
use dbhaul_progress::Progress;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Cancels `cancel` on the first SIGINT, SIGTERM or SIGHUP and ends the process on the second.
///
/// # Errors
/// If signals cannot be received.
pub(crate) fn watch(cancel: CancellationToken, progress: Progress) -> std::io::Result<JoinHandle<()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = if hangups_are_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
    Ok(tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                // A session that is logged out sends it more than once: it never stops at once.
                () = hung_up(&mut hangup) => {
                    if cancel.is_cancelled() {
                        continue;
                    }
                }
            }
            if cancel.is_cancelled() {
                std::process::exit(i32::from(Status::Interrupted.exit_code()));
            }
            progress.warning("stopping gracefully; press Ctrl-C again to stop immediately");
            cancel.cancel();
        }
    }))
}

/// Whether this was started to outlive its terminal, as by `nohup`: then a hangup is to change nothing.
fn hangups_are_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

/// The lowest bit of the mask of ignored signals is SIGHUP's.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn what_nohup_has_set_is_seen() {
        assert!(ignores_hangup("Name:\tdbhaul\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("Name:\tdbhaul\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
