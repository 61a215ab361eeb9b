//! Checks the event logs: positions, partitions, parked events and consumers' cursors.

use platform::clock::Clock;
use roles::system::{SERVICES, SHARED_LOGS};
use sqlx::{AssertSqlSafe, PgConnection};
use time::{Duration, OffsetDateTime};

use super::{CheckResult, query_failed};

/// A relay assigns positions within milliseconds; a consumer applies events within a second.
const MAX_WITHOUT_POSITION: Duration = Duration::seconds(10);
const MAX_LAG: Duration = Duration::seconds(60);

pub(super) async fn check(conn: &mut PgConnection) -> Vec<CheckResult> {
    let Ok(now) = Clock::Database.now(conn).await else {
        return vec![query_failed("event logs")];
    };
    let mut results = Vec::new();
    for schema in SERVICES.map(|schema| schema.name) {
        results.push(check_positions(conn, schema, now).await);
        results.push(check_partitions(conn, schema).await);
        results.push(check_parked(conn, schema).await);
    }
    for (producer, consumer) in SHARED_LOGS {
        results.push(check_consumer(conn, producer, consumer, now).await);
    }
    results
}

async fn check_positions(
    conn: &mut PgConnection,
    schema: &str,
    now: OffsetDateTime,
) -> CheckResult {
    let check = format!("log of {schema}");
    let result: sqlx::Result<(i64, Option<OffsetDateTime>)> =
        sqlx::query_as(AssertSqlSafe(format!(
            "-- events_without_position\nselect count(*), min(inserted_at) from {schema}.event where position is null"
        )))
        .fetch_one(conn)
        .await;
    match result {
        Err(_) => query_failed(check),
        Ok((count, Some(oldest))) if now - oldest > MAX_WITHOUT_POSITION => CheckResult::problem(
            check,
            format!("{count} events have no position, the oldest since {oldest}"),
            format!("check that {schema} is running, and its log for errors of its relay"),
        ),
        Ok(_) => CheckResult::ok(check, "every event has a position"),
    }
}

async fn check_partitions(conn: &mut PgConnection, schema: &str) -> CheckResult {
    let check = format!("partitions of {schema}");
    let result: sqlx::Result<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "-- events_in_default_partition\nselect count(*) from {schema}.event_default"
    )))
    .fetch_one(conn)
    .await;
    match result {
        Err(_) => query_failed(check),
        Ok(0) => CheckResult::ok(check, "every event is in its partition"),
        Ok(count) => CheckResult::problem(
            check,
            format!("{count} events are in the default partition"),
            format!(
                "check that {schema} is running: it creates partitions ahead and moves these events"
            ),
        ),
    }
}

async fn check_parked(conn: &mut PgConnection, schema: &str) -> CheckResult {
    let check = format!("parked by {schema}");
    let result: sqlx::Result<(i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "-- count_parked\nselect count(*), count(distinct case_id) from {schema}.parked_event"
    )))
    .fetch_one(conn)
    .await;
    match result {
        Err(_) => query_failed(check),
        Ok((0, _)) => CheckResult::ok(check, "nothing"),
        Ok((events, cases)) => CheckResult::problem(
            check,
            format!("{events} events of {cases} cases"),
            "run `takedown parked list`, then replay or drop them, which takes two people",
        ),
    }
}

/// Checks a consumer's lag, and that its cursors match the log.
async fn check_consumer(
    conn: &mut PgConnection,
    producer: &str,
    consumer: &str,
    now: OffsetDateTime,
) -> CheckResult {
    let check = format!("{consumer} consumes {producer}");
    let result: sqlx::Result<(i64, i64, Option<OffsetDateTime>)> =
        sqlx::query_as(AssertSqlSafe(format!(
            "-- consumer_lag
            select
                coalesce(sum(greatest(h.position - coalesce(c.position, 0), 0)), 0)::bigint,
                count(*) filter (
                    where c.position > h.position or c.position < h.floor - 1
                        or c.position = h.position and c.event_id is distinct from h.event_id),
                min(e.inserted_at)
            from {producer}.log_shard h
            left join {consumer}.cursor c on c.shard = h.shard and c.producer = $1
            left join {producer}.event e on e.shard = h.shard and e.position = coalesce(c.position, 0) + 1"
        )))
        .bind(producer)
        .fetch_one(conn)
        .await;
    match result {
        Err(_) => query_failed(check),
        Ok((_, mismatched, _)) if mismatched > 0 => CheckResult::problem(
            check,
            format!(
                "{mismatched} cursors do not match the log: one of the two was restored from a backup"
            ),
            "restore both from the same backup",
        ),
        Ok((behind, _, Some(oldest))) if now - oldest > MAX_LAG => CheckResult::problem(
            check,
            format!("{behind} events behind, since {oldest}"),
            format!(
                "check that {consumer} is running, and its log for events that it cannot apply"
            ),
        ),
        Ok((behind, _, _)) => CheckResult::ok(check, format!("{behind} events behind")),
    }
}
