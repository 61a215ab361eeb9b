//! The relay: gives each committed event its position, shard by shard, one owner a shard.
//! Must not apply events or deliver them, and must not move a position that was given.

use std::sync::Mutex;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::shards::{self, Held};
use super::{Hint, SHARDS, retention};
use crate::clock::Clock;
use crate::error::Problem;

/// How long a shard stays with a relay that fell silent. Short, because stamping is safe without it (the shard row's
/// lock and the epoch guard each batch): the lease only decides who does the work.
const LEASE: Duration = Duration::from_secs(2);
/// At most this many events of a shard in one transaction.
const BATCH: i64 = 512;
/// How soon what other processes appended is seen; this process rings the hint.
const POLL: Duration = Duration::from_millis(40);
const MAINTENANCE: Duration = Duration::from_hours(1);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);

/// Stamps the log of one service. Several may run, in one process or many: they share the shards evenly and take
/// over those of a relay that died.
pub struct Relay {
    pool: PgPool,
    service: &'static str,
    owner: Uuid,
    lease: Duration,
    appended: Hint,
    stamped: Hint,
    holding: Mutex<Holding>,
}

/// What the relay believes to hold; the shard rows decide.
#[derive(Default)]
struct Holding {
    shards: Held,
    renew_at: Option<Instant>,
}

impl Relay {
    /// `pool` is the service's own (its search path names the schema); `owner` is drawn anew at each start.
    pub fn new(pool: PgPool, service: &'static str, owner: Uuid) -> Self {
        Self {
            pool,
            service,
            owner,
            lease: LEASE,
            appended: Hint::default(),
            stamped: Hint::default(),
            holding: Mutex::default(),
        }
    }

    /// Listens to `appended` and rings `stamped`: bells that were made before the relay, to wire roles together.
    #[must_use]
    pub fn with_hints(mut self, appended: Hint, stamped: Hint) -> Self {
        self.appended = appended;
        self.stamped = stamped;
        self
    }

    /// Another length of lease than two seconds.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Ring it after a commit that appended.
    pub fn hint(&self) -> Hint {
        self.appended.clone()
    }

    /// Rings after each stamped batch, for consumers in this process.
    pub fn stamped(&self) -> Hint {
        self.stamped.clone()
    }

    /// Stamps until `shutdown`, then gives its shards back. Also makes partitions ahead and drops old ones, each hour.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut ear = self.appended.listen();
        let mut retry = Duration::from_millis(100);
        let mut maintain_at = Instant::now();
        while !shutdown.is_cancelled() {
            if Instant::now() >= maintain_at {
                let after = match retention::keep(&self.pool).await {
                    Ok(_) => MAINTENANCE,
                    Err(error) => {
                        let problem = Problem::from(error);
                        tracing::warn!(log.service = self.service, problem.code = %problem.code, "could not keep the partitions of the log; trying again in a minute");
                        Duration::from_mins(1)
                    }
                };
                maintain_at = Instant::now() + after;
            }
            let pause = match self.run_once().await {
                Ok(0) => {
                    retry = Duration::from_millis(100);
                    ear.within(POLL)
                }
                Ok(_) => continue,
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(log.service = self.service, problem.code = %problem.code, "stamping failed; trying again");
                    let pause = retry;
                    retry = (retry * 2).min(SLOWEST_RETRY);
                    shutdown
                        .run_until_cancelled(tokio::time::sleep(pause))
                        .await;
                    continue;
                }
            };
            shutdown.run_until_cancelled(pause).await;
        }
        if let Err(error) = self.release().await {
            let problem = Problem::from(error);
            tracing::warn!(log.service = self.service, problem.code = %problem.code, "could not give the shards back; their leases will run out");
        }
    }

    /// Renews leases when due and stamps one batch. Returns how many events got their position.
    pub async fn run_once(&self) -> sqlx::Result<usize> {
        if self.renewal_is_due() {
            self.renew().await?;
        }
        let held = self.holding().shards.clone();
        if held.is_empty() {
            return Ok(0);
        }
        let shards: Vec<i16> = held.keys().copied().collect();
        let mut conn = self.pool.acquire().await?;
        let waiting = shards::unstamped(&mut conn, &shards).await?;
        if waiting.is_empty() {
            return Ok(0);
        }
        drop(conn);
        self.stamp(&held, &waiting).await
    }

    async fn stamp(&self, held: &Held, waiting: &[i16]) -> sqlx::Result<usize> {
        let epochs: Vec<i64> = waiting.iter().map(|shard| held[shard]).collect();
        let mut tx = self.pool.begin().await?;
        let heads = shards::lock_held(&mut tx, self.owner, waiting, &epochs).await?;
        let lost: Vec<i16> = waiting
            .iter()
            .copied()
            .filter(|shard| heads.iter().all(|(mine, _)| mine != shard))
            .collect();
        if !lost.is_empty() {
            self.forget(&lost);
        }
        let (stamped, moved) = shards::stamp(&mut tx, &heads, BATCH).await?;
        if stamped != moved {
            // Never commit a hole: it would stop every consumer.
            return Err(sqlx::Error::Protocol(format!(
                "stamped {stamped} events but moved the heads by {moved}"
            )));
        }
        tx.commit().await?;
        if stamped > 0 {
            self.stamped.ring();
        }
        Ok(stamped as usize)
    }

    /// Keeps what it holds up to its fair share, gives back the rest, takes what is free or expired.
    async fn renew(&self) -> sqlx::Result<()> {
        let mut tx = self.pool.begin().await?;
        let rows = shards::lock_all(&mut tx).await?;
        // Read after the locks, so that a wait for them cannot make an expired lease look alive.
        let now = Clock::Database.now(&mut tx).await?;
        let until = now + self.lease;
        let alive = shards::report_alive(&mut tx, self.owner, now, until).await?;
        let share = (SHARDS as usize).div_ceil(alive.max(1) as usize);

        let mut held = Held::new();
        let mut excess = Vec::new();
        for row in rows.iter().filter(|row| row.owner == Some(self.owner)) {
            if held.len() < share {
                held.insert(row.shard, row.epoch);
            } else {
                excess.push(row.shard);
            }
        }
        for row in &rows {
            let free = row.owner.is_none() || row.lease_until.is_none_or(|end| end < now);
            if free && row.owner != Some(self.owner) && held.len() < share {
                held.insert(row.shard, row.epoch + 1);
            }
        }
        shards::take(&mut tx, self.owner, &held, until).await?;
        shards::release(&mut tx, self.owner, &excess).await?;
        tx.commit().await?;

        let mut holding = self.holding();
        holding.shards = held;
        holding.renew_at = Some(Instant::now() + self.lease / 4);
        Ok(())
    }

    async fn release(&self) -> sqlx::Result<()> {
        let shards: Vec<i16> = self.holding().shards.keys().copied().collect();
        let mut tx = self.pool.begin().await?;
        shards::release(&mut tx, self.owner, &shards).await?;
        shards::report_gone(&mut tx, self.owner).await?;
        tx.commit().await
    }

    fn forget(&self, shards: &[i16]) {
        let mut holding = self.holding();
        holding.shards.retain(|shard, _| !shards.contains(shard));
    }

    fn renewal_is_due(&self) -> bool {
        self.holding()
            .renew_at
            .is_none_or(|at| Instant::now() >= at)
    }

    fn holding(&self) -> std::sync::MutexGuard<'_, Holding> {
        // Nothing between lock and unlock can panic half-way, so a poisoned lock still guards whole data.
        self.holding
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
