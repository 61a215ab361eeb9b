//! The approval proof: without a true one nothing is opened.

use domain::id::{CaseId, DecisionId};
use domain::url::CanonicalUrl;
use domain::word::Category;
use platform::sealed::{DataKey, KeyId, Verifier, commitment};
use prost::Message as _;
use proto::v1::{ApprovalProof, ApprovalProofBody};
use time::OffsetDateTime;

use crate::store::Content;

/// The format of the body that is understood.
const FORMAT: u32 = 1;

/// Why a proof does not hold. Fixed phrases, for alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the proof cannot be read")]
    Malformed,
    #[error("the proof is not verification's word")]
    Forged,
    #[error("the proof is about another case or decision")]
    OtherCase,
    #[error("the proof is about another URL")]
    OtherUrl,
    #[error("the proof has expired")]
    Expired,
}

impl ProofError {
    /// As a constant, for the parked event's reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "the proof cannot be read",
            Self::Forged => "the proof is not verification's word",
            Self::OtherCase => "the proof is about another case or decision",
            Self::OtherUrl => "the proof is about another URL",
            Self::Expired => "the proof has expired",
        }
    }
}

/// What a proof must be about.
pub struct About<'a> {
    pub case_id: CaseId,
    pub decision_id: DecisionId,
    pub category: Category,
    pub url: &'a CanonicalUrl,
    pub key: &'a DataKey,
}

/// Checks signature, subject, commitment and end: the first notice of a case must be opened before the end.
pub fn check_proof(
    proof: &ApprovalProof,
    keys: &Verifier,
    about: &About<'_>,
    now: OffsetDateTime,
) -> Result<(), ProofError> {
    let subject = Subject {
        case_id: about.case_id,
        category: about.category,
        url: about.url,
        salt: &about.key.salt(),
    };
    let body = standing_proof(proof, keys, &subject)?;
    if body.decision_id.parse() != Ok(about.decision_id) {
        return Err(ProofError::OtherCase);
    }
    let end = domain::wire::required_time("expires_at", body.expires_at.as_ref())
        .map_err(|_| ProofError::Malformed)?;
    if now >= end {
        return Err(ProofError::Expired);
    }
    Ok(())
}

/// What a proof must be about, whenever something stands on it.
struct Subject<'a> {
    case_id: CaseId,
    category: Category,
    url: &'a CanonicalUrl,
    salt: &'a [u8; 32],
}

/// Whether what is written about a notice stands on a proof that holds; asked just before it is sent or shown.
pub fn stands(content: &Content, keys: &Verifier) -> Result<(), ProofError> {
    let subject = Subject {
        case_id: content.case_id,
        category: content.category,
        url: &content.url,
        salt: &content.salt,
    };
    standing_proof(&content.proof, keys, &subject).map(drop)
}

/// As [`check_proof`] without its end, which bounds the first notice only: later steps, host moves and each attempt to
/// deliver stand on the same decision.
fn standing_proof(
    proof: &ApprovalProof,
    keys: &Verifier,
    subject: &Subject<'_>,
) -> Result<ApprovalProofBody, ProofError> {
    let key_id = KeyId::parse(&proof.key_id).map_err(|_| ProofError::Malformed)?;
    keys.verify(&key_id, &proof.body, &proof.signature)
        .map_err(|_| ProofError::Forged)?;
    let body = ApprovalProofBody::decode(proof.body.clone()).map_err(|_| ProofError::Malformed)?;
    if body.format != FORMAT {
        return Err(ProofError::Malformed);
    }
    if body.case_id.parse() != Ok(subject.case_id) || body.category != subject.category.wire() {
        return Err(ProofError::OtherCase);
    }
    if body.url_commitment[..] != commitment(subject.salt, subject.url.reveal()) {
        return Err(ProofError::OtherUrl);
    }
    Ok(body)
}
