//! A host's verification of a notice: it is addressed to this host, signed by the hotline's published key, and names
//! this URL. Fields beside the signed bytes are not trusted where the signed bytes contain the same fact.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::keys::{HotlineKeys, SignatureError};

/// A notice in the form that every delivery channel uses. Unknown fields are ignored.
#[derive(Clone, Deserialize)]
pub struct NoticeDocument {
    pub notice_id: Uuid,
    pub case_id: Uuid,
    pub episode: u32,
    pub step: u32,
    pub url: String,
    /// Salt of the commitment, standard base64, if the document shows it.
    #[serde(default)]
    pub salt: Option<String>,
    pub signed: String,
    pub signature: String,
    pub key_id: String,
}

/// The content of the signed bytes.
#[derive(Deserialize)]
struct SignedStatement {
    format: u32,
    notice_id: Uuid,
    sequence: u32,
    message: String,
    provider_id: String,
    episode: u32,
    step: u32,
    commitment: String,
    issued: String,
    expires: String,
}

/// Why a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    Notice,
    Reminder,
    Information,
    Upheld,
    Retraction,
}

impl MessageKind {
    /// The API's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Reminder => "reminder",
            Self::Information => "information",
            Self::Upheld => "upheld",
            Self::Retraction => "retraction",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Notice,
            Self::Reminder,
            Self::Information,
            Self::Upheld,
            Self::Retraction,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == text)
    }
}

/// A notice that passed verification.
#[derive(Clone)]
pub struct VerifiedNotice {
    pub notice: Uuid,
    pub case: Uuid,
    pub episode: u32,
    pub step: u32,
    pub sequence: u32,
    pub kind: MessageKind,
    pub issued: OffsetDateTime,
    pub url: String,
    /// Signed commitment to the URL, hexadecimal; and its salt if the document shows it.
    pub commitment: String,
    pub salt: Option<[u8; 32]>,
}

/// Why a notice fails verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoticeRejection {
    #[error("the notice has no readable signed part")]
    Malformed,
    #[error("the notice is signed with an unknown key")]
    UnknownKey,
    #[error("the signature is invalid")]
    Forged,
    #[error("the notice is addressed to another provider")]
    NotForUs,
    #[error("a field contradicts the signed part")]
    Contradicts,
    #[error("the notice has expired")]
    Expired,
    #[error("the format of the notice is unknown")]
    UnknownFormat,
}

impl NoticeRejection {
    /// Stable code, for logs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::Forged => "forged",
            Self::NotForUs => "not_for_us",
            Self::Contradicts => "contradicts",
            Self::Expired => "expired",
            Self::UnknownFormat => "unknown_format",
        }
    }
}

/// Verifies a notice. `keys` are the hotline's published notice keys.
///
/// # Errors
/// The first check that failed.
pub fn verify(
    document: &NoticeDocument,
    own_id: &str,
    keys: &HotlineKeys,
    now: OffsetDateTime,
) -> Result<VerifiedNotice, NoticeRejection> {
    let malformed = |_| NoticeRejection::Malformed;
    let decode = |text: &str| STANDARD.decode(text).map_err(malformed);
    let (bytes, signature) = (decode(&document.signed)?, decode(&document.signature)?);
    keys.verify(&document.key_id, &bytes, &signature)
        .map_err(|error| match error {
            SignatureError::UnknownKey => NoticeRejection::UnknownKey,
            SignatureError::Invalid => NoticeRejection::Forged,
        })?;
    let statement: SignedStatement =
        serde_json::from_slice(&bytes).map_err(|_| NoticeRejection::Malformed)?;
    if statement.format != 1 {
        return Err(NoticeRejection::UnknownFormat);
    }
    if statement.provider_id != own_id {
        return Err(NoticeRejection::NotForUs);
    }
    let unsigned = (document.notice_id, document.episode, document.step);
    if unsigned != (statement.notice_id, statement.episode, statement.step) {
        return Err(NoticeRejection::Contradicts);
    }
    let salt: Option<[u8; 32]> = match &document.salt {
        Some(salt) => {
            let salt = decode(salt)?.try_into();
            Some(salt.map_err(|_| NoticeRejection::Malformed)?)
        }
        None => None,
    };
    if salt.is_some_and(|salt| commitment(&salt, &document.url) != statement.commitment) {
        return Err(NoticeRejection::Contradicts);
    }
    let time =
        |text: &str| OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NoticeRejection::Malformed);
    if time(&statement.expires)? <= now {
        return Err(NoticeRejection::Expired);
    }
    Ok(VerifiedNotice {
        notice: statement.notice_id,
        case: document.case_id,
        episode: statement.episode,
        step: statement.step,
        sequence: statement.sequence,
        kind: MessageKind::parse(&statement.message).ok_or(NoticeRejection::Malformed)?,
        issued: time(&statement.issued)?,
        url: document.url.clone(),
        commitment: statement.commitment,
        salt,
    })
}

/// The salted SHA-256 of a URL, hexadecimal. Each part is preceded by its length, eight octets, big endian.
fn commitment(salt: &[u8; 32], url: &str) -> String {
    let mut hash = Sha256::new();
    for part in [&b"takedown/commitment/1"[..], salt, url.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hotline's own test vectors, read as a file: this crate shares no code with the hotline.
    #[test]
    fn a_commitment_matches_the_hotlines_vectors() {
        let vectors = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../platform/testdata/vectors.json"
        );
        let vectors = std::fs::read_to_string(vectors).unwrap();
        let vectors: serde_json::Value = serde_json::from_str(&vectors).unwrap();
        let salt = hex::decode(vectors["commitment"]["salt"].as_str().unwrap()).unwrap();
        assert_eq!(
            commitment(&salt.try_into().unwrap(), vectors["url"].as_str().unwrap()),
            vectors["commitment"]["digest"]
        );
    }
}
