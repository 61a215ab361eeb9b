//! Publishing: sends positioned events to Kafka, shard by shard. `published_to` is the position up to which
//! every record is acknowledged or was skipped with an alarm.
//!
//! Publishing twice is harmless, because a position never changes; so a record whose delivery is unknown is
//! sent again, and `published_to` never advances past it. A failing shard does not delay the others.

mod round;
mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::owned_shards::OwnedShards;
use super::{Envelope, Wakeup, envelope, read_sql};
use crate::error::Problem;
use crate::kafka::{KafkaBus, Producer};
use round::{Round, Stop};
use store::PublishedTo;

/// Maximum number of unacknowledged records of one shard.
const WINDOW: i64 = 500;
/// Poll interval for positions assigned by other processes, and pause before a full queue is tried again.
const POLL: Duration = Duration::from_millis(40);
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How long a shutdown waits for unacknowledged rounds.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Publisher {
    pool: PgPool,
    service: &'static str,
    owner: Uuid,
    owned: Arc<OwnedShards>,
    producer: Producer,
    shards: BTreeMap<i16, ShardProgress>,
}

/// Publishing state of a shard between two rounds.
#[derive(Default)]
struct ShardProgress {
    /// Records up to this position are sent one by one, because a batch that contains an oversized record is
    /// rejected as a whole.
    send_singly_to: i64,
    failures: u32,
    retry_at: Option<Instant>,
}

type Rounds = FuturesUnordered<BoxFuture<'static, Round>>;

impl Publisher {
    pub(super) fn new(
        pool: PgPool,
        service: &'static str,
        owner: Uuid,
        owned: Arc<OwnedShards>,
        bus: KafkaBus,
    ) -> Self {
        Self {
            pool,
            service,
            owner,
            owned,
            producer: Producer::new(bus, service),
            shards: BTreeMap::new(),
        }
    }

    /// Publishes until `shutdown`, then waits for unacknowledged records.
    pub(super) async fn run(mut self, positioned: Wakeup, shutdown: CancellationToken) {
        let mut wakeups = positioned.listen();
        let mut rounds = Rounds::new();
        let mut busy = BTreeSet::new();
        while !shutdown.is_cancelled() {
            if let Err(error) = self.start_rounds(&mut rounds, &mut busy).await {
                self.log_retry(error);
                shutdown
                    .run_until_cancelled(tokio::time::sleep(Duration::from_secs(1)))
                    .await;
            }
            let done = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(first) = rounds.next() => completed(first, &mut rounds),
                () = wakeups.within(POLL) => continue,
            };
            self.finish_rounds(done, &mut busy).await;
        }
        let drain = async {
            while let Some(first) = rounds.next().await {
                let done = completed(first, &mut rounds);
                self.finish_rounds(done, &mut busy).await;
            }
        };
        if tokio::time::timeout(DRAIN_TIMEOUT, drain).await.is_err() {
            tracing::warn!(
                log.service = self.service,
                "some records are not acknowledged yet; they are sent again at the next start"
            );
        }
        self.producer.close().await;
    }

    /// Starts a round for every shard that has unpublished events and no round in progress.
    async fn start_rounds(
        &mut self,
        rounds: &mut Rounds,
        busy: &mut BTreeSet<i16>,
    ) -> sqlx::Result<()> {
        let now = Instant::now();
        let mut idle = self.owned.shards();
        idle.retain(|shard, _| {
            let pausing = self
                .shards
                .get(shard)
                .is_some_and(|shard| shard.retry_at.is_some_and(|at| now < at));
            !busy.contains(shard) && !pausing
        });
        if idle.is_empty() {
            return Ok(());
        }
        let (shards, epochs): (Vec<i16>, Vec<i64>) = idle.iter().unzip();
        let mut conn = self.pool.acquire().await?;
        let pending = store::unpublished_shards(&mut conn, self.owner, &shards, &epochs).await?;
        if pending.is_empty() {
            return Ok(());
        }
        let from: Vec<i64> = pending.iter().map(|(_, to)| to + 1).collect();
        let (shards, _): (Vec<i16>, Vec<i64>) = pending.iter().copied().unzip();
        let rows = sqlx::query(read_sql(self.service))
            .bind(shards)
            .bind(from)
            .bind(WINDOW)
            .fetch_all(&mut *conn)
            .await?;
        drop(conn);
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            events.push(envelope(self.service, row)?);
        }
        for (shard, from) in pending {
            let first = events.partition_point(|e: &Envelope| e.shard < shard);
            let last = events.partition_point(|e| e.shard <= shard);
            busy.insert(shard);
            rounds.push(self.round(shard, idle[&shard], from, &events[first..last]));
        }
        Ok(())
    }

    /// Starts a round for one shard.
    fn round(
        &self,
        shard: i16,
        epoch: i64,
        from: i64,
        events: &[Envelope],
    ) -> BoxFuture<'static, Round> {
        let singly = self
            .shards
            .get(&shard)
            .is_some_and(|progress| from < progress.send_singly_to);
        let events = if singly {
            &events[..events.len().min(1)]
        } else {
            events
        };
        round::start(&self.producer, shard, epoch, from, events).boxed()
    }

    /// Stores how far the rounds came, and decides how each shard continues.
    async fn finish_rounds(&mut self, done: Vec<Round>, busy: &mut BTreeSet<i16>) {
        let mut published = Vec::new();
        for round in &done {
            busy.remove(&round.shard);
            let to = self.settle(round);
            if to > round.from {
                published.push(PublishedTo {
                    shard: round.shard,
                    epoch: round.epoch,
                    position: to,
                });
            }
        }
        if done
            .iter()
            .any(|round| matches!(round.stopped, Some(Stop::Unknown(_))))
        {
            self.producer.rebuild_if_fatal().await;
        }
        if published.is_empty() {
            return;
        }
        let stored = async {
            let mut conn = self.pool.acquire().await?;
            store::advance_published_to(&mut conn, self.owner, &published).await
        };
        match stored.await {
            Ok(stored) => {
                let lost: Vec<i16> = published.iter().map(|m| m.shard).collect();
                let lost: Vec<i16> = lost.into_iter().filter(|s| !stored.contains(s)).collect();
                // Another relay owns these shards; it continues from the stored `published_to`.
                self.owned.remove(&lost);
            }
            // Not stored, so the records are sent again.
            Err(error) => self.log_retry(error),
        }
    }

    /// Decides how the shard continues after a round. Returns the position up to which it is published,
    /// including a skipped record.
    fn settle(&mut self, round: &Round) -> i64 {
        let progress = self.shards.entry(round.shard).or_default();
        let Some(stop) = &round.stopped else {
            *progress = ShardProgress {
                send_singly_to: progress.send_singly_to,
                ..ShardProgress::default()
            };
            return round.to;
        };
        match stop {
            Stop::Rejected(why) if round.was_single() => {
                tracing::error!(
                    alarm = "record_skipped",
                    kafka.topic = self.producer.topic(),
                    log.shard = round.shard,
                    log.position = round.last_sent,
                    why,
                    "Kafka permanently rejects a record; it is skipped, and consumers read it from the log"
                );
                progress.failures = 0;
                round.last_sent
            }
            Stop::Rejected(_) => {
                // One of these records is at fault; sending them one by one finds it.
                progress.send_singly_to = round.last_sent;
                round.to
            }
            Stop::Full => {
                progress.retry_at = Some(Instant::now() + POLL);
                round.to
            }
            Stop::Unknown(why) => {
                progress.failures += 1;
                let pause = Duration::from_millis(100) * 2_u32.pow(progress.failures.min(6));
                progress.retry_at = Some(Instant::now() + pause.min(MAX_RETRY_PAUSE));
                tracing::warn!(
                    kafka.topic = self.producer.topic(),
                    log.shard = round.shard,
                    log.position = round.to + 1,
                    why,
                    "records were not acknowledged; sending them again"
                );
                round.to
            }
        }
    }

    fn log_retry(&self, error: sqlx::Error) {
        let problem = Problem::from(error);
        tracing::warn!(log.service = self.service, problem.code = %problem.code, "publishing failed; trying again");
    }
}

/// The first completed round, together with all others that have completed.
fn completed(first: Round, rounds: &mut Rounds) -> Vec<Round> {
    let mut done = vec![first];
    while let Some(Some(next)) = rounds.next().now_or_never() {
        done.push(next);
    }
    done
}
