//! Telling others how a job goes: pings, a webhook, metrics.
//!
//! A message that cannot be delivered is tried again and then told as a warning: it does not change what the job did.
//! Addresses may hold secrets, so only their host is ever shown.

mod address;
mod metrics;
mod send;

use std::path::PathBuf;
use std::time::Duration;

use dbhaul_progress::Progress;
use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt, iter};
use tokio_util::sync::CancellationToken;

pub use address::{Address, AddressError};

use crate::{JobReport, Status};
use send::{Message, Sender};

/// Whom a job tells.
#[derive(Debug, Clone, Default)]
pub struct Notifications {
    /// A check as healthchecks.io has them: `<address>/start` when the job begins, `<address>` when it has succeeded,
    /// `<address>/fail` when not.
    pub ping: Option<Address>,
    /// Receives the report as JSON when the job has ended.
    pub webhook: Option<Address>,
    /// A file of metrics for the textfile collector of a node exporter.
    pub metrics_file: Option<PathBuf>,
    /// A Prometheus push gateway.
    pub push_gateway: Option<Address>,
}

/// How long a job that the user has stopped goes on telling of its end.
const GRACE: Duration = Duration::from_secs(5);

/// Who are told at the same time then.
const AT_ONCE: usize = 16;

/// Tells of one run of a job.
pub(crate) struct Notifier {
    job: String,
    to: Notifications,
    progress: Progress,
    cancel: CancellationToken,
    sender: Sender,
}

impl Notifier {
    /// Tells of a job that ends when `cancel` is cancelled.
    pub(crate) fn new(job: String, to: Notifications, progress: Progress, cancel: CancellationToken) -> Self {
        Notifier { job, to, progress, cancel, sender: Sender::default() }
    }

    /// The job begins. Nobody waits for this any more once the user has stopped it.
    pub(crate) async fn begun(&self) {
        if let Some(ping) = &self.to.ping {
            let message = Message::post(ping.below("start"), "text/plain", String::new());
            self.cancel.run_until_cancelled(self.send(message)).await;
        }
    }

    /// The job has ended, or was stopped.
    pub(crate) async fn ended(&self, report: &JobReport) {
        let over = async {
            self.cancel.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        let over = over.shared();
        if let Some(file) = self.to.metrics_file.clone() {
            let place = file.display().to_string();
            let writing = self.write_metrics(file, metrics::text(&self.job, report));
            self.until(over.clone(), place, writing).await;
        }
        let telling = self.messages(report).into_iter().map(|message| {
            let host = message.host().to_owned();
            Box::pin(self.until(over.clone(), host, self.send(message)))
        });
        self.tell(telling).await;
    }

    fn messages(&self, report: &JobReport) -> Vec<Message> {
        let mut messages = Vec::new();
        if let Some(ping) = &self.to.ping {
            let address = match report.status() {
                Status::Done => ping.clone(),
                _ => ping.below("fail"),
            };
            messages.push(Message::post(address, "text/plain; charset=utf-8", report.to_string()));
        }
        if let Some(webhook) = &self.to.webhook {
            match json(report) {
                Ok(body) => messages.push(Message::post(webhook.clone(), "application/json", body)),
                Err(error) => self.progress.warning(format!("the webhook was not called: {error}")),
            }
        }
        if let Some(gateway) = &self.to.push_gateway {
            for (database, text) in metrics::groups(report) {
                let mut group = format!("metrics/job/dbhaul/{}", address::label("profile", &self.job));
                if let Some(database) = database {
                    group.push_str(&format!("/{}", address::label("database", &database)));
                }
                messages.push(Message::post(gateway.below(&group), "text/plain; version=0.0.4", text));
            }
        }
        messages
    }

    /// Tells one after another; once the user has stopped the job, several together, as there is little time left.
    async fn tell<T: Future<Output = ()> + Unpin>(&self, mut waiting: impl Iterator<Item = T>) {
        let mut telling = FuturesUnordered::new();
        while !self.cancel.is_cancelled() {
            if telling.is_empty() {
                let Some(next) = waiting.next() else { return };
                telling.push(next);
            }
            tokio::select! {
                _ = telling.next() => {}
                () = self.cancel.cancelled() => {}
            }
        }
        let rest = iter(waiting).buffer_unordered(AT_ONCE).collect::<()>();
        tokio::join!(telling.collect::<()>(), rest);
    }

    /// Gives up when the time is over.
    async fn until(&self, over: impl Future<Output = ()>, whom: String, telling: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = telling => {}
            () = over => self.progress.warning(format!(
                "{whom} was not told of job {:?}: no answer within {} seconds after the run was stopped",
                self.job,
                GRACE.as_secs()
            )),
        }
    }

    async fn write_metrics(&self, file: PathBuf, text: String) {
        let place = file.clone();
        let written = tokio::task::spawn_blocking(move || metrics::write(&place, &text)).await;
        let problem = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        self.progress.warning(format!("the metrics were not written to {}: {problem}", file.display()));
    }

    async fn send(&self, message: Message) {
        let host = message.host().to_owned();
        if let Err(problem) = self.sender.send(message).await {
            self.progress.warning(format!("{host} was not told of job {:?}: {problem}", self.job));
        }
    }
}

/// The report with its status, as `--json` prints it.
fn json(report: &JobReport) -> serde_json::Result<String> {
    #[derive(serde::Serialize)]
    struct WithStatus<'a> {
        status: Status,
        #[serde(flatten)]
        report: &'a JobReport,
    }
    serde_json::to_string(&WithStatus { status: report.status(), report })
}
