//! Waiting for a condition, the only way in which the tests wait.

use std::time::{Duration, Instant};

/// How long a condition may take before the test fails. Generous: it bounds hangs, it measures nothing.
const LIMIT: Duration = Duration::from_secs(120);

/// Asks `probe` again and again until it yields a value, and returns that.
///
/// # Panics
/// After two minutes, naming `what` was waited for.
pub fn wait_until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(started.elapsed() < LIMIT, "gave up waiting until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
