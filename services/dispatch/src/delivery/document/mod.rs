//! The signed notice: one object, the same for every delivery channel, that fixes what was requested of whom
//! and when.
//!
//! It contains a commitment to the URL, not the URL; URL and salt are sent beside it, to the addressee only.
//! Pure: reads no clock and no database, and sends nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use platform::sealed::{KeyId, SealedError, Signature, Signer, Verifier, commitment};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::cases::NoticeContent;

/// The hotline that issues the notices, with its contact.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hotline {
    pub name: String,
    /// Mailbox for questions; also the sender (`From`) of mails.
    pub contact: String,
    /// Domain of the hotline; the part after the @ in message ids.
    pub domain: String,
    /// Base URL of the provider pages, without a trailing slash.
    pub public_base: String,
    /// Validity of a signed notice and of its link, in days.
    pub notice_days: u16,
}

impl Default for Hotline {
    fn default() -> Self {
        Self {
            name: "Synthetic Hotline".into(),
            contact: "notices@hotline.example".into(),
            domain: "hotline.example".into(),
            public_base: "http://127.0.0.1:8080".into(),
            notice_days: 90,
        }
    }
}

/// Version of the signed object's format.
const FORMAT: u32 = 1;

/// Everything beside its content that a signed notice depends on.
#[derive(Clone, Copy)]
pub struct IssueDetails<'a> {
    pub at: OffsetDateTime,
    /// Legal basis of the case's regime, in the words of the policy.
    pub legal_basis: &'a str,
    pub hotline: &'a Hotline,
    /// The newest checkpoint of the ledger that is available, so that every provider witnesses it. A missing
    /// one does not delay the notice.
    pub checkpoint: Option<&'a str>,
    pub signer: &'a Signer,
}

/// The signed object. Its fields are signed in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeStatement {
    pub format: u32,
    pub notice_id: Uuid,
    /// Increases with each message about a notice. The highest is in force; among equals the one with the
    /// latest `issued`.
    pub sequence: i32,
    pub message: String,
    /// The addressee. The notice does not apply to any other provider.
    pub provider_id: String,
    pub episode: i32,
    pub step: i32,
    /// Salted SHA-256 of the URL, in hexadecimal.
    pub commitment: String,
    pub category: String,
    pub legal_basis: String,
    /// RFC 3339, as `due` and `expires`.
    pub issued: String,
    pub due: String,
    pub expires: String,
    pub hotline: String,
    pub key_id: String,
    /// A signed checkpoint (C2SP tlog-checkpoint).
    pub checkpoint: Option<String>,
}

/// The exact bytes of a [`NoticeStatement`], and a detached Ed25519 signature over them in the context
/// `notice`.
#[derive(Debug, Clone)]
pub struct SignedNotice {
    pub bytes: Vec<u8>,
    pub signature: Signature,
    pub key_id: KeyId,
    pub issued_at: OffsetDateTime,
    pub legal_basis: String,
}

/// Builds and signs the statement of a notice.
pub fn sign_notice(content: &NoticeContent, issue: &IssueDetails<'_>) -> SignedNotice {
    let statement = NoticeStatement {
        format: FORMAT,
        notice_id: content.notice_id.uuid(),
        sequence: content.sequence,
        message: content.message.to_string(),
        provider_id: content.provider_id.to_string(),
        episode: content.episode,
        step: content.step,
        commitment: hex::encode(commitment(&content.salt, content.url.reveal())),
        category: content.category.to_string(),
        legal_basis: issue.legal_basis.to_owned(),
        issued: rfc3339(issue.at),
        due: rfc3339(content.due_at),
        expires: rfc3339(issue.at + Duration::days(issue.hotline.notice_days.into())),
        hotline: issue.hotline.name.clone(),
        key_id: issue.signer.key_id().to_string(),
        checkpoint: issue.checkpoint.map(str::to_owned),
    };
    let bytes = serde_json::to_vec(&statement).expect("text and numbers are valid JSON");
    SignedNotice {
        signature: issue.signer.sign(&bytes),
        key_id: issue.signer.key_id().clone(),
        issued_at: issue.at,
        legal_basis: issue.legal_basis.to_owned(),
        bytes,
    }
}

/// A notice as its addressee receives it in JSON, with the signed object and the values that it commits to.
/// The same for the pull API, webhooks and mail.
pub fn notice_json(content: &NoticeContent, signed: &SignedNotice) -> Value {
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
        "media": content.media.map(domain::enums::Media::as_str),
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

/// Parses a signed notice and verifies its signature. The caller decides whether it is the newest message.
///
/// # Errors
/// `Malformed` or `UnknownFormat` for bytes of another format, `UnknownKey`, `Refused` for an invalid
/// signature.
pub fn verify(
    bytes: &[u8],
    signature: &[u8],
    keys: &Verifier,
) -> Result<NoticeStatement, SealedError> {
    let statement: NoticeStatement =
        serde_json::from_slice(bytes).map_err(|_| SealedError::Malformed)?;
    keys.verify(&KeyId::parse(&statement.key_id)?, bytes, signature)?;
    if statement.format != FORMAT {
        let format = u8::try_from(statement.format).unwrap_or(u8::MAX);
        return Err(SealedError::UnknownFormat(format));
    }
    Ok(statement)
}

/// The format of times in documents (RFC 3339): UTC, at most microseconds.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(&Rfc3339)
        .expect("times are validated to years that RFC 3339 can express")
}

#[cfg(test)]
pub(crate) mod tests;
