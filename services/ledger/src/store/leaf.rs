//! SQL of `leaf`.

use domain::wire::timestamp;
use platform::log::Envelope;
use proto::v1;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::unsigned;
use crate::error::Error;
use crate::leaf::FORMAT;
use crate::merkle::Hash;

/// A leaf to insert.
pub struct NewLeaf<'a> {
    pub index: u64,
    pub event: &'a Envelope,
    pub salt: [u8; 32],
    pub leaf_hash: Hash,
}

/// Returns those of the given event ids that have a leaf.
pub async fn recorded_events(conn: &mut PgConnection, events: &[Uuid]) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "-- recorded_events
        select event_id from leaf where event_id = any($1)",
    )
    .bind(events)
    .fetch_all(conn)
    .await
}

/// Inserts leaves in the order of their indexes.
pub async fn insert(
    conn: &mut PgConnection,
    leaves: &[NewLeaf<'_>],
    recorded_at: OffsetDateTime,
) -> sqlx::Result<()> {
    let events = || leaves.iter().map(|leaf| leaf.event);
    sqlx::query(
        "-- insert_leaves
        insert into leaf (index, event_id, producer, shard, position, kind, case_id, occurred_at, caused_by, payload,
            salt, leaf_hash, recorded_at, format)
        select l.index, l.event_id, l.producer, l.shard, l.position, l.kind, l.case_id, l.occurred_at, l.caused_by,
            l.payload, l.salt, l.leaf_hash, $13, $14
        from unnest($1::bigint[], $2::uuid[], $3::text[], $4::smallint[], $5::bigint[], $6::text[], $7::uuid[],
            $8::timestamptz[], $9::uuid[], $10::bytea[], $11::bytea[], $12::bytea[])
            as l (index, event_id, producer, shard, position, kind, case_id, occurred_at, caused_by, payload, salt,
                leaf_hash)",
    )
    .bind(leaves.iter().map(|leaf| leaf.index as i64).collect::<Vec<_>>())
    .bind(events().map(|event| event.id).collect::<Vec<_>>())
    .bind(events().map(|event| event.producer.as_str()).collect::<Vec<_>>())
    .bind(events().map(|event| event.shard).collect::<Vec<_>>())
    .bind(events().map(|event| event.position).collect::<Vec<_>>())
    .bind(events().map(|event| event.kind.as_str()).collect::<Vec<_>>())
    .bind(events().map(|event| event.case_id).collect::<Vec<_>>())
    .bind(events().map(|event| event.occurred_at).collect::<Vec<_>>())
    .bind(events().map(|event| event.caused_by).collect::<Vec<_>>())
    .bind(events().map(|event| &event.payload[..]).collect::<Vec<_>>())
    .bind(leaves.iter().map(|leaf| &leaf.salt[..]).collect::<Vec<_>>())
    .bind(leaves.iter().map(|leaf| &leaf.leaf_hash[..]).collect::<Vec<_>>())
    .bind(recorded_at)
    .bind(FORMAT)
    .execute(conn)
    .await?;
    Ok(())
}

/// Index and hash of the leaf of an event.
pub async fn find_by_event(
    conn: &mut PgConnection,
    event: Uuid,
) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let found: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "-- leaf_by_event
        select index, leaf_hash from leaf where event_id = $1",
    )
    .bind(event)
    .fetch_optional(conn)
    .await?;
    found.map(index_and_hash).transpose()
}

/// Index and hash of the leaf with this index.
pub async fn find_by_index(
    conn: &mut PgConnection,
    index: u64,
) -> Result<Option<(u64, Vec<u8>)>, Error> {
    let found: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "-- leaf_by_index
        select index, leaf_hash from leaf where index = $1",
    )
    .bind(index as i64)
    .fetch_optional(conn)
    .await?;
    found.map(index_and_hash).transpose()
}

fn index_and_hash((index, hash): (i64, Vec<u8>)) -> Result<(u64, Vec<u8>), Error> {
    Ok((unsigned("leaf", "index", index)?, hash))
}

#[derive(FromRow)]
struct LeafRow {
    index: i64,
    event_id: Uuid,
    producer: String,
    shard: i16,
    position: i64,
    kind: String,
    case_id: Uuid,
    occurred_at: OffsetDateTime,
    caused_by: Option<Uuid>,
    payload: Vec<u8>,
    salt: Vec<u8>,
    leaf_hash: Vec<u8>,
    recorded_at: OffsetDateTime,
    format: i16,
}

/// Up to `limit` leaves with indexes from `from` to below `before`.
pub async fn page(
    conn: &mut PgConnection,
    from: u64,
    before: u64,
    limit: i64,
) -> Result<Vec<v1::Leaf>, Error> {
    let rows: Vec<LeafRow> = sqlx::query_as(
        "-- page_of_leaves
        select index, event_id, producer, shard, position, kind, case_id, occurred_at, caused_by, payload, salt,
            leaf_hash, recorded_at, format
        from leaf where index >= $1 and index < $2 order by index limit $3",
    )
    .bind(from as i64)
    .bind(before as i64)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let id = row.index;
            let shard =
                u32::try_from(row.shard).map_err(|_| Error::bad_row("leaf", "shard", &id))?;
            Ok(v1::Leaf {
                index: unsigned("leaf", "index", id)?,
                event_id: row.event_id.to_string(),
                producer: row.producer,
                shard,
                position: unsigned("leaf", "position", row.position)?,
                r#type: row.kind,
                case_id: row.case_id.to_string(),
                occurred_at: Some(timestamp(row.occurred_at)),
                caused_by: row.caused_by.map(|id| id.to_string()).unwrap_or_default(),
                payload: row.payload.into(),
                salt: row.salt.into(),
                leaf_hash: row.leaf_hash.into(),
                recorded_at: Some(timestamp(row.recorded_at)),
                format: u32::try_from(row.format)
                    .map_err(|_| Error::bad_row("leaf", "format", &id))?,
            })
        })
        .collect()
}

/// An event of the timeline of a case.
#[derive(Debug, Clone, FromRow)]
pub struct TimelineEvent {
    pub index: i64,
    pub event_id: Uuid,
    pub producer: String,
    pub kind: String,
    pub occurred_at: OffsetDateTime,
    pub caused_by: Option<Uuid>,
    pub payload: Vec<u8>,
    pub recorded_at: OffsetDateTime,
}

/// The last `limit` events of a case, in the order in which they were recorded.
pub async fn list_by_case(
    conn: &mut PgConnection,
    case: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<TimelineEvent>> {
    let mut newest_first: Vec<TimelineEvent> = sqlx::query_as(
        "-- leaves_of_case
        select index, event_id, producer, kind, occurred_at, caused_by, payload, recorded_at
        from leaf where case_id = $1 order by index desc limit $2",
    )
    .bind(case)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    newest_first.reverse();
    Ok(newest_first)
}

/// Positions of parked events, which have no leaf.
pub async fn parked_positions(conn: &mut PgConnection) -> Result<Vec<v1::ParkedPosition>, Error> {
    let rows: Vec<(String, i16, i64)> = sqlx::query_as(
        "-- parked_positions
        select producer, shard, position from parked_event order by producer, shard, position",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(producer, shard, position)| {
            Ok(v1::ParkedPosition {
                shard: u32::try_from(shard)
                    .map_err(|_| Error::bad_row("parked_event", "shard", &position))?,
                position: unsigned("parked_event", "position", position)?,
                producer,
            })
        })
        .collect()
}
