//! Whatever is due by the clock: rungs, ends of pauses, look-ups of hosts, old receipts. Has a pool of its own, so that
//! no call keeps it from firing. Must not decide what a rung does.

use std::time::Duration;

use domain::id::CaseId;
use platform::batch::{Command, in_batches};
use platform::clock::Clock;
use platform::error::Problem;
use platform::log::Hint;
use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::commands::{self, Rules};
use crate::{Error, attribution, store};

/// Cases in one transaction.
const BATCH: i64 = 500;
/// How long a receipt answers a repeated idempotency key.
const RECEIPTS: time::Duration = time::Duration::days(7);
/// How long a provider may look at what was sent to it.
const ATTEMPTS: time::Duration = time::Duration::days(30);
/// Old rows dropped in one transaction.
const BITE: i64 = 10_000;
/// A case whose clocks could not fire is tried again after this.
const AGAIN: time::Duration = time::Duration::minutes(5);
const SWEEP: Duration = Duration::from_hours(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct Timers {
    pub pool: PgPool,
    pub clock: Clock,
    pub rules: Rules,
    /// How long to wait when nothing was due.
    pub poll: Duration,
    /// Rung after each commit.
    pub bell: Hint,
}

impl Timers {
    /// Fires what is due in one batch of cases, the most severe first; tells how many. A case that cannot be read is set
    /// aside with an alarm: it keeps no other from firing.
    pub async fn run_once(&self) -> Result<usize, Error> {
        let mut tx = self.pool.begin().await?;
        let now = self.clock.now(&mut tx).await?;
        let due = store::claim_due(&mut tx, now, BATCH).await?;
        tx.commit().await?;
        if due.is_empty() {
            return Ok(0);
        }
        let fire = Fire { timers: self, now };
        let replies = in_batches(&self.pool, &due, &fire).await;
        let (mut fired, mut refused) = (0, Vec::new());
        for (case_id, reply) in due.into_iter().zip(replies) {
            match reply {
                Ok(()) => fired += 1,
                Err(problem) if problem.is_transient() => return Err(problem.into()),
                Err(problem) => {
                    tracing::error!(alarm = "timer_refused", case.id = %case_id, problem.code = %problem.code, "the clocks of a case cannot fire");
                    refused.push(case_id);
                }
            }
        }
        if !refused.is_empty() {
            let mut conn = self.pool.acquire().await?;
            store::put_off(&mut conn, &refused, now + AGAIN).await?;
        }
        self.bell.ring();
        Ok(fired)
    }

    /// Drops receipts and attempts that are too old to be asked for, in bites.
    pub async fn sweep(&self) -> Result<u64, Error> {
        let mut dropped = 0;
        loop {
            let mut tx = self.pool.begin().await?;
            let now = self.clock.now(&mut tx).await?;
            let receipts = store::drop_receipts(&mut tx, now - RECEIPTS, BITE).await?;
            let attempts = store::drop_attempts(&mut tx, now - ATTEMPTS, BITE).await?;
            tx.commit().await?;
            dropped += receipts + attempts;
            if receipts.max(attempts) < BITE.cast_unsigned() {
                return Ok(dropped);
            }
        }
    }

    /// Fires until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let lookups = tokio::spawn(self.clone().look_up(shutdown.clone()));
        let mut swept = tokio::time::Instant::now();
        while !shutdown.is_cancelled() {
            match self.run_once().await {
                Ok(0) => self.rest(&shutdown).await,
                Ok(_) => {}
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "timers could not fire; trying again");
                    self.rest(&shutdown).await;
                }
            }
            if swept.elapsed() >= SWEEP {
                swept = tokio::time::Instant::now();
                if let Err(error) = self.sweep().await {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "what is too old could not be dropped");
                }
            }
        }
        // It ends by the same token.
        let _ = lookups.await;
    }

    async fn look_up(self, shutdown: CancellationToken) {
        while self.rules.resolve_names && !shutdown.is_cancelled() {
            match attribution::run_once(&self.pool, &self.clock, &self.rules).await {
                Ok(0) => self.rest(&shutdown).await,
                Ok(_) => self.bell.ring(),
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(problem.code = %problem.code, "hosts could not be looked up; trying again");
                    self.rest(&shutdown).await;
                }
            }
        }
    }

    async fn rest(&self, shutdown: &CancellationToken) {
        shutdown
            .run_until_cancelled(tokio::time::sleep(self.poll))
            .await;
    }
}

/// Firing what is due in these cases, as one command.
struct Fire<'a> {
    timers: &'a Timers,
    now: OffsetDateTime,
}

impl Command<CaseId> for Fire<'_> {
    type Reply = ();
    type Error = Error;

    async fn run(&self, conn: &mut PgConnection, cases: &[CaseId]) -> Result<Vec<()>, Error> {
        commands::fire_due(conn, &self.timers.rules, self.now, cases).await?;
        Ok(vec![(); cases.len()])
    }
}
