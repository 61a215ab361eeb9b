//! Verifies approval proofs: without a valid one no notice is opened, sent or shown.

use domain::enums::Category;
use domain::id::{CaseId, DecisionId};
use domain::url::CanonicalUrl;
use platform::sealed::{DataKey, KeyId, Verifier, commitment};
use prost::Message as _;
use proto::v1::{ApprovalProof, ApprovalProofBody};
use time::OffsetDateTime;

use crate::cases::store::NoticeContent;

/// The supported format of the body.
const FORMAT: u32 = 1;

/// Why a proof is not valid. Fixed phrases, for alarms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the proof cannot be read")]
    Malformed,
    #[error("the proof is not signed by verification")]
    Forged,
    #[error("the proof is about another case or decision")]
    OtherCase,
    #[error("the proof is about another URL")]
    OtherUrl,
    #[error("the proof has expired")]
    Expired,
}

impl ProofError {
    /// The same phrase as a constant, for the reason of a parked event.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "the proof cannot be read",
            Self::Forged => "the proof is not signed by verification",
            Self::OtherCase => "the proof is about another case or decision",
            Self::OtherUrl => "the proof is about another URL",
            Self::Expired => "the proof has expired",
        }
    }
}

/// The case and decision that a proof must be about.
pub struct ExpectedProof<'a> {
    pub case_id: CaseId,
    pub decision_id: DecisionId,
    pub category: Category,
    pub url: &'a CanonicalUrl,
    pub key: &'a DataKey,
}

/// Verifies signature, subject, URL commitment and expiry: the first notice of a case must be opened before
/// the expiry.
///
/// # Errors
/// The first reason for which the proof is not valid.
pub fn verify_decision_proof(
    proof: &ApprovalProof,
    keys: &Verifier,
    expected: &ExpectedProof<'_>,
    now: OffsetDateTime,
) -> Result<(), ProofError> {
    let subject = ProofSubject {
        case_id: expected.case_id,
        category: expected.category,
        url: expected.url,
        salt: &expected.key.salt(),
    };
    let body = parse_verified(proof, keys, &subject)?;
    if body.decision_id.parse() != Ok(expected.decision_id) {
        return Err(ProofError::OtherCase);
    }
    let end = domain::wire::required_time("expires_at", body.expires_at.as_ref())
        .map_err(|_| ProofError::Malformed)?;
    if now >= end {
        return Err(ProofError::Expired);
    }
    Ok(())
}

/// The part of [`ExpectedProof`] that must match at every use of the proof.
struct ProofSubject<'a> {
    case_id: CaseId,
    category: Category,
    url: &'a CanonicalUrl,
    salt: &'a [u8; 32],
}

/// Verifies the approval proof of a notice; called each time before the notice is sent or shown. Ignores the
/// expiry, which bounds the first notice only: later steps, host moves and each delivery attempt rely on the
/// same decision.
///
/// # Errors
/// The first reason for which the proof is not valid.
pub fn verify_notice_proof(content: &NoticeContent, keys: &Verifier) -> Result<(), ProofError> {
    let subject = ProofSubject {
        case_id: content.case_id,
        category: content.category,
        url: &content.url,
        salt: &content.salt,
    };
    parse_verified(&content.proof, keys, &subject).map(drop)
}

/// Verifies signature, subject and URL commitment, and returns the body.
fn parse_verified(
    proof: &ApprovalProof,
    keys: &Verifier,
    subject: &ProofSubject<'_>,
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
