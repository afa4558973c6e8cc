//! Telling others how a job goes: pings, a webhook, metrics.
//!
//! A message that cannot be delivered is tried again and then told as a warning: it does not change what the job did.
//! Addresses may hold secrets, so only their host is ever shown.

mod address;
mod metrics;
mod send;

use std::path::PathBuf;

use dbhaul_progress::Progress;

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

/// Tells of one run of a job.
pub(crate) struct Notifier {
    job: String,
    to: Notifications,
    progress: Progress,
    sender: Sender,
}

impl Notifier {
    pub(crate) fn new(job: String, to: Notifications, progress: Progress) -> Self {
        Notifier { job, to, progress, sender: Sender::default() }
    }

    /// The job begins.
    pub(crate) async fn begun(&self) {
        if let Some(ping) = &self.to.ping {
            self.send(Message::post(ping.below("start"), "text/plain", String::new())).await;
        }
    }

    /// The job has ended, or was stopped.
    pub(crate) async fn ended(&self, report: &JobReport) {
        if let Some(ping) = &self.to.ping {
            let address = match report.status() {
                Status::Done => ping.clone(),
                _ => ping.below("fail"),
            };
            self.send(Message::post(address, "text/plain; charset=utf-8", report.to_string())).await;
        }
        if let Some(webhook) = &self.to.webhook {
            match json(report) {
                Ok(body) => self.send(Message::post(webhook.clone(), "application/json", body)).await,
                Err(error) => self.progress.warning(format!("the webhook was not called: {error}")),
            }
        }
        if let Some(file) = &self.to.metrics_file {
            let (text, before) = (metrics::text(&self.job, report), file.clone());
            let written = tokio::task::spawn_blocking(move || metrics::write(&before, &text)).await;
            let problem = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(problem) = problem {
                self.progress
                    .warning(format!("the metrics were not written to {}: {problem}", file.display()));
            }
        }
        if let Some(gateway) = &self.to.push_gateway {
            for (database, text) in metrics::groups(report) {
                let mut group = format!("metrics/job/dbhaul/profile/{}", address::encoded(&self.job));
                if let Some(database) = database {
                    group.push_str(&format!("/database/{}", address::encoded(&database)));
                }
                self.send(Message::post(gateway.below(&group), "text/plain; version=0.0.4", text)).await;
            }
        }
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
