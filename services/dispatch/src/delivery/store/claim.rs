//! Statements of the claim.

use domain::id::ProviderId;
use domain::word::DeliveryChannel;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::delivery::lanes::Lane;

/// A row as it is claimed.
pub(in crate::delivery) struct Due {
    pub(in crate::delivery) notice_id: Uuid,
    pub(in crate::delivery) provider_id: ProviderId,
    pub(in crate::delivery) channel: DeliveryChannel,
    pub(in crate::delivery) sequence: i32,
    pub(in crate::delivery) attempts: i32,
    pub(in crate::delivery) in_doubt: bool,
    pub(in crate::delivery) cancelled: bool,
    /// By its addressee, once more.
    pub(in crate::delivery) asked: bool,
}

/// How many may be claimed.
pub(in crate::delivery) struct Room<'a> {
    pub(in crate::delivery) busy: &'a [(Lane, u32)],
    /// To one endpoint at once.
    pub(in crate::delivery) each: u32,
    /// Failures from which an endpoint gets one at a time.
    pub(in crate::delivery) tripped: u32,
    pub(in crate::delivery) limit: u32,
}

/// Notices and cases of what is due, the most severe first; of each endpoint no more than it has room for. What it
/// costs grows with the endpoints that have something in line, not with how much.
pub(in crate::delivery) async fn due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    room: &Room<'_>,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    let providers: Vec<&str> = room.busy.iter().map(|((p, _), _)| p.as_str()).collect();
    let channels: Vec<&str> = room.busy.iter().map(|((_, c), _)| c.as_str()).collect();
    let counts: Vec<i32> = room.busy.iter().map(|(_, n)| n.cast_signed()).collect();
    sqlx::query_as(
        "-- due
        with recursive lane as (
            (select provider_id, channel from delivery order by provider_id, channel limit 1)
            union all
            select next.provider_id, next.channel from lane cross join lateral (
                select d.provider_id, d.channel from delivery d
                where (d.provider_id, d.channel) > (lane.provider_id, lane.channel)
                order by d.provider_id, d.channel limit 1) next
        ), open as (
            select lane.provider_id, lane.channel,
                greatest(0, case when coalesce(h.failures, 0) >= $5 then 1 else $4 end - coalesce(b.n, 0)) as room
            from lane
            left join endpoint_health h using (provider_id, channel)
            left join unnest($1::text[], $2::text[], $3::int[]) as b (provider_id, channel, n) using (provider_id, channel)
            where coalesce(h.open_until, $6) <= $6 and coalesce(h.asked_until, $6) <= $6
        )
        select due.notice_id, due.case_id
        from open cross join lateral (
            select d.notice_id, d.case_id, d.severity, d.due_at from delivery d
            where d.provider_id = open.provider_id and d.channel = open.channel and d.due_at <= $6
            order by d.severity, d.due_at limit open.room) due
        order by due.severity, due.due_at
        limit $7",
    )
    .bind(providers)
    .bind(channels)
    .bind(counts)
    .bind(room.each.cast_signed())
    .bind(room.tripped.cast_signed())
    .bind(now)
    .bind(i64::from(room.limit))
    .fetch_all(conn)
    .await
}

/// Locks the cases of a claim against change, ascending; those that a neighbour is changing are left out.
pub(in crate::delivery) async fn share_cases(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "-- share_cases
        select case_id from case_file where case_id = any($1) order by case_id for share skip locked",
    )
    .bind(cases)
    .fetch_all(conn)
    .await
}

/// Locks what is still due of these; what another courier is claiming is left out.
pub(in crate::delivery) async fn lock_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    notices: &[Uuid],
    cases: &[Uuid],
) -> Result<Vec<Due>, Error> {
    let rows = sqlx::query(
        "-- lock_due
        select notice_id, provider_id, channel, sequence, attempts, in_doubt, cancelled, asked
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

fn due_row(row: &PgRow) -> Result<Due, Error> {
    let id: Uuid = row.try_get("notice_id")?;
    Ok(Due {
        notice_id: id,
        provider_id: parse(row, "provider_id", id)?,
        channel: parse(row, "channel", id)?,
        sequence: row.try_get("sequence")?,
        attempts: row.try_get("attempts")?,
        in_doubt: row.try_get("in_doubt")?,
        cancelled: row.try_get("cancelled")?,
        asked: row.try_get("asked")?,
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

/// Claims rows that are locked: token, end of the lease, one more attempt.
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

/// Makes running leases last longer; a row that somebody is just recording needs none.
pub(in crate::delivery) async fn renew(
    conn: &mut PgConnection,
    running: &[(Uuid, Uuid)],
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    let (notices, tokens): (Vec<Uuid>, Vec<Uuid>) = running.iter().copied().unzip();
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
