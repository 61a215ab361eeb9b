//! What a decision writes and says, whoever made it: an analyst, a list, a rule.
//! Must not change the state; the lifecycle has already allowed it.

use domain::event::Body;
use domain::id::DecisionId;
use domain::wire::timestamp;
use domain::word::Media;
use proto::v1;
use uuid::Uuid;

use super::{Outbox, SYSTEM};
use crate::case::{Case, Decision, Finding, Proof};
use crate::error::Error;
use crate::lifecycle::{Command, Rest, State};
use crate::matching::Known;
use crate::means::{Means, OpenItem};
use crate::proof;

/// Writes a new decision into the case, with its proof where it is actionable, and says so.
pub(super) fn settle(
    means: &Means,
    case: &mut Case,
    item: &OpenItem,
    known: Known,
    actor: &str,
    out: &mut Outbox,
) {
    let Known {
        finding,
        basis,
        approvers,
    } = known;
    let decision = Decision {
        id: DecisionId::new(Uuid::now_v7()),
        finding,
        basis: basis.clone(),
        approvers,
        at: out.now,
    };
    let act = out.act(case.id, act_of(finding), actor);
    act.basis = Some(basis);
    act.finding = Some(finding.as_str());
    act.decision = Some(decision.id);

    case.first = None;
    case.not_for.clear();
    case.review = None;
    case.for_supervisor = false;
    case.dispatch_opened = false;
    match finding {
        Finding::Actionable(category) => {
            let proof = proof::make(means, case.id, category, &decision, item, out.now);
            announce(case, category, &decision, &proof, out);
            case.proof = Some(proof);
        }
        Finding::NotActionable(reason) => {
            case.proof = None;
            let body = Body::CaseNotActionable(v1::CaseNotActionable {
                decision_id: decision.id.to_string(),
                reason: reason.wire(),
                decided_at: Some(timestamp(decision.at)),
            });
            out.say(case, body);
        }
    }
    case.decision = Some(decision);
}

/// Lets a list or a rule decide, where the case waits for that. What a person has in hand is left to them.
pub(super) fn apply_known(
    means: &Means,
    case: &mut Case,
    item: &OpenItem,
    known: Known,
    out: &mut Outbox,
) -> Result<(), Error> {
    if case.waits_for_match() {
        case.apply(Command::Match {
            actionable: known.finding.is_actionable(),
        })?;
        settle(means, case, item, known, SYSTEM, out);
    }
    Ok(())
}

/// Says what could not be said while the verdict was held or questioned: that a report came, so that dispatch looks
/// whether what it closed is back.
pub(super) fn announce_what_is_due(
    means: &Means,
    case: &mut Case,
    out: &mut Outbox,
) -> Result<(), Error> {
    if case.announce_due && case.state == State::At(Rest::Actionable) {
        announce_again(means, case, out)?;
        case.announce_due = false;
    }
    Ok(())
}

/// Says a standing verdict once more. The proof is the same until it has expired; then there is a new one under the
/// same decision.
pub(super) fn announce_again(
    means: &Means,
    case: &mut Case,
    out: &mut Outbox,
) -> Result<(), Error> {
    let Some(decision) = case.decision.clone() else {
        return Ok(());
    };
    let Finding::Actionable(category) = decision.finding else {
        return Ok(());
    };
    let standing = case
        .proof
        .clone()
        .filter(|proof| proof.expires_at > out.now);
    let proof = match standing {
        Some(proof) => proof,
        None => proof::make(
            means,
            case.id,
            category,
            &decision,
            &means.open(case)?,
            out.now,
        ),
    };
    announce(case, category, &decision, &proof, out);
    case.proof = Some(proof);
    Ok(())
}

fn announce(
    case: &Case,
    category: domain::word::Category,
    decision: &Decision,
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
        wrapped_key: case.item.wrapped_key.clone().into(),
        sealed_item: case.item.sealed.clone().into(),
        sealed_item_report_id: case.item.report.to_string(),
        received_at: Some(timestamp(case.item.received_at)),
        decided_at: Some(timestamp(decision.at)),
        media: case.item.media.map_or(0, Media::wire),
        self_reported: case.self_reported,
    });
    out.say(case, body);
}

const fn act_of(finding: Finding) -> &'static str {
    match finding {
        Finding::Actionable(_) => "actionable",
        Finding::NotActionable(_) => "not_actionable",
    }
}
