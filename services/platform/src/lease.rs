//! A lease on a row: a random token and an expiry.
//!
//! Claim (`for update skip locked`; write token and expiry, count the attempt, commit), act with a timeout
//! below the lease, and record guarded by the token (`where id = $1 and lease_token = $2`; no row updated
//! means that the lease was lost and the result must not be recorded). The SQL belongs to the table's owner;
//! this module has only the arithmetic. Times are the database's.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

/// A lease as it is written into the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub token: Uuid,
    pub until: OffsetDateTime,
}

impl Lease {
    /// Creates a lease from `now` for `term`. The caller draws a new token for each claim.
    pub fn new(token: Uuid, now: OffsetDateTime, term: Duration) -> Self {
        Self {
            token,
            until: now + term,
        }
    }

    /// Whether the row may be claimed again: from `until` on the lease has expired.
    pub fn has_expired(&self, now: OffsetDateTime) -> bool {
        now >= self.until
    }

    /// Time limit for the work: three quarters of the remaining time, so that the result is recorded while
    /// the lease is valid. Zero when it has expired.
    pub fn work_budget(&self, now: OffsetDateTime) -> Duration {
        Duration::try_from(self.until - now).unwrap_or_default() * 3 / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_work_budget_ends_before_the_lease() {
        let now = datetime!(2025-01-01 12:00 UTC);
        let lease = Lease::new(Uuid::from_u128(1), now, Duration::from_mins(1));
        assert_eq!(lease.work_budget(now), Duration::from_secs(45));
        assert!(!lease.has_expired(now + Duration::from_secs(59)));
        assert!(lease.has_expired(lease.until));
        assert_eq!(
            lease.work_budget(lease.until + Duration::from_secs(1)),
            Duration::ZERO
        );
    }
}
