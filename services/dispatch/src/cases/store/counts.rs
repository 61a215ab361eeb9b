//! Counts of cases and notices, from indexed columns.

use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::Error;

/// Number of rows in one state, with the time of the oldest.
pub struct StateCount {
    pub stage: String,
    pub count: i64,
    pub oldest: Option<OffsetDateTime>,
}

/// Cases by content status.
pub async fn count_by_content_status(conn: &mut PgConnection) -> Result<Vec<StateCount>, Error> {
    Ok(stages(
        sqlx::query_as(
            "-- count_by_content_status
            select content_status, count(*), min(received_at) from dispatch_case group by content_status order by content_status",
        )
        .fetch_all(conn)
        .await?,
    ))
}

/// Notices by state and delivery channel.
pub async fn count_notices(
    conn: &mut PgConnection,
) -> Result<Vec<(String, String, i64, Option<OffsetDateTime>)>, Error> {
    Ok(sqlx::query_as(
        "-- count_notices
        select state, channel, count(*), min(opened_at) from notice group by state, channel order by state, channel",
    )
    .fetch_all(conn)
    .await?)
}

/// One provider's notices by state.
pub async fn count_provider(
    conn: &mut PgConnection,
    provider: &str,
) -> Result<Vec<StateCount>, Error> {
    Ok(stages(
        sqlx::query_as(
            "-- count_provider
            select state, count(*), min(opened_at) from notice where provider_id = $1 group by state order by state",
        )
        .bind(provider)
        .fetch_all(conn)
        .await?,
    ))
}

fn stages(rows: Vec<(String, i64, Option<OffsetDateTime>)>) -> Vec<StateCount> {
    rows.into_iter()
        .map(|(stage, count, oldest)| StateCount {
            stage,
            count,
            oldest,
        })
        .collect()
}

/// Figures of one provider for the list of providers.
pub struct ProviderFigures {
    pub provider_id: String,
    pub open: i64,
    pub overdue: i64,
    pub total: i64,
    pub bounced: i64,
    /// Delivered, with an answer overdue.
    pub silent: i64,
}

pub async fn provider_figures(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    providers: &[&str],
) -> Result<Vec<ProviderFigures>, Error> {
    let rows: Vec<(String, i64, i64, i64, i64, i64)> = sqlx::query_as(
        "-- provider_figures
        select provider_id,
            count(*) filter (where state in ('queued', 'sent', 'delivered', 'acknowledged', 'removal_claimed',
                'need_information', 'need_time', 'preserved', 'disputed')),
            count(*) filter (where overdue_from < $2),
            count(*),
            count(*) filter (where state = 'bounced' or last_failure is not null),
            count(*) filter (where acknowledged_at is null and delivered_at is not null and acknowledge_due_at < $2)
        from notice
        where provider_id = any($1)
        group by provider_id",
    )
    .bind(providers)
    .bind(now)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(
            |(provider_id, open, overdue, total, bounced, silent)| ProviderFigures {
                provider_id,
                open,
                overdue,
                total,
                bounced,
                silent,
            },
        )
        .collect())
}

/// Claims of removal that checks refuted, of one provider or of all.
pub async fn count_false_claims(
    conn: &mut PgConnection,
    provider: Option<&str>,
) -> Result<i64, Error> {
    Ok(sqlx::query_scalar(
        "-- count_false_claims
        select coalesce(sum(false_claims), 0)::bigint from notice
        where false_claims > 0 and ($1::text is null or provider_id = $1)",
    )
    .bind(provider)
    .fetch_one(conn)
    .await?)
}

/// Figures of all cases and notices.
pub struct Totals {
    pub notices: i64,
    pub delivered: i64,
    pub acknowledged: i64,
    pub confirmed: i64,
    pub moved: i64,
    pub reappeared: i64,
    pub attempts: i64,
    pub unsettled: i64,
}

pub async fn totals(conn: &mut PgConnection) -> Result<Totals, Error> {
    let (notices, delivered, acknowledged, attempts): (i64, i64, i64, i64) = sqlx::query_as(
        "-- notice_totals
        select count(*), count(delivered_at), count(acknowledged_at), coalesce(sum(attempts), 0)::bigint from notice",
    )
    .fetch_one(&mut *conn)
    .await?;
    let confirmed: i64 = sqlx::query_scalar(
        "-- count_confirmed
        select count(*) from dispatch_case where confirmed_at is not null",
    )
    .fetch_one(&mut *conn)
    .await?;
    let moved: i64 = sqlx::query_scalar(
        "-- count_moved
        select coalesce(sum(moves), 0)::bigint from dispatch_case where moves > 0",
    )
    .fetch_one(&mut *conn)
    .await?;
    let reappeared: i64 = sqlx::query_scalar(
        "-- count_reappeared
        select coalesce(sum(episode - 1), 0)::bigint from dispatch_case where episode > 1",
    )
    .fetch_one(&mut *conn)
    .await?;
    let unsettled: i64 = sqlx::query_scalar(
        "-- count_unsettled
        select count(*) from dispatch_case where unsettled",
    )
    .fetch_one(conn)
    .await?;
    Ok(Totals {
        notices,
        delivered,
        acknowledged,
        confirmed,
        moved,
        reappeared,
        attempts,
        unsettled,
    })
}

/// Exhausted cases by the last rung that fired.
pub async fn count_escalated(conn: &mut PgConnection) -> Result<Vec<(String, i64)>, Error> {
    Ok(sqlx::query_as(
        "-- count_escalated
        select l.last_rung, count(*)
        from dispatch_case c join case_ladder l on l.case_id = c.case_id
        where c.content_status = 'exhausted' and l.last_rung is not null
        group by l.last_rung order by l.last_rung",
    )
    .fetch_all(conn)
    .await?)
}
