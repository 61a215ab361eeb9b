//! The scorecard of a provider: its punctuality, and our own.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::Error;
use crate::cases::ClockStats;

/// How often a deadline was met, and the time it allowed.
pub struct PunctualityCounts {
    pub in_time: i64,
    pub late: i64,
    /// Median of the allowed time, in seconds.
    pub allowed: f64,
}

pub struct Scorecard {
    pub answered: PunctualityCounts,
    pub removed: PunctualityCounts,
    /// Clocks of our own work, each from the receipt of the case.
    pub our_clocks: Vec<ClockStats>,
    pub retracted: i64,
    pub retracted_disputed: i64,
    pub disputes_open: i64,
    pub disputes_refused: i64,
}

#[derive(sqlx::FromRow)]
struct ProviderCounts {
    answered_in_time: i64,
    answered_late: i64,
    answer_allowed: Option<f64>,
    removed_in_time: i64,
    removed_late: i64,
    removal_allowed: Option<f64>,
    retracted: i64,
    retracted_disputed: i64,
    disputes_open: i64,
    disputes_refused: i64,
}

#[derive(sqlx::FromRow)]
struct OwnClocks {
    verified: Option<Vec<f64>>,
    dispatched: Option<Vec<f64>>,
    delivered: Option<Vec<f64>>,
    cases: i64,
    reached: i64,
}

pub async fn scorecard(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    provider: &str,
) -> Result<Scorecard, Error> {
    let theirs = provider_counts(conn, now, provider).await?;
    let ours = own_clocks(conn, provider).await?;
    let clock = |clock, values: &Option<Vec<f64>>, count| {
        let at = |n: usize| {
            let values = values.as_deref().unwrap_or_default();
            values.get(n).copied().unwrap_or_default()
        };
        ClockStats {
            clock,
            p50: at(0),
            p99: at(1),
            count,
        }
    };
    Ok(Scorecard {
        answered: PunctualityCounts {
            in_time: theirs.answered_in_time,
            late: theirs.answered_late,
            allowed: theirs.answer_allowed.unwrap_or_default(),
        },
        removed: PunctualityCounts {
            in_time: theirs.removed_in_time,
            late: theirs.removed_late,
            allowed: theirs.removal_allowed.unwrap_or_default(),
        },
        our_clocks: vec![
            clock("verified", &ours.verified, ours.cases),
            clock("dispatched", &ours.dispatched, ours.cases),
            clock("delivered", &ours.delivered, ours.reached),
        ],
        retracted: theirs.retracted,
        retracted_disputed: theirs.retracted_disputed,
        disputes_open: theirs.disputes_open,
        disputes_refused: theirs.disputes_refused,
    })
}

/// Withdrawn notices and those to providers that did not host the content do not count.
async fn provider_counts(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    provider: &str,
) -> Result<ProviderCounts, Error> {
    Ok(sqlx::query_as(
        "-- scorecard_provider_counts
        select
            count(*) filter (where counts and acknowledged_at <= acknowledge_due_at) as answered_in_time,
            count(*) filter (where counts and coalesce(acknowledged_at, $2) > acknowledge_due_at) as answered_late,
            percentile_cont(0.5) within group (order by extract(epoch from acknowledge_due_at - opened_at)::float8)
                filter (where counts) as answer_allowed,
            count(*) filter (where counts and confirmed_at <= due_at) as removed_in_time,
            count(*) filter (where counts and coalesce(confirmed_at, $2) > due_at) as removed_late,
            percentile_cont(0.5) within group (order by extract(epoch from due_at - opened_at)::float8)
                filter (where counts) as removal_allowed,
            count(*) filter (where message = 'retraction') as retracted,
            count(*) filter (where message = 'retraction' and answer = 'disputed') as retracted_disputed,
            count(*) filter (where state = 'disputed') as disputes_open,
            count(*) filter (where message = 'upheld' or (answer = 'disputed' and state not in ('disputed', 'withdrawn')))
                as disputes_refused
        from (
            select state, answer, message, opened_at, acknowledged_at, confirmed_at, acknowledge_due_at, due_at,
                state not in ('withdrawn', 'not_ours', 'moved') as counts
            from notice where provider_id = $1
        ) n",
    )
    .bind(provider)
    .bind(now)
    .fetch_one(conn)
    .await?)
}

/// Counts the first notice about each case that was not withdrawn: reminders and later episodes depend on
/// what the provider did.
async fn own_clocks(conn: &mut PgConnection, provider: &str) -> Result<OwnClocks, Error> {
    Ok(sqlx::query_as(
        "-- scorecard_own_clocks
        select
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from c.verified_at - c.received_at)::float8)
                as verified,
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from n.opened_at - c.received_at)::float8)
                as dispatched,
            percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from n.delivered_at - c.received_at)::float8)
                filter (where n.delivered_at is not null) as delivered,
            count(*) as cases,
            count(n.delivered_at) as reached
        from (
            select distinct on (case_id) case_id, opened_at, delivered_at
            from notice where provider_id = $1 and rung = 'host' and state <> 'withdrawn'
            order by case_id, episode, step
        ) n join dispatch_case c on c.case_id = n.case_id",
    )
    .bind(provider)
    .fetch_one(conn)
    .await?)
}
