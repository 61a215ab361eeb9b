//! Percentiles of the published clocks, in one pass over narrow rows.

use sqlx::PgConnection;

use crate::Error;

/// Figures of one clock, in seconds.
pub struct ClockStats {
    pub clock: &'static str,
    pub p50: f64,
    pub p99: f64,
    pub count: i64,
}

/// Clocks of all cases, each from the receipt of the case.
pub async fn case_clocks(conn: &mut PgConnection) -> Result<Vec<ClockStats>, Error> {
    let row: Percentiles = sqlx::query_as(
        "-- case_clocks
        select
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from dispatched_at - received_at)::float8),
            count(dispatched_at),
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from delivered_at - received_at)::float8),
            count(delivered_at),
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from acknowledged_at - received_at)::float8),
            count(acknowledged_at),
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from removal_claimed_at - received_at)::float8),
            count(removal_claimed_at),
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from confirmed_at - received_at)::float8),
            count(confirmed_at)
        from dispatch_case",
    )
    .fetch_one(conn)
    .await?;
    Ok(clock_stats(
        row,
        [
            "dispatched",
            "delivered",
            "acknowledged",
            "removal_claimed",
            "confirmed_removed",
        ],
    ))
}

/// Clocks of one provider's notices, each from the opening of the notice.
pub async fn provider_clocks(
    conn: &mut PgConnection,
    provider: &str,
) -> Result<Vec<ClockStats>, Error> {
    let row: Percentiles = sqlx::query_as(
        "-- provider_clocks
        select
            null::float8[], 0::bigint,
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from delivered_at - opened_at)::float8),
            count(delivered_at),
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from acknowledged_at - opened_at)::float8),
            count(acknowledged_at),
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from removal_claimed_at - opened_at)::float8),
            count(removal_claimed_at),
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from confirmed_at - opened_at)::float8),
            count(confirmed_at)
        from notice
        where provider_id = $1",
    )
    .bind(provider)
    .fetch_one(conn)
    .await?;
    let mut clocks = clock_stats(
        row,
        [
            "dispatched",
            "delivered",
            "acknowledged",
            "removal_claimed",
            "confirmed_removed",
        ],
    );
    clocks.remove(0);
    Ok(clocks)
}

type Percentiles = (
    Option<Vec<Option<f64>>>,
    i64,
    Option<Vec<Option<f64>>>,
    i64,
    Option<Vec<Option<f64>>>,
    i64,
    Option<Vec<Option<f64>>>,
    i64,
    Option<Vec<Option<f64>>>,
    i64,
);

fn clock_stats(row: Percentiles, names: [&'static str; 5]) -> Vec<ClockStats> {
    let figures = [
        (row.0, row.1),
        (row.2, row.3),
        (row.4, row.5),
        (row.6, row.7),
        (row.8, row.9),
    ];
    names
        .into_iter()
        .zip(figures)
        .map(|(clock, (values, count))| {
            let at = |n: usize| {
                values
                    .as_ref()
                    .and_then(|v| v.get(n).copied().flatten())
                    .unwrap_or_default()
            };
            ClockStats {
                clock,
                p50: at(0),
                p99: at(1),
                count,
            }
        })
        .collect()
}
