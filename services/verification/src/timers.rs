//! Timers: claims and holds expire, waiting cases are matched against newly approved lists and rules, proofs
//! are renewed, expired sessions are deleted. Every batch is a transaction of its own.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Wakeup;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::commands::{claims, police_hold, rematch, renew_proofs};
use crate::context::CommandContext;
use crate::error::Error;
use crate::store;

/// Cases per transaction.
const BATCH: i64 = 500;
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
const CLEAN_UP_INTERVAL: Duration = Duration::from_hours(1);
const STAFFING_CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// How long ended sessions are kept, for investigations.
const SESSION_RETENTION: time::Duration = time::Duration::days(30);

pub(crate) struct Timers {
    /// A pool of its own, so that timers and calls do not wait for each other's connections.
    pub(crate) pool: PgPool,
    pub(crate) context: Arc<CommandContext>,
    pub(crate) clock: Clock,
    /// Notified when events were appended.
    pub(crate) appended: Wakeup,
    /// Notified when a list or a rule was approved.
    pub(crate) approved: Wakeup,
}

impl Timers {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut approvals = self.approved.listen();
        let mut retry = POLL_INTERVAL;
        let mut clean_up_at = Instant::now();
        let mut check_staffing_at = Instant::now();
        while !shutdown.is_cancelled() {
            let round = async {
                if Instant::now() >= clean_up_at {
                    self.clean_up().await?;
                    clean_up_at = Instant::now() + CLEAN_UP_INTERVAL;
                }
                if Instant::now() >= check_staffing_at {
                    self.report_unclaimable().await?;
                    check_staffing_at = Instant::now() + STAFFING_CHECK_INTERVAL;
                }
                self.run_once().await
            };
            match round.await {
                Ok(0) => {
                    retry = POLL_INTERVAL;
                    shutdown
                        .run_until_cancelled(approvals.within(POLL_INTERVAL))
                        .await;
                }
                Ok(_) => {}
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "a timer failed and will be retried");
                    shutdown
                        .run_until_cancelled(tokio::time::sleep(retry))
                        .await;
                    retry = (retry * 2).min(MAX_RETRY_DELAY);
                }
            }
        }
    }

    /// Runs one batch of each timer. Returns how many cases they changed or matched.
    pub(crate) async fn run_once(&self) -> Result<usize, Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let expired = claims::release_expired(&mut tx, now, BATCH).await?;
        tx.commit().await?;

        let mut tx = self.pool.begin().await?;
        let released = police_hold::release_expired(&mut tx, &self.context, now, BATCH).await?;
        tx.commit().await?;

        let mut tx = self.pool.begin().await?;
        let matched = rematch::rematch(&mut tx, &self.context, now, BATCH).await?;
        tx.commit().await?;

        let mut tx = self.pool.begin().await?;
        let renewed = renew_proofs::renew_expired(&mut tx, &self.context, now, BATCH).await?;
        tx.commit().await?;

        let done = expired + released + matched + renewed;
        if done > 0 {
            self.appended.notify();
        }
        Ok(done)
    }

    /// Raises an alarm for cases that no member of staff may claim.
    async fn report_unclaimable(&self) -> Result<(), Error> {
        let mut conn = self.pool.acquire().await?;
        let eligible_staff = store::staff::eligible_staff(&mut conn).await?;
        let cases = store::queue::count_without_eligible_staff(&mut conn, &eligible_staff).await?;
        if cases > 0 {
            tracing::error!(
                alarm = "case_without_eligible_staff",
                cases,
                "every member of staff reported these cases or gave their first verdict; another person is needed"
            );
        }
        Ok(())
    }

    async fn clean_up(&self) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let failures = now - self.context.config.sign_in_window();
        store::staff::delete_expired(&mut tx, now - SESSION_RETENTION, failures).await?;
        tx.commit().await?;
        Ok(())
    }
}
