//! The record of delivery attempts that a provider can read.

use domain::enums::DeliveryChannel;
use domain::id::{NoticeId, ProviderId};
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::row::RowReader;

/// One finished attempt.
#[derive(Debug, Clone)]
pub struct AttemptRecord {
    pub provider_id: ProviderId,
    /// Message id as the addressee sees it.
    pub message_id: String,
    /// `None` for a test.
    pub notice_id: Option<NoticeId>,
    /// The webhook endpoint, if it went to one.
    pub endpoint_id: Option<Uuid>,
    pub channel: DeliveryChannel,
    pub attempt: i32,
    pub outcome: String,
    pub http_status: Option<i32>,
    pub started_at: OffsetDateTime,
    pub took_millis: i32,
}

/// Which attempts to list.
#[derive(Default)]
pub struct AttemptQuery {
    pub notice: Option<Uuid>,
    pub failed: Option<bool>,
    /// Only attempts older than this id: the end of the previous page.
    pub before: Option<i64>,
    pub limit: i64,
}

/// Inserts attempts; returns their ids in order.
pub async fn insert_attempts(
    conn: &mut PgConnection,
    attempts: &[AttemptRecord],
) -> Result<Vec<i64>, Error> {
    if attempts.is_empty() {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar(
        "-- insert_attempts
        insert into delivery_attempt (provider_id, message_id, notice_id, endpoint_id, channel, attempt, outcome, http_status,
            started_at, took_millis)
        select * from unnest($1::text[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::integer[], $7::text[],
            $8::integer[], $9::timestamptz[], $10::integer[])
        returning attempt_id",
    )
    .bind(column(attempts, |a| a.provider_id.as_str()))
    .bind(column(attempts, |a| a.message_id.as_str()))
    .bind(column(attempts, |a| a.notice_id.map(NoticeId::uuid)))
    .bind(column(attempts, |a| a.endpoint_id))
    .bind(column(attempts, |a| a.channel.as_str()))
    .bind(column(attempts, |a| a.attempt))
    .bind(column(attempts, |a| a.outcome.as_str()))
    .bind(column(attempts, |a| a.http_status))
    .bind(column(attempts, |a| a.started_at))
    .bind(column(attempts, |a| a.took_millis))
    .fetch_all(conn)
    .await?)
}

fn column<'a, T>(attempts: &'a [AttemptRecord], value: impl Fn(&'a AttemptRecord) -> T) -> Vec<T> {
    attempts.iter().map(value).collect()
}

/// A provider's attempts with their ids, the newest first.
pub async fn list_attempts(
    conn: &mut PgConnection,
    provider: &ProviderId,
    wanted: &AttemptQuery,
) -> Result<Vec<(i64, AttemptRecord)>, Error> {
    let rows = sqlx::query(
        "-- list_attempts
        select attempt_id, provider_id, message_id, notice_id, endpoint_id, channel, attempt, outcome, http_status,
            started_at, took_millis
        from delivery_attempt
        where provider_id = $1
          and ($2::uuid is null or notice_id = $2)
          and ($3::boolean is null or (outcome <> 'delivered') = $3)
          and ($4::bigint is null or attempt_id < $4)
        order by attempt_id desc
        limit $5",
    )
    .bind(provider.as_str())
    .bind(wanted.notice)
    .bind(wanted.failed)
    .bind(wanted.before)
    .bind(wanted.limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let id: i64 = row.try_get("attempt_id")?;
            let notice: Option<Uuid> = row.try_get("notice_id")?;
            let r = RowReader {
                table: "delivery_attempt",
                id: notice.unwrap_or_default(),
                row,
            };
            Ok((
                id,
                AttemptRecord {
                    provider_id: r.parse("provider_id")?,
                    message_id: r.get("message_id")?,
                    notice_id: notice.map(NoticeId::new),
                    endpoint_id: r.get("endpoint_id")?,
                    channel: r.parse("channel")?,
                    attempt: r.get("attempt")?,
                    outcome: r.get("outcome")?,
                    http_status: r.get("http_status")?,
                    started_at: r.get("started_at")?,
                    took_millis: r.get("took_millis")?,
                },
            ))
        })
        .collect()
}

/// Number of test messages sent to a provider since `since`; counts at most 1000.
pub async fn count_test_deliveries(
    conn: &mut PgConnection,
    provider: &ProviderId,
    since: OffsetDateTime,
) -> Result<i64, Error> {
    Ok(sqlx::query_scalar(
        "-- count_test_deliveries
        select count(*) from (
            select started_at from delivery_attempt
            where provider_id = $1 and notice_id is null and started_at >= $2
            limit 1000) t",
    )
    .bind(provider.as_str())
    .bind(since)
    .fetch_one(conn)
    .await?)
}

/// Deletes up to `limit` attempts that started before `before`; returns how many.
pub async fn drop_attempts(
    conn: &mut PgConnection,
    before: OffsetDateTime,
    limit: i64,
) -> Result<u64, Error> {
    let done = sqlx::query(
        "-- drop_attempts
        delete from delivery_attempt
        where attempt_id in (
            select attempt_id from delivery_attempt where started_at < $1 order by started_at limit $2
        )",
    )
    .bind(before)
    .bind(limit)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
