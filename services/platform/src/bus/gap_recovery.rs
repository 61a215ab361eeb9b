//! Detects and recovers what Kafka lost: cursors are compared with the heads of the log, and gaps are read
//! from the log.
//!
//! Each shard is read one page per call, so a long gap does not delay the others. Nothing is written back to
//! Kafka. A log that does not match its cursor (a restored backup) stops the consumer.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::consumer::{BatchResult, Consumer, Feed};
use super::cursor::Cursor;
use super::local::MAX_RETRY_PAUSE;
use super::remote::{LogPage, RemoteLog};
use super::{Error, EventHandler, cursor_check};
use crate::log::Envelope;

/// Maximum number of events read in one call.
const PAGE_EVENTS: u32 = 1000;
const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Per-shard state of gap recovery, kept between two batches.
pub(super) struct GapTracker {
    interval: Duration,
    compare_at: Instant,
    /// Shards whose cursor was behind the head at the last comparison, with the cursor's position then.
    lagged_at: BTreeMap<i16, i64>,
    lagging: BTreeMap<i16, LaggingShard>,
}

/// A shard with missing events.
struct LaggingShard {
    /// The highest position that Kafka delivered for this shard. The log must reach at least as far.
    highest_received: i64,
    due_at: Instant,
    retry: Duration,
}

/// Result of reading one page of a shard.
enum RecoveryStep {
    /// The cursor has reached the head, at this position.
    CaughtUp(i64),
    More,
}

impl GapTracker {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            compare_at: Instant::now(),
            lagged_at: BTreeMap::new(),
            lagging: BTreeMap::new(),
        }
    }

    /// Records the gaps and contradictions that a batch revealed.
    pub(super) fn note_batch(&mut self, result: &BatchResult, events: &[Envelope]) {
        for shard in &result.lagging {
            let of_shard = events.iter().filter(|event| event.shard == *shard);
            self.note_gap(
                *shard,
                of_shard.map(|event| event.position).max().unwrap_or(0),
            );
        }
        if !result.contradicted.is_empty() {
            // Kafka and the cursor disagree about an event; comparing with the log decides.
            self.compare_at = Instant::now();
        }
    }

    fn note_gap(&mut self, shard: i16, highest_received: i64) {
        let lagging = self.lagging.entry(shard).or_insert_with(|| LaggingShard {
            highest_received: 0,
            due_at: Instant::now(),
            retry: FIRST_RETRY_PAUSE,
        });
        lagging.highest_received = lagging.highest_received.max(highest_received);
    }

    fn due_shards(&self) -> Vec<i16> {
        let now = Instant::now();
        let due = self.lagging.iter().filter(|(_, shard)| shard.due_at <= now);
        due.map(|(shard, _)| *shard).collect()
    }

    fn postpone(&mut self, shard: i16) {
        if let Some(lagging) = self.lagging.get_mut(&shard) {
            lagging.due_at = Instant::now() + lagging.retry;
            lagging.retry = (lagging.retry * 2).min(MAX_RETRY_PAUSE);
        }
    }
}

impl<H: EventHandler> Consumer<H> {
    /// Runs the comparisons and reads that are due. Transient errors postpone them; any other error stops the
    /// consumer.
    pub(super) async fn recover_gaps(
        &self,
        log: &RemoteLog,
        gaps: &mut GapTracker,
    ) -> Result<(), Error> {
        if Instant::now() >= gaps.compare_at {
            match self.compare_with_heads(log, gaps).await {
                // Compare again soon when a shard lagged: a cursor that has not moved by then means a loss.
                Ok(()) if !gaps.lagged_at.is_empty() => {
                    gaps.compare_at = Instant::now() + gaps.interval / 4;
                }
                Ok(()) => gaps.compare_at = Instant::now() + gaps.interval,
                Err(error) if error.is_transient() => {
                    self.log_retry(error, "could not compare cursors with the log");
                    gaps.compare_at = Instant::now() + gaps.interval / 4;
                }
                Err(error) => return Err(error),
            }
        }
        for shard in gaps.due_shards() {
            match self.read_missing(log, shard).await {
                Ok(RecoveryStep::More) => {}
                Ok(RecoveryStep::CaughtUp(head)) => self.finish_recovery(gaps, shard, head)?,
                Err(error) if error.is_transient() => {
                    self.log_retry(error, "could not read missing events");
                    gaps.postpone(shard);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Compares every cursor with the head of its shard.
    async fn compare_with_heads(
        &self,
        log: &RemoteLog,
        gaps: &mut GapTracker,
    ) -> Result<(), Error> {
        let lagged_at = std::mem::take(&mut gaps.lagged_at);
        for cursor in self.store.cursors(&self.pool).await? {
            let page = log.read(cursor.shard, cursor.position, 0).await?;
            self.check_log(cursor, &page).await?;
            if cursor.position >= page.head.position {
                continue;
            }
            gaps.lagged_at.insert(cursor.shard, cursor.position);
            let stuck = lagged_at.get(&cursor.shard) == Some(&cursor.position);
            if stuck && !gaps.lagging.contains_key(&cursor.shard) {
                tracing::warn!(
                    alarm = "bus_lost_records",
                    bus.consumer = self.store.consumer,
                    bus.producer = self.store.producer,
                    log.shard = cursor.shard,
                    cursor = cursor.position,
                    head = page.head.position,
                    "Kafka does not deliver events that are in the log; reading them from the log"
                );
                gaps.note_gap(cursor.shard, 0);
            }
        }
        Ok(())
    }

    /// Reads and applies the next page of a shard's missing events.
    async fn read_missing(&self, log: &RemoteLog, shard: i16) -> Result<RecoveryStep, Error> {
        let cursor = self.cursor(shard).await?;
        let page = log.read(shard, cursor.position, PAGE_EVENTS).await?;
        self.check_log(cursor, &page).await?;
        let next = cursor_check::next_events(cursor, page.events);
        let empty = next.events.is_empty() && cursor.position < page.head.position;
        if let Some(position) = next.missing.or(empty.then_some(cursor.position + 1)) {
            return Err(self.gap_error(cursor, position));
        }
        let Some(last) = next.events.last().map(|event| event.position) else {
            return Ok(RecoveryStep::CaughtUp(page.head.position));
        };
        if self.apply(Feed::Received(&next.events)).await?.processed > 0 {
            self.applied.notify();
        }
        if last >= page.head.position {
            Ok(RecoveryStep::CaughtUp(page.head.position))
        } else {
            Ok(RecoveryStep::More)
        }
    }

    fn finish_recovery(&self, gaps: &mut GapTracker, shard: i16, head: i64) -> Result<(), Error> {
        let recovered = gaps.lagging.remove(&shard);
        let highest_received = recovered.map_or(0, |shard| shard.highest_received);
        if highest_received > head {
            // Events are in the log before they are published, so this log has lost its end.
            return Err(Error::RestoredBackup {
                producer: self.store.producer,
                shard,
                position: head,
                why: "the bus has events beyond the head",
            });
        }
        Ok(())
    }

    /// Checks that the log matches the cursor. If another process advanced the cursor during the call, the
    /// next comparison decides.
    async fn check_log(&self, cursor: Cursor, page: &LogPage) -> Result<(), Error> {
        let checked = cursor_check::check_head(cursor, &page.head).and_then(|()| {
            cursor_check::check_cursor_event(cursor, page.head.floor, page.after_event_id)
        });
        let Err(why) = checked else { return Ok(()) };
        if self.cursor(cursor.shard).await?.position != cursor.position {
            return Err(Error::CursorLost {
                producer: self.store.producer,
                shard: cursor.shard,
            });
        }
        Err(self.mismatch_error(cursor, why))
    }

    async fn cursor(&self, shard: i16) -> Result<Cursor, Error> {
        let cursors = self.store.cursors(&self.pool).await?;
        let found = cursors.into_iter().find(|cursor| cursor.shard == shard);
        found.ok_or(Error::CursorLost {
            producer: self.store.producer,
            shard,
        })
    }
}
