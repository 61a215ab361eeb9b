//! Cases whose time has come.

use domain::id::CaseId;
use domain::word::Category;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;

/// Up to `limit` cases with a timer that is due, the most severe first; passes over those that others hold now.
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
            select case_id from case_file
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

/// Sets the timers of these cases later.
pub async fn put_off(
    conn: &mut PgConnection,
    cases: &[CaseId],
    until: OffsetDateTime,
) -> Result<(), Error> {
    let ids: Vec<Uuid> = cases.iter().map(|id| id.uuid()).collect();
    sqlx::query(
        "-- put_off
        update case_file set due_at = $2
        where case_id in (select case_id from case_file where case_id = any($1) order by case_id for update)",
    )
    .bind(ids)
    .bind(until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Claims up to `limit` cases whose host is to be looked up, until `again`.
pub async fn claim_lookups(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    again: OffsetDateTime,
    limit: i64,
) -> Result<Vec<CaseId>, Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "-- claim_lookups
        with due as (
            select case_id from case_file
            where resolve_at <= $1
            order by resolve_at
            limit $3
            for update skip locked
        )
        update case_file c set resolve_at = $2
        from due
        where c.case_id = due.case_id
        returning c.case_id",
    )
    .bind(now)
    .bind(again)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(ids.into_iter().map(CaseId::new).collect())
}
