//! How often and how fast to try again what may succeed a little later: one policy for stores, servers and messages.
//!
//! Whoever does something that may fail for a moment has the loop, for between two attempts there is often something
//! to settle: a lost answer, a rollback, another session. He decides by the type of the error whether another attempt
//! can help. A [`RetryPolicy`] says how many [`Attempts`] there are, and how long the [`Pause`] before each is; a pause
//! ends early when the command is cancelled.
//!
//! ```
//! use dbhaul_retry::RetryPolicy;
//! use tokio_util::sync::CancellationToken;
//!
//! # async fn example(read: impl AsyncFn() -> Result<u32, std::io::Error>) -> Result<u32, std::io::Error> {
//! let cancel = CancellationToken::new();
//! let mut attempts = RetryPolicy::default().attempts();
//! loop {
//!     let error = match read().await {
//!         Ok(found) => return Ok(found),
//!         Err(error) => error,
//!     };
//!     let is_transient = error.kind() == std::io::ErrorKind::TimedOut;
//!     let Some(pause) = attempts.failed(is_transient) else { return Err(error) };
//!     if pause.wait(&cancel).await.is_err() {
//!         return Err(error);
//!     }
//! }
//! # }
//! ```
//!
//! What waits for something that is not a failure (a lock, another process, a condition) is no retry, and not here.

use std::fmt;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

/// How much longer each pause is than the one before.
const FACTOR: f32 = 3.0;

/// All pauses between the attempts at one thing, at most.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// How often and how fast to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included; at least 1. There are fewer when the pauses take more than a minute.
    pub max_attempts: u32,
    /// The shortest pause before the second attempt. The pause before each further one is three times as long, and each
    /// is lengthened by chance, up to twice as long, so that many who failed together do not come back together.
    pub first_pause: Duration,
    /// The longest pause.
    pub max_pause: Duration,
}

impl Default for RetryPolicy {
    /// Six attempts with pauses of 25 to 50 seconds together: longer than a server takes to start again, or a gateway
    /// to fail over.
    fn default() -> Self {
        RetryPolicy {
            max_attempts: 6,
            first_pause: Duration::from_millis(250),
            max_pause: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Three attempts within about two seconds, for what somebody waits for and a wrong name may be the reason of.
    pub fn brief() -> Self {
        RetryPolicy { max_attempts: 3, ..RetryPolicy::default() }
    }

    /// The attempts at one thing; the first is going to be made.
    pub fn attempts(&self) -> Attempts {
        // chance lengthens a pause up to twice as long
        let longest = self.max_pause / 2;
        let pauses = ExponentialBuilder::new()
            .with_factor(FACTOR)
            .with_min_delay(self.first_pause.min(longest))
            .with_max_delay(longest)
            .with_max_times(self.max_attempts.saturating_sub(1) as usize)
            .with_total_delay(Some(MAX_WAIT))
            .with_jitter()
            .build();
        Attempts { pauses, failed: 0, max: self.max_attempts }
    }
}

/// The attempts at one thing.
#[derive(Debug)]
pub struct Attempts {
    pauses: ExponentialBackoff,
    failed: u32,
    max: u32,
}

impl Attempts {
    /// Counts an attempt that has failed. Returns the pause before the next one; `None` if there is to be none, because
    /// it failed for a reason that stays, or was the last.
    pub fn failed(&mut self, is_transient: bool) -> Option<Pause> {
        self.failed = self.failed.saturating_add(1);
        if !is_transient {
            return None;
        }
        let length = self.pauses.next()?;
        Some(Pause { next_attempt: self.failed.saturating_add(1), max_attempts: self.max, length })
    }
}

/// What lies between two attempts. Displays as `attempt 2 of 6 in 0.3 s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "an attempt is made after the pause"]
pub struct Pause {
    next_attempt: u32,
    max_attempts: u32,
    length: Duration,
}

/// A pause was ended before its time, since the command was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancelled;

impl Pause {
    /// How long it is.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When `cancel` is cancelled before; there is to be no further attempt then.
    pub async fn wait(self, cancel: &CancellationToken) -> Result<(), Cancelled> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Cancelled),
            () = tokio::time::sleep(self.length) => Ok(()),
        }
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pause { next_attempt, max_attempts, length } = self;
        write!(f, "attempt {next_attempt} of {max_attempts} in {:.1} s", length.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(policy: RetryPolicy) -> Vec<Duration> {
        let mut attempts = policy.attempts();
        std::iter::from_fn(|| attempts.failed(true)).map(|pause| pause.length()).collect()
    }

    #[test]
    fn six_attempts_are_made_with_pauses_that_grow() {
        for _ in 0..100 {
            let pauses = pauses(RetryPolicy::default());
            assert_eq!(pauses.len(), 5);
            for (pause, shortest_ms) in pauses.iter().zip([250, 750, 2_250, 6_750, 15_000]) {
                let shortest = Duration::from_millis(shortest_ms);
                // the library counts in `f32`
                let range = shortest.mul_f64(0.999)..=(shortest * 2).mul_f64(1.001);
                assert!(range.contains(pause), "{pause:?} is not {shortest:?} to twice of that");
            }
        }
        assert_eq!(pauses(RetryPolicy::brief()).len(), 2);
        assert_eq!(pauses(RetryPolicy { max_attempts: 1, ..RetryPolicy::default() }).len(), 0);
        assert_eq!(pauses(RetryPolicy { max_attempts: 0, ..RetryPolicy::default() }).len(), 0);
    }

    #[test]
    fn chance_keeps_those_that_failed_together_apart() {
        let first: Vec<_> = (0..20).map(|_| pauses(RetryPolicy::default())[0]).collect();
        assert!(first.iter().any(|pause| *pause != first[0]), "{first:?}");
    }

    #[test]
    fn the_whole_wait_is_bounded() {
        let endless = RetryPolicy { max_attempts: u32::MAX, ..RetryPolicy::default() };
        let pauses = pauses(endless);
        assert!(pauses.len() >= 5, "{pauses:?}");
        assert!(pauses.iter().sum::<Duration>() <= MAX_WAIT, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= endless.max_pause), "{pauses:?}");
    }

    #[test]
    fn a_pause_says_which_attempt_comes() {
        let mut attempts = RetryPolicy { max_pause: Duration::ZERO, ..RetryPolicy::default() }.attempts();
        let texts: Vec<String> =
            std::iter::from_fn(|| attempts.failed(true)).map(|p| p.to_string()).collect();
        assert_eq!(texts[0], "attempt 2 of 6 in 0.0 s");
        assert_eq!(texts[4], "attempt 6 of 6 in 0.0 s");
        assert_eq!(texts.len(), 5);
        assert_eq!(
            RetryPolicy::default().attempts().failed(false),
            None,
            "a lasting failure is not tried again"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_when_the_command_is_cancelled() {
        let cancel = CancellationToken::new();
        let mut attempts = RetryPolicy::default().attempts();
        assert_eq!(attempts.failed(true).unwrap().wait(&cancel).await, Ok(()));
        let pause = attempts.failed(true).unwrap();
        let (waited, ()) = tokio::join!(pause.wait(&cancel), async { cancel.cancel() });
        assert_eq!(waited, Err(Cancelled));
        assert_eq!(attempts.failed(true).unwrap().wait(&cancel).await, Err(Cancelled));
    }
}
