//! The SQL of the queue: what waits, in which order, and what has run out. No decisions.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::cases::{Row, cases, columns, state};
use crate::case::Case;
use crate::error::Error;
use crate::lifecycle::State;
use crate::roster::{Roster, Seeker};

/// Locks the most urgent cases that wait and that this person may take; those locked by others are passed over.
pub(crate) async fn lock_urgent(
    conn: &mut PgConnection,
    roster: &Roster,
    seeker: Seeker,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- lock_urgent
        select ",
        columns!(),
        " from assessment
        where state in ('queued', 'awaiting_second', 'under_review')
            and not ($1 = any (submitted_by)) and first_by is distinct from $1
            and case
                when for_supervisor or (cardinality($4::uuid[]) > 0 and $4 <@ (submitted_by || first_by)) then $3
                else $2
            end
            and (not ($1 = any (not_for)) or case
                when for_supervisor
                then cardinality($5::uuid[]) > 0 and $5 <@ (not_for || submitted_by || first_by)
                else cardinality($4) > 0 and $4 <@ (not_for || submitted_by || first_by)
            end)
        order by priority desc, received_at, case_id
        limit $6 for update skip locked"
    ))
    .bind(seeker.subject)
    .bind(seeker.analyst)
    .bind(seeker.supervisor)
    .bind(&roster.analysts)
    .bind(&roster.supervisors)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// How many cases wait that nobody who is there may take.
pub(crate) async fn for_nobody(conn: &mut PgConnection, roster: &Roster) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "-- for_nobody
        select count(*) from assessment
        where state in ('queued', 'awaiting_second', 'under_review')
            and $2::uuid[] <@ (submitted_by || first_by)
            and case
                when for_supervisor then cardinality($2) > 0
                else cardinality($1::uuid[]) > 0 and $1 <@ (submitted_by || first_by)
            end",
    )
    .bind(&roster.analysts)
    .bind(&roster.supervisors)
    .fetch_one(conn)
    .await
}

/// Locks standing verdicts whose proofs ran out before dispatch opened them.
pub(crate) async fn lock_unopened(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "-- lock_unopened
        select ",
        columns!(),
        " from assessment where state = 'actionable' and not dispatch_opened and proof_expires_at <= $1
        order by proof_expires_at limit $2 for update skip locked"
    ))
    .bind(now)
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
        select count(*) from assessment where state in ('queued', 'awaiting_second', 'under_review')",
    )
    .fetch_one(conn)
    .await
}

pub(crate) struct Count {
    pub(crate) state: State,
    /// What decided: analyst, list or rule; empty where nothing has.
    pub(crate) decided_by: String,
    pub(crate) cases: i64,
    pub(crate) oldest: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct CountRow {
    state: String,
    desk: Option<String>,
    held_from: Option<String>,
    decided_by: String,
    cases: i64,
    oldest: OffsetDateTime,
}

/// Cases by state and by what decided them; answered from an index alone.
pub(crate) async fn counts(conn: &mut PgConnection) -> Result<Vec<Count>, Error> {
    let rows: Vec<CountRow> = sqlx::query_as(
        "-- counts
        select state, desk, held_from, coalesce(decided_by, '') as decided_by, count(*) as cases,
            min(received_at) as oldest
        from assessment group by 1, 2, 3, 4 order by 1, 2, 3, 4",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Count {
                state: state(&row.state, row.desk.as_deref(), row.held_from.as_deref())
                    .ok_or_else(|| Error::bad_row("assessment", "state", "a group"))?,
                decided_by: row.decided_by,
                cases: row.cases,
                oldest: row.oldest,
            })
        })
        .collect()
}
