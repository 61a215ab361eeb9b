//! The slow way of a batch in which some event cannot be applied: each event in a transaction of its own, with its
//! cursor, in order of position. Must park nothing but what the event itself is at fault for.

use sqlx::{PgConnection, Postgres, Transaction};

use super::consumer::Consumer;
use super::{Error, Heed, HeedError, parking};
use crate::batch::{self, Class};
use crate::clock::Clock;
use crate::log::Envelope;

const TRIES: u32 = 8;

impl<H: Heed> Consumer<H> {
    /// Returns how many events were passed. On an error the events before it stay passed.
    pub(super) async fn one_by_one(&self, batch: &[Envelope]) -> Result<usize, Error> {
        for event in batch {
            self.pass(event).await?;
        }
        Ok(batch.len())
    }

    async fn pass(&self, event: &Envelope) -> Result<(), Error> {
        let mut tries = 1;
        loop {
            let Err(error) = self.apply_or_queue(event).await? else {
                return Ok(());
            };
            match error.class() {
                Class::Retry if tries < TRIES => {
                    tokio::time::sleep(batch::pause(tries)).await;
                    tries += 1;
                }
                Class::Item => return self.park(event, &error).await,
                Class::Retry | Class::Whole => return Err(error.into()),
            }
        }
    }

    /// Applies the event, or parks it behind those of its case that are parked already.
    async fn apply_or_queue(&self, event: &Envelope) -> Result<Result<(), HeedError>, Error> {
        let one = std::slice::from_ref(event);
        let mut tx = self.begin_at(event).await?;
        let blocked = parking::lock_blocked(&mut tx, &self.reader, one).await?;
        if blocked.is_empty() {
            if let Err(error) = self.heed(&mut tx, one).await {
                tx.rollback().await?;
                return Ok(Err(error));
            }
        } else {
            let now = Clock::Database.now(&mut tx).await?;
            parking::park(&mut tx, &self.reader, one, parking::FOLLOWS, now).await?;
        }
        self.reader.advance(&mut tx, one).await?;
        Ok(tx.commit().await.map_err(HeedError::from))
    }

    async fn park(&self, event: &Envelope, error: &HeedError) -> Result<(), Error> {
        let reason = error.reason();
        let mut tx = self.begin_at(event).await?;
        self.write_parked(&mut tx, event, &reason).await?;
        tx.commit().await?;
        tracing::error!(
            alarm = "event_parked",
            bus.consumer = self.reader.consumer,
            bus.producer = self.reader.producer,
            event.id = %event.id,
            event.kind = event.kind,
            case.id = %event.case_id,
            reason,
            "an event cannot be applied; its case waits"
        );
        Ok(())
    }

    async fn write_parked(
        &self,
        conn: &mut PgConnection,
        event: &Envelope,
        reason: &str,
    ) -> sqlx::Result<()> {
        let one = std::slice::from_ref(event);
        let now = Clock::Database.now(conn).await?;
        parking::block(conn, &self.reader, event.case_id, now).await?;
        parking::park(conn, &self.reader, one, reason, now).await?;
        self.reader.advance(conn, one).await
    }

    /// A transaction that holds the event's cursor, which stands just before the event.
    async fn begin_at(&self, event: &Envelope) -> Result<Transaction<'static, Postgres>, Error> {
        let mut tx = self.pool.begin().await?;
        match self.reader.lock_one(&mut tx, event.shard).await? {
            Some(cursor) if cursor.position + 1 == event.position => Ok(tx),
            // Another process has taken over since the batch was read.
            _ => Err(Error::CursorLost {
                producer: self.reader.producer,
                shard: event.shard,
            }),
        }
    }
}
