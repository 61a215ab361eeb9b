//! The loop of one consumer on the Local bus: it tails a producer's log in the same database.
//! Must not apply an event twice, out of order, or from a log that does not fit its cursor.

use std::sync::Mutex;
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cursor::{Cursor, Reader};
use super::{Error, Heed, HeedError, parking};
use crate::batch::{self, Class};
use crate::clock::Clock;
use crate::error::Problem;
use crate::log::{Envelope, Head, Hint};

/// Events in one transaction, over all shards.
const BATCH: usize = 256;
/// How soon a batch stamped by another process is seen; this process rings the hint.
const POLL: Duration = Duration::from_millis(50);
/// How often the producer's retention is told how far we are.
const REPORT: Duration = Duration::from_mins(1);
/// How often the consumer looks for a replay that two people have asked for.
const ASKED: Duration = Duration::from_secs(1);
const SLOWEST_RETRY: Duration = Duration::from_secs(5);
/// Lost deadlocks of one batch before it counts as a failure of the database.
const TRIES: u32 = 8;

/// Applies one producer's events to one service.
pub struct Consumer<H> {
    pub(super) pool: PgPool,
    pub(super) reader: Reader,
    pub(super) heed: H,
    batch: usize,
    hint: Hint,
    applied: Hint,
    registered: OnceCell<()>,
    report_at: Mutex<Option<Instant>>,
}

/// What became of one transaction.
enum Attempt {
    Passed(usize),
    Refused(HeedError, Vec<Envelope>),
}

impl<H: Heed> Consumer<H> {
    /// `pool` is the consumer's own: its schema holds the cursors, its role may read the producer's log and write
    /// its `log_consumer`. `consumer` is unique among those who read the producer.
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
            registered: OnceCell::new(),
            report_at: Mutex::default(),
        }
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
        let mut ear = self.hint.listen();
        let mut retry = Duration::from_millis(100);
        let mut look = Instant::now();
        while !shutdown.is_cancelled() {
            if look.elapsed() >= ASKED {
                look = Instant::now();
                if let Err(error) = self.replay_asked().await {
                    let problem = Problem::from(error);
                    tracing::warn!(
                        bus.consumer = self.reader.consumer,
                        bus.producer = self.reader.producer,
                        problem.code = %problem.code,
                        "could not replay what was asked for; trying again"
                    );
                }
            }
            match self.run_once().await {
                Ok(passed) => {
                    retry = Duration::from_millis(100);
                    if passed == 0 {
                        shutdown.run_until_cancelled(ear.within(POLL)).await;
                    } else {
                        self.applied.ring();
                    }
                }
                Err(error) if error.is_passing() => {
                    let problem = Problem::from(error);
                    tracing::warn!(
                        bus.consumer = self.reader.consumer,
                        bus.producer = self.reader.producer,
                        problem.code = %problem.code,
                        "could not apply a batch; trying again"
                    );
                    shutdown
                        .run_until_cancelled(tokio::time::sleep(retry))
                        .await;
                    retry = (retry * 2).min(SLOWEST_RETRY);
                }
                Err(error) => {
                    tracing::error!(
                        alarm = "log_mismatch",
                        bus.consumer = self.reader.consumer,
                        %error,
                        "the consumer stops"
                    );
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Applies one batch. Returns how many events were passed: applied, or parked.
    pub async fn run_once(&self) -> Result<usize, Error> {
        self.registered.get_or_try_init(|| self.register()).await?;
        let mut conn = self.pool.acquire().await?;
        if self.report_is_due() {
            self.reader.report(&mut conn).await?;
        }
        if !self.reader.has_news(&mut conn).await? {
            return Ok(0);
        }
        drop(conn);
        let mut tries = 1;
        loop {
            match self.attempt().await? {
                Attempt::Passed(count) => return Ok(count),
                Attempt::Refused(error, batch) => match error.class() {
                    Class::Retry if tries < TRIES => {
                        tokio::time::sleep(batch::pause(tries)).await;
                        tries += 1;
                    }
                    Class::Item => return self.one_by_one(&batch).await,
                    Class::Retry | Class::Whole => return Err(error.into()),
                },
            }
        }
    }

    async fn register(&self) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        self.reader.register(&mut tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// One batch in one transaction with its cursors.
    async fn attempt(&self) -> Result<Attempt, Error> {
        let mut tx = self.pool.begin().await?;
        let cursors = self.reader.lock(&mut tx).await?;
        // Read after the locks: a head can only have moved forward since.
        let heads = self.reader.heads(&mut tx).await?;
        let mut behind = Vec::new();
        for cursor in cursors {
            let head = self.head_of(&heads, cursor)?;
            if cursor.position < head.position {
                behind.push((cursor, head));
            }
        }
        if behind.is_empty() {
            return Ok(Attempt::Passed(0));
        }
        let limit = (self.batch / behind.len()).max(1) as i64;
        let from: Vec<Cursor> = behind.iter().map(|(cursor, _)| *cursor).collect();
        let rows = self.reader.read(&mut tx, &from, limit).await?;
        let batch = self.next_events(&behind, rows, limit)?;

        let blocked = parking::lock_blocked(&mut tx, &self.reader, &batch).await?;
        let (waiting, flowing): (Vec<Envelope>, Vec<Envelope>) = batch
            .iter()
            .cloned()
            .partition(|event| blocked.contains(&event.case_id));
        if !flowing.is_empty()
            && let Err(error) = self.heed.heed(&mut tx, &flowing).await
        {
            // At once, not when the dropped connection gets to it: the next try wants these locks.
            tx.rollback().await?;
            return Ok(Attempt::Refused(error, batch));
        }
        if !waiting.is_empty() {
            let now = Clock::Database.now(&mut tx).await?;
            parking::park(&mut tx, &self.reader, &waiting, parking::FOLLOWS, now).await?;
        }
        self.reader.advance(&mut tx, &batch).await?;
        match tx.commit().await {
            Ok(()) => Ok(Attempt::Passed(batch.len())),
            // A deferred constraint speaks only now.
            Err(error) => Ok(Attempt::Refused(error.into(), batch)),
        }
    }

    /// The head of the cursor's shard, if the two fit together as far as numbers and the head's own id tell.
    fn head_of<'a>(&self, heads: &'a [Head], cursor: Cursor) -> Result<&'a Head, Error> {
        let Some(head) = heads.iter().find(|head| head.shard == cursor.shard) else {
            return Err(self.restored(cursor, "the log has no such shard"));
        };
        if cursor.position > head.position {
            return Err(self.restored(cursor, "the cursor is beyond the head"));
        }
        if cursor.position < head.floor - 1 {
            return Err(self.restored(cursor, "what follows the cursor is no longer kept"));
        }
        if cursor.position == head.position && cursor.event_id != head.event_id {
            return Err(self.restored(cursor, "the head is another event"));
        }
        Ok(head)
    }

    /// What follows the cursors, after checking that each cursor's own event is the one in the log and that no
    /// position is missing.
    fn next_events(
        &self,
        behind: &[(Cursor, &Head)],
        rows: Vec<Envelope>,
        limit: i64,
    ) -> Result<Vec<Envelope>, Error> {
        let mut rows = rows.into_iter().peekable();
        let mut batch = Vec::with_capacity(rows.len());
        for (cursor, head) in behind {
            let at_cursor =
                rows.next_if(|e| e.shard == cursor.shard && e.position == cursor.position);
            let kept = cursor.position >= head.floor;
            match at_cursor {
                Some(event) if Some(event.id) != cursor.event_id => {
                    return Err(self.restored(*cursor, "the cursor's event is another one"));
                }
                None if kept => {
                    return Err(self.restored(*cursor, "the cursor's event is gone"));
                }
                _ => {}
            }
            let mut next = cursor.position + 1;
            while let Some(event) = rows.next_if(|e| e.shard == cursor.shard) {
                if event.position != next {
                    return Err(self.gap(*cursor, next));
                }
                // Where there is no event at the cursor, the read brought one more than asked.
                if next - cursor.position <= limit {
                    batch.push(event);
                }
                next += 1;
            }
            if next == cursor.position + 1 {
                return Err(self.gap(*cursor, next));
            }
        }
        Ok(batch)
    }

    fn gap(&self, cursor: Cursor, position: i64) -> Error {
        Error::Gap {
            producer: self.reader.producer,
            shard: cursor.shard,
            position,
        }
    }

    fn restored(&self, cursor: Cursor, why: &'static str) -> Error {
        Error::RestoredBackup {
            producer: self.reader.producer,
            shard: cursor.shard,
            position: cursor.position,
            why,
        }
    }

    fn report_is_due(&self) -> bool {
        // Only an instant is behind the lock: nothing can be half-written.
        let mut due = self
            .report_at
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        if due.is_some_and(|at| now < at) {
            return false;
        }
        *due = Some(now + REPORT);
        true
    }
}
