//! A consumer: applies one producer's events to one service, whatever the source of the events.
//!
//! This is the only path from events to their effect: the cursors are locked, duplicates dropped, gaps
//! detected, the events applied or parked, and the cursors advanced in the same transaction. Events come from
//! one of two sources, `local` and `kafka`. No event is applied twice, out of order, or from a log that does
//! not match its cursor.

use std::collections::BTreeMap;
use std::sync::Mutex;

use fail::fail_point;
use sqlx::{PgConnection, PgPool};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cursor::{ConsumerStore, Cursor};
use super::{Bus, Error, EventHandler, HandlerError, cursor_check, parking};
use crate::batch::{self, ErrorClass};
use crate::clock::Clock;
use crate::error::Problem;
use crate::log::{Envelope, Wakeup};
use crate::metrics::Counter;
use crate::trace::ReceivedBatch;

/// Maximum number of events in one transaction, over all shards.
const DEFAULT_BATCH_SIZE: usize = 256;
/// Labels: consumer, producer.
static PROCESSED: Counter = Counter::new(
    "takedown.bus.processed",
    "{event}",
    "Events that this consumer processed: applied or parked.",
);

/// Attempts at one batch, or one event, that lose deadlocks or serialization conflicts before that counts as
/// a database failure.
pub(super) const MAX_ATTEMPTS: u32 = 8;

/// Applies one producer's events to one service.
pub struct Consumer<H> {
    pub(super) pool: PgPool,
    pub(super) store: ConsumerStore,
    pub(super) handler: H,
    pub(super) batch: usize,
    pub(super) wakeup: Wakeup,
    pub(super) applied: Wakeup,
    bus: Bus,
    registered: OnceCell<()>,
    pub(super) report_at: Mutex<Option<Instant>>,
}

/// Source of the next events.
#[derive(Clone, Copy)]
pub(super) enum Feed<'a> {
    /// The producer's log in the same database.
    Log,
    /// Events received from Kafka, or read from the log over `ReadLog`.
    Received(&'a [Envelope]),
}

/// The events that follow the cursors, by shard and position. The cursors are locked.
#[derive(Default)]
pub(super) struct NextBatch {
    pub(super) events: Vec<Envelope>,
    /// Shards in which an event before the received ones is missing.
    pub(super) lagging: Vec<i16>,
    /// Shards in which a different event was received at the cursor's position.
    pub(super) contradicted: Vec<i16>,
}

/// Result of one batch: how many events were processed, and which shards need attention.
pub(super) struct BatchResult {
    /// Events applied or parked.
    pub(super) processed: usize,
    pub(super) lagging: Vec<i16>,
    pub(super) contradicted: Vec<i16>,
}

impl From<NextBatch> for BatchResult {
    fn from(next: NextBatch) -> Self {
        Self {
            processed: next.events.len(),
            lagging: next.lagging,
            contradicted: next.contradicted,
        }
    }
}

/// Result of one transaction.
enum Attempt {
    Committed(BatchResult),
    RolledBack(HandlerError, NextBatch),
}

impl<H: EventHandler> Consumer<H> {
    /// `pool` is the consumer's own: its schema holds the cursors. On the Local bus its role may read the
    /// producer's log and write its `log_consumer`; on Kafka it needs no rights in that schema. `consumer`
    /// must be unique among the consumers of the producer.
    ///
    /// # Panics
    /// When `producer` is not a plain identifier.
    pub fn new(pool: PgPool, consumer: &'static str, producer: &'static str, handler: H) -> Self {
        Self {
            pool,
            store: ConsumerStore::new(consumer, producer),
            handler,
            batch: DEFAULT_BATCH_SIZE,
            wakeup: Wakeup::default(),
            applied: Wakeup::default(),
            bus: Bus::Local,
            registered: OnceCell::new(),
            report_at: Mutex::default(),
        }
    }

    /// Receives events from this bus instead of the log in the same database.
    #[must_use]
    pub fn with_bus(mut self, bus: &Bus) -> Self {
        self.bus = bus.clone();
        self
    }

    /// Polls as soon as the producer's relay has assigned positions ([`crate::log::Relay::positioned`]).
    #[must_use]
    pub fn woken_by(mut self, positioned: Wakeup) -> Self {
        self.wakeup = positioned;
        self
    }

    /// Notifies `applied` after each committed batch, because the batch may have created work in this
    /// process.
    #[must_use]
    pub fn notifies(mut self, applied: Wakeup) -> Self {
        self.applied = applied;
        self
    }

    /// Limits a transaction to `events` events (default 256).
    #[must_use]
    pub fn with_batch_size(mut self, events: usize) -> Self {
        self.batch = events.max(1);
        self
    }

    /// Consumes until `shutdown`.
    ///
    /// # Errors
    /// After raising an alarm, when the log does not match the cursors; that needs an operator.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let outcome = match self.bus.clone() {
            Bus::Local => self.run_on_log(&shutdown).await,
            Bus::Kafka(bus) => self.run_on_kafka(&bus, &shutdown).await,
        };
        if let Err(error) = &outcome {
            tracing::error!(
                alarm = "log_mismatch",
                bus.consumer = self.store.consumer,
                bus.producer = self.store.producer,
                %error,
                "the event log does not match the cursors; the consumer stops"
            );
        }
        outcome
    }

    /// Applies one batch from the log in the same database. Returns how many events were processed: applied
    /// or parked.
    pub async fn run_once(&self) -> Result<usize, Error> {
        self.register().await?;
        if !self.has_new_events().await? {
            return Ok(0);
        }
        Ok(self.apply(Feed::Log).await?.processed)
    }

    pub(super) async fn register(&self) -> Result<(), Error> {
        let register = async || {
            let mut tx = self.pool.begin().await?;
            self.store.register(&mut tx).await?;
            tx.commit().await?;
            Ok(())
        };
        self.registered.get_or_try_init(register).await.copied()
    }

    /// Applies the next events of `feed`, in each shard up to the first gap.
    pub(super) async fn apply(&self, feed: Feed<'_>) -> Result<BatchResult, Error> {
        let mut attempt = 1;
        loop {
            match self.attempt(feed).await? {
                Attempt::Committed(result) => {
                    self.count(result.processed);
                    return Ok(result);
                }
                Attempt::RolledBack(error, next) => match error.class() {
                    ErrorClass::Retry if attempt < MAX_ATTEMPTS => {
                        tokio::time::sleep(batch::retry_pause(attempt)).await;
                        attempt += 1;
                    }
                    ErrorClass::Item => {
                        let processed = self.apply_one_by_one(&next.events).await?;
                        self.count(processed);
                        return Ok(BatchResult {
                            processed,
                            ..next.into()
                        });
                    }
                    ErrorClass::Retry | ErrorClass::WholeBatch => return Err(error.into()),
                },
            }
        }
    }

    /// Applies one batch and advances its cursors in one transaction.
    async fn attempt(&self, feed: Feed<'_>) -> Result<Attempt, Error> {
        let mut tx = self.pool.begin().await?;
        let next = match feed {
            Feed::Log => self.next_in_log(&mut tx).await?,
            Feed::Received(events) => self.next_received(&mut tx, events).await?,
        };
        let batch = &next.events;
        if batch.is_empty() {
            return Ok(Attempt::Committed(next.into()));
        }
        let is_cursor_first = is_cursor_first();
        if is_cursor_first {
            self.store.advance(&mut tx, batch).await?;
            tx.commit().await?;
            tx = self.pool.begin().await?;
        }
        let blocked_cases = parking::lock_blocked_cases(&mut tx, &self.store, batch).await?;
        let (blocked, unblocked): (Vec<Envelope>, Vec<Envelope>) = batch
            .iter()
            .cloned()
            .partition(|event| blocked_cases.contains(&event.case_id));
        if !unblocked.is_empty()
            && let Err(error) = self.handle(&mut tx, &unblocked).await
        {
            // Explicit rollback, because the next attempt needs these locks at once, not when the dropped
            // connection gets to it.
            tx.rollback().await?;
            return Ok(Attempt::RolledBack(error, next));
        }
        if !blocked.is_empty() {
            let now = Clock::Database.now(&mut tx).await?;
            parking::park(&mut tx, &self.store, &blocked, parking::FOLLOWS_PARKED, now).await?;
        }
        if !is_cursor_first {
            self.store.advance(&mut tx, batch).await?;
        }
        match tx.commit().await {
            Ok(()) => Ok(Attempt::Committed(next.into())),
            // A deferred constraint fails only at commit.
            Err(error) => Ok(Attempt::RolledBack(error.into(), next)),
        }
    }

    fn count(&self, processed: usize) {
        if processed > 0 {
            let ConsumerStore {
                consumer, producer, ..
            } = self.store;
            PROCESSED.add(processed, &[("consumer", consumer), ("producer", producer)]);
        }
    }

    /// Runs the handler within the trace of each event.
    pub(super) async fn handle(
        &self,
        conn: &mut PgConnection,
        events: &[Envelope],
    ) -> Result<(), HandlerError> {
        match ReceivedBatch::start(self.store.consumer, events) {
            Some(received) => received.scope(self.handler.handle(conn, events)).await,
            None => self.handler.handle(conn, events).await,
        }
    }

    /// Locks the cursors of the received shards and selects the events that follow them.
    async fn next_received(
        &self,
        conn: &mut PgConnection,
        received: &[Envelope],
    ) -> Result<NextBatch, Error> {
        let mut by_shard: BTreeMap<i16, Vec<&Envelope>> = BTreeMap::new();
        for event in received {
            by_shard.entry(event.shard).or_default().push(event);
        }
        let shards: Vec<i16> = by_shard.keys().copied().collect();
        let mut next = NextBatch::default();
        for cursor in self.store.lock_shards(conn, &shards).await? {
            let mut events = by_shard.remove(&cursor.shard).unwrap_or_default();
            // Kafka may deliver records twice or out of order; positions restore the order.
            events.sort_by_key(|event| event.position);
            let checked = cursor_check::next_events(cursor, events.into_iter().cloned());
            if checked.missing.is_some() {
                next.lagging.push(cursor.shard);
            }
            if checked.contradicted {
                next.contradicted.push(cursor.shard);
            }
            next.events.extend(checked.events);
        }
        Ok(next)
    }

    pub(super) fn gap_error(&self, cursor: Cursor, position: i64) -> Error {
        Error::Gap {
            producer: self.store.producer,
            shard: cursor.shard,
            position,
        }
    }

    pub(super) fn mismatch_error(&self, cursor: Cursor, why: &'static str) -> Error {
        Error::RestoredBackup {
            producer: self.store.producer,
            shard: cursor.shard,
            position: cursor.position,
            why,
        }
    }

    /// Logs a transient error once; the caller retries.
    pub(super) fn log_retry(&self, error: Error, what: &'static str) {
        let problem = Problem::from(error);
        tracing::warn!(
            bus.consumer = self.store.consumer,
            bus.producer = self.store.producer,
            problem.code = %problem.code,
            "{what}; trying again"
        );
    }
}

/// A bug that `./dev crash` must detect: the cursor is committed before the effect.
fn is_cursor_first() -> bool {
    fail_point!("cursor-first", |_| true);
    false
}
