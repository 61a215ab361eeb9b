//! The event logs: stamped in time, heard in time, nothing parked, nothing astray.

use platform::clock::Clock;
use sqlx::{AssertSqlSafe, PgConnection};
use time::{Duration, OffsetDateTime};

use super::Finding;
use super::database::refused;
use crate::system::{SERVICES, SHARED_LOGS};

/// A relay stamps within milliseconds; a consumer hears within a second.
const UNSTAMPED: Duration = Duration::seconds(10);
const UNHEARD: Duration = Duration::seconds(60);

pub(super) async fn look(conn: &mut PgConnection) -> Vec<Finding> {
    let Ok(now) = Clock::Database.now(conn).await else {
        return vec![refused("event logs")];
    };
    let mut findings = Vec::new();
    for schema in SERVICES.map(|schema| schema.name) {
        findings.push(stamped(conn, schema, now).await);
        findings.push(astray(conn, schema).await);
        findings.push(parked(conn, schema).await);
    }
    for (producer, consumer) in SHARED_LOGS {
        findings.push(heard(conn, producer, consumer, now).await);
    }
    findings
}

async fn stamped(conn: &mut PgConnection, schema: &str, now: OffsetDateTime) -> Finding {
    let check = format!("log of {schema}");
    let found: sqlx::Result<(i64, Option<OffsetDateTime>)> =
        sqlx::query_as(AssertSqlSafe(format!(
            "-- unstamped\nselect count(*), min(inserted_at) from {schema}.event where position is null"
        )))
        .fetch_one(conn)
        .await;
    match found {
        Err(_) => refused(check),
        Ok((count, Some(oldest))) if now - oldest > UNSTAMPED => Finding::wrong(
            check,
            format!("{count} events wait to be stamped, the oldest since {oldest}"),
            format!("see whether {schema} is running, and its log for a relay that cannot go on"),
        ),
        Ok(_) => Finding::right(check, "stamped"),
    }
}

async fn astray(conn: &mut PgConnection, schema: &str) -> Finding {
    let check = format!("partitions of {schema}");
    let found: sqlx::Result<i64> = sqlx::query_scalar(AssertSqlSafe(format!(
        "-- astray\nselect count(*) from {schema}.event_default"
    )))
    .fetch_one(conn)
    .await;
    match found {
        Err(_) => refused(check),
        Ok(0) => Finding::right(check, "every event has its day"),
        Ok(count) => Finding::wrong(
            check,
            format!("{count} events are in the default partition"),
            format!("see whether {schema} is running: it makes the days ahead and moves them"),
        ),
    }
}

async fn parked(conn: &mut PgConnection, schema: &str) -> Finding {
    let check = format!("parked by {schema}");
    let found: sqlx::Result<(i64, i64)> = sqlx::query_as(AssertSqlSafe(format!(
        "-- count_parked\nselect count(*), count(distinct case_id) from {schema}.parked_event"
    )))
    .fetch_one(conn)
    .await;
    match found {
        Err(_) => refused(check),
        Ok((0, _)) => Finding::right(check, "nothing"),
        Ok((events, cases)) => Finding::wrong(
            check,
            format!("{events} events of {cases} cases"),
            "see `takedown parked list`; then replay or drop them, which takes two people",
        ),
    }
}

/// How far a consumer is behind, and since when.
async fn heard(
    conn: &mut PgConnection,
    producer: &str,
    consumer: &str,
    now: OffsetDateTime,
) -> Finding {
    let check = format!("{consumer} hears {producer}");
    let found: sqlx::Result<(i64, i64, Option<OffsetDateTime>)> =
        sqlx::query_as(AssertSqlSafe(format!(
            "-- heard
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
    match found {
        Err(_) => refused(check),
        Ok((_, astray, _)) if astray > 0 => Finding::wrong(
            check,
            format!(
                "{astray} cursors do not fit the log: one of the two was restored from a backup"
            ),
            "restore both from the same backup",
        ),
        Ok((behind, _, Some(oldest))) if now - oldest > UNHEARD => Finding::wrong(
            check,
            format!("{behind} events behind, since {oldest}"),
            format!("see whether {consumer} is running, and its log for what it cannot apply"),
        ),
        Ok((behind, _, _)) => Finding::right(check, format!("{behind} events behind")),
    }
}
