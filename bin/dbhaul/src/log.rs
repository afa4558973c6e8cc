//! The log on standard error.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use jiff::Timestamp;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::output::LogWriter;

/// Starts logging: what `RUST_LOG` asks for, else by the number of `-v`.
///
/// Only dbhaul's own crates are made more talkative by `-v`: what a library warns
/// of ends in an error of ours or does not matter, and what it logs of requests may
/// hold more than a log should.
pub(crate) fn start(verbose: u8, quiet: bool, json: bool) {
    let default = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "error,dbhaul=warn",
        (_, 1) => "warn,dbhaul=info",
        (_, 2) => "warn,dbhaul=debug",
        _ => "info,dbhaul=trace",
    };
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => {
            let mut filter = EnvFilter::builder().parse_lossy(directives);
            // It logs statements whole, and some hold passwords.
            filter = match "tokio_postgres=info".parse() {
                Ok(directive) => filter.add_directive(directive),
                Err(_) => filter,
            };
            filter
        }
        _ => EnvFilter::new(default),
    };
    let is_coloured =
        !json && crate::output::wants_colour() && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || LogWriter { is_json: json, is_coloured })
        .with_ansi(is_coloured);
    // A second subscriber can only be a test's; the first stays.
    let _ = if json { builder.json().try_init() } else { builder.with_timer(WhenAndWho).try_init() };
}

/// What tells the lines of this run from those of others in the same log: eight hex digits, others in each run.
pub(crate) fn run_id() -> &'static str {
    static RUN_ID: OnceLock<String> = OnceLock::new();
    // the keys of a hash are as random as this has to be
    RUN_ID.get_or_init(|| format!("{:016x}", RandomState::new().hash_one(std::process::id()))[..8].to_owned())
}

/// A line of a log: `2026-11-29T14:05:00Z 4f2a91c0 data started`.
pub(crate) fn dated(now: Timestamp, run: &str, text: &str) -> String {
    format!("{now:.0} {run} {text}")
}

/// Date, time and run.
struct WhenAndWho;

impl FormatTime for WhenAndWho {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.0} {}", Timestamp::now(), run_id())
    }
}
