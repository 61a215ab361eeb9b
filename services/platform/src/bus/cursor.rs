//! SQL of a consumer: its cursors, and the heads and events of the log that it reads. Decisions are made by
//! the consumer.

use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool, SqlSafeStr, SqlStr};
use uuid::Uuid;

use crate::log::{self, Envelope, Head, SHARDS};

/// How far a shard has been processed.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Cursor {
    pub(super) shard: i16,
    pub(super) position: i64,
    pub(super) event_id: Option<Uuid>,
}

/// A consumer and its producer, with the statements that name the producer's schema.
pub(super) struct ConsumerStore {
    pub(super) consumer: &'static str,
    pub(super) producer: &'static str,
    heads: SqlStr,
    read: SqlStr,
    has_new_events: SqlStr,
    report_position: SqlStr,
}

impl ConsumerStore {
    pub(super) fn new(consumer: &'static str, producer: &'static str) -> Self {
        let schema = log::schema(producer);
        Self {
            consumer,
            producer,
            heads: log::heads_sql(producer),
            read: log::read_sql(producer),
            has_new_events: AssertSqlSafe(format!(
                "-- has_new_events
                select exists (
                    select from cursor c join {schema}.log_shard h on h.shard = c.shard
                    where c.consumer = $1 and c.producer = $2
                        and (h.position <> c.position or h.event_id is distinct from c.event_id))"
            ))
            .into_sql_str(),
            report_position: AssertSqlSafe(format!(
                "-- report_position
                insert into {schema}.log_consumer (consumer, shard, position)
                select c.consumer, c.shard, c.position from cursor c
                where c.consumer = $1 and c.producer = $2 order by c.shard
                on conflict (consumer, shard) do update set position = excluded.position"
            ))
            .into_sql_str(),
        }
    }

    /// Creates the cursor rows that do not exist yet.
    pub(super) async fn register(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(
            "-- create_cursors
            insert into cursor (consumer, producer, shard, position)
            select $1, $2, s, 0 from generate_series(0, $3 - 1) as s
            on conflict do nothing",
        )
        .bind(self.consumer)
        .bind(self.producer)
        .bind(i32::from(SHARDS))
        .execute(conn)
        .await?;
        Ok(())
    }

    /// Reports the consumer's positions to the producer's retention.
    pub(super) async fn report_position(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(self.report_position.clone())
            .bind(self.consumer)
            .bind(self.producer)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Whether any cursor is not at its head. Takes no lock.
    pub(super) async fn has_new_events(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        sqlx::query_scalar(self.has_new_events.clone())
            .bind(self.consumer)
            .bind(self.producer)
            .fetch_one(conn)
            .await
    }

    /// Locks the cursors that no other process has locked, by shard.
    pub(super) async fn lock_free(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Cursor>> {
        sqlx::query_as(
            "-- lock_free_cursors
            select shard, position, event_id from cursor
            where consumer = $1 and producer = $2
            order by shard for update skip locked",
        )
        .bind(self.consumer)
        .bind(self.producer)
        .fetch_all(conn)
        .await
    }

    /// Locks the cursors of these shards, in shard order, waiting for other holders.
    pub(super) async fn lock_shards(
        &self,
        conn: &mut PgConnection,
        shards: &[i16],
    ) -> sqlx::Result<Vec<Cursor>> {
        sqlx::query_as(
            "-- lock_cursors
            select shard, position, event_id from cursor
            where consumer = $1 and producer = $2 and shard = any($3)
            order by shard for update",
        )
        .bind(self.consumer)
        .bind(self.producer)
        .bind(shards)
        .fetch_all(conn)
        .await
    }

    /// All cursors, by shard. Takes no lock.
    pub(super) async fn cursors(&self, pool: &PgPool) -> sqlx::Result<Vec<Cursor>> {
        sqlx::query_as(
            "-- cursors
            select shard, position, event_id from cursor
            where consumer = $1 and producer = $2 order by shard",
        )
        .bind(self.consumer)
        .bind(self.producer)
        .fetch_all(pool)
        .await
    }

    /// Locks one cursor, waiting for another holder.
    pub(super) async fn lock_one(
        &self,
        conn: &mut PgConnection,
        shard: i16,
    ) -> sqlx::Result<Option<Cursor>> {
        sqlx::query_as(
            "-- lock_cursor
            select shard, position, event_id from cursor
            where consumer = $1 and producer = $2 and shard = $3
            for update",
        )
        .bind(self.consumer)
        .bind(self.producer)
        .bind(shard)
        .fetch_optional(conn)
        .await
    }

    /// Advances locked cursors to the last event of each shard in `processed`.
    pub(super) async fn advance(
        &self,
        conn: &mut PgConnection,
        processed: &[Envelope],
    ) -> sqlx::Result<()> {
        let last: Vec<&Envelope> = processed
            .chunk_by(|a, b| a.shard == b.shard)
            .filter_map(<[Envelope]>::last)
            .collect();
        let moved = sqlx::query(
            "-- advance_cursors
            update cursor c set position = p.position, event_id = p.id
            from unnest($3::smallint[], $4::bigint[], $5::uuid[]) as p (shard, position, id)
            where c.consumer = $1 and c.producer = $2 and c.shard = p.shard",
        )
        .bind(self.consumer)
        .bind(self.producer)
        .bind(last.iter().map(|e| e.shard).collect::<Vec<_>>())
        .bind(last.iter().map(|e| e.position).collect::<Vec<_>>())
        .bind(last.iter().map(|e| e.id).collect::<Vec<_>>())
        .execute(conn)
        .await?
        .rows_affected();
        if moved == last.len() as u64 {
            Ok(())
        } else {
            Err(sqlx::Error::Protocol(format!(
                "advanced {moved} cursors instead of {}",
                last.len()
            )))
        }
    }

    pub(super) async fn heads(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Head>> {
        sqlx::query_as(self.heads.clone()).fetch_all(conn).await
    }

    /// Reads the event at each cursor and up to `limit` events after it, by shard and position.
    pub(super) async fn read(
        &self,
        conn: &mut PgConnection,
        cursors: &[Cursor],
        limit: i64,
    ) -> sqlx::Result<Vec<Envelope>> {
        let rows = sqlx::query(self.read.clone())
            .bind(cursors.iter().map(|c| c.shard).collect::<Vec<_>>())
            .bind(cursors.iter().map(|c| c.position).collect::<Vec<_>>())
            .bind(limit + 1)
            .fetch_all(conn)
            .await?;
        rows.iter()
            .map(|row| log::envelope(self.producer, row))
            .collect()
    }
}
