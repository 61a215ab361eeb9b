//! What happens without being asked: claims and holds run out, waiting cases are matched against newly approved lists
//! and rules, proofs are renewed, sessions are forgotten. Must not hold a transaction over more than one batch.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Hint;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::commands::{claims, hold, renew, sweep};
use crate::error::Error;
use crate::means::Means;
use crate::store;

/// Cases in one transaction.
const BATCH: i64 = 500;
const POLL: Duration = Duration::from_millis(250);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);
const FORGET: Duration = Duration::from_hours(1);
const LOOK_ROUND: Duration = Duration::from_mins(1);
/// Ended sessions are kept for a while, for whoever looks into what happened.
const KEEP_SESSIONS: time::Duration = time::Duration::days(30);

pub(crate) struct Timers {
    /// Their own, so that neither they nor the calls wait for each other's connections.
    pub(crate) pool: PgPool,
    pub(crate) means: Arc<Means>,
    pub(crate) clock: Clock,
    /// Rung when something was appended.
    pub(crate) appended: Hint,
    /// Heard when a list or a rule was approved.
    pub(crate) approved: Hint,
}

impl Timers {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut ear = self.approved.listen();
        let mut retry = POLL;
        let mut forget_at = Instant::now();
        let mut look_at = Instant::now();
        while !shutdown.is_cancelled() {
            let round = async {
                if Instant::now() >= forget_at {
                    self.forget().await?;
                    forget_at = Instant::now() + FORGET;
                }
                if Instant::now() >= look_at {
                    self.look_round().await?;
                    look_at = Instant::now() + LOOK_ROUND;
                }
                self.run_once().await
            };
            match round.await {
                Ok(0) => {
                    retry = POLL;
                    shutdown.run_until_cancelled(ear.within(POLL)).await;
                }
                Ok(_) => {}
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "a timer failed; trying again");
                    shutdown
                        .run_until_cancelled(tokio::time::sleep(retry))
                        .await;
                    retry = (retry * 2).min(SLOWEST_RETRY);
                }
            }
        }
    }

    /// One batch of each. Returns how many cases were dealt with.
    pub(crate) async fn run_once(&self) -> Result<usize, Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let expired = claims::expire(&mut tx, now, BATCH).await?;
        tx.commit().await?;

        let mut tx = self.pool.begin().await?;
        let released = hold::run_out(&mut tx, &self.means, now, BATCH).await?;
        tx.commit().await?;

        let mut tx = self.pool.begin().await?;
        let matched = sweep::rematch(&mut tx, &self.means, now, BATCH).await?;
        tx.commit().await?;

        let mut tx = self.pool.begin().await?;
        let renewed = renew::renew(&mut tx, &self.means, now, BATCH).await?;
        tx.commit().await?;

        let done = expired + released + matched + renewed;
        if done > 0 {
            self.appended.ring();
        }
        Ok(done)
    }

    /// Says what only people can put right.
    async fn look_round(&self) -> Result<(), Error> {
        let mut conn = self.pool.acquire().await?;
        let roster = store::staff::roster(&mut conn).await?;
        let cases = store::queue::for_nobody(&mut conn, &roster).await?;
        if cases > 0 {
            tracing::error!(
                alarm = "case_for_nobody",
                cases,
                "everybody who is there reported these cases or gave their first verdict; another person is needed"
            );
        }
        Ok(())
    }

    async fn forget(&self) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let failures = now - self.means.config.sign_in_window();
        store::staff::sweep(&mut tx, now - KEEP_SESSIONS, failures).await?;
        tx.commit().await?;
        Ok(())
    }
}
