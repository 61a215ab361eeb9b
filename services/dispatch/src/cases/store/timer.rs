//! Due timers and DNS lookups of cases.

use domain::enums::Category;
use domain::id::CaseId;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// Up to `limit` cases with a due timer, the most severe first; skips those that are locked.
pub async fn claim_due(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<CaseId>, Error> {
    let mut due: Vec<CaseId> = Vec::new();
    for category in Category::ALL {
        let left = limit - due.len() as i64;
        if left <= 0 {
            break;
        }
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "-- claim_due
            select case_id from dispatch_case
            where category = $1 and due_at <= $2
            order by due_at
            limit $3
            for update skip locked",
        )
        .bind(category.as_str())
        .bind(now)
        .bind(left)
        .fetch_all(&mut *conn)
        .await?;
        due.extend(ids.into_iter().map(CaseId::new));
    }
    Ok(due)
}

/// Defers the timers of these cases to `until`.
pub async fn defer_timers(
    conn: &mut PgConnection,
    cases: &[CaseId],
    until: OffsetDateTime,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = cases.iter().map(|id| id.uuid()).collect();
    sqlx::query(
        "-- defer_timers
        update dispatch_case set due_at = $2
        where case_id in (select case_id from dispatch_case where case_id = any($1) order by case_id for update)",
    )
    .bind(ids)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Claims up to `limit` cases whose host is to be resolved, until `retry_at`.
pub async fn claim_lookups(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    retry_at: OffsetDateTime,
    limit: i64,
) -> Result<Vec<CaseId>, Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "-- claim_lookups
        with due as (
            select case_id from dispatch_case
            where resolve_at <= $1
            order by resolve_at
            limit $3
            for update skip locked
        )
        update dispatch_case c set resolve_at = $2
        from due
        where c.case_id = due.case_id
        returning c.case_id",
    )
    .bind(now)
    .bind(retry_at)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(CaseId::new).collect())
}
