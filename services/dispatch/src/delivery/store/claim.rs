//! Statements that claim due rows.

use domain::enums::DeliveryChannel;
use domain::id::ProviderId;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::delivery::endpoint_slots::EndpointKey;

/// A due row, locked.
pub(in crate::delivery) struct DueDelivery {
    pub(in crate::delivery) notice_id: Uuid,
    pub(in crate::delivery) provider_id: ProviderId,
    pub(in crate::delivery) channel: DeliveryChannel,
    pub(in crate::delivery) sequence: i32,
    pub(in crate::delivery) attempts: i32,
    pub(in crate::delivery) in_doubt: bool,
    pub(in crate::delivery) cancelled: bool,
    /// The addressee asked for it again.
    pub(in crate::delivery) redelivery_requested: bool,
}

/// How many messages may be claimed.
pub(in crate::delivery) struct ClaimLimits<'a> {
    /// Attempts in flight by endpoint.
    pub(in crate::delivery) in_flight: &'a [(EndpointKey, u32)],
    /// Maximum concurrent attempts per endpoint.
    pub(in crate::delivery) each: u32,
    /// From this many failures in a row, an endpoint gets one attempt at a time.
    pub(in crate::delivery) breaker_failures: u32,
    pub(in crate::delivery) limit: u32,
}

/// Notices and cases of due messages, the most severe first, limited by each endpoint's free slots. The cost
/// grows with the number of endpoints that have queued messages, not with the number of messages.
pub(in crate::delivery) async fn due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limits: &ClaimLimits<'_>,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    let in_flight = limits.in_flight;
    let providers: Vec<&str> = in_flight.iter().map(|((p, _), _)| p.as_str()).collect();
    let channels: Vec<&str> = in_flight.iter().map(|((_, c), _)| c.as_str()).collect();
    let counts: Vec<i32> = in_flight.iter().map(|(_, n)| n.cast_signed()).collect();
    sqlx::query_as(
        "-- due
        with recursive endpoint as (
            (select provider_id, channel from delivery order by provider_id, channel limit 1)
            union all
            select next.provider_id, next.channel from endpoint cross join lateral (
                select d.provider_id, d.channel from delivery d
                where (d.provider_id, d.channel) > (endpoint.provider_id, endpoint.channel)
                order by d.provider_id, d.channel limit 1) next
        ), open as (
            select endpoint.provider_id, endpoint.channel,
                greatest(0, case when coalesce(h.failures, 0) >= $5 then 1 else $4 end - coalesce(b.n, 0)) as free_slots
            from endpoint
            left join endpoint_health h using (provider_id, channel)
            left join unnest($1::text[], $2::text[], $3::int[]) as b (provider_id, channel, n) using (provider_id, channel)
            where coalesce(h.open_until, $6) <= $6 and coalesce(h.retry_after, $6) <= $6
        )
        select due.notice_id, due.case_id
        from open cross join lateral (
            select d.notice_id, d.case_id, d.severity, d.due_at from delivery d
            where d.provider_id = open.provider_id and d.channel = open.channel and d.due_at <= $6
            order by d.severity, d.due_at limit open.free_slots) due
        order by due.severity, due.due_at
        limit $7",
    )
    .bind(providers)
    .bind(channels)
    .bind(counts)
    .bind(limits.each.cast_signed())
    .bind(limits.breaker_failures.cast_signed())
    .bind(now)
    .bind(i64::from(limits.limit))
    .fetch_all(conn)
    .await
}

/// Locks the cases of a claim against changes, in ascending order; cases that another transaction is changing
/// are skipped.
pub(in crate::delivery) async fn share_cases(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "-- share_cases
        select case_id from dispatch_case where case_id = any($1) order by case_id for share skip locked",
    )
    .bind(cases)
    .fetch_all(conn)
    .await
}

/// Locks those of these messages that are still due; messages that another worker is claiming are skipped.
pub(in crate::delivery) async fn lock_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    notices: &[Uuid],
    cases: &[Uuid],
) -> Result<Vec<DueDelivery>, Error> {
    let rows = sqlx::query(
        "-- lock_due
        select notice_id, provider_id, channel, sequence, attempts, in_doubt, cancelled, redelivery_requested
        from delivery
        where notice_id = any($1) and case_id = any($2) and due_at <= $3
        order by notice_id
        for update skip locked",
    )
    .bind(notices)
    .bind(cases)
    .bind(now)
    .fetch_all(conn)
    .await?;
    rows.iter().map(due_row).collect()
}

fn due_row(row: &PgRow) -> Result<DueDelivery, Error> {
    let id: Uuid = row.try_get("notice_id")?;
    Ok(DueDelivery {
        notice_id: id,
        provider_id: parse(row, "provider_id", id)?,
        channel: parse(row, "channel", id)?,
        sequence: row.try_get("sequence")?,
        attempts: row.try_get("attempts")?,
        in_doubt: row.try_get("in_doubt")?,
        cancelled: row.try_get("cancelled")?,
        redelivery_requested: row.try_get("redelivery_requested")?,
    })
}

fn parse<T: std::str::FromStr>(row: &PgRow, column: &'static str, id: Uuid) -> Result<T, Error> {
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|_| Error::Row {
        table: "delivery",
        column,
        id,
    })
}

/// Leases locked rows: sets token and expiry, and counts one more attempt.
pub(in crate::delivery) async fn lease(
    conn: &mut PgConnection,
    notices: &[Uuid],
    token: Uuid,
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- lease
        update delivery set lease_token = $2, lease_until = $3, due_at = $3, attempts = attempts + 1, in_doubt = true
        where notice_id = any($1)",
    )
    .bind(notices)
    .bind(token)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Extends leases of attempts in flight; a row whose outcome is just being recorded is skipped.
pub(in crate::delivery) async fn renew(
    conn: &mut PgConnection,
    leases: &[(Uuid, Uuid)],
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    let (notices, tokens): (Vec<Uuid>, Vec<Uuid>) = leases.iter().copied().unzip();
    sqlx::query(
        "-- renew
        update delivery set lease_until = $3, due_at = $3
        where notice_id in (
            select d.notice_id from delivery d
            join unnest($1::uuid[], $2::uuid[]) as r (notice_id, token) on r.notice_id = d.notice_id and r.token = d.lease_token
            order by d.notice_id
            for update of d skip locked)",
    )
    .bind(notices)
    .bind(tokens)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}
