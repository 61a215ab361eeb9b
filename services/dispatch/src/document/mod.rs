//! The signed notice: one object, whatever the channel, that fixes what was asked of whom and when.
//!
//! It commits to the URL and does not name it; URL and salt travel beside it, to the addressee only. Pure: reads no
//! clock, no database, and sends nothing.

mod hotline;
mod view;

use platform::sealed::{KeyId, SealedError, Signature, Signer, Verifier, commitment};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::store::Content;

pub use hotline::Hotline;
pub use view::view;

/// The version of the form below.
const FORMAT: u32 = 1;

/// What a notice is signed with.
#[derive(Clone, Copy)]
pub struct Issue<'a> {
    pub at: OffsetDateTime,
    /// Of the case's regime, as the policy words it.
    pub legal_basis: &'a str,
    pub hotline: &'a Hotline,
    /// The newest signed note of the ledger that is at hand, so that every host is a witness; none delays no notice.
    pub checkpoint: Option<&'a str>,
    pub signer: &'a Signer,
}

/// The signed object. Fields are in the order in which they are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    pub format: u32,
    pub notice_id: Uuid,
    /// Grows with each message about a notice; the highest holds, and among equals the newest `issued`.
    pub sequence: i32,
    pub message: String,
    /// The audience: to anybody else this notice says nothing.
    pub provider_id: String,
    pub episode: i32,
    pub step: i32,
    /// Salted SHA-256 of the URL, hexadecimal.
    pub commitment: String,
    pub category: String,
    pub legal_basis: String,
    /// RFC 3339, as the two below.
    pub issued: String,
    pub due: String,
    pub expires: String,
    pub hotline: String,
    pub key_id: String,
    /// A signed note (C2SP tlog-checkpoint).
    pub checkpoint: Option<String>,
}

/// Exact bytes and a detached Ed25519 signature over them, in the context `notice`.
#[derive(Debug, Clone)]
pub struct Signed {
    pub bytes: Vec<u8>,
    pub signature: Signature,
    pub key_id: KeyId,
    pub issued_at: OffsetDateTime,
    pub legal_basis: String,
}

/// Signs what the content says.
pub fn build(content: &Content, issue: &Issue<'_>) -> Signed {
    let statement = Statement {
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
    let bytes = serde_json::to_vec(&statement).expect("text and numbers become JSON");
    Signed {
        signature: issue.signer.sign(&bytes),
        key_id: issue.signer.key_id().clone(),
        issued_at: issue.at,
        legal_basis: issue.legal_basis.to_owned(),
        bytes,
    }
}

/// What these bytes say, where one of the keys has signed them. Whether it is the newest word is for the caller.
///
/// # Errors
/// `Malformed` or `UnknownFormat` for bytes of another form, `UnknownKey`, `Refused` for a signature that does not hold.
pub fn verify(bytes: &[u8], signature: &[u8], keys: &Verifier) -> Result<Statement, SealedError> {
    let statement: Statement = serde_json::from_slice(bytes).map_err(|_| SealedError::Malformed)?;
    keys.verify(&KeyId::parse(&statement.key_id)?, bytes, signature)?;
    if statement.format != FORMAT {
        let format = u8::try_from(statement.format).unwrap_or(u8::MAX);
        return Err(SealedError::UnknownFormat(format));
    }
    Ok(statement)
}

/// A time as it stands in documents: UTC, to the microsecond at most.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(&Rfc3339)
        .expect("times are parsed within years that RFC 3339 has")
}

#[cfg(test)]
pub(crate) mod tests;
