//! Staff tokens identify a member of staff for at most one minute and are verified with a public key, without
//! a call.
//!
//! There is one algorithm and one format: `base64url(claims) "." base64url(signature)`. The claims are
//! encoded deterministically and name their key. A token is a credential: it is never shown or logged.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::signing::{Signer, SigningContext, Verifier};
use super::{FORMAT, KeyId, SealedError};
use crate::error::{Kind, Problem};
use crate::principal::{Principal, Role, Roles};

/// Longest lifetime of a token: a revoked account has no access after this time.
pub const MAX_TOKEN_LIFE: Duration = Duration::seconds(60);

/// Largest clock difference between issuer and verifier that is accepted for a token that is not valid yet.
const MAX_SKEW: Duration = Duration::seconds(5);

/// Longest token, in bytes; longer ones are refused before decoding.
const MAX_TOKEN: usize = 1024;
/// Longest name or audience, in bytes.
const MAX_NAME: usize = 200;

/// Why a token was not issued or is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the staff token is malformed")]
    Malformed,
    #[error("the staff token is not authentic")]
    Forged,
    #[error("the staff token is for another audience")]
    OtherAudience,
    #[error("the staff token has expired")]
    Expired,
    #[error("the staff token is not valid yet")]
    NotYetValid,
    #[error("these claims cannot be issued")]
    NotIssuable,
}

impl TokenError {
    /// A stable code for callers.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "token_malformed",
            Self::Forged => "token_forged",
            Self::OtherAudience => "token_other_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::NotIssuable => "token_not_issuable",
        }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let detail = match error {
            TokenError::Expired => {
                "The session's token has expired; sign in again if this error repeats."
            }
            _ => "The token is not valid here; sign in again.",
        };
        Self::new(Kind::Unauthenticated, error.code(), detail)
    }
}

/// The claims of a token. Times have a resolution of one second.
#[derive(Clone, PartialEq, Eq)]
pub struct StaffClaims {
    pub subject: Uuid,
    pub name: String,
    pub roles: Roles,
    pub session: Uuid,
    pub audience: String,
    pub issued_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
}

impl StaffClaims {
    /// The principal that the token authenticates.
    pub fn principal(&self) -> Principal {
        Principal::Staff {
            subject: self.subject,
            name: self.name.clone(),
            roles: self.roles.clone(),
            session: self.session,
        }
    }
}

impl fmt::Debug for StaffClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaffClaims({}, {})", self.subject, self.audience)
    }
}

/// Issues tokens. Only the service that owns the sessions has an issuer.
#[derive(Debug, Clone)]
pub struct StaffTokenIssuer(Signer);

impl StaffTokenIssuer {
    /// `None` if the signer has another context.
    pub fn new(signer: Signer) -> Option<Self> {
        (signer.context() == SigningContext::StaffToken).then_some(Self(signer))
    }

    /// Issues a token.
    ///
    /// # Errors
    /// `NotIssuable` if the lifetime is not positive or exceeds [`MAX_TOKEN_LIFE`], or the name or the
    /// audience is empty or too long.
    pub fn issue(&self, claims: &StaffClaims) -> Result<String, TokenError> {
        let is_valid = |text: &str| (1..=MAX_NAME).contains(&text.len());
        let lifetime = unix_seconds(claims.expires_at) - unix_seconds(claims.issued_at);
        let lifetime_is_valid = lifetime > 0 && lifetime <= MAX_TOKEN_LIFE.whole_seconds();
        if !lifetime_is_valid || !is_valid(&claims.name) || !is_valid(&claims.audience) {
            return Err(TokenError::NotIssuable);
        }
        let payload = encode(self.0.key_id(), claims);
        let signature = self.0.sign(&payload);
        Ok(format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&payload),
            URL_SAFE_NO_PAD.encode(signature)
        ))
    }
}

/// Verifies tokens with public keys.
#[derive(Debug, Clone)]
pub struct StaffTokenVerifier {
    verifier: Verifier,
    audience: String,
}

impl StaffTokenVerifier {
    /// `None` if the verifier has another context.
    pub fn new(verifier: Verifier, audience: &str) -> Option<Self> {
        (verifier.context() == SigningContext::StaffToken).then(|| Self {
            verifier,
            audience: audience.to_owned(),
        })
    }

    /// Verifies a token and returns its claims.
    ///
    /// # Errors
    /// The reason why the token is not valid for this audience at this time.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<StaffClaims, TokenError> {
        let (key_id, payload, signature) = split(token)?;
        // Checked first, so that an error reveals nothing about the claims of a forged token.
        self.verifier
            .verify(&key_id, &payload, &signature)
            .map_err(|_| TokenError::Forged)?;
        let (_, claims) = decode(&payload)?;
        if claims.audience != self.audience {
            return Err(TokenError::OtherAudience);
        }
        if claims.issued_at - now > MAX_SKEW {
            return Err(TokenError::NotYetValid);
        }
        // The lifetime is checked again, in case the issuer is faulty.
        if now >= claims.expires_at || claims.expires_at - claims.issued_at > MAX_TOKEN_LIFE {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }
}

fn split(token: &str) -> Result<(KeyId, Vec<u8>, Vec<u8>), TokenError> {
    if token.len() > MAX_TOKEN {
        return Err(TokenError::Malformed);
    }
    let (payload, signature) = token.split_once('.').ok_or(TokenError::Malformed)?;
    // The decoder is strict (no padding, no trailing bits, no other alphabet), so a token has only one valid
    // form.
    let decoded = |text| {
        URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| TokenError::Malformed)
    };
    let (payload, signature) = (decoded(payload)?, decoded(signature)?);
    let (key_id, _) = decode(&payload)?;
    Ok((key_id, payload, signature))
}

/// Encodes format, key id, subject, session, roles, issued, expires, name, audience. Texts are preceded by
/// their length (1 byte).
fn encode(key_id: &KeyId, claims: &StaffClaims) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    write_text(&mut bytes, key_id.as_str());
    bytes.extend_from_slice(claims.subject.as_bytes());
    bytes.extend_from_slice(claims.session.as_bytes());
    bytes.push(role_bits(claims.roles.iter()));
    bytes.extend_from_slice(&unix_seconds(claims.issued_at).to_be_bytes());
    bytes.extend_from_slice(&unix_seconds(claims.expires_at).to_be_bytes());
    write_text(&mut bytes, &claims.name);
    write_text(&mut bytes, &claims.audience);
    bytes
}

fn decode(payload: &[u8]) -> Result<(KeyId, StaffClaims), TokenError> {
    let mut rest = payload;
    let [format] = read_bytes(&mut rest)?;
    if format != FORMAT {
        return Err(TokenError::Malformed);
    }
    let key_id = read_text(&mut rest)?;
    let key_id = KeyId::parse(&key_id).map_err(|_: SealedError| TokenError::Malformed)?;
    let subject = Uuid::from_bytes(read_bytes(&mut rest)?);
    let session = Uuid::from_bytes(read_bytes(&mut rest)?);
    let [bits] = read_bytes(&mut rest)?;
    let claims = StaffClaims {
        subject,
        session,
        roles: roles(bits)?,
        issued_at: read_time(&mut rest)?,
        expires_at: read_time(&mut rest)?,
        name: read_text(&mut rest)?,
        audience: read_text(&mut rest)?,
    };
    if rest.is_empty() {
        Ok((key_id, claims))
    } else {
        Err(TokenError::Malformed)
    }
}

/// The bit of a role. It never changes; a new role gets a new bit.
fn bit(role: Role) -> u8 {
    match role {
        Role::Analyst => 1,
        Role::Supervisor => 2,
        Role::Operator => 4,
        Role::Auditor => 8,
    }
}

fn role_bits(roles: impl IntoIterator<Item = Role>) -> u8 {
    roles.into_iter().map(bit).fold(0, std::ops::BitOr::bitor)
}

fn roles(bits: u8) -> Result<Roles, TokenError> {
    if bits & !role_bits(Role::ALL) != 0 {
        return Err(TokenError::Malformed);
    }
    Ok(Role::ALL
        .into_iter()
        .filter(|role| bit(*role) & bits != 0)
        .collect())
}

fn unix_seconds(at: OffsetDateTime) -> i64 {
    at.unix_timestamp()
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    // Key ids are at most 32 bytes; names and audiences were checked against MAX_NAME.
    bytes.push(text.len() as u8);
    bytes.extend_from_slice(text.as_bytes());
}

fn read_bytes<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TokenError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(TokenError::Malformed)?;
    *rest = tail;
    Ok(*head)
}

fn read_text(rest: &mut &[u8]) -> Result<String, TokenError> {
    let [length] = read_bytes(rest)?;
    let (head, tail) = rest
        .split_at_checked(length.into())
        .ok_or(TokenError::Malformed)?;
    *rest = tail;
    String::from_utf8(head.to_vec()).map_err(|_| TokenError::Malformed)
}

fn read_time(rest: &mut &[u8]) -> Result<OffsetDateTime, TokenError> {
    let seconds = i64::from_be_bytes(read_bytes(rest)?);
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| TokenError::Malformed)
}
