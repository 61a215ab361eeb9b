//! The SQL of `matching_version`: how often the approved hash lists and rules have changed.

use sqlx::PgConnection;

pub(crate) async fn current(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "-- current_matching_version
        select version from matching_version",
    )
    .fetch_one(conn)
    .await
}

/// Called by every transaction that changes the approved lists or rules.
pub(crate) async fn advance(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query(
        "-- advance
        update matching_version set version = version + 1",
    )
    .execute(conn)
    .await?;
    Ok(())
}
