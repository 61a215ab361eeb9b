//! Being fed by the producer's log in the same database: the Local bus.
//! Must not write into the producer's schema, but for saying how far it is.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::consumer::{Consumer, Next};
use super::cursor::Cursor;
use super::{Error, Heed, fit};
use crate::log::{Envelope, Head};

/// How soon a batch stamped by another process is seen; this process rings the hint.
const POLL: Duration = Duration::from_millis(50);
/// How often the producer's retention is told how far we are.
const REPORT: Duration = Duration::from_mins(1);
/// How often the consumer looks for a replay that two people have asked for.
pub(super) const ASKED: Duration = Duration::from_secs(1);
pub(super) const FIRST_RETRY: Duration = Duration::from_millis(100);
pub(super) const SLOWEST_RETRY: Duration = Duration::from_secs(5);

impl<H: Heed> Consumer<H> {
    pub(super) async fn run_on_log(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let mut ear = self.hint.listen();
        let mut retry = FIRST_RETRY;
        let mut look = Instant::now();
        while !shutdown.is_cancelled() {
            if look.elapsed() >= ASKED {
                look = Instant::now();
                if let Err(error) = self.replay_asked().await {
                    self.told_of(error, "could not replay what was asked for");
                }
            }
            match self.run_once().await {
                Ok(passed) => {
                    retry = FIRST_RETRY;
                    if passed == 0 {
                        shutdown.run_until_cancelled(ear.within(POLL)).await;
                    } else {
                        self.applied.ring();
                    }
                }
                Err(error) if error.is_passing() => {
                    self.told_of(error, "could not apply a batch");
                    shutdown
                        .run_until_cancelled(tokio::time::sleep(retry))
                        .await;
                    retry = (retry * 2).min(SLOWEST_RETRY);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether there may be something to apply. Tells the producer's retention how far we are, when that is due.
    pub(super) async fn has_news(&self) -> Result<bool, Error> {
        let mut conn = self.pool.acquire().await?;
        if self.report_is_due() {
            self.reader.report(&mut conn).await?;
        }
        Ok(self.reader.has_news(&mut conn).await?)
    }

    /// What follows the cursors that no other process is working on.
    pub(super) async fn next_in_log(&self, conn: &mut PgConnection) -> Result<Next, Error> {
        let cursors = self.reader.lock(conn).await?;
        // Read after the locks: a head can only have moved forward since.
        let heads = self.reader.heads(conn).await?;
        let mut behind = Vec::new();
        for cursor in cursors {
            let head = self.head_of(&heads, cursor)?;
            if cursor.position < head.position {
                behind.push((cursor, head));
            }
        }
        if behind.is_empty() {
            return Ok(Next::default());
        }
        let limit = (self.batch / behind.len()).max(1);
        let from: Vec<Cursor> = behind.iter().map(|(cursor, _)| *cursor).collect();
        let rows = self.reader.read(conn, &from, limit as i64).await?;
        Ok(Next {
            batch: self.next_events(&behind, rows, limit)?,
            ..Next::default()
        })
    }

    fn head_of<'a>(&self, heads: &'a [Head], cursor: Cursor) -> Result<&'a Head, Error> {
        let Some(head) = heads.iter().find(|head| head.shard == cursor.shard) else {
            return Err(self.restored(cursor, "the log has no such shard"));
        };
        fit::head(cursor, head).map_err(|why| self.restored(cursor, why))?;
        Ok(head)
    }

    /// What follows the cursors, after checking that each cursor's own event is the one in the log and that no
    /// position is missing.
    fn next_events(
        &self,
        behind: &[(Cursor, &Head)],
        rows: Vec<Envelope>,
        limit: usize,
    ) -> Result<Vec<Envelope>, Error> {
        let mut rows = rows.into_iter().peekable();
        let mut batch = Vec::with_capacity(rows.len());
        for (cursor, head) in behind {
            let at = rows.next_if(|e| e.shard == cursor.shard && e.position == cursor.position);
            fit::past(*cursor, head.floor, at.map(|event| event.id))
                .map_err(|why| self.restored(*cursor, why))?;
            let of_shard = std::iter::from_fn(|| rows.next_if(|e| e.shard == cursor.shard));
            let follows = fit::follows(*cursor, of_shard.collect::<Vec<_>>());
            let nothing = follows.events.is_empty().then_some(cursor.position + 1);
            if let Some(position) = follows.missing.or(nothing) {
                return Err(self.gap(*cursor, position));
            }
            // Where there is no event at the cursor, the read brought one more than asked.
            batch.extend(follows.events.into_iter().take(limit));
        }
        Ok(batch)
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
