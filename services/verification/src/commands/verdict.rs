//! Writes a decision of an analyst, a list or a rule into its case, and emits it. Must not change the state:
//! the lifecycle has done so before.

use domain::enums::{Category, Media};
use domain::event::Body;
use domain::id::DecisionId;
use domain::wire::timestamp;
use proto::v1;
use uuid::Uuid;

use super::{Outbox, SYSTEM};
use crate::case::{Case, CaseVerdict, DecisionRecord, Proof, VerdictWithBasis};
use crate::context::{CommandContext, OpenedContent};
use crate::error::Error;
use crate::lifecycle::{Command, State, Waiting};
use crate::proof;

/// Writes a new decision into the case, with a proof if it is actionable, and emits it.
pub(super) fn record(
    context: &CommandContext,
    case: &mut Case,
    content: &OpenedContent,
    decided: VerdictWithBasis,
    actor: &str,
    out: &mut Outbox,
) {
    let VerdictWithBasis {
        verdict,
        basis,
        approvers,
    } = decided;
    let decision = DecisionRecord {
        id: DecisionId::new(Uuid::now_v7()),
        verdict,
        basis: basis.clone(),
        approvers,
        at: out.now,
    };
    let act = out.record_act(case.id, act_name(verdict), actor);
    act.basis = Some(basis);
    act.verdict = Some(verdict.as_str());
    act.decision = Some(decision.id);

    case.first_verdict = None;
    case.excluded_staff.clear();
    case.review = None;
    case.needs_supervisor = false;
    case.dispatch_opened = false;
    match verdict {
        CaseVerdict::Actionable(category) => {
            let proof = proof::make(context, case.id, category, &decision, content, out.now);
            emit_actionable(case, category, &decision, &proof, out);
            case.proof = Some(proof);
        }
        CaseVerdict::NotActionable(reason) => {
            case.proof = None;
            let body = Body::CaseNotActionable(v1::CaseNotActionable {
                decision_id: decision.id.to_string(),
                reason: reason.wire(),
                decided_at: Some(timestamp(decision.at)),
            });
            out.emit(case, body);
        }
    }
    case.decision = Some(decision);
}

/// Applies the verdict of a list or a rule, if the case awaits one. A claimed case is left to its analyst.
pub(super) fn apply_match(
    context: &CommandContext,
    case: &mut Case,
    content: &OpenedContent,
    matched: VerdictWithBasis,
    out: &mut Outbox,
) -> Result<(), Error> {
    if case.awaits_match() {
        case.apply(Command::Match {
            actionable: matched.verdict.is_actionable(),
        })?;
        record(context, case, content, matched, SYSTEM, out);
    }
    Ok(())
}

/// Emits the verdict again if a report arrived while it was on hold or under review, so that dispatch checks
/// whether the content of the closed case is online again.
pub(super) fn emit_due_reannouncement(
    context: &CommandContext,
    case: &mut Case,
    out: &mut Outbox,
) -> Result<(), Error> {
    if case.reannounce_due && case.state == State::Unclaimed(Waiting::Actionable) {
        emit_again(context, case, out)?;
        case.reannounce_due = false;
    }
    Ok(())
}

/// Emits an actionable verdict once more, with the same proof or, if that has expired, with a new proof of
/// the same decision.
pub(super) fn emit_again(
    context: &CommandContext,
    case: &mut Case,
    out: &mut Outbox,
) -> Result<(), Error> {
    let Some(decision) = case.decision.clone() else {
        return Ok(());
    };
    let CaseVerdict::Actionable(category) = decision.verdict else {
        return Ok(());
    };
    let valid = case
        .proof
        .clone()
        .filter(|proof| proof.expires_at > out.now);
    let proof = match valid {
        Some(proof) => proof,
        None => proof::make(
            context,
            case.id,
            category,
            &decision,
            &context.open(case)?,
            out.now,
        ),
    };
    emit_actionable(case, category, &decision, &proof, out);
    case.proof = Some(proof);
    Ok(())
}

fn emit_actionable(
    case: &Case,
    category: Category,
    decision: &DecisionRecord,
    proof: &Proof,
    out: &mut Outbox,
) {
    let body = Body::CaseActionable(v1::CaseActionable {
        decision_id: decision.id.to_string(),
        category: category.wire(),
        proof: Some(v1::ApprovalProof {
            body: proof.body.clone().into(),
            signature: proof.signature.clone().into(),
            key_id: proof.key_id.clone(),
        }),
        wrapped_key: case.first_report.wrapped_key.clone().into(),
        sealed_content: case.first_report.sealed_content.clone().into(),
        sealed_content_report_id: case.first_report.id.to_string(),
        received_at: Some(timestamp(case.first_report.received_at)),
        decided_at: Some(timestamp(decision.at)),
        media: case.first_report.media.map_or(0, Media::wire),
        self_reported: case.self_reported,
    });
    out.emit(case, body);
}

const fn act_name(verdict: CaseVerdict) -> &'static str {
    match verdict {
        CaseVerdict::Actionable(_) => "actionable",
        CaseVerdict::NotActionable(_) => "not_actionable",
    }
}
