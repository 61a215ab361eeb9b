//! Keeping the log's partitions: a week made ahead, a week kept behind.
//! Must not drop a day that a registered consumer has not passed.

use sqlx::PgPool;

use crate::clock::Clock;

/// Days an event is kept at least.
const KEEP: time::Duration = time::Duration::days(7);

/// What one round of [`keep`] found and did.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub made: i32,
    pub dropped: i32,
    /// Events that fell into the default partition because their day had none: an alarm.
    pub strays: i64,
}

/// Makes the partitions of today and the next seven days, and drops what is older than seven days, wholly stamped
/// and passed by every registered consumer. "Today" is the database's. Safe to run from several processes.
pub async fn keep(pool: &PgPool) -> sqlx::Result<Kept> {
    let mut conn = pool.acquire().await?;
    let today = Clock::Database
        .now(&mut conn)
        .await?
        .to_offset(time::UtcOffset::UTC)
        .date();
    let strays: i64 = sqlx::query_scalar(
        "-- count_strays
        select count(*) from event_default",
    )
    .fetch_one(&mut *conn)
    .await?;
    if strays > 0 {
        tracing::error!(
            alarm = "default_partition_used",
            events = strays,
            "events fell into the default partition: partitions were not made ahead"
        );
    }
    drop(conn);

    // Two transactions: a day that cannot be dropped yet must not keep tomorrow from being made.
    let made = partitions(
        pool,
        "-- make_event_partitions
        select make_event_partitions($1)",
        today,
    )
    .await?;
    let dropped = partitions(
        pool,
        "-- drop_event_partitions
        select drop_event_partitions($1)",
        today - KEEP,
    )
    .await?;
    Ok(Kept {
        made,
        dropped,
        strays,
    })
}

async fn partitions(pool: &PgPool, sql: &'static str, day: time::Date) -> sqlx::Result<i32> {
    let mut tx = pool.begin().await?;
    // Better another try in a minute than every append waiting behind our wait for the table.
    sqlx::query(
        "-- limit_lock_wait
        set local lock_timeout = '2s'",
    )
    .execute(&mut *tx)
    .await?;
    let count = sqlx::query_scalar(sql)
        .bind(day)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(count)
}
