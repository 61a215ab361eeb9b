//! Parked events: listing them, and the acts that two people decide on (replay a case, drop an event). The
//! caller owns the transaction. A case's events are replayed in order.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{EventHandler, HandlerError};
use crate::clock::Clock;
use crate::error::{Kind, Problem};
use crate::log::Envelope;

/// A parked event as shown to staff.
#[derive(Clone, Debug)]
pub struct ParkedEvent {
    pub consumer: String,
    pub event: Envelope,
    pub reason: String,
    pub parked_at: OffsetDateTime,
}

/// Two people who agreed on an act, and the id under which it is recorded.
#[derive(Clone, Copy, Debug)]
pub struct Approval {
    pub(super) id: Uuid,
    pub(super) requested_by: Uuid,
    pub(super) approved_by: Uuid,
}

impl Approval {
    /// # Errors
    /// `second_person_needed` when both are the same person.
    pub fn new(id: Uuid, requested_by: Uuid, approved_by: Uuid) -> Result<Self, Problem> {
        if requested_by == approved_by {
            return Err(Problem::new(
                Kind::Forbidden,
                "second_person_needed",
                "Replaying or dropping a parked event needs the approval of a second person.",
            ));
        }
        Ok(Self {
            id,
            requested_by,
            approved_by,
        })
    }
}

/// Up to `limit` parked events, by consumer, producer, shard and position.
pub async fn list_parked(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<ParkedEvent>> {
    sqlx::query(
        "-- list_parked
        select consumer, producer, shard, position, id, case_id, kind, caused_by, occurred_at, traceparent, payload,
            reason, parked_at
        from parked_event order by consumer, producer, shard, position limit $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?
    .iter()
    .map(parked_event)
    .collect()
}

/// Number of parked events.
pub async fn count(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("-- count_parked\nselect count(*) from parked_event")
        .fetch_one(conn)
        .await
}

/// Applies a case's parked events in order and unblocks the case. Returns how many were applied; 0 when the
/// case is not blocked.
///
/// # Errors
/// The handler's error. The caller must then roll back, so that everything stays parked.
pub async fn replay<H: EventHandler>(
    conn: &mut PgConnection,
    handler: &H,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
    approval: Approval,
) -> Result<usize, HandlerError> {
    if !lock_blocked_case(conn, consumer, producer, case_id).await? {
        return Ok(0);
    }
    let events = events_of_case(conn, consumer, producer, case_id).await?;
    if !events.is_empty() {
        handler.handle(conn, &events).await?;
    }
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    delete_events(conn, consumer, producer, &ids).await?;
    unblock_blocked_case(conn, consumer, producer, case_id).await?;
    record_act(conn, "replay", consumer, producer, case_id, &ids, approval).await?;
    Ok(events.len())
}

/// Discards one parked event, and unblocks the case if it was its last one. Events parked behind it remain
/// for [`replay`]. Returns false when the event is not parked.
pub async fn discard(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
    event: Uuid,
    approval: Approval,
) -> sqlx::Result<bool> {
    if !lock_blocked_case(conn, consumer, producer, case_id).await? {
        return Ok(false);
    }
    let events = events_of_case(conn, consumer, producer, case_id).await?;
    if events.iter().all(|parked| parked.id != event) {
        return Ok(false);
    }
    delete_events(conn, consumer, producer, &[event]).await?;
    if events.len() == 1 {
        unblock_blocked_case(conn, consumer, producer, case_id).await?;
    }
    record_act(
        conn,
        "drop",
        consumer,
        producer,
        case_id,
        &[event],
        approval,
    )
    .await?;
    Ok(true)
}

async fn lock_blocked_case(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "-- lock_blocked_case
        select case_id from blocked_case
        where consumer = $1 and producer = $2 and case_id = $3 for update",
    )
    .bind(consumer)
    .bind(producer)
    .bind(case_id)
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

async fn events_of_case(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
) -> sqlx::Result<Vec<Envelope>> {
    sqlx::query(
        "-- parked_events_of_case
        select producer, shard, position, id, case_id, kind, caused_by, occurred_at, traceparent, payload
        from parked_event
        where consumer = $1 and producer = $2 and case_id = $3 order by position",
    )
    .bind(consumer)
    .bind(producer)
    .bind(case_id)
    .fetch_all(conn)
    .await?
    .iter()
    .map(envelope)
    .collect()
}

async fn delete_events(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    ids: &[Uuid],
) -> sqlx::Result<()> {
    sqlx::query(
        "-- delete_parked_events
        delete from parked_event where consumer = $1 and producer = $2 and id = any($3)",
    )
    .bind(consumer)
    .bind(producer)
    .bind(ids)
    .execute(conn)
    .await?;
    Ok(())
}

async fn unblock_blocked_case(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- unblock_case
        delete from blocked_case where consumer = $1 and producer = $2 and case_id = $3",
    )
    .bind(consumer)
    .bind(producer)
    .bind(case_id)
    .execute(conn)
    .await?;
    Ok(())
}

async fn record_act(
    conn: &mut PgConnection,
    act: &str,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
    events: &[Uuid],
    approval: Approval,
) -> sqlx::Result<()> {
    let now = Clock::Database.now(conn).await?;
    sqlx::query(
        "-- record_act
        insert into parked_act (id, act, consumer, producer, case_id, events, requested_by, approved_by, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(approval.id)
    .bind(act)
    .bind(consumer)
    .bind(producer)
    .bind(case_id)
    .bind(events)
    .bind(approval.requested_by)
    .bind(approval.approved_by)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

fn parked_event(row: &PgRow) -> sqlx::Result<ParkedEvent> {
    Ok(ParkedEvent {
        consumer: row.try_get("consumer")?,
        event: envelope(row)?,
        reason: row.try_get("reason")?,
        parked_at: row.try_get("parked_at")?,
    })
}

fn envelope(row: &PgRow) -> sqlx::Result<Envelope> {
    let producer: String = row.try_get("producer")?;
    crate::log::envelope(&producer, row)
}
