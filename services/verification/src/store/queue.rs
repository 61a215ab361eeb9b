//! The SQL of the queue: waiting cases in their order, and expired claims, holds and proofs. No decisions.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::cases::{AssessmentRow, cases, columns, parse_state};
use crate::case::Case;
use crate::eligible_staff::{Claimant, EligibleStaff};
use crate::error::Error;
use crate::lifecycle::State;

/// Locks the most urgent waiting cases that this person may claim. Cases that another transaction has locked
/// are skipped. Repeats the rules of `EligibleStaff::check_may_claim`.
pub(crate) async fn lock_urgent(
    conn: &mut PgConnection,
    eligible_staff: &EligibleStaff,
    claimant: Claimant,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<AssessmentRow> = sqlx::query_as(concat!(
        "-- lock_urgent
        select ",
        columns!(),
        " from assessment
        where state in ('queued', 'awaiting_second_opinion', 'under_review')
            and not ($1 = any (submitted_by)) and first_by is distinct from $1
            and case
                when needs_supervisor or (cardinality($4::uuid[]) > 0 and $4 <@ (submitted_by || first_by)) then $3
                else $2
            end
            and (not ($1 = any (excluded_staff)) or case
                when needs_supervisor
                then cardinality($5::uuid[]) > 0 and $5 <@ (excluded_staff || submitted_by || first_by)
                else cardinality($4) > 0 and $4 <@ (excluded_staff || submitted_by || first_by)
            end)
        order by priority desc, received_at, case_id
        limit $6 for update skip locked"
    ))
    .bind(claimant.subject)
    .bind(claimant.analyst)
    .bind(claimant.supervisor)
    .bind(&eligible_staff.analysts)
    .bind(&eligible_staff.supervisors)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// Counts the waiting cases that no member of staff may claim.
pub(crate) async fn count_without_eligible_staff(
    conn: &mut PgConnection,
    eligible_staff: &EligibleStaff,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "-- count_without_eligible_staff
        select count(*) from assessment
        where state in ('queued', 'awaiting_second_opinion', 'under_review')
            and $2::uuid[] <@ (submitted_by || first_by)
            and case
                when needs_supervisor then cardinality($2) > 0
                else cardinality($1::uuid[]) > 0 and $1 <@ (submitted_by || first_by)
            end",
    )
    .bind(&eligible_staff.analysts)
    .bind(&eligible_staff.supervisors)
    .fetch_one(conn)
    .await
}

/// Locks actionable cases whose proofs expired before dispatch opened them.
pub(crate) async fn lock_expired_proofs(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<AssessmentRow> = sqlx::query_as(concat!(
        "-- lock_expired_proofs
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

/// Locks cases with expired claims.
pub(crate) async fn lock_expired_claims(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<AssessmentRow> = sqlx::query_as(concat!(
        "-- lock_expired_claims
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

/// Locks cases whose police holds have ended.
pub(crate) async fn lock_expired_police_holds(
    conn: &mut PgConnection,
    now: OffsetDateTime,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<AssessmentRow> = sqlx::query_as(concat!(
        "-- lock_expired_police_holds
        select ",
        columns!(),
        " from assessment where state = 'police_hold' and police_hold_until <= $1
        order by police_hold_until limit $2 for update skip locked"
    ))
    .bind(now)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// Locks waiting cases that were last matched against an older version of lists and rules.
pub(crate) async fn lock_unmatched(
    conn: &mut PgConnection,
    matching_version: i64,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<AssessmentRow> = sqlx::query_as(concat!(
        "-- lock_unmatched
        select ",
        columns!(),
        " from assessment where state in ('queued', 'needs_information') and matched_version < $1
        order by matched_version limit $2 for update skip locked"
    ))
    .bind(matching_version)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// A position in the order of the queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuePosition {
    pub(crate) priority: i32,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) case_id: Uuid,
}

/// A page of the waiting and claimed cases, the most urgent first, after a position.
pub(crate) async fn page_waiting(
    conn: &mut PgConnection,
    after: Option<QueuePosition>,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<AssessmentRow> = sqlx::query_as(concat!(
        "-- page_waiting
        select ",
        columns!(),
        " from assessment
        where state in ('queued', 'claimed', 'awaiting_second_opinion', 'under_review')
            and ($1::integer is null or priority < $1
                or (priority = $1 and (received_at, case_id) > ($2, $3)))
        order by priority desc, received_at, case_id limit $4"
    ))
    .bind(after.map(|position| position.priority))
    .bind(after.map(|position| position.received_at))
    .bind(after.map(|position| position.case_id))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

/// As [`page_waiting`], for cases in the given states.
pub(crate) async fn page_in_states(
    conn: &mut PgConnection,
    states: &[&str],
    after: Option<QueuePosition>,
    limit: i64,
) -> Result<Vec<Case>, Error> {
    let rows: Vec<AssessmentRow> = sqlx::query_as(concat!(
        "-- page_in_states
        select ",
        columns!(),
        " from assessment
        where state = any ($5)
            and ($1::integer is null or priority < $1
                or (priority = $1 and (received_at, case_id) > ($2, $3)))
        order by priority desc, received_at, case_id limit $4"
    ))
    .bind(after.map(|position| position.priority))
    .bind(after.map(|position| position.received_at))
    .bind(after.map(|position| position.case_id))
    .bind(limit)
    .bind(states)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

pub(crate) async fn count_waiting(conn: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "-- count_waiting
        select count(*) from assessment where state in ('queued', 'awaiting_second_opinion', 'under_review')",
    )
    .fetch_one(conn)
    .await
}

pub(crate) struct StateCount {
    pub(crate) state: State,
    /// analyst, list or rule; empty if the case is undecided.
    pub(crate) decided_by: String,
    pub(crate) cases: i64,
    pub(crate) oldest: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct StateCountRow {
    state: String,
    stage: Option<String>,
    held_from: Option<String>,
    decided_by: String,
    cases: i64,
    oldest: OffsetDateTime,
}

/// Counts cases by state and by what decided them. Answered from an index alone.
pub(crate) async fn counts(conn: &mut PgConnection) -> Result<Vec<StateCount>, Error> {
    let rows: Vec<StateCountRow> = sqlx::query_as(
        "-- queue_counts
        select state, stage, held_from, coalesce(decided_by, '') as decided_by, count(*) as cases,
            min(received_at) as oldest
        from assessment group by 1, 2, 3, 4 order by 1, 2, 3, 4",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(StateCount {
                state: parse_state(&row.state, row.stage.as_deref(), row.held_from.as_deref())
                    .ok_or_else(|| Error::bad_row("assessment", "state", "a group"))?,
                decided_by: row.decided_by,
                cases: row.cases,
                oldest: row.oldest,
            })
        })
        .collect()
}
