//! Reads a log by position, and only by position: heads, pages, and the reader behind `ReadLog`. Keeps no
//! position of a consumer; cursors are the consumers'.

use bytes::Bytes;
use sqlx::{
    AssertSqlSafe, FromRow, PgConnection, PgPool, Row, SqlSafeStr, SqlStr, postgres::PgRow,
};
use uuid::Uuid;

use super::{Envelope, schema};

/// The bounds of one shard of a log.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Head {
    pub shard: i16,
    /// The highest position; 0 when the shard is empty.
    pub position: i64,
    /// Id of the event at the head.
    pub event_id: Option<Uuid>,
    /// The lowest position that is guaranteed to be kept.
    pub floor: i64,
}

/// The heads of all sixteen shards of a service's log, by shard.
pub async fn heads(conn: &mut PgConnection, service: &'static str) -> sqlx::Result<Vec<Head>> {
    sqlx::query_as(heads_sql(service)).fetch_all(conn).await
}

/// Up to `limit` events of a shard after position `after`, in order.
pub async fn read(
    conn: &mut PgConnection,
    service: &'static str,
    shard: i16,
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Envelope>> {
    let rows = sqlx::query(read_sql(service))
        .bind([shard].as_slice())
        .bind([after + 1].as_slice())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| envelope(service, row)).collect()
}

/// Reads one shard: first the bounds of the log, then pages up to the head at that moment.
pub struct LogReader {
    pool: PgPool,
    service: &'static str,
    head: Head,
    after_event_id: Option<Uuid>,
    after: i64,
}

impl LogReader {
    pub async fn open(
        pool: PgPool,
        service: &'static str,
        shard: i16,
        after: i64,
    ) -> sqlx::Result<Self> {
        // One statement, so that the head and the event at `after` are of the same moment.
        let row = sqlx::query(opening_sql(service))
            .bind(shard)
            .bind(after)
            .fetch_one(&pool)
            .await?;
        Ok(Self {
            head: Head::from_row(&row)?,
            after_event_id: row.try_get("after_event_id")?,
            pool,
            service,
            after,
        })
    }

    /// Id of the event at `after`, if it is still kept.
    pub fn after_event_id(&self) -> Option<Uuid> {
        self.after_event_id
    }

    /// Floor and head when the reader was opened.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next page in order; empty at the end.
    pub async fn page(&mut self, limit: i64) -> sqlx::Result<Vec<Envelope>> {
        let limit = limit.min(self.head.position - self.after);
        if limit <= 0 {
            return Ok(Vec::new());
        }
        let mut conn = self.pool.acquire().await?;
        let page = read(&mut conn, self.service, self.head.shard, self.after, limit).await?;
        // An empty page ends the stream: below the floor there is nothing to send.
        self.after = page.last().map_or(self.head.position, |last| last.position);
        Ok(page)
    }
}

pub(crate) fn heads_sql(service: &'static str) -> SqlStr {
    let schema = schema(service);
    AssertSqlSafe(format!(
        "-- heads
        select shard, position, event_id, floor from {schema}.log_shard order by shard"
    ))
    .into_sql_str()
}

fn opening_sql(service: &'static str) -> SqlStr {
    let schema = schema(service);
    AssertSqlSafe(format!(
        "-- open_log
        select shard, position, event_id, floor,
            (select e.id from {schema}.event e where e.shard = $1 and e.position = $2) as after_event_id
        from {schema}.log_shard where shard = $1"
    ))
    .into_sql_str()
}

/// Reads from the given positions of the given shards, with a limit for each.
pub(crate) fn read_sql(service: &'static str) -> SqlStr {
    let schema = schema(service);
    AssertSqlSafe(format!(
        "-- read
        select e.shard, e.position, e.id, e.case_id, e.kind, e.caused_by, e.occurred_at, e.traceparent, e.payload
        from unnest($1::smallint[], $2::bigint[]) as f (shard, position)
        cross join lateral (
            select e.shard, e.position, e.id, e.case_id, e.kind, e.caused_by, e.occurred_at, e.traceparent, e.payload
            from {schema}.event e
            where e.shard = f.shard and e.position >= f.position
            order by e.position limit $3
        ) e
        order by e.shard, e.position"
    ))
    .into_sql_str()
}

pub(crate) fn envelope(producer: &str, row: &PgRow) -> sqlx::Result<Envelope> {
    Ok(Envelope {
        producer: producer.to_owned(),
        shard: row.try_get("shard")?,
        position: row.try_get("position")?,
        id: row.try_get("id")?,
        case_id: row.try_get("case_id")?,
        kind: row.try_get("kind")?,
        caused_by: row.try_get("caused_by")?,
        occurred_at: row.try_get("occurred_at")?,
        traceparent: row.try_get("traceparent")?,
        payload: Bytes::from(row.try_get::<Vec<u8>, _>("payload")?),
    })
}
