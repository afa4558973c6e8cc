//! A token bucket, without a clock of its own.

use std::time::Duration;

/// Fills with so many bytes a second, up to a second's worth. What is taken beyond what is there is owed,
/// and has to be waited for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bucket {
    rate_bytes: f64,
    /// Negative where bytes are owed.
    level_bytes: f64,
    filled_at: Duration,
}

impl Bucket {
    /// A bucket that is empty at first.
    pub(super) fn new(rate_bytes: u64) -> Self {
        Bucket { rate_bytes: rate_bytes.max(1) as f64, level_bytes: 0.0, filled_at: Duration::ZERO }
    }

    /// Takes bytes at a time since the beginning; returns how long to wait before they may pass.
    pub(super) fn take(&mut self, bytes: u64, now: Duration) -> Duration {
        let filled = now.saturating_sub(self.filled_at).as_secs_f64() * self.rate_bytes;
        self.filled_at = self.filled_at.max(now);
        self.level_bytes = (self.level_bytes + filled).min(self.rate_bytes) - bytes as f64;
        Duration::from_secs_f64((-self.level_bytes / self.rate_bytes).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Bucket;

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Each time takes bytes and is told to wait.
    #[track_caller]
    fn check(rate: u64, takes: &[(u64, u64, u64)]) {
        let mut bucket = Bucket::new(rate);
        for &(at, bytes, wait) in takes {
            assert_eq!(bucket.take(bytes, millis(at)), millis(wait), "{bytes} bytes at {at} ms");
        }
    }

    #[test]
    fn what_is_taken_is_paid_for_in_time() {
        // 1000 bytes a second: each waits for all before it, whoever takes them
        check(1000, &[(0, 500, 500), (0, 500, 1000), (1000, 100, 100), (1100, 100, 100)]);
    }

    #[test]
    fn what_is_not_taken_is_saved_for_a_second_only() {
        check(1000, &[(600, 500, 0), (600, 100, 0), (600, 100, 100)]);
        check(1000, &[(60_000, 1000, 0), (60_000, 250, 250)]);
    }

    #[test]
    fn the_rate_holds_over_many_takes() {
        let mut bucket = Bucket::new(10_000);
        let mut now = Duration::ZERO;
        for _ in 0..1000 {
            now += bucket.take(123, now);
        }
        assert!((now.as_secs_f64() - 12.3).abs() < 0.001, "{now:?}");
    }

    #[test]
    fn a_clock_that_stands_still_or_a_rate_of_nothing_does_no_harm() {
        check(1000, &[(500, 0, 0), (400, 500, 0), (400, 1000, 1000)]);
        check(0, &[(0, 1, 1000)]);
    }
}
