//! Circuit breaker for each endpoint: after several failures in a row the endpoint gets one attempt at a
//! time, with pauses, so that a provider that hangs or is down does not delay others. Pure: the caller loads
//! and stores the row.

use serde::Deserialize;
use time::OffsetDateTime;

use crate::delivery::retry::RetryPolicy;

/// When the breaker opens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row that open it.
    pub failures: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5 }
    }
}

/// An endpoint's recent failures, as stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Failures in a row.
    pub failures: u32,
    /// The breaker is open: no attempt before this time.
    pub open_until: Option<OffsetDateTime>,
    /// No attempt before this time, because the provider asked for it (Retry-After).
    pub retry_after: Option<OffsetDateTime>,
}

/// Results of one batch of attempts at an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptTally {
    pub succeeded: u32,
    pub failed: u32,
    /// The latest time that a Retry-After asked for.
    pub retry_after: Option<OffsetDateTime>,
}

impl Breaker {
    /// Whether an endpoint with this health gets only one attempt at a time.
    pub fn is_tripped(&self, health: &EndpointHealth) -> bool {
        health.failures >= self.failures
    }

    /// The health after a batch. One success closes the breaker. Concurrent failures open it once, regardless
    /// of their number; only a later attempt can prolong the pause.
    pub fn after(
        &self,
        health: EndpointHealth,
        tally: &AttemptTally,
        retry: &RetryPolicy,
        now: OffsetDateTime,
    ) -> EndpointHealth {
        let retry_after = health.retry_after.max(tally.retry_after);
        let retry_after = retry_after.filter(|until| *until > now);
        if tally.succeeded > 0 {
            return EndpointHealth {
                failures: 0,
                open_until: None,
                retry_after,
            };
        }
        let failures = if self.is_tripped(&health) {
            health.failures.saturating_add(tally.failed.min(1))
        } else {
            health
                .failures
                .saturating_add(tally.failed)
                .min(self.failures)
        };
        let beyond = failures.saturating_sub(self.failures);
        let open_until = if tally.failed == 0 {
            health.open_until
        } else {
            (failures >= self.failures).then(|| now + retry.delay(beyond + 1, None))
        };
        EndpointHealth {
            failures,
            open_until,
            retry_after,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2025-03-01 12:00 UTC);

    fn after(health: EndpointHealth, succeeded: u32, failed: u32) -> EndpointHealth {
        let tally = AttemptTally {
            succeeded,
            failed,
            retry_after: None,
        };
        Breaker::default().after(health, &tally, &RetryPolicy::default(), NOW)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_one_success() {
        let breaker = Breaker::default();
        let four = after(EndpointHealth::default(), 0, 4);
        assert!(!breaker.is_tripped(&four) && four.open_until.is_none());
        let five = after(four, 0, 1);
        assert!(breaker.is_tripped(&five));
        assert!(five.open_until.unwrap() > NOW);
        let many = (0..20).fold(five, |health, _| after(health, 0, 1));
        assert!(many.open_until.unwrap() > NOW + Duration::hours(4));
        assert_eq!(after(many, 1, 3), EndpointHealth::default());
        assert_eq!(after(five, 0, 0), five, "an empty batch changes nothing");
    }

    #[test]
    fn concurrent_failures_open_it_once() {
        let once = after(EndpointHealth::default(), 0, 2000);
        assert_eq!(once.failures, Breaker::default().failures);
        assert!(once.open_until.unwrap() < NOW + Duration::seconds(5));
        let twice = after(once, 0, 2000);
        assert_eq!(twice.failures, once.failures + 1);
        assert!(twice.open_until.unwrap() < NOW + Duration::seconds(10));
    }

    #[test]
    fn a_retry_after_stays_in_force_after_a_success() {
        let until = Some(NOW + Duration::minutes(5));
        let tally = AttemptTally {
            succeeded: 1,
            failed: 1,
            retry_after: until,
        };
        let health = Breaker::default().after(
            EndpointHealth::default(),
            &tally,
            &RetryPolicy::default(),
            NOW,
        );
        assert_eq!((health.failures, health.retry_after), (0, until));
        let later = Breaker::default().after(
            health,
            &AttemptTally::default(),
            &RetryPolicy::default(),
            NOW + Duration::minutes(6),
        );
        assert_eq!(later.retry_after, None);
    }
}
