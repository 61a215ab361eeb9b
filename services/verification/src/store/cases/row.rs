//! Parses a row of `assessment` into a case.

use domain::enums::{AssessmentState, Media, ReviewReason};
use domain::id::{CaseId, DecisionId, PoliceHoldId, ReportId, Subject};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::case::{
    Case, Claim, DecisionRecord, EndedClaim, HashKinds, PoliceHold, Proof, StoredReport,
};
use crate::error::Error;
use crate::lifecycle::{Stage, State, Waiting};
use crate::store::{case_verdict, parse_column};

#[derive(sqlx::FromRow)]
pub(in crate::store) struct AssessmentRow {
    case_id: Uuid,
    state: String,
    stage: Option<String>,
    held_from: Option<String>,
    reports: i32,
    reports_withdrawn: i32,
    self_reported: bool,
    under_13: bool,
    hash_kinds: i16,
    claimed_by: Option<Uuid>,
    claim_token: Option<Uuid>,
    claimed_until: Option<OffsetDateTime>,
    claim_attempts: i32,
    ended_claim_token: Option<Uuid>,
    ended_claim_result: Option<String>,
    excluded_staff: Vec<Uuid>,
    first_by: Option<Uuid>,
    first_category: Option<String>,
    decision_id: Option<Uuid>,
    category: Option<String>,
    reason: Option<String>,
    basis: Option<String>,
    approvers: Vec<Uuid>,
    decided_at: Option<OffsetDateTime>,
    proof_body: Option<Vec<u8>>,
    proof_signature: Option<Vec<u8>>,
    proof_key_id: Option<String>,
    proof_expires_at: Option<OffsetDateTime>,
    review: Option<String>,
    needs_supervisor: bool,
    dispatch_closed: bool,
    police_hold_id: Option<Uuid>,
    police_hold_until: Option<OffsetDateTime>,
    matched_version: i64,
    version: i64,
    cause: Uuid,
    submitted_by: Vec<Uuid>,
    withdrawn_bases: Vec<String>,
    reannounce_due: bool,
    dispatch_opened: bool,
    media: Option<String>,
    received_at: OffsetDateTime,
    wrapped_key: Vec<u8>,
    sealed_content: Vec<u8>,
    report_id: Uuid,
    traceparent: Option<String>,
}

impl TryFrom<AssessmentRow> for Case {
    type Error = Error;

    fn try_from(row: AssessmentRow) -> Result<Self, Error> {
        let id = row.case_id;
        let bad = |column| Error::bad_row("assessment", column, id);
        let state = parse_state(&row.state, row.stage.as_deref(), row.held_from.as_deref())
            .ok_or_else(|| bad("state"))?;
        let decision = match (row.decision_id, row.basis, row.decided_at) {
            (Some(decision), Some(basis), Some(at)) => Some(DecisionRecord {
                id: DecisionId::new(decision),
                verdict: case_verdict(row.category.as_deref(), row.reason.as_deref())
                    .ok_or_else(|| bad("category"))?,
                basis,
                approvers: row.approvers,
                at,
            }),
            (None, None, None) => None,
            _ => return Err(bad("decision_id")),
        };
        let proof = match (
            row.proof_body,
            row.proof_signature,
            row.proof_key_id,
            row.proof_expires_at,
        ) {
            (Some(body), Some(signature), Some(key_id), Some(expires_at)) => Some(Proof {
                body,
                signature,
                key_id,
                expires_at,
            }),
            (None, None, None, None) => None,
            _ => return Err(bad("proof_body")),
        };
        let claim = match (row.claimed_by, row.claim_token, row.claimed_until) {
            (Some(by), Some(token), Some(until)) => Some(Claim {
                by: Subject::new(by),
                token,
                until,
            }),
            (None, None, None) => None,
            _ => return Err(bad("claim_token")),
        };
        Ok(Self {
            id: CaseId::new(id),
            state,
            version: row.version,
            first_report: StoredReport {
                id: ReportId::new(row.report_id),
                media: row
                    .media
                    .map(|text| parse_column::<Media>(&text, "assessment", "media", id))
                    .transpose()?,
                received_at: row.received_at,
                traceparent: row.traceparent,
                wrapped_key: row.wrapped_key,
                sealed_content: row.sealed_content,
            },
            reports: row.reports,
            withdrawn_reports: row.reports_withdrawn,
            self_reported: row.self_reported,
            under_13: row.under_13,
            hash_kinds: HashKinds(row.hash_kinds),
            claim,
            claim_attempts: row.claim_attempts,
            ended_claim: row
                .ended_claim_token
                .zip(row.ended_claim_result)
                .map(|(token, result)| EndedClaim { token, result }),
            submitted_by: row.submitted_by,
            excluded_staff: row.excluded_staff,
            withdrawn_bases: row.withdrawn_bases,
            first_verdict: match (row.first_by, row.first_category) {
                (Some(by), Some(category)) => Some((
                    Subject::new(by),
                    parse_column(&category, "assessment", "first_category", id)?,
                )),
                _ => None,
            },
            decision,
            proof,
            review: row
                .review
                .map(|text| parse_column::<ReviewReason>(&text, "assessment", "review", id))
                .transpose()?,
            needs_supervisor: row.needs_supervisor,
            dispatch_closed: row.dispatch_closed,
            dispatch_opened: row.dispatch_opened,
            reannounce_due: row.reannounce_due,
            police_hold: row.police_hold_id.map(|police_hold| PoliceHold {
                id: PoliceHoldId::new(police_hold),
                until: row.police_hold_until,
            }),
            matched_version: row.matched_version,
            cause: row.cause,
        })
    }
}

pub(in crate::store) fn parse_state(
    state: &str,
    stage: Option<&str>,
    held_from: Option<&str>,
) -> Option<State> {
    match state.parse().ok()? {
        AssessmentState::Claimed => Some(State::Claimed(match stage? {
            "first" => Stage::First,
            "second" => Stage::Second,
            "review" => Stage::Review,
            _ => return None,
        })),
        AssessmentState::PoliceHold => waiting(held_from?.parse().ok()?).map(State::OnPoliceHold),
        other => waiting(other).map(State::Unclaimed),
    }
}

fn waiting(state: AssessmentState) -> Option<Waiting> {
    match state {
        AssessmentState::Queued => Some(Waiting::Queued),
        AssessmentState::AwaitingSecondOpinion => Some(Waiting::AwaitingSecondOpinion),
        AssessmentState::UnderReview => Some(Waiting::UnderReview),
        AssessmentState::Actionable => Some(Waiting::Actionable),
        AssessmentState::NotActionable => Some(Waiting::NotActionable),
        AssessmentState::NeedsInformation => Some(Waiting::NeedsInformation),
        AssessmentState::Withdrawn => Some(Waiting::Withdrawn),
        AssessmentState::Claimed | AssessmentState::PoliceHold => None,
    }
}
