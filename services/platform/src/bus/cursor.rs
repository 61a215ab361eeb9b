//! The SQL of cursors, heads and batches. Must not decide; the consumer does.

use sqlx::{AssertSqlSafe, FromRow, PgConnection, PgPool, SqlSafeStr, SqlStr};
use uuid::Uuid;

use crate::log::{self, Envelope, Head, SHARDS};

/// How far a shard was heard.
#[derive(Clone, Copy, Debug, FromRow)]
pub(super) struct Cursor {
    pub(super) shard: i16,
    pub(super) position: i64,
    pub(super) event_id: Option<Uuid>,
}

/// Who reads what, with the statements that name the producer's schema.
pub(super) struct Reader {
    pub(super) consumer: &'static str,
    pub(super) producer: &'static str,
    heads: SqlStr,
    read: SqlStr,
    has_news: SqlStr,
    report: SqlStr,
}

impl Reader {
    pub(super) fn new(consumer: &'static str, producer: &'static str) -> Self {
        let schema = log::schema(producer);
        Self {
            consumer,
            producer,
            heads: log::heads_sql(producer),
            read: log::read_sql(producer),
            has_news: AssertSqlSafe(format!(
                "-- has_news
                select exists (
                    select from cursor c join {schema}.log_shard h on h.shard = c.shard
                    where c.consumer = $1 and c.producer = $2
                        and (h.position <> c.position or h.event_id is distinct from c.event_id))"
            ))
            .into_sql_str(),
            report: AssertSqlSafe(format!(
                "-- report
                insert into {schema}.log_consumer (consumer, shard, position)
                select c.consumer, c.shard, c.position from cursor c
                where c.consumer = $1 and c.producer = $2 order by c.shard
                on conflict (consumer, shard) do update set position = excluded.position"
            ))
            .into_sql_str(),
        }
    }

    /// Makes the cursor rows that are not there yet.
    pub(super) async fn register(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(
            "-- register
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

    /// Tells the producer's retention how far this consumer is.
    pub(super) async fn report(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        sqlx::query(self.report.clone())
            .bind(self.consumer)
            .bind(self.producer)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Whether any cursor is not at its head. Takes no lock.
    pub(super) async fn has_news(&self, conn: &mut PgConnection) -> sqlx::Result<bool> {
        sqlx::query_scalar(self.has_news.clone())
            .bind(self.consumer)
            .bind(self.producer)
            .fetch_one(conn)
            .await
    }

    /// Locks the cursors that no other process is working on, by shard.
    pub(super) async fn lock(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Cursor>> {
        sqlx::query_as(
            "-- lock
            select shard, position, event_id from cursor
            where consumer = $1 and producer = $2
            order by shard for update skip locked",
        )
        .bind(self.consumer)
        .bind(self.producer)
        .fetch_all(conn)
        .await
    }

    /// Locks the cursors of these shards, by shard, waiting for whoever has one.
    pub(super) async fn lock_these(
        &self,
        conn: &mut PgConnection,
        shards: &[i16],
    ) -> sqlx::Result<Vec<Cursor>> {
        sqlx::query_as(
            "-- lock_these
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

    /// All cursors as they stand, by shard. Takes no lock.
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

    /// Locks one cursor, waiting for whoever has it.
    pub(super) async fn lock_one(
        &self,
        conn: &mut PgConnection,
        shard: i16,
    ) -> sqlx::Result<Option<Cursor>> {
        sqlx::query_as(
            "-- lock_one
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

    /// Moves locked cursors behind the last event of each shard in `passed`.
    pub(super) async fn advance(
        &self,
        conn: &mut PgConnection,
        passed: &[Envelope],
    ) -> sqlx::Result<()> {
        let last: Vec<&Envelope> = passed
            .chunk_by(|a, b| a.shard == b.shard)
            .filter_map(<[Envelope]>::last)
            .collect();
        let moved = sqlx::query(
            "-- advance
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
                "moved {moved} cursors instead of {}",
                last.len()
            )))
        }
    }

    pub(super) async fn heads(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<Head>> {
        sqlx::query_as(self.heads.clone()).fetch_all(conn).await
    }

    /// The event at each cursor and up to `limit` after it, by shard and position.
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
