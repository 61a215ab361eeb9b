//! Replay requests: two people request a replay by inserting a row, and the consumer runs it between two
//! batches. A replay that fails is marked as refused and is not repeated.

use sqlx::PgConnection;
use uuid::Uuid;

use super::parked::{self, Approval};
use super::{Consumer, Error, EventHandler};
use crate::batch::ErrorClass;
use crate::clock::Clock;

/// State of a replay request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayStatus {
    /// The consumer has not run it yet.
    Pending,
    Done,
    /// Why the events could not be applied; all of them are still parked.
    Refused(String),
}

/// Requests a replay of a case's parked events. Returns the id for [`replay_status`], or None when nothing of
/// the case is parked.
pub async fn request_replay(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
    approval: Approval,
) -> sqlx::Result<Option<Uuid>> {
    let now = Clock::Database.now(conn).await?;
    let id = sqlx::query_scalar(
        "-- request_replay
        insert into replay_request (id, consumer, producer, case_id, requested_by, approved_by, requested_at)
        select $1, consumer, producer, case_id, $5, $6, $7
        from blocked_case where consumer = $2 and producer = $3 and case_id = $4
        returning id",
    )
    .bind(approval.id)
    .bind(consumer)
    .bind(producer)
    .bind(case_id)
    .bind(approval.requested_by)
    .bind(approval.approved_by)
    .bind(now)
    .fetch_optional(conn)
    .await?;
    Ok(id)
}

/// Returns the state of a replay request and deletes a refused one, so a refusal is returned only once.
pub async fn replay_status(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<ReplayStatus> {
    let pending: bool = sqlx::query_scalar(
        "-- replay_is_pending\nselect exists (select from replay_request where id = $1 and refused is null)",
    )
    .bind(id)
    .fetch_one(&mut *conn)
    .await?;
    if pending {
        return Ok(ReplayStatus::Pending);
    }
    let refused: Option<String> = sqlx::query_scalar(
        "-- take_replay_refusal\ndelete from replay_request where id = $1 and refused is not null returning refused",
    )
    .bind(id)
    .fetch_optional(conn)
    .await?;
    Ok(refused.map_or(ReplayStatus::Done, ReplayStatus::Refused))
}

impl<H: EventHandler> Consumer<H> {
    /// Runs the oldest pending replay request. Returns whether there was one.
    pub async fn run_requested_replay(&self) -> Result<bool, Error> {
        let (consumer, producer) = (self.store.consumer, self.store.producer);
        let mut tx = self.pool.begin().await?;
        let oldest: Option<(Uuid, Uuid, Uuid, Uuid)> = sqlx::query_as(
            "-- oldest_replay_request
            select id, case_id, requested_by, approved_by from replay_request
            where consumer = $1 and producer = $2 and refused is null
            order by requested_at, id limit 1 for update skip locked",
        )
        .bind(consumer)
        .bind(producer)
        .fetch_optional(&mut *tx)
        .await?;
        let Some((id, case_id, requested_by, approved_by)) = oldest else {
            return Ok(false);
        };
        let approval = Approval {
            id,
            requested_by,
            approved_by,
        };
        let refused = match parked::replay(
            &mut tx,
            &self.handler,
            consumer,
            producer,
            case_id,
            approval,
        )
        .await
        {
            Ok(_) => {
                sqlx::query("-- delete_replay_request\ndelete from replay_request where id = $1")
                    .bind(id)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                return Ok(true);
            }
            Err(error) if error.class() == ErrorClass::Item => error.reason(),
            // The events are not at fault, so the request stays pending.
            Err(error) => return Err(error.into()),
        };
        tx.rollback().await?;
        sqlx::query(
            "-- refuse_replay_request\nupdate replay_request set refused = $2 where id = $1",
        )
        .bind(id)
        .bind(refused)
        .execute(&self.pool)
        .await?;
        Ok(true)
    }
}
