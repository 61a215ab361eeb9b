//! The SQL of the queue: what waits, in which order, and what has run out. No decisions.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::cases::{Row, cases, columns};
use crate::case::Case;
use crate::error::Error;

/// Who looks for work, as far as the queue distinguishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seeker {
    pub(crate) subject: Uuid,
    pub(crate) analyst: bool,
    pub(crate) supervisor: bool,
    /// Whether there is another analyst who could review instead.
    pub(crate) others: bool,
}

/// Locks the most urgent cases that wait and that this person may take; those locked by others are passed over.
pub(crate) async fn lock_urgent(
    conn: &mut PgConnection,
    seeker: Seeker,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- lock_urgent
        select ",
        columns!(),
        " from assessment
        where state in ('queued', 'awaiting_second', 'under_review')
            and case when for_supervisor then $3 else $2 end
            and (not ($1 = any (not_for)) or (state = 'under_review' and not $4))
        order by priority desc, received_at, case_id
        limit $5 for update skip locked"
    ))
    .bind(seeker.subject)
    .bind(seeker.analyst)
    .bind(seeker.supervisor)
    .bind(seeker.others)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// Locks claims that ran out.
pub(crate) async fn lock_expired(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- lock_expired
        select ",
        columns!(),
        " from assessment where state = 'claimed' and claimed_until <= $1
        order by claimed_until limit $2 for update skip locked"
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// Locks holds that ran out.
pub(crate) async fn lock_held_over(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- lock_held_over
        select ",
        columns!(),
        " from assessment where state = 'police_hold' and hold_until <= $1
        order by hold_until limit $2 for update skip locked"
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// Locks cases that were last matched against older lists and rules.
pub(crate) async fn lock_unmatched(
    conn: &mut PgConnection,
    epoch: i64,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- lock_unmatched
        select ",
        columns!(),
        " from assessment where state in ('queued', 'needs_information') and matched_epoch < $1
        order by matched_epoch limit $2 for update skip locked"
    ))
    .bind(epoch)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// A place in the order of the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) priority: i32,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) case_id: Uuid,
}

/// What waits or is being assessed, most urgent first, after a place.
pub(crate) async fn page_waiting(
    conn: &mut PgConnection,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- page_waiting
        select ",
        columns!(),
        " from assessment
        where state in ('queued', 'claimed', 'awaiting_second', 'under_review')
            and ($1::integer is null or priority < $1
                or (priority = $1 and (received_at, case_id) > ($2, $3)))
        order by priority desc, received_at, case_id limit $4"
    ))
    .bind(after.map(|place| place.priority))
    .bind(after.map(|place| place.received_at))
    .bind(after.map(|place| place.case_id))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// As [`page_waiting`], for cases in these states.
pub(crate) async fn page_of(
    conn: &mut PgConnection,
    states: &[&str],
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- page_of
        select ",
        columns!(),
        " from assessment
        where state = any ($5)
            and ($1::integer is null or priority < $1
                or (priority = $1 and (received_at, case_id) > ($2, $3)))
        order by priority desc, received_at, case_id limit $4"
    ))
    .bind(after.map(|place| place.priority))
    .bind(after.map(|place| place.received_at))
    .bind(after.map(|place| place.case_id))
    .bind(limit)
    .bind(states)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

pub(crate) async fn count_waiting(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "-- count_waiting
        select count(*) from assessment where state in ('queued', 'claimed', 'awaiting_second', 'under_review')",
    )
    .fetch_one(conn)
    .await
}

#[derive(sqlx::FromRow)]
pub(crate) struct Count {
    pub(crate) state: String,
    /// What decided: analyst, list or rule; empty where nothing has.
    pub(crate) decided_by: String,
    pub(crate) cases: i64,
    pub(crate) oldest: OffsetDateTime,
}

/// Cases by state and by what decided them; answered from an index alone.
pub(crate) async fn counts(conn: &mut PgConnection) -> sqlx::Result<Vec<Count>> {
    sqlx::query_as(
        "-- counts
        select state, coalesce(decided_by, '') as decided_by, count(*) as cases, min(received_at) as oldest
        from assessment group by state, coalesce(decided_by, '') order by 1, 2",
    )
    .fetch_all(conn)
    .await
}
