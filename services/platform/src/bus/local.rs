//! The Local bus: consumes the producer's log in the same database. The only thing written into the
//! producer's schema is the consumer's reported position.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::consumer::{Consumer, NextBatch};
use super::cursor::Cursor;
use super::{Error, EventHandler, cursor_check};
use crate::log::{Envelope, Head};

/// Poll interval for positions assigned by other processes; a relay in this process sends a wake-up.
const POLL: Duration = Duration::from_millis(50);
/// How often the consumer reports its position to the producer's retention.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);
/// How often the consumer polls for requested replays.
pub(super) const REPLAY_POLL: Duration = Duration::from_secs(1);
pub(super) const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(100);
pub(super) const MAX_RETRY_PAUSE: Duration = Duration::from_secs(5);

impl<H: EventHandler> Consumer<H> {
    pub(super) async fn run_on_log(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut wakeups = self.wakeup.listen();
        let mut retry = FIRST_RETRY_PAUSE;
        let mut replay_polled_at = Instant::now();
        while !shutdown.is_cancelled() {
            if replay_polled_at.elapsed() >= REPLAY_POLL {
                replay_polled_at = Instant::now();
                if let Err(error) = self.run_requested_replay().await {
                    self.log_retry(error, "could not run a requested replay");
                }
            }
            match self.run_once().await {
                Ok(processed) => {
                    retry = FIRST_RETRY_PAUSE;
                    if processed == 0 {
                        shutdown.run_until_cancelled(wakeups.within(POLL)).await;
                    } else {
                        self.applied.notify();
                    }
                }
                Err(error) if error.is_transient() => {
                    self.log_retry(error, "could not apply a batch");
                    shutdown
                        .run_until_cancelled(tokio::time::sleep(retry))
                        .await;
                    retry = (retry * 2).min(MAX_RETRY_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether there may be events to apply. Also reports the consumer's position to the producer's retention
    /// when that is due.
    pub(super) async fn has_new_events(&self) -> Result<bool, Error> {
        let mut conn = self.pool.acquire().await?;
        if self.report_is_due() {
            self.store.report_position(&mut conn).await?;
        }
        Ok(self.store.has_new_events(&mut conn).await?)
    }

    /// The events that follow the cursors which no other process has locked.
    pub(super) async fn next_in_log(&self, conn: &mut PgConnection) -> Result<NextBatch, Error> {
        let cursors = self.store.lock_free(conn).await?;
        // Read after the locks: heads only move forward, so these are not older than the cursors.
        let heads = self.store.heads(conn).await?;
        let mut lagging = Vec::new();
        for cursor in cursors {
            let head = self.checked_head(&heads, cursor)?;
            if cursor.position < head.position {
                lagging.push((cursor, head));
            }
        }
        if lagging.is_empty() {
            return Ok(NextBatch::default());
        }
        let limit = (self.batch / lagging.len()).max(1);
        let from: Vec<Cursor> = lagging.iter().map(|(cursor, _)| *cursor).collect();
        let rows = self.store.read(conn, &from, limit as i64).await?;
        Ok(NextBatch {
            events: self.checked_events(&lagging, rows, limit)?,
            ..NextBatch::default()
        })
    }

    fn checked_head<'a>(&self, heads: &'a [Head], cursor: Cursor) -> Result<&'a Head, Error> {
        let Some(head) = heads.iter().find(|head| head.shard == cursor.shard) else {
            return Err(self.mismatch_error(cursor, "the log has no such shard"));
        };
        cursor_check::check_head(cursor, head).map_err(|why| self.mismatch_error(cursor, why))?;
        Ok(head)
    }

    /// Selects the events after the cursors, once it is verified that the log has each cursor's own event and
    /// that no position is missing.
    fn checked_events(
        &self,
        lagging: &[(Cursor, &Head)],
        rows: Vec<Envelope>,
        limit: usize,
    ) -> Result<Vec<Envelope>, Error> {
        let mut rows = rows.into_iter().peekable();
        let mut batch = Vec::with_capacity(rows.len());
        for (cursor, head) in lagging {
            let at = rows.next_if(|e| e.shard == cursor.shard && e.position == cursor.position);
            cursor_check::check_cursor_event(*cursor, head.floor, at.map(|event| event.id))
                .map_err(|why| self.mismatch_error(*cursor, why))?;
            let of_shard = std::iter::from_fn(|| rows.next_if(|e| e.shard == cursor.shard));
            let next = cursor_check::next_events(*cursor, of_shard.collect::<Vec<_>>());
            let empty = next.events.is_empty().then_some(cursor.position + 1);
            if let Some(position) = next.missing.or(empty) {
                return Err(self.gap_error(*cursor, position));
            }
            // Below the floor there is no event at the cursor, and the read returned one event more than
            // needed.
            batch.extend(next.events.into_iter().take(limit));
        }
        Ok(batch)
    }

    fn report_is_due(&self) -> bool {
        // The mutex guards a single value, which cannot be half-written.
        let mut report_at = self
            .report_at
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        if report_at.is_some_and(|at| now < at) {
            return false;
        }
        *report_at = Some(now + REPORT_INTERVAL);
        true
    }
}
