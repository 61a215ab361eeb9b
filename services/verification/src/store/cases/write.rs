//! Inserts and updates rows of `assessment`.

use domain::enums::Media;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::case::Case;
use crate::lifecycle::{Stage, State};
use crate::store::array_text;

fn stage(state: State) -> Option<&'static str> {
    match state {
        State::Claimed(Stage::First) => Some("first"),
        State::Claimed(Stage::Second) => Some("second"),
        State::Claimed(Stage::Review) => Some("review"),
        State::Unclaimed(_) | State::OnPoliceHold(_) => None,
    }
}

fn held_from(state: State) -> Option<&'static str> {
    match state {
        State::OnPoliceHold(waiting) => Some(waiting.assessment_state().as_str()),
        State::Unclaimed(_) | State::Claimed(_) => None,
    }
}

/// Binds the columns that change, in the order of `mutable_names!`.
macro_rules! bind_mutable {
    ($query:expr, $cases:expr) => {{
        let cases: &[Case] = $cases;
        macro_rules! each {
            ($column:expr) => {
                cases.iter().map($column).collect::<Vec<_>>()
            };
        }
        $query
            .bind(each!(|c| c.id.uuid()))
            .bind(each!(|c| c.state.assessment_state().as_str()))
            .bind(each!(|c| stage(c.state)))
            .bind(each!(|c| held_from(c.state)))
            .bind(each!(Case::priority))
            .bind(each!(|c| c.reports))
            .bind(each!(|c| c.withdrawn_reports))
            .bind(each!(|c| c.self_reported))
            .bind(each!(|c| c.under_13))
            .bind(each!(|c| c.hash_kinds.0))
            .bind(each!(|c| c.claim.map(|claim| claim.by.uuid())))
            .bind(each!(|c| c.claim.map(|claim| claim.token)))
            .bind(each!(|c| c.claim.map(|claim| claim.until)))
            .bind(each!(|c| c.claim_attempts))
            .bind(each!(|c| c.ended_claim.as_ref().map(|claim| claim.token)))
            .bind(each!(|c| c
                .ended_claim
                .as_ref()
                .map(|claim| claim.result.as_str())))
            .bind(each!(|c| array_text(&c.excluded_staff)))
            .bind(each!(|c| c.first_verdict.map(|(by, _)| by.uuid())))
            .bind(each!(|c| c
                .first_verdict
                .map(|(_, category)| category.as_str())))
            .bind(each!(|c| c.decision.as_ref().map(|d| d.id.uuid())))
            .bind(each!(|c| c
                .decision
                .as_ref()
                .and_then(|d| d.verdict.category())
                .map(|w| w.as_str())))
            .bind(each!(|c| c
                .decision
                .as_ref()
                .and_then(|d| d.verdict.reason())
                .map(|w| w.as_str())))
            .bind(each!(|c| c.decision.as_ref().map(|d| d.basis.as_str())))
            .bind(each!(|c| c.decision.as_ref().map_or_else(
                || array_text::<Uuid>(&[]),
                |d| array_text(&d.approvers)
            )))
            .bind(each!(|c| c.decision.as_ref().map(|d| d.at)))
            .bind(each!(|c| c.proof.as_ref().map(|p| p.body.as_slice())))
            .bind(each!(|c| c.proof.as_ref().map(|p| p.signature.as_slice())))
            .bind(each!(|c| c.proof.as_ref().map(|p| p.key_id.as_str())))
            .bind(each!(|c| c.proof.as_ref().map(|p| p.expires_at)))
            .bind(each!(|c| c.review.map(|w| w.as_str())))
            .bind(each!(|c| c.needs_supervisor))
            .bind(each!(|c| c.dispatch_closed))
            .bind(each!(|c| c
                .police_hold
                .map(|police_hold| police_hold.id.uuid())))
            .bind(each!(|c| c
                .police_hold
                .and_then(|police_hold| police_hold.until)))
            .bind(each!(|c| c.matched_version))
            .bind(each!(|c| c.version))
            .bind(each!(|c| c.cause))
            .bind(each!(|c| array_text(&c.submitted_by)))
            .bind(each!(|c| array_text(&c.withdrawn_bases)))
            .bind(each!(|c| c.reannounce_due))
            .bind(each!(|c| c.dispatch_opened))
    }};
}

/// The columns that change, as arrays of parameters.
macro_rules! mutable {
    () => {
        "$1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::boolean[],
            $9::boolean[], $10::smallint[], $11::uuid[], $12::uuid[], $13::timestamptz[], $14::integer[], $15::uuid[],
            $16::text[], $17::text[], $18::uuid[], $19::text[], $20::uuid[], $21::text[], $22::text[], $23::text[],
            $24::text[], $25::timestamptz[], $26::bytea[], $27::bytea[], $28::text[], $29::timestamptz[], $30::text[],
            $31::boolean[], $32::boolean[], $33::uuid[], $34::timestamptz[], $35::bigint[], $36::bigint[],
            $37::uuid[], $38::text[], $39::text[], $40::boolean[], $41::boolean[]"
    };
}

macro_rules! mutable_names {
    () => {
        "case_id, state, stage, held_from, priority, reports, reports_withdrawn, self_reported, under_13, hash_kinds,
            claimed_by, claim_token, claimed_until, claim_attempts, ended_claim_token, ended_claim_result, excluded_staff, first_by,
            first_category, decision_id, category, reason, basis, approvers, decided_at, proof_body, proof_signature,
            proof_key_id, proof_expires_at, review, needs_supervisor, dispatch_closed, police_hold_id, police_hold_until,
            matched_version, version, cause, submitted_by, withdrawn_bases, reannounce_due, dispatch_opened"
    };
}

/// Inserts new cases, sorted by id. Returns how many were inserted: a concurrent transaction may have opened
/// one.
pub(crate) async fn insert(conn: &mut PgConnection, cases: &[Case]) -> sqlx::Result<usize> {
    if cases.is_empty() {
        return Ok(0);
    }
    let query = sqlx::query(concat!(
        "-- insert_cases
        insert into assessment (",
        mutable_names!(),
        ", media, received_at, wrapped_key, sealed_content, report_id, traceparent)
        select n.case_id, n.state, n.stage, n.held_from, n.priority, n.reports, n.reports_withdrawn, n.self_reported,
            n.under_13, n.hash_kinds, n.claimed_by, n.claim_token, n.claimed_until, n.claim_attempts, n.ended_claim_token,
            n.ended_claim_result, n.excluded_staff::uuid[], n.first_by, n.first_category, n.decision_id, n.category, n.reason,
            n.basis, n.approvers::uuid[], n.decided_at, n.proof_body, n.proof_signature, n.proof_key_id,
            n.proof_expires_at, n.review, n.needs_supervisor, n.dispatch_closed, n.police_hold_id, n.police_hold_until,
            n.matched_version, n.version, n.cause, n.submitted_by::uuid[], n.withdrawn_bases::text[], n.reannounce_due,
            n.dispatch_opened, n.media, n.received_at, n.wrapped_key, n.sealed_content, n.report_id, n.traceparent
        from unnest(",
        mutable!(),
        ", $42::text[], $43::timestamptz[], $44::bytea[], $45::bytea[], $46::uuid[], $47::text[]) as n (",
        mutable_names!(),
        ", media, received_at, wrapped_key, sealed_content, report_id, traceparent)
        order by n.case_id
        on conflict (case_id) do nothing"
    ));
    let done = bind_mutable!(query, cases)
        .bind(
            cases
                .iter()
                .map(|c| c.first_report.media.map(Media::as_str))
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.first_report.received_at)
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.first_report.wrapped_key.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.first_report.sealed_content.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.first_report.id.uuid())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.first_report.traceparent.as_deref())
                .collect::<Vec<_>>(),
        )
        .execute(conn)
        .await?;
    Ok(done.rows_affected() as usize)
}

/// Records that dispatch has opened these cases. Locks, in ascending order, only those not recorded before.
pub(crate) async fn mark_opened(conn: &mut PgConnection, cases: &[Uuid]) -> sqlx::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- mark_opened
        with unopened as (
            select case_id from assessment where case_id = any ($1) and not dispatch_opened
            order by case_id for update)
        update assessment a set dispatch_opened = true from unopened u where a.case_id = u.case_id",
    )
    .bind(cases)
    .execute(conn)
    .await?;
    Ok(())
}

/// Updates locked cases; each occurs once.
pub(crate) async fn save(conn: &mut PgConnection, cases: &[Case]) -> sqlx::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(concat!(
        "-- save
        update assessment a set state = n.state, stage = n.stage, held_from = n.held_from, priority = n.priority,
            reports = n.reports, reports_withdrawn = n.reports_withdrawn, self_reported = n.self_reported,
            under_13 = n.under_13, hash_kinds = n.hash_kinds, claimed_by = n.claimed_by, claim_token = n.claim_token,
            claimed_until = n.claimed_until, claim_attempts = n.claim_attempts, ended_claim_token = n.ended_claim_token,
            ended_claim_result = n.ended_claim_result, excluded_staff = n.excluded_staff::uuid[], first_by = n.first_by,
            first_category = n.first_category, decision_id = n.decision_id, category = n.category, reason = n.reason,
            basis = n.basis, approvers = n.approvers::uuid[], decided_at = n.decided_at, proof_body = n.proof_body,
            proof_signature = n.proof_signature, proof_key_id = n.proof_key_id, proof_expires_at = n.proof_expires_at,
            review = n.review, needs_supervisor = n.needs_supervisor, dispatch_closed = n.dispatch_closed,
            police_hold_id = n.police_hold_id, police_hold_until = n.police_hold_until, matched_version = n.matched_version, version = n.version,
            cause = n.cause, submitted_by = n.submitted_by::uuid[], withdrawn_bases = n.withdrawn_bases::text[],
            reannounce_due = n.reannounce_due, dispatch_opened = n.dispatch_opened
        from unnest(",
        mutable!(),
        ") as n (",
        mutable_names!(),
        ")
        where a.case_id = n.case_id"
    ));
    let hit = bind_mutable!(query, cases)
        .execute(conn)
        .await?
        .rows_affected();
    if hit == cases.len() as u64 {
        Ok(())
    } else {
        Err(sqlx::Error::Protocol(format!(
            "saved {hit} cases instead of {}",
            cases.len()
        )))
    }
}
