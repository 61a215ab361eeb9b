//! Parking: an event that cannot be applied blocks its case, and the later events of the case are parked
//! behind it. No other case is affected.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::cursor::ConsumerStore;
use crate::log::Envelope;

/// The reason of an event that is parked behind another event of its case.
pub(super) const FOLLOWS_PARKED: &str = "follows a parked event";

/// The blocked cases among those of `batch`. Their rows stay locked until the transaction ends, so that a
/// concurrent replay and this batch exclude each other.
pub(super) async fn lock_blocked_cases(
    conn: &mut PgConnection,
    store: &ConsumerStore,
    batch: &[Envelope],
) -> sqlx::Result<BTreeSet<Uuid>> {
    let cases: BTreeSet<Uuid> = batch.iter().map(|event| event.case_id).collect();
    let blocked: Vec<Uuid> = sqlx::query_scalar(
        "-- lock_blocked_cases
        select case_id from blocked_case
        where consumer = $1 and producer = $2 and case_id = any($3)
        order by case_id for share",
    )
    .bind(store.consumer)
    .bind(store.producer)
    .bind(Vec::from_iter(cases))
    .fetch_all(conn)
    .await?;
    Ok(blocked.into_iter().collect())
}

pub(super) async fn block_case(
    conn: &mut PgConnection,
    store: &ConsumerStore,
    case_id: Uuid,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- block_case
        insert into blocked_case (consumer, producer, case_id, blocked_at) values ($1, $2, $3, $4)
        on conflict do nothing",
    )
    .bind(store.consumer)
    .bind(store.producer)
    .bind(case_id)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn park(
    conn: &mut PgConnection,
    store: &ConsumerStore,
    events: &[Envelope],
    reason: &str,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    for event in events {
        sqlx::query(
            "-- park
            insert into parked_event (consumer, producer, shard, position, id, case_id, kind, caused_by, occurred_at,
                traceparent, payload, reason, parked_at)
            values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        )
        .bind(store.consumer)
        .bind(store.producer)
        .bind(event.shard)
        .bind(event.position)
        .bind(event.id)
        .bind(event.case_id)
        .bind(&event.kind)
        .bind(event.caused_by)
        .bind(event.occurred_at)
        .bind(&event.traceparent)
        .bind(event.payload.as_ref())
        .bind(reason)
        .bind(now)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}
