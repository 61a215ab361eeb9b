//! A row of `assessment`, read as a case.

use domain::id::{CaseId, DecisionId, HoldId, ReportId, Subject};
use domain::word::{AssessmentState, Media, ReviewReason};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::case::{Case, Claim, Decision, HashKinds, Hold, Item, Proof, Spent};
use crate::error::Error;
use crate::lifecycle::{Desk, Rest, State};
use crate::store::{finding, parsed};

#[derive(sqlx::FromRow)]
pub(in crate::store) struct Row {
    case_id: Uuid,
    state: String,
    desk: Option<String>,
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
    spent_token: Option<Uuid>,
    spent_verdict: Option<String>,
    not_for: Vec<Uuid>,
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
    for_supervisor: bool,
    dispatch_closed: bool,
    hold_id: Option<Uuid>,
    hold_until: Option<OffsetDateTime>,
    matched_epoch: i64,
    version: i64,
    cause: Uuid,
    submitted_by: Vec<Uuid>,
    withdrawn: Vec<String>,
    announce_due: bool,
    dispatch_opened: bool,
    media: Option<String>,
    received_at: OffsetDateTime,
    wrapped_key: Vec<u8>,
    sealed_item: Vec<u8>,
    report_id: Uuid,
    traceparent: Option<String>,
}

impl TryFrom<Row> for Case {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let id = row.case_id;
        let bad = |column| Error::bad_row("assessment", column, id);
        let state = state(&row.state, row.desk.as_deref(), row.held_from.as_deref())
            .ok_or_else(|| bad("state"))?;
        let decision = match (row.decision_id, row.basis, row.decided_at) {
            (Some(decision), Some(basis), Some(at)) => Some(Decision {
                id: DecisionId::new(decision),
                finding: finding(row.category.as_deref(), row.reason.as_deref())
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
            item: Item {
                report: ReportId::new(row.report_id),
                media: row
                    .media
                    .map(|text| parsed::<Media>(&text, "assessment", "media", id))
                    .transpose()?,
                received_at: row.received_at,
                traceparent: row.traceparent,
                wrapped_key: row.wrapped_key,
                sealed: row.sealed_item,
            },
            reports: row.reports,
            withdrawn_reports: row.reports_withdrawn,
            self_reported: row.self_reported,
            under_13: row.under_13,
            hash_kinds: HashKinds(row.hash_kinds),
            claim,
            attempts: row.claim_attempts,
            spent: row
                .spent_token
                .zip(row.spent_verdict)
                .map(|(token, verdict)| Spent { token, verdict }),
            submitted_by: row.submitted_by,
            not_for: row.not_for,
            withdrawn: row.withdrawn,
            first: match (row.first_by, row.first_category) {
                (Some(by), Some(category)) => Some((
                    Subject::new(by),
                    parsed(&category, "assessment", "first_category", id)?,
                )),
                _ => None,
            },
            decision,
            proof,
            review: row
                .review
                .map(|text| parsed::<ReviewReason>(&text, "assessment", "review", id))
                .transpose()?,
            for_supervisor: row.for_supervisor,
            dispatch_closed: row.dispatch_closed,
            dispatch_opened: row.dispatch_opened,
            announce_due: row.announce_due,
            hold: row.hold_id.map(|hold| Hold {
                id: HoldId::new(hold),
                until: row.hold_until,
            }),
            matched_epoch: row.matched_epoch,
            cause: row.cause,
        })
    }
}

pub(in crate::store) fn state(
    word: &str,
    desk: Option<&str>,
    held_from: Option<&str>,
) -> Option<State> {
    match word.parse().ok()? {
        AssessmentState::Claimed => Some(State::Claimed(match desk? {
            "first" => Desk::First,
            "second" => Desk::Second,
            "review" => Desk::Review,
            _ => return None,
        })),
        AssessmentState::PoliceHold => rest(held_from?.parse().ok()?).map(State::Held),
        word => rest(word).map(State::At),
    }
}

fn rest(word: AssessmentState) -> Option<Rest> {
    match word {
        AssessmentState::Queued => Some(Rest::Queued),
        AssessmentState::AwaitingSecond => Some(Rest::AwaitingSecond),
        AssessmentState::UnderReview => Some(Rest::UnderReview),
        AssessmentState::Actionable => Some(Rest::Actionable),
        AssessmentState::NotActionable => Some(Rest::NotActionable),
        AssessmentState::NeedsInformation => Some(Rest::NeedsInformation),
        AssessmentState::Withdrawn => Some(Rest::Withdrawn),
        AssessmentState::Claimed | AssessmentState::PoliceHold => None,
    }
}
