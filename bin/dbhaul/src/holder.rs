//! `hold-snapshot`: the process that holds the snapshot of a migration. Orders come on standard input,
//! answers go to standard output, one JSON document a line.

use std::io::BufRead;

use dbhaul_pipeline::{Context, HoldAnswer, HoldOrder, HoldRequest, PipelineError, hold_snapshot};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::output::{plain_json, to_stdout};

/// Orders that wait to be carried out.
const QUEUE: usize = 8;

/// Holds a snapshot until told otherwise.
///
/// # Errors
/// If it cannot be held.
pub(crate) async fn run(request: HoldRequest, context: Context) -> Result<(), PipelineError> {
    // A terminal that goes away must not take the snapshot with it.
    let hangup = signal(SignalKind::hangup());
    let (sender, orders) = mpsc::channel(QUEUE);
    // Not a task: a read of standard input that nothing ends must not keep the process.
    std::thread::spawn(move || read(&sender));
    let result = hold_snapshot(request, orders, answer, context).await;
    drop(hangup);
    result
}

/// Reads orders until the end, or until one that is none.
fn read(sender: &mpsc::Sender<HoldOrder>) {
    for line in std::io::stdin().lock().lines() {
        let Some(order) = line.ok().and_then(|line| serde_json::from_str(&line).ok()) else { return };
        if sender.blocking_send(order).is_err() {
            return;
        }
    }
}

/// Answers. Nobody is left to tell if that fails: the end of the orders says so too.
fn answer(answer: HoldAnswer) {
    if let Ok(line) = serde_json::to_string(&answer) {
        let _ = to_stdout(&plain_json(&line));
    }
}
