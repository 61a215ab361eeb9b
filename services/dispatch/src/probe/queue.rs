//! When to look at a case: in the transactions of the commands, under the lock of the case; and the watcher's claims.

use std::collections::{BTreeMap, HashSet};

use domain::id::{CaseId, ReportId};
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

/// Sets the next look at each of these cases. A look that is under way then counts for nothing.
pub async fn schedule(
    conn: &mut PgConnection,
    looks: &[(CaseId, OffsetDateTime)],
) -> sqlx::Result<()> {
    let newest: BTreeMap<Uuid, OffsetDateTime> =
        looks.iter().map(|(id, at)| (id.uuid(), *at)).collect();
    if newest.is_empty() {
        return Ok(());
    }
    let (cases, times): (Vec<Uuid>, Vec<OffsetDateTime>) = newest.into_iter().unzip();
    sqlx::query(
        "-- schedule
        insert into probe (case_id, due_at)
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

/// Looks at these cases no more.
pub async fn cancel(conn: &mut PgConnection, cases: &[CaseId]) -> sqlx::Result<()> {
    let cases: Vec<Uuid> = cases.iter().map(|id| id.uuid()).collect();
    sqlx::query("-- cancel_probes\ndelete from probe where case_id = any($1)")
        .bind(cases)
        .execute(conn)
        .await?;
    Ok(())
}

/// A case whose look is due, as it is stored.
pub(super) struct Due {
    pub(super) case_id: CaseId,
    pub(super) wrapped_key: Vec<u8>,
    pub(super) sealed_item: Vec<u8>,
    pub(super) report_id: ReportId,
}

/// Claims what is due, but nothing of the hosts that are at their bound.
pub(super) async fn claim(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    until: OffsetDateTime,
    token: Uuid,
    full: &[i64],
    limit: u32,
) -> sqlx::Result<Vec<Due>> {
    let rows = sqlx::query(
        "-- claim_probes
        with due as (
            select case_id from probe
            where due_at <= $1 and (lane is null or lane <> all($4))
            order by due_at limit $5
            for update skip locked
        ), claimed as (
            update probe p set due_at = $2, lease_token = $3 from due where p.case_id = due.case_id
            returning p.case_id
        )
        select s.case_id, s.wrapped_key, s.sealed_item, s.item_report_id
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
            Ok(Due {
                case_id: CaseId::new(row.try_get("case_id")?),
                wrapped_key: row.try_get("wrapped_key")?,
                sealed_item: row.try_get("sealed_item")?,
                report_id: ReportId::new(row.try_get("item_report_id")?),
            })
        })
        .collect()
}

/// Gives claims back that were not used, with the host that they belong to.
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
    let lanes: Vec<i64> = cases.iter().map(|(_, lane)| *lane).collect();
    sqlx::query(
        "-- defer
        update probe p set due_at = $4, lease_token = null, lane = d.lane
        from unnest($1::uuid[], $2::bigint[]) as d (case_id, lane)
        where p.case_id = d.case_id and p.lease_token = $3",
    )
    .bind(ids)
    .bind(lanes)
    .bind(token)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

/// One claim, and the host that it was used on.
pub(super) struct Used {
    pub(super) case_id: CaseId,
    pub(super) token: Uuid,
    pub(super) lane: i64,
    /// When it was claimed: what was said later, the look says nothing of.
    pub(super) since: OffsetDateTime,
}

/// Takes the claims of a record, behind the locks of their cases; the rows then have no time until one is set.
/// Returns the cases whose claim still held: for others a new time was set meanwhile, or somebody else looks.
pub(super) async fn settle(
    conn: &mut PgConnection,
    used: impl Iterator<Item = &Used>,
) -> sqlx::Result<HashSet<Uuid>> {
    let (mut cases, mut tokens, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
    for used in used {
        cases.push(used.case_id.uuid());
        tokens.push(used.token);
        lanes.push(used.lane);
    }
    sqlx::query(
        "-- lock_cases_of_probes
        select case_id from case_file where case_id = any($1) order by case_id for update",
    )
    .bind(&cases)
    .execute(&mut *conn)
    .await?;
    let held: Vec<Uuid> = sqlx::query_scalar(
        "-- settle
        update probe p set due_at = 'infinity', lease_token = null, lane = u.lane
        from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as u (case_id, token, lane)
        where p.case_id = u.case_id and p.lease_token = u.token
        returning p.case_id",
    )
    .bind(&cases)
    .bind(tokens)
    .bind(lanes)
    .fetch_all(conn)
    .await?;
    Ok(held.into_iter().collect())
}

/// Removes the rows of a record for which no new time was set.
pub(super) async fn sweep(conn: &mut PgConnection, cases: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query(
        "-- sweep_probes\ndelete from probe where case_id = any($1) and due_at = 'infinity'",
    )
    .bind(cases)
    .execute(conn)
    .await?;
    Ok(())
}
