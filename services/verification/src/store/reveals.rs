//! The SQL of `reveal`. No decisions.

use domain::id::{CaseId, Subject};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// Counts the reveals by a person since a time. Locks the person's row, so that concurrent calls count each
/// other.
pub(crate) async fn count_since(
    conn: &mut PgConnection,
    subject: Subject,
    since: OffsetDateTime,
) -> sqlx::Result<i64> {
    sqlx::query(
        "-- lock_staff
        select 1 from staff where subject = $1 for update",
    )
    .bind(subject.uuid())
    .execute(&mut *conn)
    .await?;
    sqlx::query_scalar(
        "-- count_since
        select count(*) from reveal where subject = $1 and at > $2",
    )
    .bind(subject.uuid())
    .bind(since)
    .fetch_one(conn)
    .await
}

pub(crate) async fn insert(
    conn: &mut PgConnection,
    id: Uuid,
    subject: Subject,
    case: CaseId,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query(
        "-- insert_reveal
        insert into reveal (id, subject, case_id, at) values ($1, $2, $3, $4)",
    )
    .bind(id)
    .bind(subject.uuid())
    .bind(case.uuid())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}
