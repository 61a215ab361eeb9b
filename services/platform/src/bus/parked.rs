//! What two people decide about parked events: to replay a case, or to drop an event.
//! Must not begin or commit, and must not replay a case out of order.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Heed, HeedError};
use crate::clock::Clock;
use crate::error::{Kind, Problem};
use crate::log::Envelope;

/// A parked event as people see it.
#[derive(Clone, Debug)]
pub struct Parked {
    pub consumer: String,
    pub event: Envelope,
    pub reason: String,
    pub parked_at: OffsetDateTime,
}

/// Two people who agree on an act, and the name it is recorded under.
#[derive(Clone, Copy, Debug)]
pub struct Approval {
    pub(super) id: Uuid,
    pub(super) asked_by: Uuid,
    pub(super) approved_by: Uuid,
}

impl Approval {
    /// Refused when both are the same person.
    pub fn new(id: Uuid, asked_by: Uuid, approved_by: Uuid) -> Result<Self, Problem> {
        if asked_by == approved_by {
            return Err(Problem::new(
                Kind::Forbidden,
                "second_person_needed",
                "Replaying or dropping a parked event needs the agreement of a second person.",
            ));
        }
        Ok(Self {
            id,
            asked_by,
            approved_by,
        })
    }
}

/// Up to `limit` parked events, by consumer, producer, shard and position.
pub async fn list(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Vec<Parked>> {
    sqlx::query(
        "-- list
        select consumer, producer, shard, position, id, case_id, kind, caused_by, occurred_at, traceparent, payload,
            reason, parked_at
        from parked_event order by consumer, producer, shard, position limit $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?
    .iter()
    .map(parked)
    .collect()
}

/// How many events are parked in all.
pub async fn count(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("-- count_parked\nselect count(*) from parked_event")
        .fetch_one(conn)
        .await
}

/// Applies a case's parked events in order and lets the case flow again. Returns how many; 0 when it is not blocked.
/// On an error the caller rolls back, and everything stays parked.
pub async fn replay<H: Heed>(
    conn: &mut PgConnection,
    heed: &H,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
    approval: Approval,
) -> Result<usize, HeedError> {
    if !lock_case(conn, consumer, producer, case_id).await? {
        return Ok(0);
    }
    let events = of_case(conn, consumer, producer, case_id).await?;
    if !events.is_empty() {
        heed.heed(conn, &events).await?;
    }
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    delete(conn, consumer, producer, &ids).await?;
    unblock(conn, consumer, producer, case_id).await?;
    record(conn, "replay", consumer, producer, case_id, &ids, approval).await?;
    Ok(events.len())
}

/// Discards one parked event; when it was the last of its case, the case flows again. What waits behind it is for
/// [`replay`]. Returns false when it is not parked.
pub async fn discard(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
    event: Uuid,
    approval: Approval,
) -> sqlx::Result<bool> {
    if !lock_case(conn, consumer, producer, case_id).await? {
        return Ok(false);
    }
    let events = of_case(conn, consumer, producer, case_id).await?;
    if events.iter().all(|parked| parked.id != event) {
        return Ok(false);
    }
    delete(conn, consumer, producer, &[event]).await?;
    if events.len() == 1 {
        unblock(conn, consumer, producer, case_id).await?;
    }
    record(
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

async fn lock_case(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
) -> sqlx::Result<bool> {
    let row = sqlx::query(
        "-- lock_case
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

async fn of_case(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
) -> sqlx::Result<Vec<Envelope>> {
    sqlx::query(
        "-- of_case
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

async fn delete(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    ids: &[Uuid],
) -> sqlx::Result<()> {
    sqlx::query(
        "-- delete
        delete from parked_event where consumer = $1 and producer = $2 and id = any($3)",
    )
    .bind(consumer)
    .bind(producer)
    .bind(ids)
    .execute(conn)
    .await?;
    Ok(())
}

async fn unblock(
    conn: &mut PgConnection,
    consumer: &str,
    producer: &str,
    case_id: Uuid,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- unblock
        delete from blocked_case where consumer = $1 and producer = $2 and case_id = $3",
    )
    .bind(consumer)
    .bind(producer)
    .bind(case_id)
    .execute(conn)
    .await?;
    Ok(())
}

async fn record(
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
        "-- record
        insert into parked_act (id, act, consumer, producer, case_id, events, asked_by, approved_by, at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(approval.id)
    .bind(act)
    .bind(consumer)
    .bind(producer)
    .bind(case_id)
    .bind(events)
    .bind(approval.asked_by)
    .bind(approval.approved_by)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

fn parked(row: &PgRow) -> sqlx::Result<Parked> {
    Ok(Parked {
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
