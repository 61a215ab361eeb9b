//! Whether a notice that a host received stands on verification's own word about this case and this URL.

use domain::id::CaseId;
use platform::sealed::{KeyId, commitment};
use prost::Message as _;
use proto::v1::ApprovalProofBody;
use takedown::street::log::Arrival;

use super::count::Evidence;
use super::load::Accepted;

/// Or why it does not.
pub fn proven(
    evidence: &Evidence<'_>,
    receipt: Option<&Accepted>,
    case: CaseId,
    arrival: &Arrival,
) -> Result<(), &'static str> {
    let receipt = receipt.ok_or("nobody reported it")?;
    let decided = evidence.outside.told.actionable.get(&case);
    let proof = &decided.ok_or("there is no verdict")?.proof;
    let key = KeyId::parse(&proof.key_id).map_err(|_| "the proof names no key")?;
    let signed = evidence.keys.verify(&key, &proof.body, &proof.signature);
    signed.map_err(|_| "the proof is not verification's")?;
    let body = ApprovalProofBody::decode(&proof.body[..]).map_err(|_| "the proof is no proof")?;
    if body.case_id != case.to_string() {
        return Err("the proof is about another case");
    }
    let salt = arrival.salt.ok_or("it shows no salt")?;
    let right = commitment(&salt, receipt.url.reveal());
    if body.url_commitment[..] != right || arrival.commitment != hex::encode(right) {
        return Err("it is about another URL than the proof or the report");
    }
    Ok(())
}
