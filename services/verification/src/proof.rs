//! The approval proof: verification's signed word that somebody approved this case, without which nothing is sent.
//! Must not be made for a case that is not actionable, nor show the URL: it holds a salted commitment.

use domain::id::CaseId;
use domain::wire::timestamp;
use domain::word::Category;
use platform::sealed::commitment;
use prost::Message;
use proto::v1;
use time::OffsetDateTime;

use crate::case::{Decision, Proof};
use crate::means::{Means, OpenItem};

const FORMAT: u32 = 1;

pub(crate) fn make(
    means: &Means,
    case: CaseId,
    category: Category,
    decision: &Decision,
    item: &OpenItem,
    now: OffsetDateTime,
) -> Proof {
    let expires_at = now + means.config.proof();
    let key_id = means.proofs.key_id().as_str().to_owned();
    let body = v1::ApprovalProofBody {
        format: FORMAT,
        decision_id: decision.id.to_string(),
        case_id: case.to_string(),
        url_commitment: commitment(&item.key.salt(), item.url.reveal())
            .to_vec()
            .into(),
        category: category.wire(),
        basis: decision.basis.clone(),
        policy_version: means.config.policy_version.clone(),
        approvers: decision.approvers.iter().map(ToString::to_string).collect(),
        issued_at: Some(timestamp(now)),
        expires_at: Some(timestamp(expires_at)),
        key_id: key_id.clone(),
    }
    .encode_to_vec();
    Proof {
        signature: means.proofs.sign(&body).to_vec(),
        body,
        key_id,
        expires_at,
    }
}
