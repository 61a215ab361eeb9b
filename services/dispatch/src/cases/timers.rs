//! Timers: fires due rungs, ends pauses, resolves hosts and deletes old rows. Uses a connection pool of its
//! own, so that calls cannot delay it. What a rung does is decided in `commands::ladder`.

use std::time::Duration;

use domain::id::CaseId;
use platform::batch::{Command, in_batches};
use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Wakeup;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::cases::commands::{self, CommandDeps};
use crate::cases::{attribution, store};
use crate::{Error, delivery, idempotency};

/// Maximum cases in one transaction.
const BATCH: i64 = 500;
/// How long replies are kept for repeated idempotency keys.
const RECEIPT_RETENTION: time::Duration = time::Duration::days(7);
/// How long a provider can list its delivery attempts.
const ATTEMPT_RETENTION: time::Duration = time::Duration::days(30);
/// Maximum old rows deleted in one transaction.
const DELETE_BATCH: i64 = 10_000;
/// Delay before a case whose timer failed is tried again.
const RETRY_AFTER: time::Duration = time::Duration::minutes(5);
/// Time between two deletions of old rows.
const SWEEP_INTERVAL: Duration = Duration::from_hours(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct Timers {
    pub pool: PgPool,
    pub clock: Clock,
    pub deps: CommandDeps,
    /// Time between two polls when nothing is due.
    pub poll: Duration,
    /// Notified after each commit.
    pub wakeup: Wakeup,
}

impl Timers {
    /// Fires due timers in one batch of cases, the most severe first; returns for how many cases. A case that
    /// cannot be read raises an alarm and is deferred, so that it does not block the others.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let due = store::claim_due(&mut tx, now, BATCH).await?;
        tx.commit().await?;
        if due.is_empty() {
            return Ok(0);
        }
        let fire = FireDue { timers: self, now };
        let replies = in_batches(&self.pool, &due, &fire).await;
        let (mut fired, mut refused) = (0, Vec::new());
        for (case_id, reply) in due.into_iter().zip(replies) {
            match reply {
                Ok(()) => fired += 1,
                Err(problem) if problem.is_transient() => return Err(problem.into()),
                Err(problem) => {
                    tracing::error!(alarm = "timer_refused", case.id = %case_id, problem.code = %problem.code, "the timers of a case could not fire");
                    refused.push(case_id);
                }
            }
        }
        if !refused.is_empty() {
            let mut conn = self.pool.acquire().await?;
            store::defer_timers(&mut conn, &refused, now + RETRY_AFTER).await?;
        }
        self.wakeup.notify();
        Ok(fired)
    }

    /// Deletes expired receipts and delivery attempts in batches; returns how many rows.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let mut deleted = 0;
        loop {
            let mut tx = self.pool.begin().await?;
            let now = self.clock.now(&mut tx).await?;
            let receipts =
                idempotency::drop_receipts(&mut tx, now - RECEIPT_RETENTION, DELETE_BATCH).await?;
            let attempts =
                delivery::drop_attempts(&mut tx, now - ATTEMPT_RETENTION, DELETE_BATCH).await?;
            tx.commit().await?;
            deleted += receipts + attempts;
            if receipts.max(attempts) < DELETE_BATCH.cast_unsigned() {
                return Ok(deleted);
            }
        }
    }

    /// Runs until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let lookups = tokio::spawn(self.clone().resolve_hosts(shutdown.clone()));
        let mut swept = tokio::time::Instant::now();
        while !shutdown.is_cancelled() {
            match self.run_once().await {
                Ok(0) => self.wait(&shutdown).await,
                Ok(_) => {}
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "timers could not fire; trying again");
                    self.wait(&shutdown).await;
                }
            }
            if swept.elapsed() >= SWEEP_INTERVAL {
                swept = tokio::time::Instant::now();
                if let Err(error) = self.sweep().await {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "old rows could not be deleted; trying again later");
                }
            }
        }
        // The lookup loop ends by the same token.
        let _ = lookups.await;
    }

    async fn resolve_hosts(self, shutdown: CancellationToken) {
        while self.deps.resolve_names && !shutdown.is_cancelled() {
            match attribution::resolve_due_hosts(&self.pool, &self.clock, &self.deps).await {
                Ok(0) => self.wait(&shutdown).await,
                Ok(_) => self.wakeup.notify(),
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "hosts could not be resolved; trying again");
                    self.wait(&shutdown).await;
                }
            }
        }
    }

    async fn wait(&self, shutdown: &CancellationToken) {
        shutdown
            .run_until_cancelled(tokio::time::sleep(self.poll))
            .await;
    }
}

/// Fires the due timers of a batch of cases.
struct FireDue<'a> {
    timers: &'a Timers,
    now: OffsetDateTime,
}

impl Command<CaseId> for FireDue<'_> {
    type Reply = ();
    type Error = Error;

    async fn run(&self, conn: &mut PgConnection, cases: &[CaseId]) -> Result<Vec<()>, Error> {
        commands::fire_due_rungs(conn, &self.timers.deps, self.now, cases).await?;
        Ok(vec![(); cases.len()])
    }
}
