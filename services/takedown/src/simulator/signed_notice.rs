//! A host's verification of a notice: it is addressed to this host, signed by the hotline's published key, and names
//! this URL. Fields beside the signed bytes are not trusted where the signed bytes contain the same fact.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::url::CanonicalUrl;
use platform::sealed::{KeyId, SealedError, Verifier, commitment};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::behaviour::MessageKind;

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
    pub url: CanonicalUrl,
    /// Signed commitment to the URL, hexadecimal; and its salt if the document shows it.
    pub commitment: String,
    pub salt: Option<[u8; 32]>,
}

/// Why a notice fails verification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// Stable code for the host's log.
    pub fn code(&self) -> &'static str {
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
    keys: &Verifier,
    now: OffsetDateTime,
) -> Result<VerifiedNotice, NoticeRejection> {
    let malformed = |_| NoticeRejection::Malformed;
    let decode = |text: &str| STANDARD.decode(text).map_err(malformed);
    let (bytes, signature) = (decode(&document.signed)?, decode(&document.signature)?);
    let key_id = KeyId::parse(&document.key_id).map_err(|_| NoticeRejection::Malformed)?;
    keys.verify(&key_id, &bytes, &signature)
        .map_err(|error| match error {
            SealedError::UnknownKey(_) => NoticeRejection::UnknownKey,
            _ => NoticeRejection::Forged,
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
    if salt
        .is_some_and(|salt| hex::encode(commitment(&salt, &document.url)) != statement.commitment)
    {
        return Err(NoticeRejection::Contradicts);
    }
    let time =
        |text: &str| OffsetDateTime::parse(text, &Rfc3339).map_err(|_| NoticeRejection::Malformed);
    if time(&statement.expires)? <= now {
        return Err(NoticeRejection::Expired);
    }
    let url = CanonicalUrl::parse(&document.url).map_err(|_| NoticeRejection::Malformed)?;
    Ok(VerifiedNotice {
        notice: statement.notice_id,
        case: document.case_id,
        episode: statement.episode,
        step: statement.step,
        sequence: statement.sequence,
        kind: MessageKind::parse(&statement.message).ok_or(NoticeRejection::Malformed)?,
        issued: time(&statement.issued)?,
        url,
        commitment: statement.commitment,
        salt,
    })
}
