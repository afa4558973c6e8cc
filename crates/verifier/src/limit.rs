//! How long a comparison may read rows.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The time at which rows are no longer read. What was not compared by then is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit {
    at: Instant,
}

impl TimeLimit {
    /// So long from now.
    pub fn after(duration: Duration) -> Self {
        TimeLimit { at: Instant::now() + duration }
    }

    /// Whether the time is up.
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    /// What a report says of rows that were not read in time.
    pub const REASON: &str = "they were not compared before the time was over (--max-seconds)";
}

/// A token that is cancelled when the time is up, or when another is.
#[derive(Debug)]
pub struct TimedToken {
    token: CancellationToken,
    outer: CancellationToken,
    limit: Option<TimeLimit>,
    _timer: JoinSet<()>,
}

impl TimedToken {
    /// A child of a token.
    pub fn new(outer: &CancellationToken, limit: Option<TimeLimit>) -> Self {
        let token = outer.child_token();
        let mut timer = JoinSet::new();
        if let Some(limit) = limit {
            let token = token.clone();
            timer.spawn(async move {
                tokio::time::sleep_until(limit.at).await;
                token.cancel();
            });
        }
        TimedToken { token, outer: outer.clone(), limit, _timer: timer }
    }

    /// What work that is limited watches.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Whether the time is up, and nobody has stopped the work otherwise.
    pub fn is_over(&self) -> bool {
        self.limit.is_some_and(|limit| limit.is_over()) && !self.outer.is_cancelled()
    }
}
