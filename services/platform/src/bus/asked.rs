//! Replays on request: two people ask by a row, and the consumer does it between two batches.
//! Must not replay what nobody asked for, and must not try again what it could not apply.

use sqlx::PgConnection;
use uuid::Uuid;

use super::parked::{self, Approval};
use super::{Consumer, Error, Heed};
use crate::batch::Class;
use crate::clock::Clock;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The consumer has not come to it yet.
    Waits,
    Done,
    /// Why it could not be applied; everything is parked as before.
    Refused(String),
}

/// Asks for a replay of a case's parked events. The id is for [`asked`]; `None` when nothing of the case is parked.
pub async fn ask_replay(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
    approval: Approval,
) -> sqlx::Result<Option<Uuid>> {
    let now = Clock::Database.now(conn).await?;
    let asked = sqlx::query_scalar(
        "-- ask_replay
        insert into asked_replay (id, consumer, producer, case_id, asked_by, approved_by, asked_at)
        select $1, consumer, producer, case_id, $5, $6, $7
        from blocked_case where consumer = $2 and producer = $3 and case_id = $4
        returning id",
    )
    .bind(approval.id)
    .bind(consumer)
    .bind(producer)
    .bind(case_id)
    .bind(approval.asked_by)
    .bind(approval.approved_by)
    .bind(now)
    .fetch_optional(conn)
    .await?;
    Ok(asked)
}

/// What became of a request. A refusal is told once, to whoever asked.
pub async fn asked(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Asked> {
    let waits: bool = sqlx::query_scalar(
        "-- asked_waits\nselect exists (select from asked_replay where id = $1 and refused is null)",
    )
    .bind(id)
    .fetch_one(&mut *conn)
    .await?;
    if waits {
        return Ok(Asked::Waits);
    }
    let refused: Option<String> = sqlx::query_scalar(
        "-- take_refusal\ndelete from asked_replay where id = $1 and refused is not null returning refused",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    Ok(refused.map_or(Asked::Done, Asked::Refused))
}

impl<H: Heed> Consumer<H> {
    /// Does the oldest replay that was asked for. Returns whether there was one.
    pub async fn replay_asked(&self) -> Result<bool, Error> {
        let (consumer, producer) = (self.reader.consumer, self.reader.producer);
        let mut tx = self.pool.begin().await?;
        let oldest: Option<(Uuid, Uuid, Uuid, Uuid)> = sqlx::query_as(
            "-- oldest_asked
            select id, case_id, asked_by, approved_by from asked_replay
            where consumer = $1 and producer = $2 and refused is null
            order by asked_at, id limit 1 for update skip locked",
        )
        .bind(consumer)
        .bind(producer)
        .fetch_optional(&mut *tx)
        .await?;
        let Some((id, case_id, asked_by, approved_by)) = oldest else {
            return Ok(false);
        };
        let approval = Approval {
            id,
            asked_by,
            approved_by,
        };
        let refused = match parked::replay(
            &mut tx, &self.heed, consumer, producer, case_id, approval,
        )
        .await
        {
            Ok(_) => {
                sqlx::query("-- asked_done\ndelete from asked_replay where id = $1")
                    .bind(id)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                return Ok(true);
            }
            Err(error) if error.class() == Class::Item => error.reason(),
            // Nothing is wrong with the events: the same row is found again.
            Err(error) => return Err(error.into()),
        };
        tx.rollback().await?;
        sqlx::query("-- asked_refused\nupdate asked_replay set refused = $2 where id = $1")
            .bind(id)
            .bind(refused)
            .execute(&self.pool)
            .await?;
        Ok(true)
    }
}
