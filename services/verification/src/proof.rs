//! The approval proof: verification's signed statement that a case is actionable, without which dispatch
//! sends nothing. It is made for actionable cases only, and contains a salted commitment to the URL instead
//! of the URL.

use domain::enums::Category;
use domain::id::CaseId;
use domain::wire::timestamp;
use platform::sealed::commitment;
use prost::Message;
use proto::v1;
use time::OffsetDateTime;

use crate::case::{DecisionRecord, Proof};
use crate::context::{CommandContext, OpenedContent};

const FORMAT: u32 = 1;

/// Signs a proof of this decision that is valid from now for `proof_seconds`.
pub(crate) fn make(
    context: &CommandContext,
    case: CaseId,
    category: Category,
    decision: &DecisionRecord,
    content: &OpenedContent,
    now: OffsetDateTime,
) -> Proof {
    let expires_at = now + context.config.proof();
    let key_id = context.proof_signer.key_id().as_str().to_owned();
    let body = v1::ApprovalProofBody {
        format: FORMAT,
        decision_id: decision.id.to_string(),
        case_id: case.to_string(),
        url_commitment: commitment(&content.key.salt(), content.url.reveal())
            .to_vec()
            .into(),
        category: category.wire(),
        basis: decision.basis.clone(),
        policy_version: context.config.policy_version.clone(),
        approvers: decision.approvers.iter().map(ToString::to_string).collect(),
        issued_at: Some(timestamp(now)),
        expires_at: Some(timestamp(expires_at)),
        key_id: key_id.clone(),
    }
    .encode_to_vec();
    Proof {
        signature: context.proof_signer.sign(&body).to_vec(),
        body,
        key_id,
        expires_at,
    }
}
