//! Where time comes from: the database's clock, or one that a test moves.
//!
//! Time is read once a batch and handed on as a value, so that two rows' times are comparable and a
//! test can move time. Nothing else in a service asks what time it is.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use crate::plant::{self, Plant};

#[derive(Debug, Clone)]
pub enum Clock {
    /// The clock of the database that the connection leads to.
    Database,
    Manual(ManualClock),
}

impl Clock {
    /// The present moment, in UTC and to the microsecond (what Postgres keeps).
    pub async fn now(&self, conn: &mut PgConnection) -> sqlx::Result<OffsetDateTime> {
        match self {
            Self::Database if plant::is(Plant::AppClock) => Ok(wall()),
            Self::Database => {
                sqlx::query_scalar("-- clock_now\nselect clock_timestamp()")
                    .fetch_one(conn)
                    .await
            }
            Self::Manual(clock) => Ok(clock.read()),
        }
    }
}

/// The wall clock of this machine, for the edges: how long a credential still holds, when a message was signed.
/// Never compared with a row's time.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that asks the machine for the time"
)]
pub fn wall() -> OffsetDateTime {
    OffsetDateTime::now_utc() + plant::skew()
}

/// A clock that stands still until it is moved. Clones share the same hands.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<OffsetDateTime>>);

impl ManualClock {
    pub fn new(at: OffsetDateTime) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    pub fn read(&self) -> OffsetDateTime {
        *self.hands()
    }

    pub fn advance(&self, by: Duration) {
        *self.hands() += by;
    }

    pub fn set(&self, at: OffsetDateTime) {
        *self.hands() = at;
    }

    fn hands(&self) -> std::sync::MutexGuard<'_, OffsetDateTime> {
        // A panic elsewhere cannot leave a half-written time behind.
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
