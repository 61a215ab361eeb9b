//! One consumer: it applies a producer's events to a service, whatever feeds it.
//!
//! The one path from events to their effect: cursors are locked, duplicates dropped, what follows is checked for holes,
//! heeded or parked, and the cursors move with it. Two ways to be fed: `local` and `kafka`. Must not apply an event
//! twice, out of order, or from a log that does not fit its cursor.

use std::collections::BTreeMap;
use std::sync::Mutex;

use sqlx::{PgConnection, PgPool};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cursor::{Cursor, Reader};
use super::{Bus, Error, Heed, HeedError, fit, parking};
use crate::batch::{self, Class};
use crate::clock::Clock;
use crate::error::Problem;
use crate::log::{Envelope, Hint};
use crate::metrics::Counter;
use crate::plant::{self, Plant};
use crate::trace::Heard;

/// Events in one transaction, over all shards.
const BATCH: usize = 256;
/// By consumer and producer.
static PASSED: Counter = Counter::new(
    "takedown.bus.passed",
    "{event}",
    "Events that this consumer applied or parked.",
);

/// Lost deadlocks of one batch before it counts as a failure of the database.
const TRIES: u32 = 8;

/// Applies one producer's events to one service.
pub struct Consumer<H> {
    pub(super) pool: PgPool,
    pub(super) reader: Reader,
    pub(super) heed: H,
    pub(super) batch: usize,
    pub(super) hint: Hint,
    pub(super) applied: Hint,
    bus: Bus,
    registered: OnceCell<()>,
    pub(super) report_at: Mutex<Option<Instant>>,
}

/// Where events come from.
#[derive(Clone, Copy)]
pub(super) enum Feed<'a> {
    /// The producer's log in the same database.
    Log,
    /// What came over the bus, or was read from a log elsewhere.
    Came(&'a [Envelope]),
}

/// What follows the cursors, by shard and position; the cursors are locked.
#[derive(Default)]
pub(super) struct Next {
    pub(super) batch: Vec<Envelope>,
    /// Shards that lack something before what came.
    pub(super) behind: Vec<i16>,
    /// Shards where another event came than the cursor's, with its position.
    pub(super) contradicted: Vec<i16>,
}

/// What was brought to its effect, and which shards could not be followed to the end.
pub(super) struct Applied {
    /// Events applied or parked.
    pub(super) passed: usize,
    pub(super) behind: Vec<i16>,
    pub(super) contradicted: Vec<i16>,
}

impl From<Next> for Applied {
    fn from(next: Next) -> Self {
        Self {
            passed: next.batch.len(),
            behind: next.behind,
            contradicted: next.contradicted,
        }
    }
}

/// What became of one transaction.
enum Attempt {
    Passed(Applied),
    Refused(HeedError, Next),
}

impl<H: Heed> Consumer<H> {
    /// `pool` is the consumer's own: its schema holds the cursors. On the Local bus its role may read the producer's
    /// log and write its `log_consumer`; on Kafka it needs no right there. `consumer` is unique among those who read the producer.
    ///
    /// # Panics
    /// When `producer` is no plain identifier.
    pub fn new(pool: PgPool, consumer: &'static str, producer: &'static str, heed: H) -> Self {
        Self {
            pool,
            reader: Reader::new(consumer, producer),
            heed,
            batch: BATCH,
            hint: Hint::default(),
            applied: Hint::default(),
            bus: Bus::Local,
            registered: OnceCell::new(),
            report_at: Mutex::default(),
        }
    }

    /// Is fed by this bus, instead of the log in the same database.
    #[must_use]
    pub fn on(mut self, bus: &Bus) -> Self {
        self.bus = bus.clone();
        self
    }

    /// Looks at once when the producer's relay has stamped ([`crate::log::Relay::stamped`]).
    #[must_use]
    pub fn woken_by(mut self, stamped: Hint) -> Self {
        self.hint = stamped;
        self
    }

    /// Rings after each batch that was committed: there may be work in this process.
    #[must_use]
    pub fn rings(mut self, applied: Hint) -> Self {
        self.applied = applied;
        self
    }

    /// At most `events` in one transaction, instead of 256.
    #[must_use]
    pub fn in_batches_of(mut self, events: usize) -> Self {
        self.batch = events.max(1);
        self
    }

    /// Hears until `shutdown`. Returns an error, after an alarm, when the log does not fit the cursors: nothing but
    /// people can put that right.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let outcome = match self.bus.clone() {
            Bus::Local => self.run_on_log(&shutdown).await,
            Bus::Kafka(bus) => self.run_on_kafka(&bus, &shutdown).await,
        };
        if let Err(error) = &outcome {
            tracing::error!(
                alarm = "log_mismatch",
                bus.consumer = self.reader.consumer,
                bus.producer = self.reader.producer,
                %error,
                "the consumer stops"
            );
        }
        outcome
    }

    /// Applies one batch of the log in the same database. Returns how many events were passed: applied, or parked.
    pub async fn run_once(&self) -> Result<usize, Error> {
        self.register().await?;
        if !self.has_news().await? {
            return Ok(0);
        }
        Ok(self.apply(Feed::Log).await?.passed)
    }

    pub(super) async fn register(&self) -> Result<(), Error> {
        let register = async || {
            let mut tx = self.pool.begin().await?;
            self.reader.register(&mut tx).await?;
            tx.commit().await?;
            Ok(())
        };
        self.registered.get_or_try_init(register).await.copied()
    }

    /// Brings what the feed has to its effect, each shard as far as nothing is missing.
    pub(super) async fn apply(&self, feed: Feed<'_>) -> Result<Applied, Error> {
        let mut tries = 1;
        loop {
            match self.attempt(feed).await? {
                Attempt::Passed(applied) => {
                    self.count(applied.passed);
                    return Ok(applied);
                }
                Attempt::Refused(error, next) => match error.class() {
                    Class::Retry if tries < TRIES => {
                        tokio::time::sleep(batch::pause(tries)).await;
                        tries += 1;
                    }
                    Class::Item => {
                        let passed = self.one_by_one(&next.batch).await?;
                        self.count(passed);
                        return Ok(Applied {
                            passed,
                            ..next.into()
                        });
                    }
                    Class::Retry | Class::Whole => return Err(error.into()),
                },
            }
        }
    }

    /// One batch in one transaction with its cursors.
    async fn attempt(&self, feed: Feed<'_>) -> Result<Attempt, Error> {
        let mut tx = self.pool.begin().await?;
        let next = match feed {
            Feed::Log => self.next_in_log(&mut tx).await?,
            Feed::Came(events) => self.next_of(&mut tx, events).await?,
        };
        let batch = &next.batch;
        if batch.is_empty() {
            return Ok(Attempt::Passed(next.into()));
        }
        if plant::is(Plant::CursorFirst) {
            self.reader.advance(&mut tx, batch).await?;
            tx.commit().await?;
            tx = self.pool.begin().await?;
        }
        let blocked = parking::lock_blocked(&mut tx, &self.reader, batch).await?;
        let (waiting, flowing): (Vec<Envelope>, Vec<Envelope>) = batch
            .iter()
            .cloned()
            .partition(|event| blocked.contains(&event.case_id));
        if !flowing.is_empty()
            && let Err(error) = self.heed(&mut tx, &flowing).await
        {
            // At once, not when the dropped connection gets to it: the next try wants these locks.
            tx.rollback().await?;
            return Ok(Attempt::Refused(error, next));
        }
        if !waiting.is_empty() {
            let now = Clock::Database.now(&mut tx).await?;
            parking::park(&mut tx, &self.reader, &waiting, parking::FOLLOWS, now).await?;
        }
        if !plant::is(Plant::CursorFirst) {
            self.reader.advance(&mut tx, batch).await?;
        }
        match tx.commit().await {
            Ok(()) => Ok(Attempt::Passed(next.into())),
            // A deferred constraint speaks only now.
            Err(error) => Ok(Attempt::Refused(error.into(), next)),
        }
    }

    fn count(&self, passed: usize) {
        if passed > 0 {
            let Reader {
                consumer, producer, ..
            } = self.reader;
            PASSED.add(passed, &[("consumer", consumer), ("producer", producer)]);
        }
    }

    /// Brings events to their effect, each within the trace that it came with.
    pub(super) async fn heed(
        &self,
        conn: &mut PgConnection,
        events: &[Envelope],
    ) -> Result<(), HeedError> {
        match Heard::begin(self.reader.consumer, events) {
            Some(heard) => heard.scope(self.heed.heed(conn, events)).await,
            None => self.heed.heed(conn, events).await,
        }
    }

    /// What of the events that came follows the cursors of their shards.
    async fn next_of(&self, conn: &mut PgConnection, came: &[Envelope]) -> Result<Next, Error> {
        let mut by_shard: BTreeMap<i16, Vec<&Envelope>> = BTreeMap::new();
        for event in came {
            by_shard.entry(event.shard).or_default().push(event);
        }
        let shards: Vec<i16> = by_shard.keys().copied().collect();
        let mut next = Next::default();
        for cursor in self.reader.lock_these(conn, &shards).await? {
            let mut events = by_shard.remove(&cursor.shard).unwrap_or_default();
            // Records may come twice and in disorder; positions do not.
            events.sort_by_key(|event| event.position);
            let follows = fit::follows(cursor, events.into_iter().cloned());
            if follows.missing.is_some() {
                next.behind.push(cursor.shard);
            }
            if follows.contradicted {
                next.contradicted.push(cursor.shard);
            }
            next.batch.extend(follows.events);
        }
        Ok(next)
    }

    pub(super) fn gap(&self, cursor: Cursor, position: i64) -> Error {
        Error::Gap {
            producer: self.reader.producer,
            shard: cursor.shard,
            position,
        }
    }

    pub(super) fn restored(&self, cursor: Cursor, why: &'static str) -> Error {
        Error::RestoredBackup {
            producer: self.reader.producer,
            shard: cursor.shard,
            position: cursor.position,
            why,
        }
    }

    /// Whatever may pass: told once, tried again.
    pub(super) fn told_of(&self, error: Error, what: &'static str) {
        let problem = Problem::from(error);
        tracing::warn!(
            bus.consumer = self.reader.consumer,
            bus.producer = self.reader.producer,
            problem.code = %problem.code,
            "{what}; trying again"
        );
    }
}
