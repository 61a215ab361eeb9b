//! A lease on a row: who claimed it, by a random token, until when.
//!
//! Claim (`for update skip locked`, write token and expiry, count the attempt, commit), act with a timeout below the
//! lease, record guarded by the token (`where id = $1 and lease_token = $2`; no row hit means that the lease was
//! lost and the record is not ours to make). The SQL is the owner's of the table; this module only keeps the
//! arithmetic in one place. Times are the database's.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

/// A claim as it is written into the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    pub token: Uuid,
    pub until: OffsetDateTime,
}

impl Lease {
    /// Claims at `now` for `term`; the token is drawn by the caller, new for each claim.
    pub fn new(token: Uuid, now: OffsetDateTime, term: Duration) -> Self {
        Self {
            token,
            until: now + term,
        }
    }

    /// Whether anybody may claim the row: at its very end a lease is over.
    pub fn is_over(&self, now: OffsetDateTime) -> bool {
        now >= self.until
    }

    /// How long the work may take: three quarters of what is left, so that the record is written while the lease
    /// holds. Zero when it is over.
    pub fn work_within(&self, now: OffsetDateTime) -> Duration {
        Duration::try_from(self.until - now).unwrap_or_default() * 3 / 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn the_work_ends_before_the_lease() {
        let now = datetime!(2025-01-01 12:00 UTC);
        let lease = Lease::new(Uuid::from_u128(1), now, Duration::from_mins(1));
        assert_eq!(lease.work_within(now), Duration::from_secs(45));
        assert!(!lease.is_over(now + Duration::from_secs(59)));
        assert!(lease.is_over(lease.until));
        assert_eq!(
            lease.work_within(lease.until + Duration::from_secs(1)),
            Duration::ZERO
        );
    }
}
