//! A notice as its addressee sees it in JSON: the same fields whether it is pulled or pushed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Signed, rfc3339};
use crate::store::Content;

/// The notice with the signed object, and what the signed object commits to.
pub fn view(content: &Content, signed: &Signed) -> Value {
    json!({
        "notice_id": content.notice_id.to_string(),
        "case_id": content.case_id.to_string(),
        "provider_id": content.provider_id.as_str(),
        "episode": content.episode,
        "step": content.step,
        "sequence": content.sequence,
        "state": content.state.as_str(),
        "rung": content.rung.as_str(),
        "category": content.category.as_str(),
        "media": content.media.map(domain::word::Media::as_str),
        "url": content.url.reveal(),
        "salt": STANDARD.encode(content.salt),
        "issued_at": rfc3339(signed.issued_at),
        "due_at": rfc3339(content.due_at),
        "legal_basis": signed.legal_basis,
        "message": content.message.as_str(),
        "text": content.text,
        "signed": STANDARD.encode(&signed.bytes),
        "signature": STANDARD.encode(signed.signature),
        "key_id": signed.key_id.as_str(),
    })
}
