//! Finding and mending what Kafka lost: cursors are compared with the log's heads, and gaps are read from the log.
//!
//! One call at a time for a shard, a page each, so that a long gap does not hold up the others. Nothing is written to
//! Kafka again. Must not mend what does not fit: a restored log stops the consumer.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::consumer::{Applied, Consumer, Feed};
use super::cursor::Cursor;
use super::local::SLOWEST_RETRY;
use super::remote::{Page, RemoteLog};
use super::{Error, Heed, fit};
use crate::log::Envelope;

/// Events in one call.
const PAGE: u32 = 1000;
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// What is watched between two batches.
pub(super) struct Watch {
    every: Duration,
    compare_at: Instant,
    /// Shards that were behind their head at the last comparison, and where their cursors stood.
    lagged: BTreeMap<i16, i64>,
    behind: BTreeMap<i16, Behind>,
}

/// A shard that lacks something.
struct Behind {
    /// The highest position that Kafka brought of it: the log must reach as far.
    seen: i64,
    due: Instant,
    retry: Duration,
}

/// How a call for a shard ended.
enum Mended {
    /// The cursor stands at the head.
    Whole(i64),
    More,
}

impl Watch {
    pub(super) fn new(every: Duration) -> Self {
        Self {
            every,
            compare_at: Instant::now(),
            lagged: BTreeMap::new(),
            behind: BTreeMap::new(),
        }
    }

    /// Notes what a batch has shown.
    pub(super) fn came(&mut self, applied: &Applied, events: &[Envelope]) {
        for shard in &applied.behind {
            let of_shard = events.iter().filter(|event| event.shard == *shard);
            self.lacks(
                *shard,
                of_shard.map(|event| event.position).max().unwrap_or(0),
            );
        }
        if !applied.contradicted.is_empty() {
            // Kafka names another event than the cursor. The log decides who is right.
            self.compare_at = Instant::now();
        }
    }

    fn lacks(&mut self, shard: i16, seen: i64) {
        let behind = self.behind.entry(shard).or_insert_with(|| Behind {
            seen: 0,
            due: Instant::now(),
            retry: FIRST_RETRY,
        });
        behind.seen = behind.seen.max(seen);
    }

    fn due(&self) -> Vec<i16> {
        let now = Instant::now();
        let due = self.behind.iter().filter(|(_, behind)| behind.due <= now);
        due.map(|(shard, _)| *shard).collect()
    }

    fn put_off(&mut self, shard: i16) {
        if let Some(behind) = self.behind.get_mut(&shard) {
            behind.due = Instant::now() + behind.retry;
            behind.retry = (behind.retry * 2).min(SLOWEST_RETRY);
        }
    }
}

impl<H: Heed> Consumer<H> {
    /// What is due of comparing and mending. What may pass is put off; an error stops the consumer.
    pub(super) async fn attend(&self, log: &RemoteLog, watch: &mut Watch) -> Result<(), Error> {
        if Instant::now() >= watch.compare_at {
            match self.compare(log, watch).await {
                // Soon again where something lagged: twice at the same place is a loss.
                Ok(()) if !watch.lagged.is_empty() => {
                    watch.compare_at = Instant::now() + watch.every / 4;
                }
                Ok(()) => watch.compare_at = Instant::now() + watch.every,
                Err(error) if error.is_passing() => {
                    self.told_of(error, "could not compare cursors with the log");
                    watch.compare_at = Instant::now() + watch.every / 4;
                }
                Err(error) => return Err(error),
            }
        }
        for shard in watch.due() {
            match self.mend(log, shard).await {
                Ok(Mended::More) => {}
                Ok(Mended::Whole(head)) => self.mended(watch, shard, head)?,
                Err(error) if error.is_passing() => {
                    self.told_of(error, "could not read what is missing");
                    watch.put_off(shard);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Every cursor against the head of its shard.
    async fn compare(&self, log: &RemoteLog, watch: &mut Watch) -> Result<(), Error> {
        let lagged = std::mem::take(&mut watch.lagged);
        for cursor in self.reader.cursors(&self.pool).await? {
            let page = log.read(cursor.shard, cursor.position, 0).await?;
            self.fits(cursor, &page).await?;
            if cursor.position >= page.head.position {
                continue;
            }
            watch.lagged.insert(cursor.shard, cursor.position);
            let stands = lagged.get(&cursor.shard) == Some(&cursor.position);
            if stands && !watch.behind.contains_key(&cursor.shard) {
                tracing::warn!(
                    alarm = "bus_lost_records",
                    bus.consumer = self.reader.consumer,
                    bus.producer = self.reader.producer,
                    log.shard = cursor.shard,
                    cursor = cursor.position,
                    head = page.head.position,
                    "Kafka does not bring what the log holds; reading it from the log"
                );
                watch.lacks(cursor.shard, 0);
            }
        }
        Ok(())
    }

    /// Reads and applies the next page of what a shard lacks.
    async fn mend(&self, log: &RemoteLog, shard: i16) -> Result<Mended, Error> {
        let cursor = self.cursor(shard).await?;
        let page = log.read(shard, cursor.position, PAGE).await?;
        self.fits(cursor, &page).await?;
        let follows = fit::follows(cursor, page.events);
        let nothing = follows.events.is_empty() && cursor.position < page.head.position;
        if let Some(position) = follows.missing.or(nothing.then_some(cursor.position + 1)) {
            return Err(self.gap(cursor, position));
        }
        let Some(last) = follows.events.last().map(|event| event.position) else {
            return Ok(Mended::Whole(page.head.position));
        };
        if self.apply(Feed::Came(&follows.events)).await?.passed > 0 {
            self.applied.ring();
        }
        if last >= page.head.position {
            Ok(Mended::Whole(page.head.position))
        } else {
            Ok(Mended::More)
        }
    }

    fn mended(&self, watch: &mut Watch, shard: i16, head: i64) -> Result<(), Error> {
        let seen = watch.behind.remove(&shard).map_or(0, |behind| behind.seen);
        if seen > head {
            // What was published was in the log first: this log has lost its end.
            return Err(Error::RestoredBackup {
                producer: self.reader.producer,
                shard,
                position: head,
                why: "the bus holds events beyond the head",
            });
        }
        Ok(())
    }

    /// Whether the log is the one that the cursor was made with. Another process may have moved the cursor while we
    /// asked: then the next look decides.
    async fn fits(&self, cursor: Cursor, page: &Page) -> Result<(), Error> {
        let checked = fit::head(cursor, &page.head)
            .and_then(|()| fit::past(cursor, page.head.floor, page.at));
        let Err(why) = checked else { return Ok(()) };
        if self.cursor(cursor.shard).await?.position != cursor.position {
            return Err(Error::CursorLost {
                producer: self.reader.producer,
                shard: cursor.shard,
            });
        }
        Err(self.restored(cursor, why))
    }

    async fn cursor(&self, shard: i16) -> Result<Cursor, Error> {
        let cursors = self.reader.cursors(&self.pool).await?;
        let found = cursors.into_iter().find(|cursor| cursor.shard == shard);
        found.ok_or(Error::CursorLost {
            producer: self.reader.producer,
            shard,
        })
    }
}
