//! Sending one message.

use std::sync::Arc;
use std::time::Duration;

use dbhaul_retry::RetryPolicy;
use tokio_util::sync::CancellationToken;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::Address;

/// How long one attempt may take, from looking up the host to the end of the answer.
const ATTEMPT: Duration = Duration::from_secs(10);

/// A POST.
pub(super) struct Message {
    address: Address,
    content_type: &'static str,
    body: String,
}

impl Message {
    pub(super) fn post(address: Address, content_type: &'static str, body: String) -> Self {
        Message { address, content_type, body }
    }

    pub(super) fn host(&self) -> &str {
        self.address.host()
    }
}

/// Sends messages; it follows no redirection to another host with what an address holds.
#[derive(Clone)]
pub(super) struct Sender(Agent);

impl Default for Sender {
    fn default() -> Self {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .timeout_global(Some(ATTEMPT))
            .max_redirects(0)
            .http_status_as_error(false)
            .tls_config(tls)
            .user_agent(concat!("dbhaul/", env!("CARGO_PKG_VERSION")))
            .build();
        Sender(config.new_agent())
    }
}

impl Sender {
    /// Sends a message, up to three times; an error is a text without the address. Dropped, it makes no further attempt.
    pub(super) async fn send(&self, message: Message) -> Result<(), String> {
        let mut attempts = RetryPolicy::brief().attempts();
        let message = Arc::new(message);
        loop {
            let (agent, sent) = (self.0.clone(), Arc::clone(&message));
            let problem = match on_a_thread(move || post(&agent, &sent)).await? {
                Ok(()) => return Ok(()),
                Err(problem) => problem,
            };
            let Some(pause) = attempts.failed(problem.is_transient) else {
                return Err(problem.reason);
            };
            if pause.wait(&CancellationToken::new()).await.is_err() {
                return Err(problem.reason);
            }
        }
    }
}

/// Runs a call on a thread of its own, whose end nobody waits for once this is dropped: the end of the process would
/// wait for one of the runtime's.
async fn on_a_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let run = move || drop(answer.send(call()));
    std::thread::Builder::new().name("notify".to_owned()).spawn(run).map_err(|error| error.to_string())?;
    answered.await.map_err(|_| "the attempt ended without an answer".to_owned())
}

/// Why a message did not arrive.
struct Problem {
    /// In words, without the address.
    reason: String,
    /// Whether the same may succeed a moment later.
    is_transient: bool,
}

fn post(agent: &Agent, message: &Message) -> Result<(), Problem> {
    let request = agent.post(message.address.reveal()).header("content-type", message.content_type);
    let failed = |error: ureq::Error| Problem { reason: reason(&error), is_transient: is_transient(&error) };
    let status = request.send(message.body.as_bytes()).map_err(failed)?.status();
    if status.is_success() {
        return Ok(());
    }
    let reason = match status.is_redirection() {
        true => format!("it answered with status {status}, a redirection, and redirections are not followed"),
        false => format!("it answered with status {status}"),
    };
    let is_transient = status.is_server_error() || status.as_u16() == 429;
    Err(Problem { reason, is_transient })
}

/// Whether the same may succeed a moment later.
fn is_transient(error: &ureq::Error) -> bool {
    !matches!(error, ureq::Error::BadUri(_) | ureq::Error::Tls(_))
}

/// What went wrong. The library's text of a wrong address may repeat it.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "the address is not one that can be called".to_owned(),
        ureq::Error::HostNotFound => "the host is not known".to_owned(),
        ureq::Error::Timeout(_) => format!("no answer within {} seconds", ATTEMPT.as_secs()),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
