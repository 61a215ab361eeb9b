//! Maintains the log's daily partitions: seven days created ahead, seven days kept. A day is dropped only
//! when every registered consumer has processed it.

use sqlx::PgPool;

use crate::clock::Clock;

/// Minimum time that an event is kept.
const RETENTION: time::Duration = time::Duration::days(7);

/// What one run of [`maintain_partitions`] found and did.
#[derive(Debug, PartialEq, Eq)]
pub struct RetentionReport {
    pub created: i32,
    pub dropped: i32,
    /// Events in the default partition, because their day had no partition. More than 0 raises an alarm.
    pub in_default: i64,
}

/// Creates the partitions of today and the next seven days, and drops those older than seven days in which
/// every event has a position and was processed by every registered consumer. "Today" is by the database
/// clock, in UTC. Several processes may run it at the same time.
pub async fn maintain_partitions(pool: &PgPool) -> sqlx::Result<RetentionReport> {
    let mut conn = pool.acquire().await?;
    let today = Clock::Database
        .now(&mut conn)
        .await?
        .to_offset(time::UtcOffset::UTC)
        .date();
    let in_default: i64 = sqlx::query_scalar(
        "-- count_events_in_default_partition
        select count(*) from event_default",
    )
    .fetch_one(&mut *conn)
    .await?;
    if in_default > 0 {
        tracing::error!(
            alarm = "default_partition_used",
            events = in_default,
            "events fell into the default partition: partitions were not created ahead"
        );
    }
    drop(conn);

    // Two transactions: a day that cannot be dropped yet must not prevent tomorrow's partition.
    let created = change_partitions(
        pool,
        "-- make_event_partitions
        select make_event_partitions($1)",
        today,
    )
    .await?;
    let dropped = change_partitions(
        pool,
        "-- drop_event_partitions
        select drop_event_partitions($1)",
        today - RETENTION,
    )
    .await?;
    Ok(RetentionReport {
        created,
        dropped,
        in_default,
    })
}

async fn change_partitions(pool: &PgPool, sql: &'static str, day: time::Date) -> sqlx::Result<i32> {
    let mut tx = pool.begin().await?;
    // Fail and retry in a minute rather than block every append behind this wait for the table lock.
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
