//! Fallback for a batch that contains an event which cannot be applied: each event in its own transaction
//! with its cursor, in order of position. Only an event that is itself at fault is parked.

use sqlx::{PgConnection, Postgres, Transaction};

use super::consumer::{Consumer, MAX_ATTEMPTS};
use super::{Error, EventHandler, HandlerError, parking};
use crate::batch::{self, ErrorClass};
use crate::clock::Clock;
use crate::log::Envelope;

impl<H: EventHandler> Consumer<H> {
    /// Returns how many events were processed. On an error the events before it stay processed.
    pub(super) async fn apply_one_by_one(&self, batch: &[Envelope]) -> Result<usize, Error> {
        for event in batch {
            self.process(event).await?;
        }
        Ok(batch.len())
    }

    async fn process(&self, event: &Envelope) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            let Err(error) = self.apply_or_park_behind(event).await? else {
                return Ok(());
            };
            match error.class() {
                ErrorClass::Retry if attempt < MAX_ATTEMPTS => {
                    tokio::time::sleep(batch::retry_pause(attempt)).await;
                    attempt += 1;
                }
                ErrorClass::Item => return self.park(event, &error).await,
                ErrorClass::Retry | ErrorClass::WholeBatch => return Err(error.into()),
            }
        }
    }

    /// Applies the event, or parks it behind the parked events of its case. The inner result is the
    /// handler's.
    async fn apply_or_park_behind(
        &self,
        event: &Envelope,
    ) -> Result<Result<(), HandlerError>, Error> {
        let one = std::slice::from_ref(event);
        let mut tx = self.begin_before(event).await?;
        let blocked = parking::lock_blocked_cases(&mut tx, &self.store, one).await?;
        if blocked.is_empty() {
            if let Err(error) = self.handle(&mut tx, one).await {
                tx.rollback().await?;
                return Ok(Err(error));
            }
        } else {
            let now = Clock::Database.now(&mut tx).await?;
            parking::park(&mut tx, &self.store, one, parking::FOLLOWS_PARKED, now).await?;
        }
        self.store.advance(&mut tx, one).await?;
        Ok(tx.commit().await.map_err(HandlerError::from))
    }

    async fn park(&self, event: &Envelope, error: &HandlerError) -> Result<(), Error> {
        let reason = error.reason();
        let mut tx = self.begin_before(event).await?;
        self.write_parked(&mut tx, event, &reason).await?;
        tx.commit().await?;
        tracing::error!(
            alarm = "event_parked",
            bus.consumer = self.store.consumer,
            bus.producer = self.store.producer,
            event.id = %event.id,
            event.kind = event.kind,
            case.id = %event.case_id,
            reason,
            "an event cannot be applied; it is parked and its case is blocked"
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
        parking::block_case(conn, &self.store, event.case_id, now).await?;
        parking::park(conn, &self.store, one, reason, now).await?;
        self.store.advance(conn, one).await
    }

    /// Begins a transaction that holds the event's cursor, and checks that the cursor is just before the
    /// event.
    async fn begin_before(
        &self,
        event: &Envelope,
    ) -> Result<Transaction<'static, Postgres>, Error> {
        let mut tx = self.pool.begin().await?;
        match self.store.lock_one(&mut tx, event.shard).await? {
            Some(cursor) if cursor.position + 1 == event.position => Ok(tx),
            // Another process has advanced the cursor since the batch was read.
            _ => Err(Error::CursorLost {
                producer: self.store.producer,
                shard: event.shard,
            }),
        }
    }
}
