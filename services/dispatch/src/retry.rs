//! When to try again: capped exponential backoff with jitter, at least what the other side asked for, for ever.
//!
//! The only place that uses the `backoff` crate, which is no longer maintained. Attempts are counted in the row, so
//! nothing is kept here and nothing ends by elapsed time.

use std::time::Duration;

use backoff::backoff::Backoff as _;
use backoff::exponential::{ExponentialBackoff, ExponentialBackoffBuilder};
use serde::Deserialize;

/// How patience grows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// After the first failure, seconds.
    pub first_seconds: f64,
    /// Each time so much longer.
    pub factor: f64,
    /// Never longer than this, also when the other side asks for more; seconds.
    pub longest_seconds: f64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            first_seconds: 2.0,
            factor: 2.0,
            longest_seconds: 6.0 * 3600.0,
        }
    }
}

impl Retry {
    /// How long to wait after this many attempts (1 and more); `asked` is a Retry-After.
    pub fn after(&self, attempts: u32, asked: Option<Duration>) -> Duration {
        let longest = self.longest();
        // Far beyond any cap, and within what a duration holds.
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
        let drawn = policy.next_backoff().unwrap_or(longest);
        drawn.max(asked.unwrap_or_default()).min(longest)
    }

    pub fn longest(&self) -> Duration {
        Duration::from_secs_f64(self.longest_seconds.clamp(0.001, 6.0 * 3600.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_to_its_cap_and_never_ends() {
        let retry = Retry::default();
        for (attempts, about) in [(1, 2.0), (2, 4.0), (5, 32.0), (14, 16384.0)] {
            let wait = retry.after(attempts, None).as_secs_f64();
            assert!(
                (about * 0.69..=about * 1.31).contains(&wait),
                "{attempts}: {wait}"
            );
        }
        for attempts in [20, 1000, u32::MAX] {
            let wait = retry.after(attempts, None);
            assert!(wait <= Duration::from_hours(6));
            assert!(wait >= Duration::from_hours(4));
        }
    }

    #[test]
    fn two_that_failed_together_do_not_return_together() {
        let retry = Retry::default();
        let drawn: std::collections::HashSet<_> =
            (0..50).map(|_| retry.after(5, None).as_nanos()).collect();
        assert!(drawn.len() > 40);
    }

    #[test]
    fn what_the_other_side_asks_for_is_honoured_up_to_the_cap() {
        let retry = Retry::default();
        let minute = Duration::from_mins(1);
        assert_eq!(retry.after(1, Some(minute)), minute);
        let year = Duration::from_hours(365 * 24);
        assert_eq!(retry.after(1, Some(year)), Duration::from_hours(6));
        let quick = Retry {
            longest_seconds: 2.0,
            ..Retry::default()
        };
        assert!(quick.after(30, Some(minute)) <= Duration::from_secs(2));
    }
}
