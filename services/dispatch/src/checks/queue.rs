//! The queue of due checks: commands schedule and cancel checks in their transactions, under the case's lock;
//! the check worker claims them.

use std::collections::{BTreeMap, HashSet};

use domain::id::{CaseId, ReportId};
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

/// Sets the time of the next check of each of these cases. The result of a check in flight is then discarded.
pub async fn schedule(
    conn: &mut PgConnection,
    checks: &[(CaseId, OffsetDateTime)],
) -> sqlx::Result<()> {
    let newest: BTreeMap<Uuid, OffsetDateTime> =
        checks.iter().map(|(id, at)| (id.uuid(), *at)).collect();
    if newest.is_empty() {
        return Ok(());
    }
    let (cases, times): (Vec<Uuid>, Vec<OffsetDateTime>) = newest.into_iter().unzip();
    sqlx::query(
        "-- schedule_checks
        insert into url_check (case_id, due_at)
        select case_id, due_at from unnest($1::uuid[], $2::timestamptz[]) as n (case_id, due_at)
        order by case_id
        on conflict (case_id) do update set due_at = excluded.due_at, lease_token = null",
    )
    .bind(cases)
    .bind(times)
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends the checks of these cases.
pub async fn cancel(conn: &mut PgConnection, cases: &[CaseId]) -> sqlx::Result<()> {
    let cases: Vec<Uuid> = cases.iter().map(|id| id.uuid()).collect();
    sqlx::query("-- cancel_checks\ndelete from url_check where case_id = any($1)")
        .bind(cases)
        .execute(conn)
        .await?;
    Ok(())
}

/// A case whose check is due, with the sealed URL.
pub(super) struct DueCheck {
    pub(super) case_id: CaseId,
    pub(super) wrapped_key: Vec<u8>,
    pub(super) sealed_content: Vec<u8>,
    pub(super) report_id: ReportId,
}

/// Claims due checks, except those of hosts at their limit (`full`).
pub(super) async fn claim(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    until: OffsetDateTime,
    token: Uuid,
    full: &[i64],
    limit: u32,
) -> sqlx::Result<Vec<DueCheck>> {
    let rows = sqlx::query(
        "-- claim_checks
        with due as (
            select case_id from url_check
            where due_at <= $1 and (host_hash is null or host_hash <> all($4))
            order by due_at limit $5
            for update skip locked
        ), claimed as (
            update url_check c set due_at = $2, lease_token = $3 from due where c.case_id = due.case_id
            returning c.case_id
        )
        select s.case_id, s.wrapped_key, s.sealed_content, s.content_report_id
        from claimed join case_seal s using (case_id)",
    )
    .bind(now)
    .bind(until)
    .bind(token)
    .bind(full)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(DueCheck {
                case_id: CaseId::new(row.try_get("case_id")?),
                wrapped_key: row.try_get("wrapped_key")?,
                sealed_content: row.try_get("sealed_content")?,
                report_id: ReportId::new(row.try_get("content_report_id")?),
            })
        })
        .collect()
}

/// Returns unused claims to the queue, due at `until`, with the host that they belong to.
pub(super) async fn defer(
    conn: &mut PgConnection,
    cases: &[(CaseId, i64)],
    token: Uuid,
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = cases.iter().map(|(id, _)| id.uuid()).collect();
    let host_hashes: Vec<i64> = cases.iter().map(|(_, host_hash)| *host_hash).collect();
    sqlx::query(
        "-- defer_checks
        update url_check c set due_at = $4, lease_token = null, host_hash = d.host_hash
        from unnest($1::uuid[], $2::bigint[]) as d (case_id, host_hash)
        where c.case_id = d.case_id and c.lease_token = $3",
    )
    .bind(ids)
    .bind(host_hashes)
    .bind(token)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

/// The claim under which a check was made.
pub(super) struct UsedClaim {
    pub(super) case_id: CaseId,
    pub(super) token: Uuid,
    pub(super) host_hash: i64,
    /// When it was claimed: the check does not refute a claim of removal made later.
    pub(super) claimed_at: OffsetDateTime,
}

/// Locks the cases of these claims, then releases the claims; the rows have no due time until one is set.
/// Returns the cases whose claim was still valid: for others a new time was set meanwhile, or another worker
/// checks them.
pub(super) async fn release(
    conn: &mut PgConnection,
    used: impl Iterator<Item = &UsedClaim>,
) -> sqlx::Result<HashSet<Uuid>> {
    let (mut cases, mut tokens, mut host_hashes) = (Vec::new(), Vec::new(), Vec::new());
    for claim in used {
        cases.push(claim.case_id.uuid());
        tokens.push(claim.token);
        host_hashes.push(claim.host_hash);
    }
    sqlx::query(
        "-- lock_cases_of_checks
        select case_id from dispatch_case where case_id = any($1) order by case_id for update",
    )
    .bind(&cases)
    .execute(&mut *conn)
    .await?;
    let valid: Vec<Uuid> = sqlx::query_scalar(
        "-- release_checks
        update url_check c set due_at = 'infinity', lease_token = null, host_hash = u.host_hash
        from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as u (case_id, token, host_hash)
        where c.case_id = u.case_id and c.lease_token = u.token
        returning c.case_id",
    )
    .bind(&cases)
    .bind(tokens)
    .bind(host_hashes)
    .fetch_all(conn)
    .await?;
    Ok(valid.into_iter().collect())
}

/// Removes the released rows for which no new time was set.
pub(super) async fn remove_unscheduled(
    conn: &mut PgConnection,
    cases: &[Uuid],
) -> sqlx::Result<()> {
    sqlx::query(
        "-- remove_unscheduled_checks\ndelete from url_check where case_id = any($1) and due_at = 'infinity'",
    )
    .bind(cases)
    .execute(conn)
    .await?;
    Ok(())
}
