//! A host's own check of a notice: it is addressed to us, signed by the hotline's published key, and speaks of this URL.
//! What fails is not acted on. Must not trust what stands beside the signed bytes where the signed bytes speak.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::url::CanonicalUrl;
use platform::sealed::{KeyId, SealedError, Verifier, commitment};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::behaviour::Message;

/// A notice as the hotline shows it to its addressee, on every channel. Fields of later versions are passed over.
#[derive(Clone, Deserialize)]
pub struct Shown {
    pub notice_id: Uuid,
    pub case_id: Uuid,
    pub episode: u32,
    pub step: u32,
    pub url: String,
    /// Standard base64; what the commitment was salted with, where it is shown.
    #[serde(default)]
    pub salt: Option<String>,
    pub signed: String,
    pub signature: String,
    pub key_id: String,
}

/// What the signed bytes say.
#[derive(Deserialize)]
struct Statement {
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

/// A notice that may be acted on.
#[derive(Clone)]
pub struct Believed {
    pub notice: Uuid,
    pub case: Uuid,
    pub episode: u32,
    pub step: u32,
    pub sequence: u32,
    pub message: Message,
    pub issued: OffsetDateTime,
    pub url: CanonicalUrl,
    /// To the URL, hexadecimal, as it was signed; and its salt where that was shown.
    pub commitment: String,
    pub salt: Option<[u8; 32]>,
}

/// Why a notice is not believed; stable, for the host's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("the notice has no readable signed part")]
    Malformed,
    #[error("the notice is signed with an unknown key")]
    UnknownKey,
    #[error("the signature does not hold")]
    Forged,
    #[error("the notice is addressed to somebody else")]
    NotForUs,
    #[error("what stands beside the signed part contradicts it")]
    Contradicts,
    #[error("the notice has expired")]
    Expired,
    #[error("the format of the notice is unknown")]
    UnknownFormat,
}

impl Doubt {
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

/// Believes a notice, or says why not. `keys` are the hotline's published notice keys.
pub fn believe(
    shown: &Shown,
    own_id: &str,
    keys: &Verifier,
    now: OffsetDateTime,
) -> Result<Believed, Doubt> {
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| Doubt::Malformed);
    let (bytes, signature) = (decode(&shown.signed)?, decode(&shown.signature)?);
    let key_id = KeyId::parse(&shown.key_id).map_err(|_| Doubt::Malformed)?;
    keys.verify(&key_id, &bytes, &signature)
        .map_err(|error| match error {
            SealedError::UnknownKey(_) => Doubt::UnknownKey,
            _ => Doubt::Forged,
        })?;
    let said: Statement = serde_json::from_slice(&bytes).map_err(|_| Doubt::Malformed)?;
    if said.format != 1 {
        return Err(Doubt::UnknownFormat);
    }
    if said.provider_id != own_id {
        return Err(Doubt::NotForUs);
    }
    let beside = (shown.notice_id, shown.episode, shown.step);
    if beside != (said.notice_id, said.episode, said.step) {
        return Err(Doubt::Contradicts);
    }
    let salt: Option<[u8; 32]> = match &shown.salt {
        Some(salt) => Some(decode(salt)?.try_into().map_err(|_| Doubt::Malformed)?),
        None => None,
    };
    if salt.is_some_and(|salt| hex::encode(commitment(&salt, &shown.url)) != said.commitment) {
        return Err(Doubt::Contradicts);
    }
    let at = |text: &str| OffsetDateTime::parse(text, &Rfc3339).map_err(|_| Doubt::Malformed);
    if at(&said.expires)? <= now {
        return Err(Doubt::Expired);
    }
    Ok(Believed {
        notice: said.notice_id,
        case: shown.case_id,
        episode: said.episode,
        step: said.step,
        sequence: said.sequence,
        message: Message::parse(&said.message).ok_or(Doubt::Malformed)?,
        issued: at(&said.issued)?,
        url: CanonicalUrl::parse(&shown.url).map_err(|_| Doubt::Malformed)?,
        commitment: said.commitment,
        salt,
    })
}
