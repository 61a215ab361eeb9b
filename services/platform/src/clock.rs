//! The source of time: the database's clock, or one that a test advances.
//!
//! Time is read once per batch and passed on as a value, so that the times of two rows are comparable and
//! tests can control time. No other code in a service reads a clock.

use std::sync::{Arc, Mutex, PoisonError};

use fail::fail_point;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

#[derive(Debug, Clone)]
pub enum Clock {
    /// The clock of the database that the connection is to.
    Database,
    Manual(ManualClock),
}

impl Clock {
    /// The current time, in UTC and with microsecond precision (that of Postgres).
    pub async fn now(&self, conn: &mut PgConnection) -> sqlx::Result<OffsetDateTime> {
        match self {
            Self::Database => {
                // A bug that `./dev crash` must detect: the process's clock instead of the database's.
                fail_point!("app-clock", |_| Ok(wall()));
                sqlx::query_scalar("-- clock_now\nselect clock_timestamp()")
                    .fetch_one(conn)
                    .await
            }
            Self::Manual(clock) => Ok(clock.read()),
        }
    }
}

/// The wall clock of this machine, for the edges: whether a credential is still valid, when a message was
/// signed. Never compared with a row's time.
#[expect(
    clippy::disallowed_methods,
    reason = "the only place that reads the system clock"
)]
pub fn wall() -> OffsetDateTime {
    OffsetDateTime::now_utc() + skew()
}

/// By how much a crash run sets this process's clock ahead, in seconds.
fn skew() -> Duration {
    fail_point!("clock-skew", |seconds| {
        let seconds = seconds.and_then(|seconds| seconds.parse().ok());
        Duration::seconds(seconds.unwrap_or(0))
    });
    Duration::ZERO
}

/// A clock that changes only when it is set or advanced. Clones share the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<OffsetDateTime>>);

impl ManualClock {
    pub fn new(at: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    pub fn read(&self) -> OffsetDateTime {
        *self.lock()
    }

    pub fn advance(&self, by: Duration) {
        *self.lock() += by;
    }

    pub fn set(&self, at: OffsetDateTime) {
        *self.lock() = at;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, OffsetDateTime> {
        // The mutex guards a single value, which cannot be half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn clones_of_a_manual_clock_move_together() {
        let clock = ManualClock::new(datetime!(2025-03-01 12:00 UTC));
        let other = clock.clone();
        clock.advance(Duration::hours(2));
        assert_eq!(other.read(), datetime!(2025-03-01 14:00 UTC));
    }
}
