//! The SQL of `assessment`. Rows are locked in ascending order of the case id. No decisions.

mod row;
mod write;

use domain::id::CaseId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::case::Case;
use crate::error::Error;

pub(super) use row::{AssessmentRow, parse_state};
pub(crate) use write::{insert, mark_opened, save};

macro_rules! columns {
    () => {
        "case_id, state, stage, held_from, reports, reports_withdrawn, self_reported, under_13, hash_kinds, claimed_by,
        claim_token, claimed_until, claim_attempts, ended_claim_token, ended_claim_result, excluded_staff, first_by, first_category,
        decision_id, category, reason, basis, approvers, decided_at, proof_body, proof_signature, proof_key_id,
        proof_expires_at, review, needs_supervisor, dispatch_closed, police_hold_id, police_hold_until, matched_version, version, cause,
        submitted_by, withdrawn_bases, reannounce_due, dispatch_opened, media, received_at, wrapped_key, sealed_content, report_id,
        traceparent"
    };
}
pub(super) use columns;

pub(super) fn cases(rows: Vec<AssessmentRow>) -> Result<Vec<Case>, Error> {
    rows.into_iter().map(Case::try_from).collect()
}

/// Locks these cases in ascending order. Unknown ones are missing from the result.
pub(crate) async fn lock(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Case>, Error> {
    let rows = sqlx::query_as(concat!(
        "-- lock
        select ",
        columns!(),
        " from assessment where case_id = any ($1) order by case_id for update"
    ))
    .bind(ids)
    .fetch_all(conn)
    .await?;
    cases(rows)
}

pub(crate) async fn find(conn: &mut PgConnection, id: CaseId) -> Result<Option<Case>, Error> {
    let row: Option<AssessmentRow> = sqlx::query_as(concat!(
        "-- find
        select ",
        columns!(),
        " from assessment where case_id = $1"
    ))
    .bind(id.uuid())
    .fetch_optional(conn)
    .await?;
    row.map(Case::try_from).transpose()
}
