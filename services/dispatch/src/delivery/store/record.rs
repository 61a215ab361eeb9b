//! Statements that record outcomes and park rows.

use std::collections::HashMap;

use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

pub(in crate::delivery) async fn remove(
    conn: &mut PgConnection,
    notices: &[Uuid],
) -> sqlx::Result<()> {
    sqlx::query("-- remove\ndelete from delivery where notice_id = any($1)")
        .bind(notices)
        .execute(conn)
        .await?;
    Ok(())
}

/// Defers rows that failed verification until `until`; then they are verified again.
pub(in crate::delivery) async fn park(
    conn: &mut PgConnection,
    notices: &[Uuid],
    code: &'static str,
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- park
        update delivery set due_at = $2, last_failure = $3, lease_token = null, lease_until = null where notice_id = any($1)",
    )
    .bind(notices)
    .bind(until)
    .bind(code)
    .execute(conn)
    .await?;
    Ok(())
}

/// A row whose attempt has ended and that will be attempted again.
pub(in crate::delivery) struct RetryRow {
    pub(in crate::delivery) notice_id: Uuid,
    pub(in crate::delivery) due_at: OffsetDateTime,
    pub(in crate::delivery) in_doubt: bool,
    pub(in crate::delivery) failure: Option<&'static str>,
}

/// Releases the leases of rows that the caller has locked.
pub(in crate::delivery) async fn release(
    conn: &mut PgConnection,
    rows: &[RetryRow],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rows.iter().map(|r| r.notice_id).collect();
    let times: Vec<OffsetDateTime> = rows.iter().map(|r| r.due_at).collect();
    let doubts: Vec<bool> = rows.iter().map(|r| r.in_doubt).collect();
    let failures: Vec<Option<&str>> = rows.iter().map(|r| r.failure).collect();
    sqlx::query(
        "-- release
        update delivery d set due_at = r.due_at, in_doubt = r.in_doubt, last_failure = r.failure,
            lease_token = null, lease_until = null
        from unnest($1::uuid[], $2::timestamptz[], $3::bool[], $4::text[]) as r (notice_id, due_at, in_doubt, failure)
        where d.notice_id = r.notice_id",
    )
    .bind(ids)
    .bind(times)
    .bind(doubts)
    .bind(failures)
    .execute(conn)
    .await?;
    Ok(())
}

/// A row that is still under the lease under which it was sent.
pub(in crate::delivery) struct LeasedRow {
    pub(in crate::delivery) sequence: i32,
    pub(in crate::delivery) channel: String,
    pub(in crate::delivery) cancelled: bool,
}

/// Locks the cases of these notices, in ascending order.
pub(in crate::delivery) async fn lock_cases(
    conn: &mut PgConnection,
    notices: &[Uuid],
) -> sqlx::Result<()> {
    sqlx::query(
        "-- lock_cases_of_deliveries
        select case_id from dispatch_case
        where case_id in (select case_id from delivery where notice_id = any($1))
        order by case_id
        for update",
    )
    .bind(notices)
    .execute(conn)
    .await?;
    Ok(())
}

/// Locks the rows that are still leased under these tokens, in ascending order.
pub(in crate::delivery) async fn lock_leased(
    conn: &mut PgConnection,
    leases: &[(Uuid, Uuid)],
) -> sqlx::Result<HashMap<Uuid, LeasedRow>> {
    let (notices, tokens): (Vec<Uuid>, Vec<Uuid>) = leases.iter().copied().unzip();
    let rows = sqlx::query(
        "-- lock_leased
        select d.notice_id, d.sequence, d.channel, d.cancelled
        from delivery d
        join unnest($1::uuid[], $2::uuid[]) as l (notice_id, token) on l.notice_id = d.notice_id and l.token = d.lease_token
        order by d.notice_id
        for update of d",
    )
    .bind(notices)
    .bind(tokens)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let leased = LeasedRow {
                sequence: row.try_get("sequence")?,
                channel: row.try_get("channel")?,
                cancelled: row.try_get("cancelled")?,
            };
            Ok((row.try_get("notice_id")?, leased))
        })
        .collect()
}

/// The fail point `no-fence`: writes these notices back as a worker had read them, regardless of their
/// present lease holder and state.
pub(in crate::delivery) async fn overwrite(
    conn: &mut PgConnection,
    notices: &[Uuid],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- overwrite
        with back as (
            update notice set state = 'queued', escalated_to = null where id = any($1) and channel <> 'api'
            returning id, case_id, provider_id, channel, sequence
        )
        insert into delivery (notice_id, case_id, provider_id, channel, sequence, severity, due_at, attempts, in_doubt,
            cancelled, redelivery_requested)
        select id, case_id, provider_id, channel, sequence, 0, $2, 1, true, false, false from back order by id
        on conflict (notice_id) do update set due_at = excluded.due_at, cancelled = false, lease_token = null, lease_until = null",
    )
    .bind(notices)
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}
