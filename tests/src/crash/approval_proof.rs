//! Checks that verification approved a received notice: its approval proof names this case and this URL.

use domain::id::CaseId;
use platform::sealed::{KeyId, Verifier, commitment};
use prost::Message as _;
use proto::v1::ApprovalProofBody;
use simulator::log::ReceivedMessage;

use super::observed::ObservedState;
use super::reporters::AcceptedReport;

/// # Errors
/// Why the notice is not proven.
pub fn check_proof(
    observed: &ObservedState,
    keys: &Verifier,
    receipt: Option<&AcceptedReport>,
    case: CaseId,
    message: &ReceivedMessage,
) -> Result<(), &'static str> {
    let receipt = receipt.ok_or("no accepted report has this case")?;
    let verdict = observed.ledger.actionable.get(&case);
    let proof = &verdict.ok_or("the ledger has no verdict")?.proof;
    let key = KeyId::parse(&proof.key_id).map_err(|_| "the proof has an invalid key id")?;
    let verified = keys.verify(&key, &proof.body, &proof.signature);
    verified.map_err(|_| "the proof's signature is invalid")?;
    let body =
        ApprovalProofBody::decode(&proof.body[..]).map_err(|_| "the proof cannot be decoded")?;
    if body.case_id != case.to_string() {
        return Err("the proof names another case");
    }
    let salt = message.salt.ok_or("the notice has no salt")?;
    let expected = commitment(&salt, receipt.url.reveal());
    if body.url_commitment[..] != expected || message.commitment != hex::encode(expected) {
        return Err("the notice has another URL than the proof or the report");
    }
    Ok(())
}
