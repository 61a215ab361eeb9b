//! Appends events to the log, within the transaction of the change they report. The caller begins and
//! commits; positions are assigned by the relay.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{NewEvent, shard_of};

/// Appends events in the order of the slice.
///
/// The caller must hold the row lock of each event's case until commit: `seq` is drawn here, and only that
/// lock makes its order the commit order within a case. After the commit, call [`super::Wakeup::notify`] so
/// that the relay need not wait for its next poll.
pub async fn append(conn: &mut PgConnection, events: &[NewEvent]) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = events.iter().map(|e| e.id).collect();
    let cases: Vec<Uuid> = events.iter().map(|e| e.case_id).collect();
    let shards: Vec<i16> = events.iter().map(|e| shard_of(e.case_id)).collect();
    let kinds: Vec<&str> = events.iter().map(|e| e.kind).collect();
    let parents: Vec<Option<Uuid>> = events.iter().map(|e| e.caused_by).collect();
    let times: Vec<_> = events.iter().map(|e| e.occurred_at).collect();
    let payloads: Vec<&[u8]> = events.iter().map(|e| e.payload.as_slice()).collect();
    let traces: Vec<Option<&str>> = events.iter().map(|e| e.traceparent.as_deref()).collect();

    // The identity is drawn per row after the sort, so the order of the slice is the order of `seq`.
    sqlx::query(
        "-- append
        insert into event (id, case_id, shard, kind, caused_by, occurred_at, traceparent, payload)
        select e.id, e.case_id, e.shard, e.kind, e.caused_by, e.occurred_at, e.traceparent, e.payload
        from unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::text[], $5::uuid[], $6::timestamptz[], $7::bytea[],
            $8::text[]) with ordinality as e (id, case_id, shard, kind, caused_by, occurred_at, payload, traceparent, n)
        order by e.n",
    )
    .bind(ids)
    .bind(cases)
    .bind(shards)
    .bind(kinds)
    .bind(parents)
    .bind(times)
    .bind(payloads)
    .bind(traces)
    .execute(conn)
    .await?;
    Ok(())
}
