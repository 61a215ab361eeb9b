//! The relay: gives each committed event its position, shard by shard, one owner a shard; on Kafka it also publishes.
//! Must not apply events, and must not move a position that was given.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::holding::Shared;
use super::publish::Publisher;
use super::shards::{self, Held};
use super::{Hint, SHARDS, retention};
use crate::bus::Bus;
use crate::clock::Clock;
use crate::error::Problem;
use crate::kafka::KafkaBus;
use crate::metrics::Counter;

/// By producer and kind: what happened in the system, from receipt to removal.
static EVENTS: Counter = Counter::new(
    "takedown.log.events",
    "{event}",
    "Committed events that this process gave a position.",
);

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
    held: Arc<Shared>,
    kafka: Option<KafkaBus>,
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
            held: Arc::default(),
            kafka: None,
        }
    }

    /// Also publishes what it has stamped, where the bus is Kafka.
    #[must_use]
    pub fn on(mut self, bus: &Bus) -> Self {
        self.kafka = bus.kafka().cloned();
        self
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

    /// Stamps (and publishes) until `shutdown`, then gives its shards back. Also makes partitions ahead and drops old
    /// ones, each hour.
    pub async fn run(self, shutdown: CancellationToken) {
        let publishing = async {
            if let Some(publisher) = self.publisher() {
                publisher.run(self.stamped.clone(), shutdown.clone()).await;
            }
        };
        tokio::join!(self.stamp_until(&shutdown), publishing);
        if let Err(error) = self.release().await {
            let problem = Problem::from(error);
            tracing::warn!(log.service = self.service, problem.code = %problem.code, "could not give the shards back; their leases will run out");
        }
    }

    async fn stamp_until(&self, shutdown: &CancellationToken) {
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
    }

    fn publisher(&self) -> Option<Publisher> {
        let bus = self.kafka.clone()?;
        let (pool, held) = (self.pool.clone(), Arc::clone(&self.held));
        Some(Publisher::new(pool, self.service, self.owner, held, bus))
    }

    /// Renews leases when due and stamps one batch. Returns how many events got their position.
    pub async fn run_once(&self) -> sqlx::Result<usize> {
        if self.held.renewal_is_due() {
            self.renew().await?;
        }
        let held = self.held.shards();
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
            self.held.forget(&lost);
        }
        let done = shards::stamp(&mut tx, &heads, BATCH).await?;
        let (stamped, moved) = (done.events(), done.moved);
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
        for (kind, count) in &done.kinds {
            let count = usize::try_from(*count).unwrap_or_default();
            EVENTS.add(count, &[("producer", self.service), ("kind", kind)]);
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

        self.held.renewed(held, self.lease / 4);
        Ok(())
    }

    async fn release(&self) -> sqlx::Result<()> {
        let shards: Vec<i16> = self.held.shards().into_keys().collect();
        let mut tx = self.pool.begin().await?;
        shards::release(&mut tx, self.owner, &shards).await?;
        shards::report_gone(&mut tx, self.owner).await?;
        tx.commit().await
    }
}
