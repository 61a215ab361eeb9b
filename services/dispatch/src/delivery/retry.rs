//! Delay before a webhook or mail is attempted again: capped exponential backoff with jitter, never shorter
//! than the receiver's Retry-After, without a last attempt.
//!
//! The only place that uses the `backoff` crate, which is no longer maintained. Attempts are counted in the
//! delivery row, so no state is kept here and no elapsed time ends the retries.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::exponential::{ExponentialBackoff, ExponentialBackoffBuilder};
use serde::Deserialize;

/// How the delay grows with the number of attempts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryPolicy {
    /// Delay after the first failure, in seconds.
    pub first_seconds: f64,
    /// Each further delay is longer by this factor.
    pub factor: f64,
    /// Upper bound of every delay, even if Retry-After asks for more, in seconds; at most six hours.
    pub longest_seconds: f64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first_seconds: 2.0,
            factor: 2.0,
            longest_seconds: 6.0 * 3600.0,
        }
    }
}

impl RetryPolicy {
    /// Delay after `attempts` failed attempts (at least 1).
    pub fn delay(&self, attempts: u32, retry_after: Option<Duration>) -> Duration {
        let longest = self.longest();
        // 60 steps are far beyond the cap, and the result still fits a `Duration`.
        let growth = self
            .factor
            .powi(attempts.saturating_sub(1).min(60).cast_signed());
        let interval = (self.first_seconds * growth).clamp(0.001, longest.as_secs_f64());
        let mut policy: ExponentialBackoff<backoff::SystemClock> = ExponentialBackoffBuilder::new()
            .with_initial_interval(Duration::from_secs_f64(interval))
            .with_max_interval(longest)
            .with_randomization_factor(0.3)
            .with_max_elapsed_time(None)
            .build();
        let backoff = policy.next_backoff().unwrap_or(longest);
        backoff.max(retry_after.unwrap_or_default()).min(longest)
    }

    /// Upper bound of every delay.
    pub fn longest(&self) -> Duration {
        Duration::from_secs_f64(self.longest_seconds.clamp(0.001, 6.0 * 3600.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_its_cap_and_retries_never_end() {
        let retry = RetryPolicy::default();
        for (attempts, expected) in [(1, 2.0), (2, 4.0), (5, 32.0), (14, 16384.0)] {
            let delay = retry.delay(attempts, None).as_secs_f64();
            assert!(
                (expected * 0.69..=expected * 1.31).contains(&delay),
                "{attempts}: {delay}"
            );
        }
        for attempts in [20, 1000, u32::MAX] {
            let delay = retry.delay(attempts, None);
            assert!(delay <= Duration::from_hours(6));
            assert!(delay >= Duration::from_hours(4));
        }
    }

    #[test]
    fn messages_that_failed_together_are_not_retried_together() {
        let retry = RetryPolicy::default();
        let delays: std::collections::HashSet<_> =
            (0..50).map(|_| retry.delay(5, None).as_nanos()).collect();
        assert!(delays.len() > 40);
    }

    #[test]
    fn retry_after_is_honoured_up_to_the_cap() {
        let retry = RetryPolicy::default();
        let minute = Duration::from_mins(1);
        assert_eq!(retry.delay(1, Some(minute)), minute);
        let year = Duration::from_hours(365 * 24);
        assert_eq!(retry.delay(1, Some(year)), Duration::from_hours(6));
        let capped = RetryPolicy {
            longest_seconds: 2.0,
            ..RetryPolicy::default()
        };
        assert!(capped.delay(30, Some(minute)) <= Duration::from_secs(2));
    }
}
