//! Cases written: opened, saved, noted.

use domain::word::Media;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::case::Case;
use crate::lifecycle::{Desk, State};
use crate::store::array_text;

fn desk(state: State) -> Option<&'static str> {
    match state {
        State::Claimed(Desk::First) => Some("first"),
        State::Claimed(Desk::Second) => Some("second"),
        State::Claimed(Desk::Review) => Some("review"),
        State::At(_) | State::Held(_) => None,
    }
}

fn held_from(state: State) -> Option<&'static str> {
    match state {
        State::Held(rest) => Some(rest.word().as_str()),
        State::At(_) | State::Claimed(_) => None,
    }
}

/// Binds the columns that change, in the order of `mutable!`.
macro_rules! bind_mutable {
    ($query:expr, $cases:expr) => {{
        let cases: &[Case] = $cases;
        macro_rules! each {
            ($of:expr) => {
                cases.iter().map($of).collect::<Vec<_>>()
            };
        }
        $query
            .bind(each!(|c| c.id.uuid()))
            .bind(each!(|c| c.state.word().as_str()))
            .bind(each!(|c| desk(c.state)))
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
            .bind(each!(|c| c.attempts))
            .bind(each!(|c| c.spent.as_ref().map(|spent| spent.token)))
            .bind(each!(|c| c
                .spent
                .as_ref()
                .map(|spent| spent.verdict.as_str())))
            .bind(each!(|c| array_text(&c.not_for)))
            .bind(each!(|c| c.first.map(|(by, _)| by.uuid())))
            .bind(each!(|c| c.first.map(|(_, category)| category.as_str())))
            .bind(each!(|c| c.decision.as_ref().map(|d| d.id.uuid())))
            .bind(each!(|c| c
                .decision
                .as_ref()
                .and_then(|d| d.finding.category())
                .map(|w| w.as_str())))
            .bind(each!(|c| c
                .decision
                .as_ref()
                .and_then(|d| d.finding.reason())
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
            .bind(each!(|c| c.for_supervisor))
            .bind(each!(|c| c.dispatch_closed))
            .bind(each!(|c| c.hold.map(|hold| hold.id.uuid())))
            .bind(each!(|c| c.hold.and_then(|hold| hold.until)))
            .bind(each!(|c| c.matched_epoch))
            .bind(each!(|c| c.version))
            .bind(each!(|c| c.cause))
            .bind(each!(|c| array_text(&c.submitted_by)))
            .bind(each!(|c| array_text(&c.withdrawn)))
            .bind(each!(|c| c.announce_due))
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
        "case_id, state, desk, held_from, priority, reports, reports_withdrawn, self_reported, under_13, hash_kinds,
            claimed_by, claim_token, claimed_until, claim_attempts, spent_token, spent_verdict, not_for, first_by,
            first_category, decision_id, category, reason, basis, approvers, decided_at, proof_body, proof_signature,
            proof_key_id, proof_expires_at, review, for_supervisor, dispatch_closed, hold_id, hold_until,
            matched_epoch, version, cause, submitted_by, withdrawn, announce_due, dispatch_opened"
    };
}

/// Inserts new cases, sorted by id. Returns how many were new: another transaction may have opened one meanwhile.
pub(crate) async fn open(conn: &mut PgConnection, cases: &[Case]) -> sqlx::Result<usize> {
    if cases.is_empty() {
        return Ok(0);
    }
    let query = sqlx::query(concat!(
        "-- open
        insert into assessment (",
        mutable_names!(),
        ", media, received_at, wrapped_key, sealed_item, report_id, traceparent)
        select n.case_id, n.state, n.desk, n.held_from, n.priority, n.reports, n.reports_withdrawn, n.self_reported,
            n.under_13, n.hash_kinds, n.claimed_by, n.claim_token, n.claimed_until, n.claim_attempts, n.spent_token,
            n.spent_verdict, n.not_for::uuid[], n.first_by, n.first_category, n.decision_id, n.category, n.reason,
            n.basis, n.approvers::uuid[], n.decided_at, n.proof_body, n.proof_signature, n.proof_key_id,
            n.proof_expires_at, n.review, n.for_supervisor, n.dispatch_closed, n.hold_id, n.hold_until,
            n.matched_epoch, n.version, n.cause, n.submitted_by::uuid[], n.withdrawn::text[], n.announce_due,
            n.dispatch_opened, n.media, n.received_at, n.wrapped_key, n.sealed_item, n.report_id, n.traceparent
        from unnest(",
        mutable!(),
        ", $42::text[], $43::timestamptz[], $44::bytea[], $45::bytea[], $46::uuid[], $47::text[]) as n (",
        mutable_names!(),
        ", media, received_at, wrapped_key, sealed_item, report_id, traceparent)
        order by n.case_id
        on conflict (case_id) do nothing"
    ));
    let done = bind_mutable!(query, cases)
        .bind(
            cases
                .iter()
                .map(|c| c.item.media.map(Media::as_str))
                .collect::<Vec<_>>(),
        )
        .bind(cases.iter().map(|c| c.item.received_at).collect::<Vec<_>>())
        .bind(
            cases
                .iter()
                .map(|c| c.item.wrapped_key.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.item.sealed.as_slice())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.item.report.uuid())
                .collect::<Vec<_>>(),
        )
        .bind(
            cases
                .iter()
                .map(|c| c.item.traceparent.as_deref())
                .collect::<Vec<_>>(),
        )
        .execute(conn)
        .await?;
    Ok(done.rows_affected() as usize)
}

/// Notes that dispatch has opened these cases, locking them ascending; most have been noted before.
pub(crate) async fn opened(conn: &mut PgConnection, cases: &[Uuid]) -> sqlx::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "-- opened
        with fresh as (
            select case_id from assessment where case_id = any ($1) and not dispatch_opened
            order by case_id for update)
        update assessment a set dispatch_opened = true from fresh f where a.case_id = f.case_id",
    )
    .bind(cases)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes locked cases back, each once.
pub(crate) async fn save(conn: &mut PgConnection, cases: &[Case]) -> sqlx::Result<()> {
    if cases.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(concat!(
        "-- save
        update assessment a set state = n.state, desk = n.desk, held_from = n.held_from, priority = n.priority,
            reports = n.reports, reports_withdrawn = n.reports_withdrawn, self_reported = n.self_reported,
            under_13 = n.under_13, hash_kinds = n.hash_kinds, claimed_by = n.claimed_by, claim_token = n.claim_token,
            claimed_until = n.claimed_until, claim_attempts = n.claim_attempts, spent_token = n.spent_token,
            spent_verdict = n.spent_verdict, not_for = n.not_for::uuid[], first_by = n.first_by,
            first_category = n.first_category, decision_id = n.decision_id, category = n.category, reason = n.reason,
            basis = n.basis, approvers = n.approvers::uuid[], decided_at = n.decided_at, proof_body = n.proof_body,
            proof_signature = n.proof_signature, proof_key_id = n.proof_key_id, proof_expires_at = n.proof_expires_at,
            review = n.review, for_supervisor = n.for_supervisor, dispatch_closed = n.dispatch_closed,
            hold_id = n.hold_id, hold_until = n.hold_until, matched_epoch = n.matched_epoch, version = n.version,
            cause = n.cause, submitted_by = n.submitted_by::uuid[], withdrawn = n.withdrawn::text[],
            announce_due = n.announce_due, dispatch_opened = n.dispatch_opened
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
