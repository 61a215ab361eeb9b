//! The delivery queue as the commands use it: enqueue and cancel messages in their transactions, under the
//! case's lock.

use std::collections::BTreeMap;

use domain::enums::{Category, DeliveryChannel};
use domain::id::{CaseId, NoticeId, ProviderId};
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

/// A message to deliver.
#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub notice_id: NoticeId,
    pub case_id: CaseId,
    pub provider_id: ProviderId,
    pub channel: DeliveryChannel,
    pub sequence: i32,
    pub severity: Category,
    /// The addressee asked for it again: it is sent even when no answer is pending.
    pub redelivery_requested: bool,
}

/// Enqueues messages, each due at once. A notice has at most one queued message: a newer one replaces an
/// earlier one, but waits for an attempt that is in flight. Providers on the pull API (`api`) receive no
/// deliveries and are skipped.
pub async fn enqueue(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    deliveries: &[NewDelivery],
) -> sqlx::Result<()> {
    let newest: BTreeMap<Uuid, &NewDelivery> = deliveries
        .iter()
        .filter(|delivery| delivery.channel != DeliveryChannel::Api)
        .map(|delivery| (delivery.notice_id.uuid(), delivery))
        .collect();
    if newest.is_empty() {
        return Ok(());
    }
    let rows: Vec<&NewDelivery> = newest.into_values().collect();
    let ids: Vec<Uuid> = rows.iter().map(|d| d.notice_id.uuid()).collect();
    let cases: Vec<Uuid> = rows.iter().map(|d| d.case_id.uuid()).collect();
    let providers: Vec<&str> = rows.iter().map(|d| d.provider_id.as_str()).collect();
    let channels: Vec<&str> = rows.iter().map(|d| d.channel.as_str()).collect();
    let sequences: Vec<i32> = rows.iter().map(|d| d.sequence).collect();
    let severities: Vec<i16> = rows.iter().map(|d| d.severity as i16).collect();
    sqlx::query(
        "-- enqueue
        insert into delivery (notice_id, case_id, provider_id, channel, sequence, severity, due_at, attempts, in_doubt,
            cancelled, redelivery_requested)
        select notice_id, case_id, provider_id, channel, sequence, severity, $7, 0, false, false, redelivery_requested
        from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int[], $6::smallint[], $8::bool[])
            as n (notice_id, case_id, provider_id, channel, sequence, severity, redelivery_requested)
        order by notice_id
        on conflict (notice_id) do update set
            provider_id = excluded.provider_id, channel = excluded.channel, sequence = excluded.sequence,
            severity = excluded.severity, due_at = greatest(excluded.due_at, delivery.lease_until), attempts = 0,
            cancelled = false, last_failure = null, redelivery_requested = excluded.redelivery_requested",
    )
    .bind(ids)
    .bind(cases)
    .bind(providers)
    .bind(channels)
    .bind(sequences)
    .bind(severities)
    .bind(now)
    .bind(rows.iter().map(|d| d.redelivery_requested).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes the messages about these notices from the queue. An attempt in flight is allowed to end; its
/// outcome no longer causes a retry.
///
/// Returns the notices whose message may have reached the addressee nevertheless, because an attempt is in
/// flight or ended with an unknown outcome. Where a retraction is due, they must receive it.
pub async fn cancel(conn: &mut PgConnection, notices: &[NoticeId]) -> sqlx::Result<Vec<NoticeId>> {
    if notices.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = notices.iter().map(|id| id.uuid()).collect();
    let in_doubt: Vec<Uuid> = sqlx::query_scalar(
        "-- cancel
        with waiting as (
            delete from delivery where notice_id = any($1) and lease_token is null returning notice_id, in_doubt
        ), in_flight as (
            update delivery set cancelled = true where notice_id = any($1) and lease_token is not null returning notice_id
        )
        select notice_id from waiting where in_doubt
        union all
        select notice_id from in_flight",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    Ok(in_doubt.into_iter().map(NoticeId::new).collect())
}

/// A message that is not delivered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingDelivery {
    pub notice_id: NoticeId,
    pub attempts: i32,
    /// Why the last attempt failed; a stable code.
    pub last_failure: Option<String>,
}

/// The messages about these notices that are still queued.
pub async fn pending(
    conn: &mut PgConnection,
    notices: &[NoticeId],
) -> sqlx::Result<Vec<PendingDelivery>> {
    let ids: Vec<Uuid> = notices.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query(
        "-- pending
        select notice_id, attempts, last_failure from delivery where notice_id = any($1) and not cancelled",
    )
    .bind(ids)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(PendingDelivery {
                notice_id: NoticeId::new(row.try_get("notice_id")?),
                attempts: row.try_get("attempts")?,
                last_failure: row.try_get("last_failure")?,
            })
        })
        .collect()
}

/// Total attempts made for messages that are still queued.
pub async fn attempts(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar("-- attempts\nselect coalesce(sum(attempts), 0)::bigint from delivery")
        .fetch_one(conn)
        .await
}
