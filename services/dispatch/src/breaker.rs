//! A breaker for each endpoint: after several failures in a row it gets one attempt at a time, with pauses, so that
//! a provider that hangs or is down costs only itself. Pure: the row is the caller's.

use serde::Deserialize;
use time::OffsetDateTime;

use crate::retry::Retry;

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

/// How an endpoint has answered so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Health {
    /// In a row.
    pub failures: u32,
    /// No attempt before that.
    pub open_until: Option<OffsetDateTime>,
    /// The provider asked for quiet until then.
    pub asked_until: Option<OffsetDateTime>,
}

/// What attempts of one batch said of an endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub good: u32,
    pub failed: u32,
    /// The latest time that it asked for.
    pub asked_until: Option<OffsetDateTime>,
}

impl Breaker {
    /// Whether an endpoint with this health gets one attempt at a time only.
    pub fn is_tripped(&self, health: &Health) -> bool {
        health.failures >= self.failures
    }

    /// The health after a batch. One good answer closes the breaker. However many attempts met one hiccup, they open it
    /// once; only an attempt made after that can keep it open for longer.
    pub fn after(&self, health: Health, seen: &Seen, retry: &Retry, now: OffsetDateTime) -> Health {
        let asked_until = health.asked_until.max(seen.asked_until);
        let asked_until = asked_until.filter(|until| *until > now);
        if seen.good > 0 {
            return Health {
                failures: 0,
                open_until: None,
                asked_until,
            };
        }
        let failures = if self.is_tripped(&health) {
            health.failures.saturating_add(seen.failed.min(1))
        } else {
            health
                .failures
                .saturating_add(seen.failed)
                .min(self.failures)
        };
        let over = failures.saturating_sub(self.failures);
        let open_until = if seen.failed == 0 {
            health.open_until
        } else {
            (failures >= self.failures).then(|| now + retry.after(over + 1, None))
        };
        Health {
            failures,
            open_until,
            asked_until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    const NOW: OffsetDateTime = datetime!(2025-03-01 12:00 UTC);

    fn after(health: Health, good: u32, failed: u32) -> Health {
        let seen = Seen {
            good,
            failed,
            asked_until: None,
        };
        Breaker::default().after(health, &seen, &Retry::default(), NOW)
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_one_good_answer() {
        let breaker = Breaker::default();
        let four = after(Health::default(), 0, 4);
        assert!(!breaker.is_tripped(&four) && four.open_until.is_none());
        let five = after(four, 0, 1);
        assert!(breaker.is_tripped(&five));
        assert!(five.open_until.unwrap() > NOW);
        let many = (0..20).fold(five, |health, _| after(health, 0, 1));
        assert!(many.open_until.unwrap() > NOW + Duration::hours(4));
        assert_eq!(after(many, 1, 3), Health::default());
        assert_eq!(after(five, 0, 0), five, "nothing seen, nothing changed");
    }

    #[test]
    fn one_hiccup_opens_it_once_however_many_attempts_met_it() {
        let once = after(Health::default(), 0, 2000);
        assert_eq!(once.failures, Breaker::default().failures);
        assert!(once.open_until.unwrap() < NOW + Duration::seconds(5));
        let twice = after(once, 0, 2000);
        assert_eq!(twice.failures, once.failures + 1);
        assert!(twice.open_until.unwrap() < NOW + Duration::seconds(10));
    }

    #[test]
    fn quiet_that_was_asked_for_outlives_a_good_answer() {
        let asked = Some(NOW + Duration::minutes(5));
        let seen = Seen {
            good: 1,
            failed: 1,
            asked_until: asked,
        };
        let health = Breaker::default().after(Health::default(), &seen, &Retry::default(), NOW);
        assert_eq!((health.failures, health.asked_until), (0, asked));
        let later = Breaker::default().after(
            health,
            &Seen::default(),
            &Retry::default(),
            NOW + Duration::minutes(6),
        );
        assert_eq!(later.asked_until, None);
    }
}
