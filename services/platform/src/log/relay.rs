//! The relay: assigns each committed event its position, shard by shard, with one owner per shard; on Kafka
//! it also publishes. An assigned position never changes.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::owned_shards::OwnedShards;
use super::positions;
use super::publish::Publisher;
use super::shards::{self, ShardEpochs};
use super::{SHARDS, Wakeup, retention};
use crate::clock::Clock;
use crate::error::Problem;
use crate::kafka::{Bus, KafkaBus};
use crate::metrics::Counter;

/// Labels: producer, kind. Shows what happened in the system, from receipt to removal.
static EVENTS: Counter = Counter::new(
    "takedown.log.events",
    "{event}",
    "Committed events that this process assigned a position.",
);

/// How long a shard stays with a relay that no longer renews. Short, because the lease only saves work: each
/// batch is guarded by the shard row's lock and epoch.
const DEFAULT_LEASE: Duration = Duration::from_secs(2);
/// Maximum number of events of one shard in one transaction.
const BATCH: i64 = 512;
/// Poll interval for events appended by other processes; this process sends a wake-up.
const POLL: Duration = Duration::from_millis(40);
const MAINTENANCE_INTERVAL: Duration = Duration::from_hours(1);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Assigns positions in the log of one service. Several relays may run, in one process or many: they share
/// the shards evenly and take over those of a relay that died.
pub struct Relay {
    pool: PgPool,
    service: &'static str,
    owner: Uuid,
    lease: Duration,
    appended: Wakeup,
    positioned: Wakeup,
    owned: Arc<OwnedShards>,
    kafka: Option<KafkaBus>,
}

impl Relay {
    /// `pool` is the service's own (its search path selects the schema); `owner` is a new random id at each
    /// start.
    pub fn new(pool: PgPool, service: &'static str, owner: Uuid) -> Self {
        Self {
            pool,
            service,
            owner,
            lease: DEFAULT_LEASE,
            appended: Wakeup::default(),
            positioned: Wakeup::default(),
            owned: Arc::default(),
            kafka: None,
        }
    }

    /// Also publishes positioned events when the bus is Kafka.
    #[must_use]
    pub fn with_bus(mut self, bus: &Bus) -> Self {
        self.kafka = bus.kafka().cloned();
        self
    }

    /// Uses wake-ups that were created before the relay, to connect roles in one process: listens to
    /// `appended` and notifies `positioned`.
    #[must_use]
    pub fn with_wakeups(mut self, appended: Wakeup, positioned: Wakeup) -> Self {
        self.appended = appended;
        self.positioned = positioned;
        self
    }

    /// Sets the length of the shard leases (default two seconds).
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// To be notified after a commit that appended events.
    pub fn wakeup(&self) -> Wakeup {
        self.appended.clone()
    }

    /// Notified after each batch of assigned positions, for consumers in this process.
    pub fn positioned(&self) -> Wakeup {
        self.positioned.clone()
    }

    /// Assigns positions (and publishes) until `shutdown`, then releases the shards. Also maintains the log's
    /// partitions, once an hour.
    pub async fn run(self, shutdown: CancellationToken) {
        let publishing = async {
            if let Some(publisher) = self.publisher() {
                publisher
                    .run(self.positioned.clone(), shutdown.clone())
                    .await;
            }
        };
        tokio::join!(self.assign_until(&shutdown), publishing);
        if let Err(error) = self.release().await {
            let problem = Problem::from(error);
            tracing::warn!(log.service = self.service, problem.code = %problem.code, "could not release the shards; their leases will expire");
        }
    }

    async fn assign_until(&self, shutdown: &CancellationToken) {
        let mut wakeups = self.appended.listen();
        let mut retry = Duration::from_millis(100);
        let mut maintain_at = Instant::now();
        while !shutdown.is_cancelled() {
            if Instant::now() >= maintain_at {
                let after = match retention::maintain_partitions(&self.pool).await {
                    Ok(_) => MAINTENANCE_INTERVAL,
                    Err(error) => {
                        let problem = Problem::from(error);
                        tracing::warn!(log.service = self.service, problem.code = %problem.code, "could not maintain the partitions of the log; trying again in a minute");
                        Duration::from_mins(1)
                    }
                };
                maintain_at = Instant::now() + after;
            }
            let pause = match self.run_once().await {
                Ok(0) => {
                    retry = Duration::from_millis(100);
                    wakeups.within(POLL)
                }
                Ok(_) => continue,
                Err(error) => {
                    let problem = Problem::from(error);
                    tracing::warn!(log.service = self.service, problem.code = %problem.code, "assigning positions failed; trying again");
                    let pause = retry;
                    retry = (retry * 2).min(MAX_RETRY_PAUSE);
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
        let (pool, owned) = (self.pool.clone(), Arc::clone(&self.owned));
        Some(Publisher::new(pool, self.service, self.owner, owned, bus))
    }

    /// Renews leases when due and processes one batch. Returns how many events got their position.
    pub async fn run_once(&self) -> sqlx::Result<usize> {
        if self.owned.renewal_is_due() {
            self.renew().await?;
        }
        let owned = self.owned.shards();
        if owned.is_empty() {
            return Ok(0);
        }
        let shards: Vec<i16> = owned.keys().copied().collect();
        let mut conn = self.pool.acquire().await?;
        let pending = positions::unpositioned_shards(&mut conn, &shards).await?;
        if pending.is_empty() {
            return Ok(0);
        }
        drop(conn);
        self.assign_positions(&owned, &pending).await
    }

    async fn assign_positions(&self, owned: &ShardEpochs, pending: &[i16]) -> sqlx::Result<usize> {
        let epochs: Vec<i64> = pending.iter().map(|shard| owned[shard]).collect();
        let mut tx = self.pool.begin().await?;
        let heads = shards::lock_owned(&mut tx, self.owner, pending, &epochs).await?;
        let lost: Vec<i16> = pending
            .iter()
            .copied()
            .filter(|shard| heads.iter().all(|(locked, _)| locked != shard))
            .collect();
        if !lost.is_empty() {
            self.owned.remove(&lost);
        }
        let assigned = positions::assign(&mut tx, &heads, BATCH).await?;
        let (positioned, moved) = (assigned.events(), assigned.moved);
        if positioned != moved {
            // A gap would stop every consumer, so it is never committed.
            return Err(sqlx::Error::Protocol(format!(
                "positioned {positioned} events but moved the heads by {moved}"
            )));
        }
        tx.commit().await?;
        if positioned > 0 {
            self.positioned.notify();
        }
        for (kind, count) in &assigned.kinds {
            let count = usize::try_from(*count).unwrap_or_default();
            EVENTS.add(count, &[("producer", self.service), ("kind", kind)]);
        }
        Ok(positioned as usize)
    }

    /// Renews the owned shards up to this relay's fair share, releases the excess, and takes free or expired
    /// shards.
    async fn renew(&self) -> sqlx::Result<()> {
        let mut tx = self.pool.begin().await?;
        let rows = shards::lock_all(&mut tx).await?;
        // Read after the locks are acquired, so that waiting for them cannot make an expired lease appear
        // valid.
        let now = Clock::Database.now(&mut tx).await?;
        let until = now + self.lease;
        let alive = shards::mark_alive(&mut tx, self.owner, now, until).await?;
        let share = (SHARDS as usize).div_ceil(alive.max(1) as usize);

        let mut owned = ShardEpochs::new();
        let mut excess = Vec::new();
        for row in rows.iter().filter(|row| row.owner == Some(self.owner)) {
            if owned.len() < share {
                owned.insert(row.shard, row.epoch);
            } else {
                excess.push(row.shard);
            }
        }
        for row in &rows {
            let free = row.owner.is_none() || row.lease_until.is_none_or(|end| end < now);
            if free && row.owner != Some(self.owner) && owned.len() < share {
                owned.insert(row.shard, row.epoch + 1);
            }
        }
        shards::take(&mut tx, self.owner, &owned, until).await?;
        shards::release(&mut tx, self.owner, &excess).await?;
        tx.commit().await?;

        self.owned.set(owned, self.lease / 4);
        Ok(())
    }

    async fn release(&self) -> sqlx::Result<()> {
        let shards: Vec<i16> = self.owned.shards().into_keys().collect();
        let mut tx = self.pool.begin().await?;
        shards::release(&mut tx, self.owner, &shards).await?;
        shards::remove_relay(&mut tx, self.owner).await?;
        tx.commit().await
    }
}
