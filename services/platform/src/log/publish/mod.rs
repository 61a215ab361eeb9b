//! Publishing: what is stamped goes to Kafka, shard by shard, and `published_to` says how far every record is known
//! to be there or was skipped with an alarm.
//!
//! Publishing twice is harmless, because a position is the same each time; so whoever cannot tell sends again. Must
//! not pass a record whose delivery is unknown, and must not let one shard's trouble hold up another.

mod round;

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

use super::holding::Shared;
use super::published::{self, Moved};
use super::{Envelope, Hint, envelope, read_sql};
use crate::error::Problem;
use crate::kafka::{KafkaBus, Producer};
use round::{Round, Stop};

/// Records of one shard on their way at once.
const WINDOW: i64 = 500;
/// How soon what another process stamped is seen, and how soon a full queue is tried again.
const POLL: Duration = Duration::from_millis(40);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);
/// How long the end waits for rounds that are under way.
const DRAIN: Duration = Duration::from_secs(5);

pub(super) struct Publisher {
    pool: PgPool,
    service: &'static str,
    owner: Uuid,
    held: Arc<Shared>,
    producer: Producer,
    lanes: BTreeMap<i16, Lane>,
}

/// What the publisher remembers of a shard between two rounds.
#[derive(Default)]
struct Lane {
    /// Up to here records go one by one: a batch with one that is too large is refused whole.
    alone_to: i64,
    failures: u32,
    retry_at: Option<Instant>,
}

type Rounds = FuturesUnordered<BoxFuture<'static, Round>>;

impl Publisher {
    pub(super) fn new(
        pool: PgPool,
        service: &'static str,
        owner: Uuid,
        held: Arc<Shared>,
        bus: KafkaBus,
    ) -> Self {
        Self {
            pool,
            service,
            owner,
            held,
            producer: Producer::new(bus, service),
            lanes: BTreeMap::new(),
        }
    }

    /// Publishes until `shutdown`, then finishes what is on its way.
    pub(super) async fn run(mut self, stamped: Hint, shutdown: CancellationToken) {
        let mut ear = stamped.listen();
        let mut rounds = Rounds::new();
        let mut busy = BTreeSet::new();
        while !shutdown.is_cancelled() {
            if let Err(error) = self.begin(&mut rounds, &mut busy).await {
                self.told_of(error);
                shutdown
                    .run_until_cancelled(tokio::time::sleep(Duration::from_secs(1)))
                    .await;
            }
            let done = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(first) = rounds.next() => ready(first, &mut rounds),
                () = ear.within(POLL) => continue,
            };
            self.end(done, &mut busy).await;
        }
        let rest = async {
            while let Some(first) = rounds.next().await {
                let done = ready(first, &mut rounds);
                self.end(done, &mut busy).await;
            }
        };
        if tokio::time::timeout(DRAIN, rest).await.is_err() {
            tracing::warn!(
                log.service = self.service,
                "records are still on their way; they are sent again at the next start"
            );
        }
        self.producer.close().await;
    }

    /// Starts a round for every shard that has something to send and none on its way.
    async fn begin(&mut self, rounds: &mut Rounds, busy: &mut BTreeSet<i16>) -> sqlx::Result<()> {
        let now = Instant::now();
        let mut idle = self.held.shards();
        idle.retain(|shard, _| {
            let rests = self
                .lanes
                .get(shard)
                .is_some_and(|lane| lane.retry_at.is_some_and(|at| now < at));
            !busy.contains(shard) && !rests
        });
        if idle.is_empty() {
            return Ok(());
        }
        let (shards, epochs): (Vec<i16>, Vec<i64>) = idle.iter().unzip();
        let mut conn = self.pool.acquire().await?;
        let waiting = published::waiting(&mut conn, self.owner, &shards, &epochs).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        let from: Vec<i64> = waiting.iter().map(|(_, to)| to + 1).collect();
        let (shards, _): (Vec<i16>, Vec<i64>) = waiting.iter().copied().unzip();
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
        for (shard, from) in waiting {
            let first = events.partition_point(|e: &Envelope| e.shard < shard);
            let last = events.partition_point(|e| e.shard <= shard);
            busy.insert(shard);
            rounds.push(self.round(shard, idle[&shard], from, &events[first..last]));
        }
        Ok(())
    }

    /// Puts a shard's next records on their way.
    fn round(
        &self,
        shard: i16,
        epoch: i64,
        from: i64,
        events: &[Envelope],
    ) -> BoxFuture<'static, Round> {
        let alone = self
            .lanes
            .get(&shard)
            .is_some_and(|lane| from < lane.alone_to);
        let events = if alone {
            &events[..events.len().min(1)]
        } else {
            events
        };
        round::begin(&self.producer, shard, epoch, from, events).boxed()
    }

    /// Writes down how far the rounds came, and decides how each shard goes on.
    async fn end(&mut self, done: Vec<Round>, busy: &mut BTreeSet<i16>) {
        let mut moved = Vec::new();
        for round in &done {
            busy.remove(&round.shard);
            let to = self.judge(round);
            if to > round.from {
                moved.push(Moved {
                    shard: round.shard,
                    epoch: round.epoch,
                    to,
                });
            }
        }
        if done
            .iter()
            .any(|round| matches!(round.stopped, Some(Stop::Unknown(_))))
        {
            self.producer.rebuild_if_fatal().await;
        }
        if moved.is_empty() {
            return;
        }
        let kept = async {
            let mut conn = self.pool.acquire().await?;
            published::moved(&mut conn, self.owner, &moved).await
        };
        match kept.await {
            Ok(kept) => {
                let lost: Vec<i16> = moved.iter().map(|m| m.shard).collect();
                let lost: Vec<i16> = lost.into_iter().filter(|s| !kept.contains(s)).collect();
                // Another relay owns them: it sends them again from where we were known to be.
                self.held.forget(&lost);
            }
            // Not written down: sent again.
            Err(error) => self.told_of(error),
        }
    }

    /// Up to where the round's shard is done with, the record that is skipped included.
    fn judge(&mut self, round: &Round) -> i64 {
        let lane = self.lanes.entry(round.shard).or_default();
        let Some(stop) = &round.stopped else {
            *lane = Lane {
                alone_to: lane.alone_to,
                ..Lane::default()
            };
            return round.to;
        };
        match stop {
            Stop::Refused(why) if round.was_alone() => {
                tracing::error!(
                    alarm = "record_skipped",
                    kafka.topic = self.producer.topic(),
                    log.shard = round.shard,
                    log.position = round.tried,
                    why,
                    "Kafka refuses a record for good; its consumers read it from the log"
                );
                lane.failures = 0;
                round.tried
            }
            Stop::Refused(_) => {
                // One of them is at fault: which, the next rounds find out.
                lane.alone_to = round.tried;
                round.to
            }
            Stop::Full => {
                lane.retry_at = Some(Instant::now() + POLL);
                round.to
            }
            Stop::Unknown(why) => {
                lane.failures += 1;
                let pause = Duration::from_millis(100) * 2_u32.pow(lane.failures.min(6));
                lane.retry_at = Some(Instant::now() + pause.min(SLOWEST_RETRY));
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

    fn told_of(&self, error: sqlx::Error) {
        let problem = Problem::from(error);
        tracing::warn!(log.service = self.service, problem.code = %problem.code, "publishing failed; trying again");
    }
}

/// The first round that ended, and all that have ended too.
fn ready(first: Round, rounds: &mut Rounds) -> Vec<Round> {
    let mut done = vec![first];
    while let Some(Some(next)) = rounds.next().now_or_never() {
        done.push(next);
    }
    done
}
